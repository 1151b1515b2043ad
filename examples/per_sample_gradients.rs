//! The gradient of a loss for each example by itself: `vmap(grad(loss))`.

use cotangent::prelude::*;

/// The squared error of a linear model with a ReLU, for one example.
pub fn compute_loss(weights: Tensor, example: Tensor, target: Tensor) -> Tensor {
    let y = example.dot(&weights).relu();
    (y - target).square().mean()
}

/// One gradient of the weights for each example: `[batch, features]`.
pub fn gradients(weights: Tensor, examples: Tensor, targets: Tensor) -> Result<Tensor, Error> {
    vmap(grad(compute_loss)).in_dims((None, Some(0), Some(0))).call((weights, examples, targets))
}

/// The graph of all gradients together.
pub fn graph() -> Result<Graph, Error> {
    let f32s = |shape: &[usize]| Tensor::abstract_(DType::F32, shape);
    make_fx(vmap(grad(compute_loss)).in_dims((None, Some(0), Some(0))), (f32s(&[3]), f32s(&[4, 3]), f32s(&[4])))
}

/// Weights, examples and targets.
pub fn data() -> (Tensor, Tensor, Tensor) {
    let weights = Tensor::from([0.5f32, 1.0, -0.5]);
    let examples = Tensor::from([[1.0f32, 2.0, 0.0], [0.0, 1.0, 1.0], [-1.0, 0.0, 1.0], [2.0, 1.0, 1.0]]);
    (weights, examples, Tensor::from([1.0f32, 0.0, 1.0, -1.0]))
}

fn main() -> Result<(), Error> {
    let (weights, examples, targets) = data();
    println!("{}", gradients(weights, examples, targets)?);
    println!("{}", graph()?.code());
    Ok(())
}
