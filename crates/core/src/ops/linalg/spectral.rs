//! Decompositions of which only the values are read.

use super::{Eigh, Svd};
use crate::array::Array;
use crate::error::EvalError;
use crate::ops::Op;

/// A decomposition into values and vectors, where values alone are less work.
#[derive(Clone, Debug, PartialEq)]
pub enum Spectral {
    /// Eigenvalues of symmetric matrices.
    Eigh(Eigh),
    /// Singular values.
    Svd(Svd),
}

impl Spectral {
    /// The decomposition that `op` is, if it is one.
    pub fn of(op: &Op) -> Option<Self> {
        if let Op::Eigh(op) = op {
            return Some(Spectral::Eigh(op.clone()));
        }
        if let Op::Svd(op) = op { Some(Spectral::Svd(op.clone())) } else { None }
    }

    /// The op.
    pub fn op(&self) -> Op {
        match self {
            Spectral::Eigh(op) => op.clone().into(),
            Spectral::Svd(op) => op.clone().into(),
        }
    }

    /// Which of the op's results are the values.
    pub fn result(&self) -> usize {
        match self {
            Spectral::Eigh(_) => 0,
            Spectral::Svd(_) => 1,
        }
    }

    /// The values alone, whose last bits may differ from those that come with vectors.
    ///
    /// *Shape*: `[.., m, n] → [.., k]` with `k = min(m, n)`.
    /// *Errors*: those of the op.
    pub fn values(&self, x: &Array) -> Result<Array, EvalError> {
        match self {
            Spectral::Eigh(op) => op.values(x),
            Spectral::Svd(op) => op.values(x),
        }
    }
}
