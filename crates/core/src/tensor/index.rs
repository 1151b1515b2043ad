//! Exact methods for the primitives that read and write through indices.

use super::{Tensor, emit};
use crate::ops::{self, ScatterReduction};

impl Tensor {
    /// The elements at the positions that `index`, of this tensor's rank, gives along `dim`.
    #[track_caller]
    pub fn gather_along(&self, dim: usize, index: &Tensor) -> Tensor {
        emit(ops::Gather { dim }, &[self, index])
    }

    /// This tensor with `src` written at the positions that `index`, of its rank and of `src`'s shape, gives along `dim`.
    #[track_caller]
    pub fn scatter_along(&self, dim: usize, index: &Tensor, src: &Tensor) -> Tensor {
        emit(ops::Scatter { dim }, &[self, index, src])
    }

    /// As [`Tensor::scatter_along`], adding instead of writing.
    #[track_caller]
    pub fn scatter_add_along(&self, dim: usize, index: &Tensor, src: &Tensor) -> Tensor {
        emit(ops::ScatterAdd { dim }, &[self, index, src])
    }

    /// As [`Tensor::scatter_along`], combining old and new elements by `reduce`.
    #[track_caller]
    pub fn scatter_reduce_along(&self, dim: usize, index: &Tensor, src: &Tensor, reduce: ScatterReduction) -> Tensor {
        emit(ops::ScatterReduce { dim, reduce }, &[self, index, src])
    }

    /// The slices that the vector `index` names along `dim`.
    #[track_caller]
    pub fn index_select_along(&self, dim: usize, index: &Tensor) -> Tensor {
        emit(ops::IndexSelect { dim }, &[self, index])
    }

    /// This tensor with the slices of `source` added at the places that the vector `index` names along `dim`.
    #[track_caller]
    pub fn index_add_along(&self, dim: usize, index: &Tensor, source: &Tensor) -> Tensor {
        emit(ops::IndexAdd { dim }, &[self, index, source])
    }
}
