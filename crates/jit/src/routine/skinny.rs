//! Products of a few rows and a large matrix, as layers have for a small batch: the matrix is read once, as it lies, by lines; the few rows and
//! their sums stay in the first-level cache.
//!
//! Register tiles would go down the lines, from one page to the next, and pack a transposed matrix for hardly any use of the panels. Measured with 4 rows
//! and 1024 × 4096 `f32`, of which each column is a line: 0.86 ms so.

use super::added::added;
use super::lanes::{Kernel, Lanes};
use super::{Operand, Target};
use crate::threads;

/// The most rows. The sums of eight, whose lines are often in one set of a cache, took 3.5 times as long as tiles with 1024 × 1024.
const MOST: usize = 4;
/// Bytes of the matrix from which this is worth it: smaller ones stay near anyway.
const LARGE: usize = 256 << 10;
/// Pieces that threads share, and the columns of which each has a multiple.
const PIECES: usize = 16;
const PIECE: usize = 64;
/// Sums of a block of columns that stay in the first-level cache.
const SUMS: usize = 4096;

/// Whether this is the way for a product of `[m, k]` and `[k, n]`.
fn is_skinny<T>([m, k, n]: [usize; 3], b: Operand<T>) -> bool {
    let is_large = k.saturating_mul(n).saturating_mul(size_of::<T>()) >= LARGE;
    (2..=MOST).contains(&m) && is_large && n >= PIECE && k >= PIECE && (b.col == 1 || b.row == 1)
}

/// A product.
#[derive(Clone, Copy)]
struct Whole<L: Lanes> {
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
}
// SAFETY: threads write disjoint columns; operands are only read.
unsafe impl<L: Lanes> Sync for Whole<L> {}

impl<L: Lanes> Whole<L> {
    /// Through which closures have the whole, that threads may share, and not its pointers.
    fn get(&self) -> Self {
        *self
    }
}

/// `c = a · b`, an estimated `cost` in ns; `false`, and nothing done, where tiles are better. The order of additions is that of the inner dim, or of
/// the lanes of a vector where columns are lines: the same whatever columns a thread takes.
///
/// # Safety
/// The CPU has the vectors; the operands have their elements, and nobody else uses those of `c`.
pub unsafe fn product<L: Lanes>(
    mkn @ [m, k, n]: [usize; 3],
    [a, b]: [Operand<L::T>; 2],
    c: Target<L::T>,
    cost: u64,
) -> bool {
    if !is_skinny(mkn, b) {
        return false;
    }
    // Rows of which the elements are apart would be read so for each column.
    let mut copied: Vec<L::T> = Vec::new();
    let a = if a.col == 1 {
        a
    } else {
        // SAFETY: the caller's.
        copied.extend((0..m * k).map(|i| unsafe { *a.from(i / k, i % k).at }));
        Operand { at: copied.as_ptr(), row: k as isize, col: 1 }
    };
    let whole = Whole::<L> { a, b, c };
    // Wide pieces, so that each line is read in long runs.
    let width = n.div_ceil(PIECES).next_multiple_of(PIECE);
    threads::for_each(n.div_ceil(width), cost, &|piece| {
        let (Whole { a, b, c }, first) = (whole.get(), piece * width);
        let (b, c, n) = (b.from(0, first), c.from(0, first), width.min(n - first));
        macro_rules! sized {
            ($($M:literal $C:literal),*) => {
                // SAFETY: the caller's; each piece has columns of its own.
                unsafe {
                    match m {
                        $( $M if b.row == 1 => L::enabled(Dots::<L, $M, $C> { k, n, a, b, c }), )*
                        $( $M => L::enabled(Lines::<L, $M, $C> { k, n, a, b, c }), )*
                        m => unreachable!("{m} rows are not a few"),
                    }
                }
            };
        }
        sized!(2 4, 3 4, 4 4);
    });
    true
}

/// `M` rows times columns that are lines, `C` of them at once.
struct Dots<L: Lanes, const M: usize, const C: usize> {
    k: usize,
    n: usize,
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
}

impl<L: Lanes, const M: usize, const C: usize> Kernel for Dots<L, M, C> {
    /// # Safety
    /// As [`product`].
    #[inline(always)]
    unsafe fn run(self) {
        let Dots { k, n, a, b, c } = self;
        let several = n / C * C;
        // SAFETY: the caller's.
        unsafe {
            for j in (0..several).step_by(C) {
                dots::<L, M, C>(k, a, b.from(0, j), c.from(0, j));
            }
            for j in several..n {
                dots::<L, M, 1>(k, a, b.from(0, j), c.from(0, j));
            }
        }
    }
}

/// `C` columns of the result.
///
/// # Safety
/// As [`product`], for them.
#[inline(always)]
unsafe fn dots<L: Lanes, const M: usize, const C: usize>(
    k: usize,
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
) {
    // SAFETY: the caller's; behind the last whole vector nothing is read but the rest.
    unsafe {
        let mut sums = [[L::zero(); C]; M];
        let whole = k / L::LANES * L::LANES;
        for p in (0..whole).step_by(L::LANES) {
            let columns: [L; C] = std::array::from_fn(|j| L::load(b.from(p, j).at));
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = L::load(a.from(i, p).at);
                for (sum, y) in sums.iter_mut().zip(columns) {
                    *sum = sum.fma(x, y);
                }
            }
        }
        if whole < k {
            let columns: [L; C] = std::array::from_fn(|j| L::load_first(b.from(whole, j).at, k - whole));
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = L::load_first(a.from(i, whole).at, k - whole);
                for (sum, y) in sums.iter_mut().zip(columns) {
                    *sum = sum.fma(x, y);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                *c.from(i, j).at = added(sum);
            }
        }
    }
}

/// `M` rows times lines of the matrix, `R` of them at once.
struct Lines<L: Lanes, const M: usize, const R: usize> {
    k: usize,
    n: usize,
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
}

impl<L: Lanes, const M: usize, const R: usize> Kernel for Lines<L, M, R> {
    /// # Safety
    /// As [`product`].
    #[inline(always)]
    unsafe fn run(self) {
        let Lines { k, n, a, b, c } = self;
        let several = k / R * R;
        let width = SUMS / M / PIECE * PIECE;
        for first in (0..n).step_by(width) {
            let (b, c, n) = (b.from(0, first), c.from(0, first), width.min(n - first));
            // SAFETY: the caller's.
            unsafe {
                for p in (0..several).step_by(R) {
                    add::<L, M, R>(n, a.from(0, p), b.from(p, 0), c, p > 0);
                }
                for p in several..k {
                    add::<L, M, 1>(n, a.from(0, p), b.from(p, 0), c, p > 0);
                }
            }
        }
    }
}

/// The sums of `R` lines, each times an element of each row of `a`, go to `c`, or are added to it.
///
/// # Safety
/// As [`product`], for these lines.
#[inline(always)]
unsafe fn add<L: Lanes, const M: usize, const R: usize>(
    n: usize,
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
    adds: bool,
) {
    // SAFETY: the caller's; behind the last whole vector nothing is touched but the rest.
    unsafe {
        let factors: [[L; R]; M] = std::array::from_fn(|i| std::array::from_fn(|r| L::splat(a.from(i, r).at)));
        let whole = n / L::LANES * L::LANES;
        for j in (0..whole).step_by(L::LANES) {
            let lines: [L; R] = std::array::from_fn(|r| L::load(b.from(r, j).at));
            for (i, factors) in factors.iter().enumerate() {
                let to = c.from(i, j).at;
                let mut sum = if adds { L::load(to) } else { L::zero() };
                for (factor, line) in factors.iter().zip(lines) {
                    sum = sum.fma(*factor, line);
                }
                sum.store(to);
            }
        }
        if whole < n {
            let rest = n - whole;
            let lines: [L; R] = std::array::from_fn(|r| L::load_first(b.from(r, whole).at, rest));
            for (i, factors) in factors.iter().enumerate() {
                let to = c.from(i, whole).at;
                let mut sum = if adds { L::load_first(to, rest) } else { L::zero() };
                for (factor, line) in factors.iter().zip(lines) {
                    sum = sum.fma(*factor, line);
                }
                sum.store_first(to, rest);
            }
        }
    }
}
