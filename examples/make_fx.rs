//! The graph of a gradient, as traced and simplified, in the spelling of today and of 2021.

use cotangent::prelude::*;

/// The sum of sines.
pub fn f(x: Tensor) -> Tensor {
    x.sin().sum()
}

/// `make_fx(grad(f))` as traced.
pub fn raw() -> Result<Graph, Error> {
    make_fx_with(CaptureOptions::raw(), grad(f), (Tensor::abstract_(DType::F32, [100]),))
}

/// `make_fx(grad(f))`, simplified.
pub fn simplified() -> Result<Graph, Error> {
    make_fx(grad(f), (Tensor::abstract_(DType::F32, [100]),))
}

fn main() -> Result<(), Error> {
    println!("as traced, spelled as in 2021:{}", raw()?.code_in(CodeStyle::Functorch2021));
    println!("as traced:{}", raw()?.code());
    println!("simplified:{}", simplified()?.code());
    Ok(())
}
