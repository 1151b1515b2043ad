//! Arguments as users give them, and their checks: dims, sizes, lists of tensors, what is reduced.

use std::borrow::Borrow;

use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::{Aval, DType, Dim, Shape};
use cotangent_core::tensor::{Dims, reject};

/// What the extension traits are on: tensors.
pub trait AsTensor {
    /// The tensor itself.
    fn tensor(&self) -> &Tensor;
}

impl AsTensor for Tensor {
    fn tensor(&self) -> &Tensor {
        self
    }
}

/// Which constraint of which function a check belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub op: &'static str,
    pub label: &'static str,
}

/// `at!("softmax", 1)`: constraint `softmax_c1`.
macro_rules! at {
    ($op:literal, $n:literal) => {
        $crate::arg::At { op: $op, label: concat!($op, "_c", $n) }
    };
}
pub(crate) use at;

/// The value, or the poisoned tensor as the function's result.
macro_rules! attempt {
    ($e:expr) => {
        match $e {
            Ok(v) => v,
            Err(poison) => return poison,
        }
    };
}
pub(crate) use attempt;

/// As [`attempt`] in a function of two results.
macro_rules! attempt_pair {
    ($e:expr) => {
        match $e {
            Ok(v) => v,
            Err(poison) => return (poison.clone(), poison),
        }
    };
}
pub(crate) use attempt_pair;

/// What a reduction goes over, and whether the dims stay with size 1.
///
/// Made from a dim, several dims, or `()` for all; with [`keepdim`] around it the dims stay.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Over {
    /// The dims, negative from the end; `None` for all.
    pub dims: Option<Dims>,
    /// Whether the dims stay with size 1.
    pub keepdim: bool,
}

/// The same dims, which stay with size 1.
pub fn keepdim(over: impl Into<Over>) -> Over {
    Over { keepdim: true, ..over.into() }
}

impl From<()> for Over {
    fn from((): ()) -> Self {
        Over::default()
    }
}

impl From<Dims> for Over {
    fn from(dims: Dims) -> Self {
        Over { dims: Some(dims), keepdim: false }
    }
}

/// Sizes or counts as users give them: numbers, of which one may be -1 where that has a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sizes(pub Vec<i64>);

impl From<&Shape> for Sizes {
    fn from(s: &Shape) -> Self {
        Sizes(s.dims().iter().map(|d| d.get() as i64).collect())
    }
}

impl From<()> for Sizes {
    fn from((): ()) -> Self {
        Sizes::default()
    }
}

macro_rules! from_integers { ($($t:ty),*) => { $(
    impl From<$t> for Over {
        fn from(d: $t) -> Self {
            Dims::from(d as i64).into()
        }
    }
    impl<const N: usize> From<[$t; N]> for Over {
        fn from(d: [$t; N]) -> Self {
            Dims(d.into_iter().map(|d| d as i64).collect()).into()
        }
    }
    impl From<&[$t]> for Over {
        fn from(d: &[$t]) -> Self {
            Dims(d.iter().map(|d| *d as i64).collect()).into()
        }
    }
    impl From<$t> for Sizes {
        fn from(d: $t) -> Self {
            Sizes(vec![d as i64])
        }
    }
    impl<const N: usize> From<[$t; N]> for Sizes {
        fn from(d: [$t; N]) -> Self {
            Sizes(d.into_iter().map(|d| d as i64).collect())
        }
    }
    impl From<&[$t]> for Sizes {
        fn from(d: &[$t]) -> Self {
            Sizes(d.iter().map(|d| *d as i64).collect())
        }
    }
    impl From<Vec<$t>> for Sizes {
        fn from(d: Vec<$t>) -> Self {
            Sizes::from(d.as_slice())
        }
    }
)* } }
// `i32` is what an integer literal falls back to.
from_integers!(i64, i32, usize);

/// The checked dims of a reduction of one operand.
#[derive(Clone, Debug)]
pub(crate) struct Axes {
    /// Sorted, below the rank.
    pub dims: Vec<usize>,
    /// Whether they stay with size 1.
    pub keep: bool,
}

impl Axes {
    /// The number of elements reduced to one.
    pub fn count(&self, x: &Tensor) -> usize {
        self.dims.iter().map(|d| x.shape()[*d].get()).product()
    }

    /// The operand's shape with size 1 at the dims.
    pub fn ones(&self, x: &Tensor) -> Shape {
        let size = |(i, d): (usize, &Dim)| if self.dims.contains(&i) { Dim::new(1) } else { *d };
        x.shape().dims().iter().enumerate().map(size).collect()
    }

    /// The result of a reduction that removed the dims, with the dims of size 1.
    #[track_caller]
    pub fn keep_all(&self, x: &Tensor, y: &Tensor) -> Tensor {
        y.view_to(&self.ones(x))
    }

    /// The result of a reduction that removed the dims, with or without them as the user wants.
    #[track_caller]
    pub fn finish(&self, x: &Tensor, y: &Tensor) -> Tensor {
        if self.keep { self.keep_all(x, y) } else { y.clone() }
    }
}

/// A list of tensors, owned (`&[x, y]`, `&vec`) or borrowed (`&[&x, &y]`).
pub(crate) fn refs<T: Borrow<Tensor>>(tensors: &[T]) -> Vec<&Tensor> {
    tensors.iter().map(Borrow::borrow).collect()
}

/// An error that one of the operands stands for.
pub(crate) fn live(args: &[&Tensor]) -> Result<(), Tensor> {
    match args.iter().find(|a| a.error().is_some()) {
        Some(poison) => Err((*poison).clone()),
        None => Ok(()),
    }
}

/// The dim `d` of a rank-`rank` operand; rank 0 has the dims 0 and -1, as in PyTorch.
pub(crate) fn normal(d: i64, rank: usize) -> Option<usize> {
    let n = rank.max(1) as i64;
    let d = if d < 0 { d + n } else { d };
    (0..n).contains(&d).then_some(d as usize)
}

/// The dim `d` of `x`. For an operand of rank 0 this is 0, which is no dim of it: callers look at the rank.
#[track_caller]
pub(crate) fn dim(at: At, x: &Tensor, d: i64) -> Result<usize, Tensor> {
    live(&[x])?;
    match normal(d, x.rank()) {
        Some(d) => Ok(d),
        None => Err(reject(at.op, &[x], InferError::Dim { label: at.label, dim: d, rank: x.rank() }, None)),
    }
}

/// The dim `d` of `x`, which must have one.
#[track_caller]
pub(crate) fn real_dim(at: At, x: &Tensor, d: i64) -> Result<usize, Tensor> {
    let found = dim(at, x, d)?;
    if x.rank() == 0 {
        return Err(bad_operand(at, x, "a tensor with at least one dim"));
    }
    Ok(found)
}

/// The different dims of `x` in the order given.
#[track_caller]
pub(crate) fn dims_in_order(at: At, x: &Tensor, dims: &Dims) -> Result<Vec<usize>, Tensor> {
    let mut out = Vec::with_capacity(dims.0.len());
    for d in &dims.0 {
        let found = dim(at, x, *d)?;
        if out.contains(&found) {
            return Err(bad(at, &[x], "dim", "different dims", &format!("{:?}", dims.0.as_slice())));
        }
        out.push(found);
    }
    Ok(out)
}

/// What a reduction of `x` goes over. An empty list stands for all dims, as in PyTorch.
#[track_caller]
pub(crate) fn axes(at: At, x: &Tensor, over: &Over) -> Result<Axes, Tensor> {
    live(&[x])?;
    let mut dims = match &over.dims {
        Some(d) if !d.0.is_empty() => dims_in_order(at, x, d)?,
        Some(_) | None => (0..x.rank()).collect(),
    };
    dims.retain(|d| *d < x.rank());
    dims.sort_unstable();
    Ok(Axes { dims, keep: over.keepdim })
}

/// The sizes as numbers that are not negative.
#[track_caller]
pub(crate) fn sizes(at: At, args: &[&Tensor], attr: &'static str, s: &Sizes) -> Result<Vec<usize>, Tensor> {
    live(args)?;
    match s.0.iter().map(|n| usize::try_from(*n).ok()).collect() {
        Some(v) => Ok(v),
        None => Err(bad(at, args, attr, "sizes that are not negative", &format!("{:?}", s.0))),
    }
}

/// An attribute out of range.
#[track_caller]
pub(crate) fn bad(at: At, args: &[&Tensor], attr: &'static str, expected: &str, found: &str) -> Tensor {
    let (expected, found) = (expected.to_owned(), found.to_owned());
    reject(at.op, args, InferError::Attribute { label: at.label, attr, expected, found }, None)
}

/// An operand of a dtype or rank that does not fit.
#[track_caller]
pub(crate) fn bad_operand(at: At, x: &Tensor, expected: &str) -> Tensor {
    let e = InferError::Operand { label: at.label, expected: expected.to_owned(), found: x.aval() };
    reject(at.op, &[x], e, None)
}

/// Two operands that do not fit together.
#[track_caller]
pub(crate) fn bad_pair(at: At, a: &Tensor, b: &Tensor, expected: &str) -> Tensor {
    let e = InferError::Mismatch { label: at.label, expected: expected.to_owned(), lhs: a.aval(), rhs: b.aval() };
    reject(at.op, &[a, b], e, None)
}

/// Checks that `x` is of floats.
#[track_caller]
pub(crate) fn float(at: At, x: &Tensor) -> Result<(), Tensor> {
    live(&[x])?;
    if x.dtype().is_float() { Ok(()) } else { Err(bad_operand(at, x, "a float tensor (convert with `.float()`)")) }
}

/// The size of dim `d`; 1 for an operand of rank 0.
pub(crate) fn size_at(x: &Tensor, d: usize) -> usize {
    if x.rank() == 0 { 1 } else { x.shape()[d].get() }
}

/// The operand in the dtype in which the machine computes: half formats in `f32`.
#[track_caller]
pub(crate) fn widen(x: &Tensor) -> Tensor {
    x.convert(x.dtype().compute())
}

/// The aval of `x` with another dtype.
pub(crate) fn as_dtype(x: &Tensor, dtype: DType) -> Aval {
    Aval::new(dtype, x.shape())
}
