//! Large graphs, and the overhead of a call.

use cotangent::prelude::*;

use crate::inputs::{Input, f32s};
use crate::workload::{Workload, compiled};

/// A chain of `n` operations, five in turn.
pub fn ops_chain(n: usize) -> impl Fn(Tensor) -> Tensor {
    move |x| {
        let mut y = x.clone();
        for j in 0..n {
            let c = 0.5 + j as f64 / (2 * n) as f64;
            y = match j % 5 {
                0 => y * c,
                1 => y + &x,
                2 => y.tanh(),
                3 => y - c,
                _ => y.cos(),
            };
        }
        y
    }
}

/// The weights of a recurrent cell.
#[derive(Tree, Clone)]
struct Rnn {
    wx: Tensor,
    wh: Tensor,
    b: Tensor,
}

impl Rnn {
    /// The mean square of the last state, over all steps of `x` `[steps, batch, in]`.
    fn loss(&self, x: &Tensor) -> Tensor {
        let mut h = x.select(0, 0).linear(&self.wx, &self.b).zeros_like();
        for t in 0..x.size(0) {
            h = (x.select(0, t as i64).linear(&self.wx, &self.b) + h.matmul(&self.wh.t())).tanh();
        }
        (&h * &h).mean()
    }
}

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    let mut list = vec![Workload::new("call_overhead", [f32s("x", []).offset(1.0)], |[x]| {
        compiled(|x: Tensor| x * 2.0 + 1.0, (x,))
    })];
    list.extend([100, 1000, 5000].map(|n| {
        Workload::new(format!("ops_{n}"), [f32s("x", [64]).scale(2.0)], move |[x]| compiled(ops_chain(n), (x,)))
    }));
    list.push(Workload::new("rnn_grad", rnn(), |[x, wx, wh, b]| {
        compiled(grad(|rnn: Rnn, x: Tensor| rnn.loss(&x)), (Rnn { wx, wh, b }, x))
    }));
    list
}

fn rnn() -> [Input; 4] {
    [
        f32s("x", [100, 32, 64]),
        f32s("Wx", [128, 64]).scale(0.4),
        f32s("Wh", [128, 128]).scale(0.3),
        f32s("b", [128]).scale(0.2),
    ]
}
