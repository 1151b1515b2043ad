//! The sizes of convolutions, and what meets what in them.

use cotangent_core::ir::Shape;
use cotangent_core::ops::Convolution;

/// The elements of a line that are worth a copy of their own.
const LINE: usize = 4;

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

    /// The same convolution with fewer dims: where a kernel covers all of a last dim, its lines and those of the input are one line with those of the dim before.
    /// Gradients of the weights of 1 × 1 kernels are such.
    pub fn merged(mut self, op: &Convolution) -> (Convolution, Self) {
        let mut op = op.clone();
        while let Some(d) = self.x.len().checked_sub(1).filter(|d| *d > 0) {
            let (size, is_plain) = (self.x[d], op.padding[d] == 0 && op.dilation[d] == 1);
            if op.transposed || !is_plain || size == 0 || self.k[d] != size || self.y[d] != 1 || op.dilation[d - 1] != 1
            {
                break;
            }
            for sizes in [&mut self.x, &mut self.k] {
                sizes[d - 1] *= size;
                sizes.truncate(d);
            }
            self.y.truncate(d);
            // Of one position the stride is any number.
            op.stride[d - 1] = op.stride[d - 1].saturating_mul(size);
            op.padding[d - 1] = op.padding[d - 1].saturating_mul(size);
            for of in [&mut op.stride, &mut op.padding, &mut op.dilation, &mut op.output_padding] {
                of.truncate(d);
            }
        }
        (op, self)
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

    /// Whether windows have nothing in common, and their lines are so long that copying them costs less than sorting an image by the residues of its positions.
    pub fn has_windows_apart(&self, op: &Convolution) -> bool {
        let Some((k, d)) = self.k.last().zip(self.k.len().checked_sub(1)) else { return false };
        !op.transposed && op.dilation[d] == 1 && *k >= LINE && (0..=d).all(|d| op.stride[d] >= self.k[d])
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
