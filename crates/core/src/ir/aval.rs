//! Sizes, shapes and abstract values (`f32[3,4]`).

use std::fmt;
use std::ops::Index;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::dtype::DType;

/// The size of one dimension, in elements.
///
/// Static for now. Rules never do arithmetic on bare integers that came from a shape without going through the
/// checked operations here, so that a symbolic size can be added without touching them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dim(usize);

/// The most elements that one array may have; larger products of sizes are refused before anything is allocated.
pub const MAX_ELEMENTS: usize = 1 << 47;

impl Dim {
    /// The size `n`.
    pub const fn new(n: usize) -> Self {
        Dim(n)
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }

    /// The sum, or `None` beyond the machine's range.
    pub fn checked_add(self, other: Dim) -> Option<Dim> {
        self.0.checked_add(other.0).map(Dim)
    }

    /// The product, or `None` beyond the machine's range.
    pub fn checked_mul(self, other: Dim) -> Option<Dim> {
        self.0.checked_mul(other.0).map(Dim)
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Dim) -> Option<Dim> {
        self.0.checked_sub(other.0).map(Dim)
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Dim(n)
    }
}

impl PartialEq<usize> for Dim {
    fn eq(&self, n: &usize) -> bool {
        self.0 == *n
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The sizes of an array's dimensions, outermost first; `[]` is a scalar.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(SmallVec<[Dim; 4]>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Shape::default()
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The dimensions.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// The dimensions as numbers.
    pub fn sizes(&self) -> SmallVec<[usize; 6]> {
        self.0.iter().map(|d| d.get()).collect()
    }

    /// The number of elements, or `None` if it exceeds [`MAX_ELEMENTS`].
    pub fn checked_numel(&self) -> Option<usize> {
        if self.0.contains(&Dim(0)) {
            return Some(0);
        }
        self.0.iter().try_fold(1usize, |n, d| n.checked_mul(d.get())).filter(|n| *n <= MAX_ELEMENTS)
    }

    /// The number of elements of a shape that has been checked (invariant I3 guarantees it inside a graph).
    pub fn numel(&self) -> usize {
        self.checked_numel().expect("I3: shape within MAX_ELEMENTS")
    }

    /// This shape with `size` inserted before dimension `at`.
    pub fn inserted(&self, at: usize, size: impl Into<Dim>) -> Self {
        let mut s = self.clone();
        s.0.insert(at, size.into());
        s
    }

    /// This shape without dimension `at`.
    pub fn removed(&self, at: usize) -> Self {
        let mut s = self.clone();
        s.0.remove(at);
        s
    }

    /// This shape with dimension `at` of size `size`.
    pub fn with(&self, at: usize, size: impl Into<Dim>) -> Self {
        let mut s = self.clone();
        s.0[at] = size.into();
        s
    }

    /// The dimensions from `start` to `end`.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        Shape(self.0[start..end].iter().copied().collect())
    }

    /// This shape followed by `other`.
    pub fn concat(&self, other: &Shape) -> Self {
        Shape(self.0.iter().chain(&other.0).copied().collect())
    }

    /// Row-major strides in elements; they saturate where a size of 0 leaves no element to reach.
    pub fn strides(&self) -> SmallVec<[usize; 6]> {
        let mut out: SmallVec<[usize; 6]> = SmallVec::from_elem(1, self.rank());
        for i in (0..self.rank().saturating_sub(1)).rev() {
            // Saturates only beside a dim of size 0, where no element is ever addressed.
            out[i] = out[i + 1].saturating_mul(self.0[i + 1].get().max(1));
        }
        out
    }
}

impl Index<usize> for Shape {
    type Output = Dim;
    fn index(&self, i: usize) -> &Dim {
        &self.0[i]
    }
}

impl FromIterator<Dim> for Shape {
    fn from_iter<I: IntoIterator<Item = Dim>>(iter: I) -> Self {
        Shape(iter.into_iter().collect())
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        Shape(iter.into_iter().map(Dim).collect())
    }
}

impl From<&[usize]> for Shape {
    fn from(s: &[usize]) -> Self {
        s.iter().copied().collect()
    }
}

impl From<Vec<usize>> for Shape {
    fn from(s: Vec<usize>) -> Self {
        s.into_iter().collect()
    }
}

impl From<&Vec<usize>> for Shape {
    fn from(s: &Vec<usize>) -> Self {
        s.iter().copied().collect()
    }
}

impl From<&Shape> for Shape {
    fn from(s: &Shape) -> Self {
        s.clone()
    }
}

impl From<()> for Shape {
    fn from((): ()) -> Self {
        Shape::scalar()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(s: [usize; N]) -> Self {
        s.into_iter().collect()
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(s: &[usize; N]) -> Self {
        s.iter().copied().collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{d}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An abstract value: what is known of an array without its elements.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aval {
    /// Element type.
    pub dtype: DType,
    /// Sizes.
    pub shape: Shape,
}

impl Aval {
    /// The aval of `dtype` and `shape`.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Aval { dtype, shape: shape.into() }
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The same shape with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        Aval { dtype, shape: self.shape.clone() }
    }

    /// The same dtype with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Self {
        Aval { dtype: self.dtype, shape: shape.into() }
    }
}

impl fmt::Display for Aval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

impl fmt::Debug for Aval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
