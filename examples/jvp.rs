//! The value of a function and its derivative along a tangent, in one forward pass.

use cotangent::prelude::*;

/// `x · y` and its change along the tangents `(x_dot, y_dot)`.
pub fn value_and_tangent(x: Tensor, y: Tensor, x_dot: Tensor, y_dot: Tensor) -> Result<(Tensor, Tensor), Error> {
    jvp(|x: Tensor, y: Tensor| x * y, (x, y), (x_dot, y_dot))
}

/// The graph of value and tangent.
pub fn graph() -> Result<Graph, Error> {
    let x = Tensor::abstract_(DType::F32, [5]);
    make_fx(value_and_tangent, (x.clone(), x.clone(), x.clone(), x))
}

fn main() -> Result<(), Error> {
    let x = Tensor::from([1.0f32, 2.0, 3.0, 4.0, 5.0]);
    let ones = x.ones_like();
    let (value, tangent) = value_and_tangent(x.clone(), ones.clone(), ones.clone(), ones)?;
    println!("x · 1 = {value}\nx + 1 = {tangent}");
    println!("{}", graph()?.code());
    Ok(())
}
