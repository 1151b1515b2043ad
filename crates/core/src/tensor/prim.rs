//! One method for each primitive, with exact attributes: what rules and composites are written in.

use smallvec::SmallVec;

use super::{Tensor, emit};
use crate::ir::{Aval, DType, Dim, Scalar, Shape};
use crate::ops::{self, Binary, Expand, Full, Op, Sum, Unary};

/// Dimensions as users give them: one number or several, negative from the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dims(pub SmallVec<[i64; 4]>);

impl From<i64> for Dims {
    fn from(d: i64) -> Self {
        Dims(SmallVec::from_iter([d]))
    }
}

impl From<i32> for Dims {
    fn from(d: i32) -> Self {
        Dims::from(i64::from(d))
    }
}

impl<const N: usize> From<[i64; N]> for Dims {
    fn from(d: [i64; N]) -> Self {
        Dims(d.into_iter().collect())
    }
}

impl From<&[i64]> for Dims {
    fn from(d: &[i64]) -> Self {
        Dims(d.iter().copied().collect())
    }
}

impl From<Vec<i64>> for Dims {
    fn from(d: Vec<i64>) -> Self {
        Dims(d.into_iter().collect())
    }
}

impl From<&[usize]> for Dims {
    fn from(d: &[usize]) -> Self {
        Dims(d.iter().map(|d| *d as i64).collect())
    }
}

impl Tensor {
    /// Applies a unary primitive.
    #[track_caller]
    pub fn unary(&self, op: Unary) -> Tensor {
        emit(op, &[self])
    }

    /// Applies a binary primitive to operands of one aval.
    #[track_caller]
    pub fn binary(&self, op: Binary, other: &Tensor) -> Tensor {
        emit(op, &[self, other])
    }

    /// `condition ? self : other` on operands of one aval.
    #[track_caller]
    pub fn where_exact(&self, condition: &Tensor, other: &Tensor) -> Tensor {
        emit(ops::Where {}, &[condition, self, other])
    }

    /// The elements in another dtype; the tensor itself if it has it.
    #[track_caller]
    pub fn convert(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype { self.clone() } else { emit(ops::Convert { dtype }, &[self]) }
    }

    /// Broadcast to exactly `shape`; the tensor itself if it has it.
    #[track_caller]
    pub fn expand_to(&self, shape: &Shape) -> Tensor {
        if self.shape() == shape { self.clone() } else { emit(Expand { size: shape.clone() }, &[self]) }
    }

    /// The elements under another shape; the tensor itself if it has it.
    #[track_caller]
    pub fn view_to(&self, shape: &Shape) -> Tensor {
        if self.shape() == shape { self.clone() } else { emit(ops::View { shape: shape.clone() }, &[self]) }
    }

    /// Dims in another order; the tensor itself for the identity.
    #[track_caller]
    pub fn permute_to(&self, dims: &[usize]) -> Tensor {
        if dims.iter().copied().eq(0..self.rank()) {
            self.clone()
        } else {
            emit(ops::Permute { dims: dims.to_vec() }, &[self])
        }
    }

    /// The sum over sorted dims, which disappear; the tensor itself over none.
    #[track_caller]
    pub fn sum_over(&self, dims: &[usize]) -> Tensor {
        if dims.is_empty() { self.clone() } else { emit(Sum::over(dims, self.rank()), &[self]) }
    }

    /// The transpose of broadcasting: sums to `shape`, from which `self`'s shape is an expansion.
    #[track_caller]
    pub fn sum_to(&self, shape: &Shape) -> Tensor {
        let lead = self.rank() - shape.rank();
        let repeated = |d: &usize| *d < lead || (shape[*d - lead] == 1 && self.shape()[*d] != 1);
        let dims: Vec<usize> = (0..self.rank()).filter(repeated).collect();
        self.sum_over(&dims).view_to(shape)
    }

    /// The matrix product of two matrices.
    #[track_caller]
    pub fn mm(&self, other: &Tensor) -> Tensor {
        emit(ops::Mm {}, &[self, other])
    }

    /// The products of two batches of matrices.
    #[track_caller]
    pub fn bmm(&self, other: &Tensor) -> Tensor {
        emit(ops::Bmm {}, &[self, other])
    }

    /// A tensor of `aval` in which every element is `value`, made in the trace of `self`.
    #[track_caller]
    pub fn full_of(&self, aval: &Aval, value: impl Into<Scalar>) -> Tensor {
        Tensor::generate(full(aval, value.into()), Some(self))
    }

    /// A tensor like this one in which every element is `value`.
    #[track_caller]
    pub fn full_like(&self, value: impl Into<Scalar>) -> Tensor {
        self.full_of(&self.aval(), value)
    }

    /// Zeros like this tensor.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones like this tensor.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// Zeros of `aval` in the trace of `like`, or the current one.
    #[track_caller]
    pub fn zeros_of(aval: &Aval, like: Option<&Tensor>) -> Tensor {
        Tensor::generate(full(aval, Scalar::Int(0)), like)
    }

    /// The result of an op without operands, in the trace of `like`, or the current one.
    ///
    /// Rules make their constants beside the tensor they combine them with, because the tangent's trace is not the
    /// primal's.
    #[track_caller]
    pub fn generate(op: impl Into<Op>, like: Option<&Tensor>) -> Tensor {
        super::emit_beside(op.into(), like)
    }

    /// The vector 0, 1, …, `n` - 1 of `dtype`, in the trace of `self`.
    #[track_caller]
    pub fn arange_like(&self, n: Dim, dtype: DType) -> Tensor {
        Tensor::generate(ops::Arange { end: n, dtype }, Some(self))
    }
}

fn full(aval: &Aval, value: Scalar) -> Full {
    Full { size: aval.shape.clone(), fill_value: value.cast(aval.dtype), dtype: aval.dtype }
}
