//! The value of a function and its pullback: one product with the transposed Jacobian for each call.

use cotangent::prelude::*;

/// `sin(x)` and the cotangent of `x` for the cotangent `y_bar` of the result.
pub fn value_and_cotangent(x: Tensor, y_bar: Tensor) -> Result<(Tensor, Tensor), Error> {
    let (y, pullback) = vjp(|x: Tensor| x.sin(), (x,))?;
    let (x_bar,) = pullback.call((y_bar,))?;
    Ok((y, x_bar))
}

/// The graph of value and cotangent.
pub fn graph() -> Result<Graph, Error> {
    let x = Tensor::abstract_(DType::F32, [5]);
    make_fx(value_and_cotangent, (x.clone(), x))
}

fn main() -> Result<(), Error> {
    let x = Tensor::from([0.0f32, 0.5, 1.0, 1.5, 2.0]);
    let (y, x_bar) = value_and_cotangent(x.clone(), x.ones_like())?;
    println!("sin(x) = {y}\ncos(x) = {x_bar}");
    println!("{}", graph()?.code());
    Ok(())
}
