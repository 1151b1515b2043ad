//! The places of extremes down a few columns of many rows.
//!
//! Several rows lie in memory as one row of as many more columns: then vectors have enough to do, and what they found is compared at the end. Parts of the
//! rows go to several threads. Places are compared where elements are equal, so that it does not matter how rows were cut.

use std::sync::OnceLock;

use super::arg_extreme::{Rows, is_better};
use super::axis::{Axis, Shared};
use super::vectors::Vectors;
use crate::threads;

/// Columns that are searched side by side, about.
const SIDE_BY_SIDE: usize = 256;
/// Fewer columns than this are few.
const FEW: usize = 128;
/// The fewest rows of so many columns that are worth it.
const FEWEST: usize = 4;
/// The elements of a part.
const PART: usize = 1 << 16;

/// The rows that are searched as one, where that is better: of some columns, but few.
pub(super) fn joined(axis: Axis) -> Option<usize> {
    let rows = SIDE_BY_SIDE.checked_div(axis.inner)?;
    ((2..FEW).contains(&axis.inner) && axis.n >= FEWEST * rows).then_some(rows)
}

/// The extremes and first places of some columns.
type Found<T> = Vec<(T, i64)>;

/// As `arg_extreme`, `rows` rows at a time.
///
/// # Safety
/// As there; `rows` is that of [`joined`].
pub(super) unsafe fn tall<T: Copy + PartialOrd + Sync + Send>(
    axis: Axis,
    rows: usize,
    x: &Shared<T>,
    store: impl Fn(usize, T, i64) + Sync,
    keeps: impl Fn(T, T) -> bool + Copy + Sync,
    vectors: Vectors,
) {
    let Axis { outer, n, inner } = axis;
    // Whole rows of joined ones, but for the last part.
    let each = (PART / (rows * inner)).max(1) * rows;
    let parts = n.div_ceil(each);
    let all: Vec<OnceLock<Found<T>>> = (0..outer * parts).map(|_| OnceLock::new()).collect();
    threads::for_each(all.len(), axis.len() as u64 / 8, &|i| {
        let (o, first) = (i / parts, i % parts * each);
        let count = each.min(n - first);
        // SAFETY: the caller's.
        let x = unsafe { std::slice::from_raw_parts(x.get().add((o * n + first) * inner).cast_const(), count * inner) };
        // SAFETY: the caller's.
        all[i].get_or_init(|| unsafe { part(x, inner, rows, first as i64, keeps, vectors) });
    });
    let mut parts_of_all = all.into_iter().filter_map(OnceLock::into_inner);
    for o in 0..outer {
        let mut best = parts_of_all.next().unwrap_or_default();
        for found in parts_of_all.by_ref().take(parts - 1) {
            best.iter_mut().zip(found).for_each(|(best, x)| *best = better(*best, x, keeps));
        }
        best.into_iter().enumerate().for_each(|(column, (value, at))| store(o * inner + column, value, at));
    }
}

/// The better of two, the first of equals.
fn better<T: Copy + PartialOrd>(a: (T, i64), b: (T, i64), keeps: impl Fn(T, T) -> bool) -> (T, i64) {
    let b_wins = is_better(b.0, a.0, &keeps) || (!is_better(a.0, b.0, &keeps) && b.1 < a.1);
    if b_wins { b } else { a }
}

/// Those of rows that begin with number `first`.
///
/// # Safety
/// The CPU has the vectors.
unsafe fn part<T: Copy + PartialOrd>(
    x: &[T],
    inner: usize,
    rows: usize,
    first: i64,
    keeps: impl Fn(T, T) -> bool + Copy,
    vectors: Vectors,
) -> Found<T> {
    let wide = rows * inner;
    let (joined, rest) = x.split_at(x.len() / wide * wide);
    let mut best: Found<T> = Vec::with_capacity(inner);
    let mut take = |column: usize, found: (T, i64)| match best.get_mut(column) {
        Some(best) => *best = better(*best, found, keeps),
        None => best.push(found),
    };
    if let Some(row) = joined.get(..wide) {
        let (mut at, mut values) = (vec![0i64; wide], row.to_vec());
        let columns = Rows { x: joined, inner: wide, columns: 0..wide };
        // SAFETY: the caller's; a part has fewer rows than an `i32` counts.
        unsafe { columns.firsts::<i32>(vectors, (&mut at, &mut values), keeps) };
        for (j, (value, at)) in values.into_iter().zip(at).enumerate() {
            take(j % inner, (value, first + at * rows as i64 + (j / inner) as i64));
        }
    }
    for (j, x) in rest.iter().enumerate() {
        take(j % inner, (*x, first + (joined.len() / inner + j / inner) as i64));
    }
    best
}
