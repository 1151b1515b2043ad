//! Second derivatives three ways: `hessian`, forward over reverse, and reverse over reverse.

use cotangent::prelude::*;

/// The sum of sines: its Hessian is a diagonal of negative sines.
pub fn f(x: Tensor) -> Tensor {
    x.sin().sum()
}

/// The Hessian of `f` at `x` in three ways.
pub fn three_ways(x: Tensor) -> Result<[Tensor; 3], Error> {
    Ok([hessian(f).call((x.clone(),))?, jacfwd(jacrev(f)).call((x.clone(),))?, jacrev(jacrev(f)).call((x,))?])
}

/// The graph of the Hessian.
pub fn graph() -> Result<Graph, Error> {
    make_fx(hessian(f), (Tensor::abstract_(DType::F32, [3]),))
}

fn main() -> Result<(), Error> {
    for h in three_ways(Tensor::from([0.0f32, 0.5, 1.0]))? {
        println!("{h}");
    }
    println!("{}", graph()?.code());
    Ok(())
}
