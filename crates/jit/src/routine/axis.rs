//! Kernels along one dim: prefix sums and products, and extremes so far.
//!
//! A tensor is seen as `[outer, n, inner]`.

use std::ops::Range;

use cotangent_core::array::{Element, dispatch};
use cotangent_core::ir::DType;
use cotangent_core::ops::Extreme;

use super::vectors::{Loops, Vectors, with};
use crate::threads;

/// Sizes around a dim.
#[derive(Clone, Copy)]
pub struct Axis {
    /// The product of the dims before.
    pub outer: usize,
    /// The dim.
    pub n: usize,
    /// The product of the dims behind.
    pub inner: usize,
}

impl Axis {
    /// The sizes around `dim`.
    pub fn of(shape: &cotangent_core::ir::Shape, dim: usize) -> Self {
        let product = |r: std::ops::Range<usize>| r.map(|d| shape[d].get()).product();
        Axis { outer: product(0..dim), n: shape[dim].get(), inner: product(dim + 1..shape.rank()) }
    }

    /// The number of elements.
    pub fn len(self) -> usize {
        self.outer * self.n * self.inner
    }
}

/// Memory shared by pieces of a loop.
#[derive(Clone, Copy)]
pub struct Shared<T>(pub *mut T);
// SAFETY: pieces write disjoint elements and read what nobody writes.
unsafe impl<T> Sync for Shared<T> {}
impl<T> Shared<T> {
    /// The address.
    pub fn get(&self) -> *mut T {
        self.0
    }
}

/// `n` elements copied, unless they are to stay where they are: what is written through an index may be the operand itself.
///
/// # Safety
/// Both have as many elements, of different memory or of the same.
pub(super) unsafe fn copy_elsewhere<T>(from: *const T, to: *mut T, n: usize) {
    if from != to.cast_const() {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(from, to, n) };
    }
}

/// Rows that are scanned side by side, so that their chains of additions overlap.
const ROWS: usize = 4;

/// From this many columns on they are walked side by side, row by row.
const COLUMNS: usize = 16;

/// The most columns that are walked side by side: what is kept of each stays in the first-level cache.
const MOST_COLUMNS: usize = 512;

/// Calls `f` with each outer index and with ranges that cover the `inner` columns, on several threads.
pub(super) fn for_columns(outer: usize, inner: usize, cost: u64, f: impl Fn(usize, Range<usize>) + Sync) {
    let fewest = inner.div_ceil(MOST_COLUMNS);
    // Wide blocks read memory in long runs: where there are few lines, columns are cut once more at most.
    let blocks = if outer < 8 { fewest.max((inner / 64).min(2)) } else { fewest };
    let parts = outer * blocks;
    let pieces = parts.min(256);
    threads::for_each(pieces, cost, &|piece| {
        for part in piece * parts / pieces..(piece + 1) * parts / pieces {
            let (o, b) = (part / blocks, part % blocks);
            f(o, b * inner / blocks..(b + 1) * inner / blocks);
        }
    });
}

/// `n` rows of columns that are scanned side by side.
struct Columns<'a, T, S, A, E> {
    x: *const T,
    y: *mut T,
    n: usize,
    /// From a row to the next.
    inner: usize,
    /// What is combined so far, for each column.
    sums: Vec<S>,
    add: &'a A,
    end: &'a E,
}

impl<T: Copy, S: Copy, A: Fn(S, T) -> S, E: Fn(S) -> T> Loops for Columns<'_, T, S, A, E> {
    /// # Safety
    /// All rows of the columns exist, and those of `y` are nobody else's.
    #[inline(always)]
    unsafe fn run(mut self) {
        for k in 0..self.n {
            let (at, count) = (k * self.inner, self.sums.len());
            // SAFETY: the caller's.
            let (x, y) = unsafe {
                (
                    std::slice::from_raw_parts(self.x.add(at), count),
                    std::slice::from_raw_parts_mut(self.y.add(at), count),
                )
            };
            for ((sum, x), y) in self.sums.iter_mut().zip(x).zip(y) {
                *sum = (self.add)(*sum, *x);
                *y = (self.end)(*sum);
            }
        }
    }
}

/// `y[o, k, i]` = the elements up to `k` combined, in a wider type.
///
/// # Safety
/// The CPU has the vectors; `x` and `y` have the elements of `axis`.
pub unsafe fn scan<T: Copy, S: Copy + Sync>(
    axis: Axis,
    vectors: Vectors,
    x: *const T,
    y: *mut T,
    neutral: S,
    add: impl Fn(S, T) -> S + Sync,
    end: impl Fn(S) -> T + Sync,
) {
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let cost = axis.len() as u64;
    let Axis { outer, n, inner } = axis;
    // Lines go in groups of neighbours.
    let lines = outer * inner;
    let groups = lines.div_ceil(ROWS);
    let pieces = groups.min(256);
    if n == 0 || lines == 0 {
        return;
    }
    if inner >= COLUMNS {
        for_columns(outer, inner, cost, |o, columns| {
            let (first, sums) = (o * n * inner + columns.start, vec![neutral; columns.len()]);
            // SAFETY: the caller's; each column belongs to one piece.
            unsafe {
                let (x, y) = (x.get().add(first).cast_const(), y.get().add(first));
                with(vectors, Columns { x, y, n, inner, sums, add: &add, end: &end });
            }
        });
        return;
    }
    if lines < ROWS {
        // Too few to hide one's latency behind that of others.
        return threads::for_each(lines, cost, &|line| {
            let (mut sum, start) = (neutral, line / inner * n * inner + line % inner);
            for k in 0..n {
                // SAFETY: the caller's; each line belongs to one piece.
                unsafe {
                    sum = add(sum, *x.get().add(start + k * inner));
                    *y.get().add(start + k * inner) = end(sum);
                }
            }
        });
    }
    threads::for_each(pieces, cost, &|piece| {
        for group in piece * groups / pieces..(piece + 1) * groups / pieces {
            let start: [usize; ROWS] = std::array::from_fn(|r| {
                // The last group repeats a line, which computes the same values again.
                let line = (group * ROWS + r).min(lines - 1);
                line / inner * n * inner + line % inner
            });
            let mut sums = [neutral; ROWS];
            for k in 0..n {
                for r in 0..ROWS {
                    let at = start[r] + k * inner;
                    // SAFETY: the caller's; each line belongs to one piece.
                    unsafe {
                        sums[r] = add(sums[r], *x.get().add(at));
                        *y.get().add(at) = end(sums[r]);
                    }
                }
            }
        }
    });
}

/// As [`scan`] in `f64`, from elements of `dtype` at `x` to those at `y`.
///
/// # Safety
/// As there.
pub unsafe fn scan_of(
    dtype: DType,
    axis: Axis,
    vectors: Vectors,
    x: *const u8,
    y: *mut u8,
    neutral: f64,
    f: impl Fn(f64, f64) -> f64 + Sync,
) {
    // SAFETY: the caller's.
    unsafe {
        dispatch!(dtype, T => {
            let (x, y) = (x.cast::<T>(), y.cast());
            scan(axis, vectors, x, y, neutral, |s, x| f(s, x.to_f64()), T::from_f64);
        });
    }
}

/// `values[o, k, i]` = the extreme of the elements up to `k`, the latest of equal ones, and `positions` where it stands.
///
/// # Safety
/// All three have the elements of `axis`.
pub unsafe fn cumulative_extremes<T: Element>(
    axis: Axis,
    which: Extreme,
    x: *const T,
    values: *mut T,
    positions: *mut i64,
) {
    let (x, values, positions) = (Shared(x.cast_mut()), Shared(values), Shared(positions));
    let Axis { outer, n, inner } = axis;
    let lines = outer * inner;
    let pieces = lines.min(256);
    threads::for_each(pieces, 2 * axis.len() as u64, &|piece| {
        for line in piece * lines / pieces..(piece + 1) * lines / pieces {
            let start = line / inner * n * inner + line % inner;
            let mut best: Option<(T, i64)> = None;
            for k in 0..n {
                let at = start + k * inner;
                // SAFETY: the caller's; each line belongs to one piece.
                unsafe {
                    let x = *x.get().add(at);
                    let now = best.filter(|(top, _)| which.beats(*top, x)).unwrap_or((x, k as i64));
                    (*values.get().add(at), *positions.get().add(at)) = now;
                    best = Some(now);
                }
            }
        }
    });
}
