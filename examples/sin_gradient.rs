//! The gradient of a sine is a cosine, and that of the cosine a negative sine.

use cotangent::prelude::*;

/// `d/dx sin(x)` and `d²/dx² sin(x)` at `x`.
pub fn derivatives(x: Tensor) -> Result<(Tensor, Tensor), Error> {
    let sin = |x: Tensor| x.sin();
    Ok((grad(sin).call((x.clone(),))?, grad(grad(sin)).call((x,))?))
}

/// The graph of the second derivative: `-sin(x)`.
pub fn graph() -> Result<Graph, Error> {
    make_fx(grad(grad(|x: Tensor| x.sin())), (Tensor::abstract_(DType::F32, ()),))
}

fn main() -> Result<(), Error> {
    let x = Tensor::scalar(1.25f32);
    let (first, second) = derivatives(x.clone())?;
    println!("cos(x)  {:.6}   grad(sin)(x)        {:.6}", x.cos().item::<f32>()?, first.item::<f32>()?);
    println!("-sin(x) {:.6}  grad(grad(sin))(x) {:.6}", -x.sin().item::<f32>()?, second.item::<f32>()?);
    println!("{}", graph()?.code());
    Ok(())
}
