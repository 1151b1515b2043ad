//! Kernels along one dim: prefix sums and products, positions of extremes.
//!
//! A tensor is seen as `[outer, n, inner]`.

use std::ops::Range;

use cotangent_core::array::Element;
use cotangent_core::ops::Extreme;

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

    fn len(self) -> usize {
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

/// Lines of at most this many elements are searched one element after the other.
const SHORT: usize = 32;

/// Rows that are scanned side by side, so that their chains of additions overlap.
const ROWS: usize = 4;

/// From this many columns on they are walked side by side, row by row.
const COLUMNS: usize = 16;

/// The most columns that are walked side by side: what is kept of each stays in the first-level cache.
const MOST_COLUMNS: usize = 512;

/// Calls `f` with each outer index and with ranges that cover the `inner` columns, on several threads.
fn for_columns(outer: usize, inner: usize, cost: u64, f: impl Fn(usize, Range<usize>) + Sync) {
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

/// `y[o, k, i]` = the elements up to `k` combined, in a wider type.
///
/// # Safety
/// `x` and `y` have the elements of `axis`.
pub unsafe fn scan<T: Copy, S: Copy + Sync>(
    axis: Axis,
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
            let mut sums = vec![neutral; columns.len()];
            for k in 0..n {
                let at = (o * n + k) * inner + columns.start;
                // SAFETY: the caller's; each column belongs to one piece.
                let (x, y) = unsafe {
                    (
                        std::slice::from_raw_parts(x.get().add(at).cast_const(), columns.len()),
                        std::slice::from_raw_parts_mut(y.get().add(at), columns.len()),
                    )
                };
                for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                    *sum = add(*sum, *x);
                    *y = end(*sum);
                }
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

/// `y[o, i]` = the first position of the largest (or smallest) element, the first NaN if there is one.
///
/// # Safety
/// `x` has the elements of `axis`, whose `n` is not 0, and `y` has `outer · inner`.
pub unsafe fn arg_extreme<T: Copy + PartialOrd + Sync>(axis: Axis, x: *const T, y: *mut i64, largest: bool) {
    let Axis { outer, n, inner } = axis;
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    if inner != 1 {
        for_columns(outer, inner, axis.len() as u64 / 4, |o, columns| {
            // SAFETY: the caller's; each column belongs to one piece.
            let (x, y) = unsafe {
                (
                    std::slice::from_raw_parts(x.get().add(o * n * inner).cast_const(), n * inner),
                    std::slice::from_raw_parts_mut(y.get().add(o * inner + columns.start), columns.len()),
                )
            };
            let rows = Rows { x, inner, columns };
            match (largest, i32::try_from(n)) {
                (true, Ok(_)) => rows.firsts::<i32>(y, |a, b| a > b),
                (false, Ok(_)) => rows.firsts::<i32>(y, |a, b| a < b),
                (true, Err(_)) => rows.firsts::<i64>(y, |a, b| a > b),
                (false, Err(_)) => rows.firsts::<i64>(y, |a, b| a < b),
            }
        });
        return;
    }
    let pieces = outer.min(256);
    threads::for_each(pieces, axis.len() as u64 / if n <= SHORT { 2 } else { 4 }, &|piece| {
        let lines = piece * outer / pieces..(piece + 1) * outer / pieces;
        // SAFETY: the caller's; each piece has lines of its own.
        let (x, y) = unsafe {
            (
                std::slice::from_raw_parts(x.get().add(lines.start * n).cast_const(), lines.len() * n),
                std::slice::from_raw_parts_mut(y.get().add(lines.start), lines.len()),
            )
        };
        match (n <= SHORT, largest) {
            (true, true) => short_lines(n, x, y, |a, b| a > b),
            (true, false) => short_lines(n, x, y, |a, b| a < b),
            (false, true) => long_lines(n, x, y, |a, b| a > b),
            (false, false) => long_lines(n, x, y, |a, b| a < b),
        }
    });
}

/// The first places of the extremes of lines of `n` elements.
fn long_lines<T: Copy + PartialOrd>(n: usize, x: &[T], y: &mut [i64], better: impl Fn(T, T) -> bool + Copy) {
    #[inline(always)]
    fn each<T: Copy + PartialOrd>(n: usize, x: &[T], y: &mut [i64], better: impl Fn(T, T) -> bool + Copy) {
        for (x, y) in x.chunks_exact(n).zip(y) {
            *y = first(x, better);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn vector<T: Copy + PartialOrd>(n: usize, x: &[T], y: &mut [i64], better: impl Fn(T, T) -> bool + Copy) {
            each(n, x, y, better);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has the feature.
            return unsafe { vector(n, x, y, better) };
        }
    }
    each(n, x, y, better);
}

/// The extreme in lanes, then the first place where it stands: two passes over a line that stays in the cache, both vectorised.
#[inline(always)]
fn first<T: Copy + PartialOrd>(x: &[T], better: impl Fn(T, T) -> bool + Copy) -> i64 {
    const LANES: usize = 32;
    // A NaN stays: nothing is better than it.
    let extreme = |best: T, x: T| if better(x, best) | is_nan(x) { x } else { best };
    let mut best = [x[0]; LANES];
    let chunks = x.chunks_exact(LANES);
    for x in chunks.remainder() {
        best[0] = extreme(best[0], *x);
    }
    for chunk in chunks {
        for j in 0..LANES {
            best[j] = extreme(best[j], chunk[j]);
        }
    }
    let top = best.into_iter().fold(best[0], extreme);
    if is_nan(top) {
        return x.iter().position(|x| is_nan(*x)).unwrap_or(0) as i64;
    }
    // Blocks first: a search with an exit in each step is not vectorised.
    let block = x.chunks(LANES).position(|c| c.iter().fold(false, |hit, x| hit | (*x == top))).unwrap_or(0);
    let within = x[block * LANES..].iter().position(|x| *x == top).unwrap_or(0);
    (block * LANES + within) as i64
}

/// The first places of the extremes of lines of `n ≤ SHORT` elements, a few lines side by side: their elements are vectors.
fn short_lines<T: Copy + PartialOrd>(n: usize, x: &[T], y: &mut [i64], better: impl Fn(T, T) -> bool + Copy) {
    #[inline(always)]
    fn side_by_side<T: Copy + PartialOrd>(n: usize, x: &[T], y: &mut [i64], better: impl Fn(T, T) -> bool) {
        const LINES: usize = 16;
        for (x, y) in x.chunks(LINES * n).zip(y.chunks_mut(LINES)) {
            // Behind the last line that one is read again.
            let start: [usize; LINES] = std::array::from_fn(|l| l.min(y.len() - 1) * n);
            // SAFETY: `k < n`, and `n` elements follow each start.
            let row = |k: usize| -> [T; LINES] { std::array::from_fn(|l| unsafe { *x.get_unchecked(start[l] + k) }) };
            let (mut best, mut at) = (row(0), [0i32; LINES]);
            for k in 1..n {
                let row = row(k);
                for l in 0..LINES {
                    let is_better = better(row[l], best[l]) | (is_nan(row[l]) & !is_nan(best[l]));
                    best[l] = if is_better { row[l] } else { best[l] };
                    at[l] = if is_better { k as i32 } else { at[l] };
                }
            }
            y.iter_mut().zip(at).for_each(|(y, k)| *y = i64::from(k));
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn vector<T: Copy + PartialOrd>(n: usize, x: &[T], y: &mut [i64], better: impl Fn(T, T) -> bool) {
            side_by_side(n, x, y, better);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has the feature.
            return unsafe { vector(n, x, y, better) };
        }
    }
    side_by_side(n, x, y, better);
}

#[inline(always)]
#[expect(clippy::eq_op, reason = "NaN is what does not equal itself, which vectors compare at once")]
fn is_nan<T: PartialOrd>(x: T) -> bool {
    x != x
}

/// Some columns of rows of `inner` elements.
struct Rows<'a, T> {
    x: &'a [T],
    inner: usize,
    columns: Range<usize>,
}

impl<T: Copy + PartialOrd> Rows<'_, T> {
    /// The first place of each column's extreme, counted in a `P`, which holds the number of rows.
    fn firsts<P: Copy + TryFrom<usize>>(self, y: &mut [i64], better: impl Fn(T, T) -> bool)
    where
        i64: From<P>,
    {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn vector<T: Copy + PartialOrd, P: Copy + TryFrom<usize>>(
                rows: Rows<'_, T>,
                y: &mut [i64],
                better: impl Fn(T, T) -> bool,
            ) where
                i64: From<P>,
            {
                rows.side_by_side::<P>(y, better);
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the CPU has the feature.
                return unsafe { vector::<T, P>(self, y, better) };
            }
        }
        self.side_by_side::<P>(y, better);
    }

    #[inline(always)]
    fn side_by_side<P: Copy + TryFrom<usize>>(self, y: &mut [i64], better: impl Fn(T, T) -> bool)
    where
        i64: From<P>,
    {
        let place = |k: usize| P::try_from(k).unwrap_or_else(|_| unreachable!("it holds the number of rows"));
        let mut rows = self.x.chunks_exact(self.inner).map(|row| &row[self.columns.clone()]);
        let mut best = rows.next().map_or_else(Vec::new, <[T]>::to_vec);
        let mut at = vec![place(0); best.len()];
        for (k, row) in rows.enumerate() {
            let k = place(k + 1);
            for ((x, best), at) in row.iter().zip(&mut best).zip(&mut at) {
                let is_better = better(*x, *best) | (is_nan(*x) & !is_nan(*best));
                *best = if is_better { *x } else { *best };
                *at = if is_better { k } else { *at };
            }
        }
        y.iter_mut().zip(at).for_each(|(y, k)| *y = i64::from(k));
    }
}
