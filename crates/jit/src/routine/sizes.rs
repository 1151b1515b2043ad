//! The sizes of convolutions, and what meets what in them.

use cotangent_core::ir::Shape;
use cotangent_core::ops::Convolution;

/// The sizes of a convolution; channels are those of one group.
pub struct Sizes {
    pub images: usize,
    pub groups: usize,
    pub ci: usize,
    pub co: usize,
    pub x: Vec<usize>,
    pub k: Vec<usize>,
    pub y: Vec<usize>,
}

impl Sizes {
    /// Those of a convolution of the shapes of input, weights and result.
    pub fn of(op: &Convolution, shapes: [&Shape; 3]) -> Self {
        let [x, k, y] = shapes.map(|s| (2..s.rank()).map(|d| s[d].get()).collect());
        Sizes {
            images: shapes[0][0].get(),
            groups: op.groups,
            ci: shapes[0][1].get() / op.groups,
            co: shapes[2][1].get() / op.groups,
            x,
            k,
            y,
        }
    }

    /// The input position on dim `d` that kernel element `k` meets at output position `a`.
    pub fn meets(&self, op: &Convolution, d: usize, a: usize, k: usize) -> Option<usize> {
        let at = if op.transposed {
            let shifted = (a + op.padding[d]).checked_sub(k * op.dilation[d])?;
            (shifted % op.stride[d] == 0).then_some(shifted / op.stride[d])?
        } else {
            (a * op.stride[d] + k * op.dilation[d]).checked_sub(op.padding[d])?
        };
        (at < self.x[d]).then_some(at)
    }

    /// The place in a channel of the line that a line of the result meets through a line of the kernel, if it is not beside the input.
    pub fn line(&self, op: &Convolution, mut y_line: usize, mut k_line: usize) -> Option<usize> {
        let (mut row, mut stride) = (0, self.x.last().copied().unwrap_or(1));
        for d in (0..self.y.len().saturating_sub(1)).rev() {
            row += self.meets(op, d, y_line % self.y[d], k_line % self.k[d])? * stride;
            (y_line, k_line) = (y_line / self.y[d], k_line / self.k[d]);
            stride *= self.x[d];
        }
        Some(row)
    }

    /// Whether an image with borders, of these sizes, has hardly more elements than input and result: padding is any number.
    pub fn is_near(&self, mut sizes: impl Iterator<Item = usize>) -> bool {
        let most = 4 * (self.plane() + self.x_plane()) + 4096;
        sizes.try_fold(1usize, |n, size| n.checked_mul(size)).is_some_and(|n| n <= most)
    }

    /// The positions of the result.
    pub fn plane(&self) -> usize {
        self.y.iter().product()
    }

    /// Those of the input.
    pub fn x_plane(&self) -> usize {
        self.x.iter().product()
    }
}
