//! A model of one example, applied to a batch: `vmap` adds the batch dim.

use cotangent::prelude::*;

/// A linear model with a ReLU, for one feature vector.
pub fn model(weights: Tensor, features: Tensor) -> Tensor {
    features.dot(&weights).relu()
}

/// The model on every row of `examples`; the weights are shared.
pub fn predict(weights: Tensor, examples: Tensor) -> Result<Tensor, Error> {
    vmap(model).in_dims((None, Some(0))).call((weights, examples))
}

/// The graph of the batched model: one matrix-vector product.
pub fn graph() -> Result<Graph, Error> {
    let args = (Tensor::abstract_(DType::F32, [5]), Tensor::abstract_(DType::F32, [3, 5]));
    make_fx(vmap(model).in_dims((None, Some(0))), args)
}

fn main() -> Result<(), Error> {
    let weights = Tensor::from([0.5f32, -1.0, 0.25, 2.0, 0.0]);
    let examples = Tensor::from([[1.0f32, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 3.0, 0.0, 0.0, 1.0]]);
    println!("{}", predict(weights, examples)?);
    println!("{}", graph()?.code());
    Ok(())
}
