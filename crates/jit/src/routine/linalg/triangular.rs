//! Systems with a triangular matrix.

use cotangent_core::array::Element;
use cotangent_core::ops::SolveTriangular;

use super::{Batch, Matrices, Number, PANEL, divide, subtract};

/// The solutions of `A · X = B` or `X · A = B` for triangular `A`.
pub(super) struct Triangular<'a, T> {
    /// Which system.
    pub(super) op: &'a SolveTriangular,
    /// The matrices.
    pub(super) a: Batch<T>,
    /// The right-hand sides, as many.
    pub(super) b: Batch<T>,
    /// The solutions, as many.
    pub(super) x: Batch<T>,
}

impl<T: Element> Triangular<'_, T> {
    /// Systems that are solved with each matrix.
    pub(super) fn systems(&self) -> usize {
        if self.op.left { self.b.cols } else { self.b.rows }
    }
}

impl<T: Element> Matrices for Triangular<'_, T> {
    const SMALL: usize = 2 * 32 * 32;

    fn memory(&self) -> usize {
        self.a.len() + self.a.rows * self.systems().next_multiple_of(PANEL)
    }

    fn cost(&self) -> u64 {
        let (n, k) = (self.a.rows as u64, self.systems() as u64);
        8 + n * n + n * k + n * n * k.next_multiple_of(8) / 8
    }

    #[inline(always)]
    unsafe fn group<N: Number>(&self, first: usize, memory: &mut [N]) -> bool {
        let (n, k) = (self.a.rows, self.systems());
        let (a, x) = memory.split_at_mut(n * n);
        // Where rows are vectors they are whole ones.
        let k = if N::W == 1 { k.next_multiple_of(PANEL) } else { k };
        // In memory each system is one of a lower triangle, with the matrix on the left: from the right it is transposed, and an upper
        // triangle has its rows and columns in reverse.
        let upper = self.op.upper == self.op.left;
        let place = |i: usize| if upper { n - 1 - i } else { i };
        let turned = |i: usize, j: usize| if self.op.left { (i, j) } else { (j, i) };
        let of_a = |i: usize, j: usize| {
            let (i, j) = turned(i, j);
            place(i) * n + place(j)
        };
        let of_x = |i: usize, j: usize| {
            let (i, j) = turned(i, j);
            place(i) * k + j
        };
        // SAFETY: the caller's.
        unsafe {
            x.fill(N::splat(0.0));
            self.a.load(first, a, of_a);
            self.b.load(first, x, of_x);
            for i in 0..n {
                let (above, row) = x.split_at_mut(i * k);
                let row = &mut row[..k];
                if k > 0 {
                    subtract(&a[i * n..][..i], above, k, row);
                }
                if !self.op.unitriangular {
                    divide(row, a[i * n + i]);
                }
            }
            self.x.store(first, |i, j| x[of_x(i, j)]);
        }
        true
    }
}
