//! Products of a vector and a matrix whose rows lie in memory as the result does: read as they lie, a few rows at once, and added to the result,
//! which stays in the first-level cache.
//!
//! A register tile would go down the rows, from one page to the next, for as many columns as registers hold. Measured on 2048 × 2048 `f32`, one thread:
//! 3.0 ms by tiles, 1.3 so.

use super::lanes::{Kernel, Lanes};
use super::pack::parts_of_width;
use super::{Operand, Target};

/// Rows that are read at once: of more, whose lines may be in one set of a cache, some would be lost before their next elements are read.
const ROWS: usize = 4;
/// Columns whose sums stay in the first-level cache.
const COLUMNS: usize = 2048;

/// Whether this is the way for a product of `[m, k]` and `[k, n]`: of one row, and a right operand of rows.
pub fn is_across<T>([m, k, n]: [usize; 3], b: Operand<T>) -> bool {
    m == 1 && b.col == 1 && k > 1 && n > 1
}

/// `c = a · b` for one row of `a`. Each element is summed in the order of the rows, however columns are divided.
///
/// # Safety
/// The CPU has the vectors; `a` has `k` elements, `b` those of `[k, n]`, side by side in each row, and `c` has `n`, which nobody else uses.
pub unsafe fn across<L: Lanes>([k, n]: [usize; 2], a: Operand<L::T>, b: Operand<L::T>, c: Target<L::T>) {
    for js in parts_of_width(n, COLUMNS, 2 * L::LANES) {
        let (b, c) = (b.from(0, js.start), c.from(0, js.start));
        // SAFETY: the caller's.
        unsafe { L::enabled(Across::<L> { kn: [k, js.len()], a, b, c }) };
    }
}

struct Across<L: Lanes> {
    kn: [usize; 2],
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
}

impl<L: Lanes> Kernel for Across<L> {
    /// # Safety
    /// As [`across`].
    #[inline(always)]
    unsafe fn run(self) {
        let Across { kn: [k, n], a, b, c } = self;
        let several = k / ROWS * ROWS;
        // SAFETY: the caller's.
        unsafe {
            for p in (0..several).step_by(ROWS) {
                add::<L, ROWS>(n, a.from(0, p), b.from(p, 0), c, p > 0);
            }
            for p in several..k {
                add::<L, 1>(n, a.from(0, p), b.from(p, 0), c, p > 0);
            }
        }
    }
}

/// The sum of `R` rows of `b`, each times an element of `a`, goes to `c`, or is added to it.
///
/// # Safety
/// As [`across`], for `R` rows.
#[inline(always)]
unsafe fn add<L: Lanes, const R: usize>(n: usize, a: Operand<L::T>, b: Operand<L::T>, c: Target<L::T>, adds: bool) {
    // SAFETY: the caller's; behind the last whole vector nothing is touched but the rest.
    unsafe {
        let factors: [L; R] = std::array::from_fn(|r| L::splat(a.from(0, r).at));
        let whole = n / L::LANES * L::LANES;
        for j in (0..whole).step_by(L::LANES) {
            let to = c.at.wrapping_add(j);
            let mut sum = if adds { L::load(to) } else { L::zero() };
            for (r, factor) in factors.into_iter().enumerate() {
                sum = sum.fma(factor, L::load(b.from(r, j).at));
            }
            sum.store(to);
        }
        if whole < n {
            let (to, rest) = (c.at.wrapping_add(whole), n - whole);
            let mut sum = if adds { L::load_first(to, rest) } else { L::zero() };
            for (r, factor) in factors.into_iter().enumerate() {
                sum = sum.fma(factor, L::load_first(b.from(r, whole).at, rest));
            }
            sum.store_first(to, rest);
        }
    }
}
