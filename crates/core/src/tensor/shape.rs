//! Exact methods of the ops that move elements: slices, pieces, diagonals and windows.

use super::{Tensor, emit};
use crate::ir::{Scalar, Shape};
use crate::ops::{self, Pad};

impl Tensor {
    /// The elements `start`, `start + step`, … below `end` of dim `dim`; the tensor itself if those are all.
    #[track_caller]
    pub fn slice_dim(&self, dim: usize, start: usize, end: usize, step: usize) -> Tensor {
        let whole = start == 0 && step == 1 && self.shape().dims().get(dim).is_some_and(|n| *n == end);
        if whole { self.clone() } else { emit(ops::Slice { dim, start, end, step }, &[self]) }
    }

    /// The tensor with `src` written over a slice of dim `dim`.
    #[track_caller]
    pub fn slice_scatter_dim(&self, src: &Tensor, dim: usize, start: usize, end: usize, step: usize) -> Tensor {
        emit(ops::SliceScatter { dim, start, end, step }, &[self, src])
    }

    /// Tensors of one dtype one after the other on dim `dim`; the tensor itself if it is alone.
    #[track_caller]
    pub fn cat_dim(tensors: &[Tensor], dim: usize) -> Tensor {
        match tensors {
            [alone] if dim < alone.rank() => alone.clone(),
            all => emit(ops::Cat { dim }, &all.iter().collect::<Vec<_>>()),
        }
    }

    /// The tensor with `(low, high)` borders of `value` for each dim, first dim first, negative to crop; the tensor
    /// itself if there are none.
    #[track_caller]
    pub fn pad_dims(&self, amounts: &[(i64, i64)], value: impl Into<Scalar>) -> Tensor {
        let op = Pad::of_dims(amounts, value.into().cast(self.dtype()));
        if op.pad.is_empty() { self.clone() } else { emit(op, &[self]) }
    }

    /// The tensor reversed on sorted dims; the tensor itself for none.
    #[track_caller]
    pub fn flip_dims(&self, dims: &[usize]) -> Tensor {
        if dims.is_empty() { self.clone() } else { emit(ops::Flip { dims: dims.to_vec() }, &[self]) }
    }

    /// The elements with `column = row + offset` in two dims, as new last dim.
    #[track_caller]
    pub fn diagonal_of(&self, offset: i64, dim1: usize, dim2: usize) -> Tensor {
        let (offset, dim1, dim2) = ordered(offset, dim1, dim2);
        emit(ops::Diagonal { offset, dim1, dim2 }, &[self])
    }

    /// Square matrices in two new dims of the result, with the last dim on a diagonal and zeros elsewhere.
    #[track_caller]
    pub fn diag_embed_at(&self, offset: i64, dim1: usize, dim2: usize) -> Tensor {
        let (offset, dim1, dim2) = ordered(offset, dim1, dim2);
        emit(ops::DiagEmbed { offset, dim1, dim2 }, &[self])
    }

    /// Windows of `size` elements, `step` apart, of dim `dim`; places in a window are the new last dim.
    #[track_caller]
    pub fn unfold_dim(&self, dim: usize, size: usize, step: usize) -> Tensor {
        emit(ops::Unfold { dimension: dim, size, step }, &[self])
    }

    /// The tensor of `shape` into which the windows that [`Tensor::unfold_dim`] would give are added.
    #[track_caller]
    pub fn fold_dim(&self, shape: &Shape, dim: usize, size: usize, step: usize) -> Tensor {
        emit(ops::UnfoldBackward { input_sizes: shape.clone(), dim, size, step }, &[self])
    }
}

/// The diagonal with its dims in order: exchanged rows and columns have the negated offset.
fn ordered(offset: i64, dim1: usize, dim2: usize) -> (i64, usize, usize) {
    // The diagonal at `i64::MIN` is outside every matrix, and so is that at `i64::MAX`.
    if dim1 > dim2 { (offset.saturating_neg(), dim2, dim1) } else { (offset, dim1, dim2) }
}
