//! Products of many small matrices, each without packing or blocks: a row of the result is one vector.

use super::lanes::{Kernel, Lanes};
use super::{Operand, Products};

/// The most rows of a right operand, which are copied if they do not lie in memory as rows.
const ROWS: usize = 16;
/// The most columns: the lanes of the longest vector.
const COLUMNS: usize = 16;

impl<L: Lanes> Kernel for Small<L> {
    #[inline(always)]
    unsafe fn run(self) {
        let Products { mkn: [m, k, n], count, operands: [a, b], steps, to } = self.0;
        let mut rows = [L::T::default(); ROWS * COLUMNS];
        for i in 0..count {
            let next = |x: Operand<L::T>, step: isize| Operand { at: x.at.wrapping_offset(i as isize * step), ..x };
            let (a, mut b) = (next(a, steps[0]), next(b, steps[1]));
            // SAFETY: the caller's.
            unsafe {
                if b.col != 1 {
                    for (p, row) in rows.chunks_exact_mut(COLUMNS).enumerate().take(k) {
                        row.iter_mut().enumerate().take(n).for_each(|(j, x)| *x = *b.from(p, j).at);
                    }
                    b = Operand { at: rows.as_ptr(), row: COLUMNS as isize, col: 1 };
                }
                for row in 0..m {
                    let mut sum = L::zero();
                    for p in 0..k {
                        sum = sum.fma(L::splat(a.from(row, p).at), L::load_first(b.from(p, 0).at, n));
                    }
                    sum.store_first(to.add((i * m + row) * n), n);
                }
            }
        }
    }
}

/// [`Products`] with vectors `L`.
struct Small<L: Lanes>(Products<L::T>);

/// Computes the products if they are small; `false`, and nothing done, if not.
///
/// # Safety
/// The CPU has the vectors; the operands have their elements, and there is room for the results, which nobody else uses.
pub unsafe fn products<L: Lanes>(products: Products<L::T>) -> bool {
    let [_, k, n] = products.mkn;
    let is_small = n <= L::LANES && k <= ROWS;
    if is_small {
        // SAFETY: the caller's.
        unsafe { L::enabled(Small::<L>(products)) };
    }
    is_small
}
