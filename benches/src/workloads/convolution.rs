//! A two-dimensional convolution and its derivatives.

use cotangent::prelude::*;

use crate::inputs::{Input, f32s};
use crate::workload::{Workload, compiled};

fn convolution(x: Tensor, w: Tensor, b: Tensor) -> Tensor {
    x.conv2d(&w, &b, &Conv { padding: 1.into(), ..Conv::default() })
}

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("conv2d", planes(), |[x, w, b]| compiled(convolution, (x, w, b))),
        Workload::new("conv2d_grad", planes_with_cotangent(), |[x, w, b, g]| {
            let f = |x: Tensor, w: Tensor, b: Tensor, g: Tensor| (convolution(x, w, b) * g).sum();
            compiled(grad(f).argnums::<(At<0>, At<1>, At<2>)>(), (x, w, b, g))
        }),
    ]
}

fn planes() -> [Input; 3] {
    [f32s("x", [32, 64, 32, 32]).scale(2.0), f32s("w", [64, 64, 3, 3]).scale(0.15), f32s("b", [64])]
}

fn planes_with_cotangent() -> [Input; 4] {
    let [x, w, b] = planes();
    [x, w, b, f32s("g", [32, 64, 32, 32])]
}
