//! What the ops that index along a dim share: checks, flat positions, and lines of elements.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Aval, DType, Dim, Shape};
use crate::tensor::Tensor;
use crate::transform::vmap::move_dim;

use super::axis::Axis;

/// Checks that `dim` is a dim of a rank-`rank` operand.
pub(crate) fn check_dim(label: &'static str, dim: usize, rank: usize) -> Result<(), InferError> {
    if dim < rank {
        return Ok(());
    }
    Err(InferError::Attribute {
        label,
        attr: "dim",
        expected: format!("a dim below the rank {rank}"),
        found: dim.to_string(),
    })
}

/// The labels of the constraints that the ops with an index of the operand's rank share.
pub(crate) struct Labels {
    /// `dim` is a dim of the operand.
    pub dim: &'static str,
    /// The index is of `i64` and of the operand's rank.
    pub index: &'static str,
    /// The index is no larger than the operand on the other dims.
    pub sizes: &'static str,
}

impl Labels {
    /// Checks `dim` and `index` against the indexed operand `x`.
    pub fn check(&self, x: &Aval, dim: usize, index: &Aval) -> Result<(), InferError> {
        check_dim(self.dim, dim, x.rank())?;
        if index.dtype != DType::I64 || index.rank() != x.rank() {
            return Err(InferError::Operand {
                label: self.index,
                expected: format!("an i64 index of rank {}", x.rank()),
                found: index.clone(),
            });
        }
        if (0..x.rank()).any(|d| d != dim && index.shape[d] > x.shape[d]) {
            return Err(InferError::Mismatch {
                label: self.sizes,
                expected: format!("an index no larger than the operand except on dim {dim}"),
                lhs: x.clone(),
                rhs: index.clone(),
            });
        }
        Ok(())
    }
}

/// Checks that `src` has the dtype of `x` and the shape of `index`.
pub(crate) fn check_source(label: &'static str, x: &Aval, index: &Aval, src: &Aval) -> Result<(), InferError> {
    if src.dtype == x.dtype && src.shape == index.shape {
        return Ok(());
    }
    Err(InferError::Mismatch {
        label,
        expected: format!("a source of dtype {} and the index's shape {}", x.dtype, index.shape),
        lhs: index.clone(),
        rhs: src.clone(),
    })
}

/// Checks that `x` holds numbers.
pub(crate) fn check_numbers(label: &'static str, x: &Aval) -> Result<(), InferError> {
    if x.dtype != DType::Bool {
        return Ok(());
    }
    Err(InferError::Operand { label, expected: "numbers".to_owned(), found: x.clone() })
}

/// Checks that `x` holds floats or `i64`: smaller integers are widened by PyTorch, so the front end converts them.
pub(crate) fn check_wide(label: &'static str, x: &Aval) -> Result<(), InferError> {
    if x.dtype.is_float() || x.dtype == DType::I64 {
        return Ok(());
    }
    Err(InferError::Operand { label, expected: "floats or i64 (convert first)".to_owned(), found: x.clone() })
}

/// Whether `x` is NaN: the only element that does not compare with itself.
pub(crate) fn is_nan<T: PartialOrd>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

/// The indices as positions on dim `dim` of size `size`.
///
/// *Errors*: the first one that is negative or too large.
fn in_bounds(index: &Array, dim: usize, size: usize) -> Result<Vec<usize>, EvalError> {
    let check = |(at, i): (usize, &i64)| match usize::try_from(*i) {
        Ok(i) if i < size => Ok(i),
        Ok(_) | Err(_) => Err(EvalError::Index { dim, index: *i, size, at }),
    };
    index.elems::<i64>().iter().enumerate().map(check).collect()
}

/// For each element of an index of the operand's rank, the flat position in the operand of `shape` that it addresses
/// along `dim`.
pub(crate) fn positions(shape: &Shape, dim: usize, index: &Array) -> Result<Vec<usize>, EvalError> {
    let along = in_bounds(index, dim, shape[dim].get())?;
    let (stride, own) = (shape.strides(), index.shape().strides());
    let others: Vec<(usize, usize, usize)> =
        (0..shape.rank()).filter(|d| *d != dim).map(|d| (own[d], index.shape()[d].get(), stride[d])).collect();
    let rest = |at: usize| -> usize { others.iter().map(|(own, size, stride)| at / own % size * stride).sum() };
    Ok(along.into_iter().enumerate().map(|(at, i)| rest(at) + i * stride[dim]).collect())
}

/// The flat positions that a vector of indices addresses along `dim`, in the order of the shape with its length there.
pub(crate) fn positions_of_vector(shape: &Shape, dim: usize, index: &Array) -> Result<Vec<usize>, EvalError> {
    let along = in_bounds(index, dim, shape[dim].get())?;
    let axis = Axis::of(shape, dim);
    let outer = shape.slice(0, dim).numel();
    let inner = shape.slice(dim + 1, shape.rank()).numel();
    let slice = |block: usize, i: usize| (0..inner).map(move |place| axis.join(block, i, place));
    Ok((0..outer).flat_map(|block| along.iter().flat_map(move |i| slice(block, *i))).collect())
}

/// The elements that differ in one coordinate only: flat positions `start + k * stride` for `k < len`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    start: usize,
    stride: usize,
    len: usize,
}

impl Line {
    /// The flat positions in order.
    pub fn positions(self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.len).map(move |k| self.start + k * self.stride)
    }
}

/// The lines along `dim`, in the order of the other coordinates.
pub(crate) fn lines(shape: &Shape, dim: usize) -> impl Iterator<Item = Line> + use<> {
    let outer = shape.slice(0, dim).numel();
    let stride = shape.slice(dim + 1, shape.rank()).numel();
    let len = shape[dim].get();
    (0..outer).flat_map(move |o| (0..stride).map(move |i| Line { start: o * len * stride + i, stride, len }))
}

/// The batch dim at 0 merged into dim `dim` of an example, outermost: `[b, …, k, …] → […, b k, …]`.
///
/// An op that works along `dim` position by position, and whose other operand has no batch dim, then does the whole
/// batch at once without repeating that operand.
pub(crate) fn fold_batch(x: &Tensor, dim: usize) -> Tensor {
    let moved = move_dim(x, 0, dim);
    let both = moved.shape()[dim].get() * moved.shape()[dim + 1].get();
    moved.view_to(&moved.shape().removed(dim).with(dim, both))
}

/// The inverse of [`fold_batch`] for a batch of `size`, where an example has `len` elements on `dim`.
pub(crate) fn unfold_batch(x: &Tensor, dim: usize, size: Dim, len: Dim) -> Tensor {
    move_dim(&x.view_to(&x.shape().with(dim, len).inserted(dim, size)), dim, 0)
}
