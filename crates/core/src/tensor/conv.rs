//! The exact method of convolution.

use super::{Tensor, emit};
use crate::ops::Convolution;

impl Tensor {
    /// The convolution `op` of this input with `weight`.
    #[track_caller]
    pub fn conv(&self, weight: &Tensor, op: Convolution) -> Tensor {
        emit(op, &[self, weight])
    }
}
