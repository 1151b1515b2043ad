//! Matrix products, perceptrons, and a small convolutional network.

use cotangent::prelude::*;

use super::model::{Mlp, descend, linear_params, on_mlp};
use crate::inputs::{Input, f32s, i64s};
use crate::workload::{Workload, compiled};

/// The sizes of the larger perceptron.
pub(super) const SIZES: [usize; 4] = [784, 512, 512, 10];

/// Examples and their classes for the larger perceptron.
pub(super) fn digits() -> [Input; 2] {
    [f32s("x", [64, 784]), i64s("y", [64], 10)]
}

/// The product of two matrices, or batches of them.
pub(super) fn product(a: Tensor, b: Tensor) -> Tensor {
    a.matmul(&b)
}

fn loss(mlp: Mlp, x: Tensor, y: Tensor) -> Tensor {
    mlp.loss(&x, &y, Tensor::relu)
}

/// The loss of `mlp`, and its parameters after a step of gradient descent.
fn train(rate: f64) -> impl Fn(Mlp, Tensor, Tensor) -> Result<(Tensor, Mlp), Error> {
    move |mlp, x, y| {
        let (loss, gradients) = value_and_grad(loss).call((mlp.clone(), x, y))?;
        Ok((loss, descend(&mlp, &gradients, rate)))
    }
}

/// Two convolutions, pooling, and a linear layer, for images of one channel.
#[derive(Tree, Clone)]
struct Cnn {
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    w3: Tensor,
    b3: Tensor,
}

impl Cnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = x.conv2d(&self.w1, &self.b1, &Conv::default()).relu();
        let h = h.conv2d(&self.w2, &self.b2, &Conv::default()).relu();
        h.max_pool2d(2, &Pool::default()).flatten(1, -1).linear(&self.w3, &self.b3)
    }
}

/// The cross entropy of one example.
fn image_loss(cnn: Cnn, x: Tensor, y: Tensor) -> Tensor {
    cnn.forward(&x.unsqueeze(0)).cross_entropy(&y.unsqueeze(0))
}

/// The workloads of this group but those of attention and of large convolutions.
pub fn workloads() -> Vec<Workload> {
    let mut list: Vec<Workload> = [64, 256, 1024]
        .map(|n| {
            Workload::new(format!("mm_{n}"), [f32s("a", [n, n]), f32s("b", [n, n])], |[a, b]| compiled(product, (a, b)))
        })
        .into();
    list.extend([
        Workload::new("bmm_64", ["a", "b"].map(|name| f32s(name, [64, 64, 64])), |[a, b]| compiled(product, (a, b))),
        on_mlp("mlp_grad", linear_params(&SIZES, &[]), digits(), |mlp, [x, y]| compiled(grad(loss), (mlp, x, y))),
        on_mlp("mlp_train_step", linear_params(&SIZES, &[]), digits(), |mlp, [x, y]| {
            compiled(train(0.01), (mlp, x, y))
        }),
        on_mlp(
            "per_sample_grad_mlp",
            linear_params(&[64, 128, 128, 10], &[]),
            [f32s("x", [256, 64]), i64s("y", [256], 10)],
            |mlp, [x, y]| compiled(vmap(grad(loss)).in_dims((None, Some(0), Some(0))), (mlp, x, y)),
        ),
        Workload::new("per_sample_grad_cnn", images(), |[w1, b1, w2, b2, w3, b3, x, y]| {
            let cnn = Cnn { w1, b1, w2, b2, w3, b3 };
            compiled(vmap(grad(image_loss)).in_dims((None, Some(0), Some(0))), (cnn, x, y))
        }),
        on_mlp("ensemble_mlp", linear_params(&SIZES, &[10]), [f32s("x", [64, 784])], |mlps, [x]| {
            let forward = |mlp: Mlp, x: Tensor| mlp.forward(&x, Tensor::relu);
            compiled(vmap(forward).in_dims((Some(0), None)), (mlps, x))
        }),
        on_mlp(
            "ensemble_train",
            linear_params(&[2, 32, 2], &[10]),
            [f32s("x", [100, 2]).scale(2.0), i64s("y", [100], 2)],
            |mlps, [x, y]| compiled(vmap(train(0.2)).in_dims((Some(0), None, None)), (mlps, x, y)),
        ),
    ]);
    list
}

fn images() -> [Input; 8] {
    [
        f32s("w1", [16, 1, 3, 3]).scale(1.2),
        f32s("b1", [16]).scale(0.2),
        f32s("w2", [32, 16, 3, 3]).scale(0.3),
        f32s("b2", [32]).scale(0.2),
        f32s("w3", [10, 4608]).scale(0.05),
        f32s("b3", [10]).scale(0.2),
        f32s("x", [64, 1, 28, 28]).scale(2.0),
        i64s("y", [64], 10),
    ]
}
