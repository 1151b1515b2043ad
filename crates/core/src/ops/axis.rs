//! A shape seen from one of its dims.

use crate::ir::Shape;

/// One dim of a row-major array: blocks of `size` lines of `inner` elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    size: usize,
    inner: usize,
}

impl Axis {
    /// Dim `dim` of `shape`.
    pub(crate) fn of(shape: &Shape, dim: usize) -> Self {
        let inner = shape.dims()[dim + 1..].iter().map(|d| d.get()).product();
        Axis { size: shape[dim].get(), inner }
    }

    /// Where the element at flat index `i` lies: its block, its index on the dim, and its place in the line.
    pub(crate) fn split(self, i: usize) -> (usize, usize, usize) {
        (i / self.inner / self.size, i / self.inner % self.size, i % self.inner)
    }

    /// The flat index of an element.
    pub(crate) fn join(self, block: usize, index: usize, place: usize) -> usize {
        (block * self.size + index) * self.inner + place
    }

    /// The number of elements of a block.
    pub(crate) fn block(self) -> usize {
        self.size * self.inner
    }
}
