//! The memory behind an array's elements.

use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// The elements of an array: a vector, or memory that somebody else made, such as the result of a compiled program.
///
/// It reads as a slice.
pub enum Elements<T> {
    /// Elements of the evaluator and of the user.
    Owned(Vec<T>),
    /// Elements in memory that goes back to its maker when the array is dropped.
    Lent(Box<dyn Memory<T>>),
}

/// Memory that holds the elements of one array and belongs to it alone.
pub trait Memory<T>: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// The elements, always the same number.
    fn elements(&self) -> &[T];

    /// The elements, to be overwritten.
    fn elements_mut(&mut self) -> &mut [T];
}

impl<T> Elements<T> {
    /// The elements, to be overwritten.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Elements::Owned(v) => v,
            Elements::Lent(m) => m.elements_mut(),
        }
    }
}

impl<T> Deref for Elements<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Elements::Owned(v) => v,
            Elements::Lent(m) => m.elements(),
        }
    }
}

impl<T> From<Vec<T>> for Elements<T> {
    fn from(v: Vec<T>) -> Self {
        Elements::Owned(v)
    }
}

impl<T> FromIterator<T> for Elements<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Elements::Owned(iter.into_iter().collect())
    }
}

/// A copy is always owned.
impl<T: Clone> Clone for Elements<T> {
    fn clone(&self) -> Self {
        Elements::Owned(self.to_vec())
    }
}

impl<T: fmt::Debug> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
