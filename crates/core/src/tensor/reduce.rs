//! Exact methods for reductions, scans, sorting and searching along dims.

use super::{Tensor, emit, emit_all};
use crate::ops;

/// The two results of a node.
fn pair(mut results: Vec<Tensor>) -> (Tensor, Tensor) {
    let second = results.remove(1);
    (results.remove(0), second)
}

impl Tensor {
    /// The largest elements over sorted dims, which disappear; the tensor itself over none.
    #[track_caller]
    pub fn amax_over(&self, dims: &[usize]) -> Tensor {
        if dims.is_empty() { self.clone() } else { emit(ops::Amax { dim: dims.to_vec() }, &[self]) }
    }

    /// The smallest elements over sorted dims, which disappear; the tensor itself over none.
    #[track_caller]
    pub fn amin_over(&self, dims: &[usize]) -> Tensor {
        if dims.is_empty() { self.clone() } else { emit(ops::Amin { dim: dims.to_vec() }, &[self]) }
    }

    /// The product over `dim`, which disappears.
    #[track_caller]
    pub fn prod_over(&self, dim: usize) -> Tensor {
        emit(ops::Prod { dim }, &[self])
    }

    /// The position of the first largest element along `dim`, which disappears.
    #[track_caller]
    pub fn argmax_along(&self, dim: usize) -> Tensor {
        emit(ops::Argmax { dim }, &[self])
    }

    /// The position of the first smallest element along `dim`, which disappears.
    #[track_caller]
    pub fn argmin_along(&self, dim: usize) -> Tensor {
        emit(ops::Argmin { dim }, &[self])
    }

    /// The sums of all elements up to each one along `dim`.
    #[track_caller]
    pub fn cumsum_along(&self, dim: usize) -> Tensor {
        emit(ops::Cumsum { dim }, &[self])
    }

    /// The products of all elements up to each one along `dim`.
    #[track_caller]
    pub fn cumprod_along(&self, dim: usize) -> Tensor {
        emit(ops::Cumprod { dim }, &[self])
    }

    /// The largest element up to each one along `dim`, and its last position.
    #[track_caller]
    pub fn cummax_along(&self, dim: usize) -> (Tensor, Tensor) {
        pair(emit_all(ops::Cummax { dim }.into(), &[self]))
    }

    /// The smallest element up to each one along `dim`, and its last position.
    #[track_caller]
    pub fn cummin_along(&self, dim: usize) -> (Tensor, Tensor) {
        pair(emit_all(ops::Cummin { dim }.into(), &[self]))
    }

    /// The logarithms of the sums of the exponentials of all elements up to each one along `dim`.
    #[track_caller]
    pub fn logcumsumexp_along(&self, dim: usize) -> Tensor {
        emit(ops::Logcumsumexp { dim }, &[self])
    }

    /// The elements in order along `dim`, equal ones in their old order, and where they came from.
    #[track_caller]
    pub fn sort_along(&self, dim: usize, descending: bool) -> (Tensor, Tensor) {
        pair(emit_all(ops::Sort { stable: true, dim, descending }.into(), &[self]))
    }

    /// Where `values` would be inserted in this tensor, which is sorted along its last dim: before equal elements, or
    /// after them where `right`.
    #[track_caller]
    pub fn searchsorted_exact(&self, values: &Tensor, right: bool) -> Tensor {
        emit(ops::Searchsorted { out_int32: false, right }, &[self, values])
    }
}
