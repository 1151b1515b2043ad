//! Factors of positive definite matrices.

use cotangent_core::array::Element;

use super::{Batch, Matrices, Number, PANEL, divide, subtract};

/// `A = L · Lᵀ` or `A = Uᵀ · U`, from the triangle that the factor has.
pub(super) struct Cholesky<T> {
    /// The matrices.
    pub(super) a: Batch<T>,
    /// The factors, as many.
    pub(super) factor: Batch<T>,
    /// Which triangle.
    pub(super) upper: bool,
}

impl<T: Element> Matrices for Cholesky<T> {
    const SMALL: usize = 2 * 32 * 32;

    fn memory(&self) -> usize {
        self.a.len()
    }

    fn cost(&self) -> u64 {
        let n = self.a.rows as u64;
        8 + n * n + n * n * n / 16
    }

    #[inline(always)]
    unsafe fn group<N: Number>(&self, first: usize, a: &mut [N]) -> bool {
        let n = self.a.rows;
        // The upper triangle of what is in memory is computed: rows of it are vectors.
        let turned = |i: usize, j: usize| if self.upper { i * n + j } else { j * n + i };
        // SAFETY: the caller's.
        unsafe {
            self.a.load(first, a, turned);
            let zero = N::splat(0.0);
            for begin in (0..n).step_by(PANEL) {
                let end = (begin + PANEL).min(n);
                for j in begin..n {
                    let (above, row) = a.split_at_mut(j * n);
                    let (row, rows) = (&mut row[j..n], begin..end.min(j));
                    let mut factors = [zero; PANEL];
                    for (f, p) in factors.iter_mut().zip(rows.clone()) {
                        *f = above[p * n + j];
                    }
                    if !rows.is_empty() {
                        subtract(&factors[..rows.len()], &above[begin * n + j..], n, row);
                    }
                    if j < end {
                        let mut pivots = [0.0; 8];
                        row[0].spread(&mut pivots);
                        // NaN is not positive either.
                        if !pivots[..N::W].iter().all(|x| *x > 0.0) {
                            return false;
                        }
                        row[0] = row[0].root();
                        let root = row[0];
                        divide(&mut row[1..], root);
                    }
                }
            }
            self.factor.store(first, |i, j| if i == j || (i < j) == self.upper { a[turned(i, j)] } else { zero });
        }
        true
    }
}
