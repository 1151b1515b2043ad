//! Jacobians by reverse and by forward mode, and a batch of them.

use cotangent::prelude::*;

/// The Jacobian of the elementwise sine at `x`, by reverse mode: a diagonal of cosines.
pub fn by_rows(x: Tensor) -> Result<Tensor, Error> {
    jacrev(|x: Tensor| x.sin()).call((x,))
}

/// The same by forward mode.
pub fn by_columns(x: Tensor) -> Result<Tensor, Error> {
    jacfwd(|x: Tensor| x.sin()).call((x,))
}

/// One Jacobian for each row of `x`.
pub fn batch(x: Tensor) -> Result<Tensor, Error> {
    vmap(jacrev(|x: Tensor| x.sin())).call((x,))
}

/// The graphs of the three.
pub fn graphs() -> Result<[Graph; 3], Error> {
    let x = |shape: &[usize]| (Tensor::abstract_(DType::F32, shape),);
    Ok([make_fx(by_rows, x(&[5]))?, make_fx(by_columns, x(&[5]))?, make_fx(batch, x(&[64, 5]))?])
}

fn main() -> Result<(), Error> {
    let x = Tensor::from([0.0f32, 0.5, 1.0]);
    println!("{}\n{}", by_rows(x.clone())?, by_columns(x.clone())?);
    println!("{}", batch(Tensor::from([[0.0f32, 1.0], [2.0, 3.0]]))?);
    for graph in graphs()? {
        println!("{}", graph.code());
    }
    Ok(())
}
