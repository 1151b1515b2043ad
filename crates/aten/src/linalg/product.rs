//! Products of matrices and tensors, and systems over several dims.

use std::borrow::Borrow;

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use super::solve::Systems;
use crate::arg::{AsTensor, at, attempt, bad, bad_operand, bad_pair, dims_in_order, live, refs};
use crate::matmul::chain_matmul;
use crate::pointwise::pair;

/// Products and inverses over several dims.
pub trait MatrixProducts: AsTensor {
    /// The sum of products over a dim, of operands that broadcast.
    ///
    /// *Errors*: `vecdot_c1` shapes that do not broadcast; `vecdot_c2` no such dim.
    #[track_caller]
    fn vecdot(&self, other: &Tensor, dim: i64) -> Tensor {
        let (a, b) = attempt!(pair(at!("vecdot", 1), self.tensor(), other));
        let product = a * b;
        let d = attempt!(crate::arg::real_dim(at!("vecdot", 2), &product, dim));
        product.sum_over(&[d])
    }

    /// The powers 0 to `n - 1` of each element, as last dim; `n` is the size of the last dim unless given.
    ///
    /// *Errors*: `vander_c1` `bool`; `vander_c2` fewer than two powers.
    #[track_caller]
    fn vander(&self, n: impl Into<Option<usize>>) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.dtype() == DType::Bool {
            return bad_operand(at!("vander", 1), x, "numbers");
        }
        let n = n.into().unwrap_or_else(|| x.shape().dims().last().map_or(1, |d| d.get()));
        if n < 2 {
            return bad(at!("vander", 2), &[x], "N", "at least 2", &n.to_string());
        }
        // Integers are widened as by all scans of products.
        let x = if x.dtype().is_float() { x.clone() } else { x.convert(DType::I64) };
        let rank = x.rank();
        let column = x.column();
        let powers = column.expand_to(&column.shape().with(rank, n - 1)).cumprod_along(rank);
        Tensor::cat_dim(&[column.ones_like(), powers], rank)
    }

    /// The inverse of the linear map from the last dims to the first `ind`.
    ///
    /// *Errors*: `tensorinv_c1` `ind` is 0 or the sizes differ; as [`Systems::inv`].
    #[track_caller]
    fn tensorinv(&self, ind: usize) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let split = ind.min(x.rank());
        let (first, last) = (x.shape().slice(0, split), x.shape().slice(split, x.rank()));
        if ind == 0 || first.numel() != last.numel() {
            let expected = "positive, with as many elements before as from it on";
            return bad(at!("tensorinv", 1), &[x], "ind", expected, &ind.to_string());
        }
        let n = first.numel();
        x.view_to(&[n, n].into()).inv().view_to(&last.concat(&first))
    }

    /// The solution `y` of `tensordot(x, y, y.rank()) = other`; the dims of `x` in `dims` are moved to the end before.
    ///
    /// *Errors*: `tensorsolve_c1` no such dims; `tensorsolve_c2` sizes that differ; as [`Systems::solve`].
    #[track_caller]
    fn tensorsolve(&self, other: &Tensor, dims: &[i64]) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x, other]));
        let moved = attempt!(dims_in_order(at!("tensorsolve", 1), x, &dims.into()));
        let kept = (0..x.rank()).filter(|d| !moved.contains(d));
        let x = x.permute_to(&kept.chain(moved.iter().copied()).collect::<Vec<_>>());
        let split = other.rank().min(x.rank());
        let (first, last): (Shape, Shape) = (x.shape().slice(0, split), x.shape().slice(split, x.rank()));
        let n = first.numel();
        if n != last.numel() || n != other.numel() {
            return bad_pair(
                at!("tensorsolve", 2),
                &x,
                other,
                "as many elements in front as at the end, and in `other`",
            );
        }
        x.view_to(&[n, n].into()).solve(&other.view_to(&[n].into())).view_to(&last)
    }
}

impl MatrixProducts for Tensor {}

/// The product of matrices in the cheapest order; the first may be a row and the last a column, as vectors.
///
/// *Errors*: `multi_dot_c1` fewer than two; `multi_dot_c2` ranks; as products of matrices.
#[track_caller]
pub fn multi_dot<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    let tensors = &refs(tensors)[..];
    attempt!(live(tensors));
    let [first, inner @ .., last] = tensors else {
        return bad(at!("multi_dot", 1), &[], "tensors", "at least two", &tensors.len().to_string());
    };
    let edge = |t: &Tensor| (1..=2).contains(&t.rank());
    if let Some(t) = inner.iter().find(|t| t.rank() != 2).or([first, last].into_iter().find(|t| !edge(t))) {
        return bad_operand(at!("multi_dot", 2), t, "matrices, or vectors at the ends");
    }
    let (row, column) = (first.rank() == 1, last.rank() == 1);
    let mut all: Vec<Tensor> = tensors.iter().map(|t| (*t).clone()).collect();
    let end = all.len() - 1;
    if row {
        all[0] = first.row();
    }
    if column {
        all[end] = last.column();
    }
    let product = chain_matmul(&all);
    attempt!(live(&[&product]));
    let (mut shape, rank) = (product.shape().clone(), product.rank());
    if column {
        shape = shape.removed(rank - 1);
    }
    if row {
        shape = shape.removed(0);
    }
    product.view_to(&shape)
}
