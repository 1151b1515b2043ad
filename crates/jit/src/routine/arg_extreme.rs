//! The places of extremes along one dim.
//!
//! Lines are searched in lanes, twice: for the extreme, and for where it stands. Columns are searched side by side.

use std::marker::PhantomData;
use std::ops::Range;

use super::axis::{Axis, Shared, for_columns};
use super::tall;
use super::vectors::{Loops, Vectors, with};
use crate::threads;

/// Lines of at most this many elements are searched one element after the other.
const SHORT: usize = 32;

/// Columns of few rows that are searched at once.
const GROUP: usize = 32;

/// `y[o, i]` = the first position of the largest (or smallest) element, the first NaN if there is one, and `values[o, i]` that element.
///
/// # Safety
/// The CPU has the vectors; `x` has the elements of `axis`, whose `n` is not 0, and `y` and `values` have `outer · inner`.
pub unsafe fn arg_extreme<T: Copy + PartialOrd + Sync + Send>(
    axis: Axis,
    x: *const T,
    y: *mut i64,
    values: Option<*mut T>,
    largest: bool,
    vectors: Vectors,
) {
    let Axis { outer, n, inner } = axis;
    let (x, y, values) = (Shared(x.cast_mut()), Shared(y), values.map(Shared));
    // SAFETY (of each call): the caller's, and the results belong to one piece.
    let values = |at: usize, count: usize| match &values {
        Some(values) => unsafe { std::slice::from_raw_parts_mut(values.get().add(at), count) },
        None => &mut [],
    };
    if let Some(rows) = tall::joined(axis) {
        let y = &y;
        let store = |i: usize, value: T, at: i64| {
            // SAFETY: each result is written once.
            unsafe { *y.get().add(i) = at };
            values(i, 1).iter_mut().for_each(|v| *v = value);
        };
        // SAFETY: the caller's.
        return unsafe {
            match largest {
                true => tall::tall(axis, rows, &x, store, |a, b| a >= b, vectors),
                false => tall::tall(axis, rows, &x, store, |a, b| a <= b, vectors),
            }
        };
    }
    if inner != 1 {
        for_columns(outer, inner, axis.len() as u64 / 4, |o, columns| {
            // SAFETY: the caller's; each column belongs to one piece.
            let (x, y) = unsafe {
                (
                    std::slice::from_raw_parts(x.get().add(o * n * inner).cast_const(), n * inner),
                    std::slice::from_raw_parts_mut(y.get().add(o * inner + columns.start), columns.len()),
                )
            };
            let values = values(o * inner + columns.start, columns.len());
            if n == 1 {
                if !values.is_empty() {
                    values.copy_from_slice(&x[columns]);
                }
                return y.fill(0);
            }
            let (rows, y) = (Rows { x, inner, columns }, (y, values));
            // SAFETY: the caller's.
            unsafe {
                match (largest, i32::try_from(n)) {
                    (true, Ok(_)) => rows.firsts::<i32>(vectors, y, |a, b| a >= b),
                    (false, Ok(_)) => rows.firsts::<i32>(vectors, y, |a, b| a <= b),
                    (true, Err(_)) => rows.firsts::<i64>(vectors, y, |a, b| a >= b),
                    (false, Err(_)) => rows.firsts::<i64>(vectors, y, |a, b| a <= b),
                }
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
        for ((value, line), at) in values(lines.start, lines.len()).iter_mut().zip(x.chunks_exact(n)).zip(y) {
            *value = line[*at as usize];
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

/// Whether `x` takes the place of `best`, which `keeps` others out. A NaN keeps nothing out, and none is better than another.
#[inline(always)]
pub(super) fn is_better<T: Copy + PartialOrd>(x: T, best: T, keeps: &impl Fn(T, T) -> bool) -> bool {
    !keeps(best, x) & !is_nan(best)
}

/// Some columns of rows of `inner` elements.
pub(super) struct Rows<'a, T> {
    pub(super) x: &'a [T],
    pub(super) inner: usize,
    pub(super) columns: Range<usize>,
}

/// Where the extremes of some columns stand, and the extremes, or nothing.
pub(super) type Found<'a, T> = (&'a mut [i64], &'a mut [T]);

/// A search of [`Rows`].
struct Firsts<'a, T, P, F> {
    rows: Rows<'a, T>,
    y: Found<'a, T>,
    keeps: F,
    of: PhantomData<P>,
}

impl<T: Copy + PartialOrd, P: Copy + TryFrom<usize>, F: Fn(T, T) -> bool> Loops for Firsts<'_, T, P, F>
where
    i64: From<P>,
{
    #[inline(always)]
    unsafe fn run(self) {
        self.rows.side_by_side::<P>(self.y, self.keeps);
    }
}

impl<T: Copy + PartialOrd> Rows<'_, T> {
    /// The first place of each column's extreme, counted in a `P`, which holds the number of rows. The first of two numbers stays where it `keeps` the other out.
    ///
    /// # Safety
    /// The CPU has the vectors.
    pub(super) unsafe fn firsts<P: Copy + TryFrom<usize>>(
        self,
        vectors: Vectors,
        y: Found<T>,
        keeps: impl Fn(T, T) -> bool,
    ) where
        i64: From<P>,
    {
        // SAFETY: the caller's.
        unsafe { with(vectors, Firsts::<T, P, _> { rows: self, y, keeps, of: PhantomData }) };
    }

    #[inline(always)]
    fn side_by_side<P: Copy + TryFrom<usize>>(self, (y, values): Found<T>, keeps: impl Fn(T, T) -> bool)
    where
        i64: From<P>,
    {
        let place = |k: usize| P::try_from(k).unwrap_or_else(|_| unreachable!("it holds the number of rows"));
        let is_better = |x: T, best: T| is_better(x, best, &keeps);
        let Rows { x, inner, columns } = self;
        let n = x.len() / inner;
        let mut near = columns.start;
        if n <= SHORT {
            // Few rows: what is kept of some columns stays in registers until their last row.
            let (mut groups, rest) = (y.chunks_exact_mut(GROUP), columns.len() % GROUP);
            for y in &mut groups {
                let row = |k: usize| &x[k * inner + near..][..GROUP];
                let (mut best, mut at) = ([row(0)[0]; GROUP], [place(0); GROUP]);
                best.copy_from_slice(row(0));
                for k in 1..n {
                    let (row, k) = (row(k), place(k));
                    for l in 0..GROUP {
                        let is_better = is_better(row[l], best[l]);
                        best[l] = if is_better { row[l] } else { best[l] };
                        at[l] = if is_better { k } else { at[l] };
                    }
                }
                y.iter_mut().zip(at).for_each(|(y, k)| *y = i64::from(k));
                if let Some(values) = values.get_mut(near - columns.start..near - columns.start + GROUP) {
                    values.copy_from_slice(&best);
                }
                near += GROUP;
            }
            let behind = values.len().saturating_sub(rest)..;
            return Rows { x, inner, columns: columns.end - rest..columns.end }.row_by_row(
                (groups.into_remainder(), &mut values[behind]),
                place,
                is_better,
            );
        }
        Rows { x, inner, columns }.row_by_row((y, values), place, is_better);
    }

    /// One row after the other.
    #[inline(always)]
    fn row_by_row<P: Copy>(self, (y, values): Found<T>, place: impl Fn(usize) -> P, is_better: impl Fn(T, T) -> bool)
    where
        i64: From<P>,
    {
        let mut rows = self.x.chunks_exact(self.inner).map(|row| &row[self.columns.clone()]);
        let mut best = rows.next().map_or_else(Vec::new, <[T]>::to_vec);
        let mut at = vec![place(0); best.len()];
        for (k, row) in rows.enumerate() {
            let k = place(k + 1);
            for ((x, best), at) in row.iter().zip(&mut best).zip(&mut at) {
                let is_better = is_better(*x, *best);
                *best = if is_better { *x } else { *best };
                *at = if is_better { k } else { *at };
            }
        }
        values.iter_mut().zip(&best).for_each(|(value, best)| *value = *best);
        y.iter_mut().zip(at).for_each(|(y, k)| *y = i64::from(k));
    }
}
