//! Where elements lie in row-major arrays.

use crate::ir::Shape;

/// A shape seen from one dim: blocks of `size` lines of `inner` elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    size: usize,
    inner: usize,
}

impl Axis {
    /// Dim `dim` of `shape`.
    pub(crate) fn of(shape: &Shape, dim: usize) -> Self {
        // Saturates only beside a size of 0, where there is no element to be found.
        let inner = shape.dims()[dim + 1..].iter().fold(1, |n: usize, d| n.saturating_mul(d.get()));
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

/// From the flat index in an array of `shape` to `base` plus each dim's index times its entry in `strides`.
pub(crate) fn strided(shape: &Shape, base: usize, strides: Vec<usize>) -> impl Fn(usize) -> usize + use<> {
    let (sizes, own) = (shape.sizes(), shape.strides());
    move |i| base + (0..sizes.len()).map(|d| i / own[d] % sizes[d] * strides[d]).sum::<usize>()
}
