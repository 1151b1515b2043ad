//! Reductions and normalisation.

use cotangent::prelude::*;

use crate::inputs::{Input, f32s};
use crate::workload::{Workload, compiled};

const ROWS: [usize; 2] = [4096, 1024];

/// The epsilon of layer norms.
pub(super) const EPS: f64 = 1e-5;

fn layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor {
    x.layer_norm(w.shape(), &w, &b, EPS)
}

/// Mean and biased variance over a dim.
fn mean_var(x: Tensor, dim: i64) -> (Tensor, Tensor) {
    let (var, mean) = x.var_mean(dim, 0);
    (mean, var)
}

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("softmax", [f32s("x", ROWS).scale(8.0)], |[x]| compiled(|x: Tensor| x.softmax(-1), (x,))),
        Workload::new("logsumexp", [f32s("x", ROWS).scale(8.0)], |[x]| compiled(|x: Tensor| x.logsumexp(-1), (x,))),
        Workload::new("layer_norm", affine(), |[x, w, b]| compiled(layer_norm, (x, w, b))),
        Workload::new("layer_norm_grad", with_cotangent(), |[x, w, b, g]| {
            let f = |x: Tensor, w: Tensor, b: Tensor, g: Tensor| (layer_norm(x, w, b) * g).sum();
            compiled(grad(f).argnums::<(At<0>, At<1>, At<2>)>(), (x, w, b, g))
        }),
        Workload::new("mean_var_dim0", [shifted()], |[x]| compiled(|x: Tensor| mean_var(x, 0), (x,))),
        Workload::new("mean_var_last", [shifted()], |[x]| compiled(|x: Tensor| mean_var(x, 1), (x,))),
        Workload::new("sum_sq_16m", [f32s("x", [1 << 24])], |[x]| compiled(|x: Tensor| (&x * &x).sum(), (x,))),
        Workload::new("cumsum", [f32s("x", ROWS).offset(0.25)], |[x]| compiled(|x: Tensor| x.cumsum(1), (x,))),
        Workload::new("argmax", [f32s("x", ROWS)], |[x]| compiled(|x: Tensor| x.argmax(1), (x,))),
    ]
}

fn shifted() -> Input {
    f32s("x", ROWS).scale(4.0).offset(0.5)
}

fn affine() -> [Input; 3] {
    [shifted(), f32s("w", [1024]).offset(1.0), f32s("b", [1024])]
}

fn with_cotangent() -> [Input; 4] {
    let [x, w, b] = affine();
    [x, w, b, f32s("g", ROWS)]
}
