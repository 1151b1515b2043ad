//! Writing through indices as in Python, where the result is a new tensor: `x.set_at((.., 2..5), &y)` is `x[:, 2:5] = y`.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, Shape};
use cotangent_core::ops::Expand;
use cotangent_core::tensor::{IntoOperand, Operand};

use crate::arg::{AsTensor, At, at, attempt, bad_pair, live};
use crate::index::{Index, IntoIndices, Part, is_mask, put};

/// Tensors with a part replaced.
///
/// ```
/// use cotangent_aten::prelude::*;
/// use cotangent_core::Tensor;
///
/// let x = Tensor::from([[1.0f32, -2.0], [-3.0, 4.0]]);
/// let y = x.set_at((.., 0), 5.0); // x[:, 0] = 5.0
/// assert_eq!(y.to_vec::<f32>().unwrap(), [5.0, -2.0, 5.0, 4.0]);
/// let y = x.add_at(Tensor::from([1i64, 1]), 1.0); // both additions count
/// assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, -2.0, -1.0, 6.0]);
/// let y = x.set_at(x.lt(0.0), 0.0); // x[x < 0] = 0.0
/// assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 4.0]);
/// ```
pub trait Assignment: AsTensor {
    /// The tensor with `values`, cast to its dtype, where the index points: Python's `x[…] = values`.
    ///
    /// The index is one of [`Indexing::i`](crate::index::Indexing::i), or has a mask of truth values in place of the dims that it covers.
    ///
    /// *Shape*: the values broadcast to what the index names; behind a mask to the dims after it, as how many elements it selects depends on data.
    /// *Numerics*: of several writes to one place the last stays.
    /// *Derivative*: zero for what is replaced; every value gets that of its place.
    /// *Errors*: see [`Indexing::i`](crate::index::Indexing::i); `set_at_c1` values of another shape; `set_at_c2` a mask of another shape.
    #[track_caller]
    fn set_at(&self, index: impl IntoIndices, values: impl IntoOperand) -> Tensor {
        assigned(self.tensor(), index.into_indices(), values.into_operand(), Write::Set)
    }

    /// The tensor with `values` added where the index points, all of them where it points to one place several times.
    ///
    /// *Shape* and *Errors*: as [`Assignment::set_at`].
    #[track_caller]
    fn add_at(&self, index: impl IntoIndices, values: impl IntoOperand) -> Tensor {
        assigned(self.tensor(), index.into_indices(), values.into_operand(), Write::Add)
    }
}

impl Assignment for Tensor {}

/// What happens to the elements that an index names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Set,
    Add,
}

impl Write {
    /// `old` after the write of `values`, which are of its shape.
    #[track_caller]
    fn to(self, old: &Tensor, values: Tensor) -> Tensor {
        match self {
            Write::Set => values,
            Write::Add => old + values,
        }
    }
}

#[track_caller]
fn assigned(x: &Tensor, indices: Vec<Index>, values: Operand, write: Write) -> Tensor {
    let part = attempt!(Part::of(x, indices));
    let values = match values {
        Operand::Tensor(t) => {
            attempt!(live(&[&t]));
            t.convert(x.dtype())
        }
        Operand::Scalar(s) => x.full_of(&Aval::new(x.dtype(), Shape::scalar()), s),
    };
    let old = &part.value;
    let new = match part.given().as_slice() {
        [] => write.to(old, attempt!(wide(at!("set_at", 1), old, &values, old.shape()))),
        [before @ .., Some(mask)] if is_mask(mask) && before.iter().all(Option::is_none) => {
            attempt!(masked(old, before.len(), mask, &values, write))
        }
        given => put(old, given, &values, write == Write::Add),
    };
    attempt!(live(&[&new]));
    part.replaced(new)
}

/// `values` as large as `shape`, which is to be written to `x`.
#[track_caller]
fn wide(at: At, x: &Tensor, values: &Tensor, shape: &Shape) -> Result<Tensor, Tensor> {
    if !Expand::fits(values.shape(), shape) {
        return Err(bad_pair(at, x, values, &format!("values that expand to {shape}")));
    }
    Ok(values.expand_to(shape))
}

/// A write where `mask`, which covers the dims from `from` on, is true.
#[track_caller]
fn masked(x: &Tensor, from: usize, mask: &Tensor, values: &Tensor, write: Write) -> Result<Tensor, Tensor> {
    live(&[mask])?;
    let behind = from + mask.rank();
    if x.shape().slice(from, behind) != *mask.shape() {
        return Err(bad_pair(at!("set_at", 2), x, mask, &format!("a mask like the dims from {from} on")));
    }
    let rest = x.shape().slice(behind, x.rank());
    let values = wide(at!("set_at", 1), x, values, &rest)?.expand_to(x.shape());
    let ones: Shape = std::iter::repeat_n(1usize, rest.rank()).collect();
    let mask = mask.view_to(&mask.shape().concat(&ones)).expand_to(x.shape());
    Ok(write.to(x, values).where_(&mask, x))
}
