//! What all optimisers do with trees.

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError};

use crate::tree::{Tree, assemble, checked_leaves};

/// An `f64` scalar in the dtype of `x`.
#[track_caller]
pub(crate) fn at(number: &Tensor, x: &Tensor) -> Tensor {
    number.convert(x.dtype())
}

/// The count of steps before the first one.
pub(crate) fn first_step() -> Tensor {
    Tensor::from(0.0f64)
}

/// Zeros in the place of each parameter.
pub(crate) fn zeros<T: Tree>(params: &T) -> T {
    params.map_leaves(Tensor::zeros_like)
}

/// `f` at the corresponding leaves of `N` trees of one structure gives `M` leaves, in `M` trees.
///
/// *Errors*: trees of different structure, or leaves of different shapes; the first error that a leaf stands for.
pub(crate) fn zip<T: Tree, const N: usize, const M: usize>(
    transform: &'static str,
    names: [&'static str; N],
    trees: [&T; N],
    f: impl Fn([&Tensor; N]) -> [Tensor; M],
) -> Result<[T; M], Error> {
    let mut columns = Vec::new();
    let (first, expected) = checked_leaves(trees[0])?;
    for (what, tree) in names.into_iter().zip(trees) {
        let (leaves, found) = checked_leaves(tree)?;
        if found != expected {
            return Err(TransformError::Structure { transform, what, like: names[0], expected, found }.into());
        }
        let unlike = first.iter().zip(&leaves).position(|(p, x)| p.shape() != x.shape());
        if let Some(index) = unlike {
            let (expected, found) = (first[index].aval().to_string(), leaves[index].aval().to_string());
            return Err(TransformError::Unlike { transform, what, index, expected, found }.into());
        }
        columns.push(leaves);
    }
    let rows: Vec<[Tensor; M]> = (0..first.len()).map(|i| f(std::array::from_fn(|k| &columns[k][i]))).collect();
    let trees: [T; M] = std::array::from_fn(|m| assemble(&expected, rows.iter().map(|row| row[m].clone())));
    trees.iter().try_for_each(|t| checked_leaves(t).map(drop))?;
    Ok(trees)
}
