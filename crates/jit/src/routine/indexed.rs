//! Reads through an index, and writes of rows that combine.
//!
//! Where the index has the operand's sizes on all other dims, both are `[outer, n, inner]`, outer lines are independent and threads share them. Sources of
//! one place are combined in the order of the index in a wider type and rounded once, as the reference does, whatever the number of threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use cotangent_core::array::Element;
use cotangent_core::error::EvalError;
use cotangent_core::ir::Shape;

use super::Vectors;
use super::axis::{Axis, Shared, copy_elsewhere};
use super::combined::{COLUMNS, Columns, Row};
use super::scatter::scatter_lines;
use crate::threads;

/// Indices that a thread sorts at once, at least.
const SORTED: usize = 1 << 14;
/// Columns up to which sources are read in their own order.
const FEW: usize = 16;
/// How many sources ahead rows are asked for, and how much of each.
const AHEAD: usize = 4;
const NEAR_BYTES: usize = 1 << 10;
/// A cache line.
const LINE: usize = 64;
/// Lines from which on threads do not share any.
const MANY_LINES: usize = 8;
/// Bytes of sums that stay in the cache.
const NEAR: usize = 256 << 10;
/// Indices that are checked at once.
const BLOCK: usize = 1 << 13;

/// Checks all indices of a dim; the error is that of the first one that is out of bounds.
pub fn in_bounds(index: &[i64], dim: usize, size: usize) -> Result<(), EvalError> {
    each_in_bounds(index, dim, size, index.len() as u64 / 4, &|_| {})
}

/// As [`in_bounds`], and calls `visit` with each part of the index that is in bounds, on several threads: what has just been checked is near.
fn each_in_bounds(
    index: &[i64],
    dim: usize,
    size: usize,
    cost: u64,
    visit: &(impl Fn(Range<usize>) + Sync),
) -> Result<(), EvalError> {
    // A sum of violations is vectorised, a search is not; negative indices are large unsigned ones.
    let bad = |i: &i64| i.cast_unsigned() >= size as u64;
    let first = AtomicUsize::new(usize::MAX);
    let blocks = index.len().div_ceil(BLOCK);
    threads::for_each(blocks, cost, &|block| {
        let own = block * BLOCK..index.len().min((block + 1) * BLOCK);
        let part = &index[own.clone()];
        if part.iter().fold(false, |b, i| b | bad(i)) {
            let at = own.start + part.iter().position(bad).unwrap_or(0);
            first.fetch_min(at, Ordering::Relaxed);
        } else {
            visit(own);
        }
    });
    match first.into_inner() {
        usize::MAX => Ok(()),
        at => Err(EvalError::Index { dim, index: index[at], size, at }),
    }
}

/// How a source element is combined with what stands at its place: in a type `S` that holds intermediate results, rounded once.
pub struct Combine<W, F, E> {
    /// An element as `S`.
    pub widen: W,
    /// Two values combined.
    pub both: F,
    /// The element of a value.
    pub end: E,
}

/// The rows of a source by the place that a vector of indices gives them: `order[begin[k]..begin[k + 1]]` go to place `k`, in order.
fn by_place(index: &[i64], n: usize) -> (Vec<usize>, Vec<usize>) {
    let count = index.len();
    let pieces = (count / n.max(SORTED)).clamp(1, 16);
    let part = |p: usize| p * count / pieces..(p + 1) * count / pieces;
    // First how many indices of each piece name a place, then where the next of them goes.
    let mut next = vec![0usize; pieces * n];
    let shared = Shared(next.as_mut_ptr());
    threads::for_each(pieces, count as u64, &|p| {
        // SAFETY: there are `n` counts for each piece.
        let counts = unsafe { std::slice::from_raw_parts_mut(shared.get().add(p * n), n) };
        index[part(p)].iter().for_each(|i| counts[*i as usize] += 1);
    });
    let (mut begin, mut at) = (Vec::with_capacity(n + 1), 0);
    for k in 0..n {
        begin.push(at);
        for count in next[k..].iter_mut().step_by(n) {
            (at, *count) = (at + *count, at);
        }
    }
    begin.push(at);
    let mut order = vec![0usize; count];
    let (shared, places) = (Shared(next.as_mut_ptr()), Shared(order.as_mut_ptr()));
    threads::for_each(pieces, 2 * count as u64, &|p| {
        // SAFETY: as above.
        let next = unsafe { std::slice::from_raw_parts_mut(shared.get().add(p * n), n) };
        for j in part(p) {
            let place = &mut next[index[j] as usize];
            // SAFETY: each source has a place of its own, below `count`.
            unsafe { *places.get().add(*place) = j };
            *place += 1;
        }
    });
    (begin, order)
}

/// `y = x`, then `y[o, index[j], i]` combined with `src[o, j, i]` in the order of `j`. Threads share the rows of the result.
///
/// # Safety
/// `x` and `y`, which may be the same, have the elements of `axis`, `src` has `outer · index.len() · inner`.
pub unsafe fn index_rows<T: Element, S: Copy + Send>(
    axis: Axis,
    dim: usize,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    // SAFETY: the caller's; the index is in bounds.
    unsafe { combined(axis, [x, src], index, y, combine) };
    Ok(())
}

/// As [`index_rows`].
///
/// # Safety
/// As [`index_rows`]; indices are in bounds.
unsafe fn combined<T: Element, S: Copy + Send>(
    axis: Axis,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) {
    let (Axis { outer, n, inner }, count) = (axis, index.len());
    if inner == 1 {
        // SAFETY: the caller's.
        return unsafe { scatter_lines([outer, n, count], [x, src], |_| index, y, combine) };
    }
    if inner <= FEW && count >= n && n * COLUMNS * size_of::<S>() <= NEAR {
        // SAFETY: the caller's.
        return unsafe { in_order(axis, [x, src], index, y, combine) };
    }
    let (begin, order) = by_place(index, n);
    let rows = outer * n;
    let pieces = rows.min(256);
    let vectors = Vectors::narrow();
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    threads::for_each(pieces, (outer * inner * (n + count)) as u64 / 2, &|piece| {
        let own = piece * rows / pieces..(piece + 1) * rows / pieces;
        let place = |row: usize| (x.get().wrapping_add(row * inner).cast_const(), y.get().wrapping_add(row * inner));
        // Rows without sources are copied, those that follow one another together.
        let mut alone = own.start;
        let copy = |rows: Range<usize>| {
            let (from, to) = place(rows.start);
            // SAFETY: the caller's; each piece has rows of its own.
            unsafe { copy_elsewhere(from, to, rows.len() * inner) };
        };
        for row in own.clone() {
            let (o, k) = (row / n, row % n);
            let sources = &order[begin[k]..begin[k + 1]];
            if sources.is_empty() {
                continue;
            }
            copy(alone..row);
            alone = row + 1;
            let (from, to) = place(row);
            let src = src.get().wrapping_add(o * count * inner).cast_const();
            // Sources lie anywhere: those that come next are on their way meanwhile.
            for next in order.iter().skip(begin[k] + AHEAD).take(sources.len()) {
                near(src.wrapping_add(next * inner).cast(), inner * size_of::<T>());
            }
            // SAFETY: as above.
            unsafe { Row::new(combine, inner, [from, src], sources, to).compute(vectors) };
        }
        copy(alone..own.end);
    });
}

/// As [`index_rows`], with an index for each line: `index[o, j]`.
///
/// # Safety
/// `x` and `y` have the elements of `axis`, `src` has `index.len() · inner`.
pub unsafe fn combine_rows<T: Element, S: Copy + Send>(
    axis: Axis,
    dim: usize,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let Axis { outer, n, inner } = axis;
    let count = index.len() / outer.max(1);
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    let line = |o: usize| {
        let part = |p: &Shared<T>, rows: usize| p.get().wrapping_add(o * rows * inner);
        let from = [part(&x, n).cast_const(), part(&src, count).cast_const()];
        // SAFETY: the caller's; the index is in bounds, and lines have elements of their own.
        unsafe { combined(Axis { outer: 1, ..axis }, from, &index[o * count..][..count], part(&y, n), combine) };
    };
    // Threads share each of a few lines, and have each of many for themselves.
    if outer < MANY_LINES {
        (0..outer).for_each(line);
    } else {
        let pieces = outer.min(256);
        threads::for_each(pieces, (outer * inner * (n + count)) as u64 / 2, &|piece| {
            (piece * outer / pieces..(piece + 1) * outer / pieces).for_each(line);
        });
    }
    Ok(())
}

/// As [`index_rows`], of few columns and of rows whose sums stay in the cache: sources in their own order. Threads share the columns.
///
/// # Safety
/// As [`index_rows`]; indices are in bounds.
unsafe fn in_order<T: Element, S: Copy + Send>(
    Axis { outer, n, inner }: Axis,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) {
    let (count, across, vectors) = (index.len(), inner.div_ceil(COLUMNS), Vectors::narrow());
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    threads::for_each(outer * across, (outer * across * (n + count)) as u64, &|piece| {
        let (o, first) = (piece / across, piece % across * COLUMNS);
        let (from, to) = (x.get().wrapping_add(o * n * inner).cast_const(), y.get().wrapping_add(o * n * inner));
        let src = src.get().wrapping_add(o * count * inner).cast_const();
        // SAFETY: the caller's; each piece has columns of its own.
        unsafe { Columns::new(combine, [n, inner], [from, src], index, to).compute(vectors, first) };
    });
}

/// Asks for the beginning of a row of so many bytes, which need not exist.
fn near(row: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..bytes.min(NEAR_BYTES)).step_by(LINE) {
        // SAFETY: every CPU has the instruction, which has no effect but on caches.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(row.wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, bytes);
}

/// Whether an index has the sizes of the operand on all dims but one.
pub fn is_aligned(own: &Shape, shape: &Shape, dim: usize) -> bool {
    (0..shape.rank()).all(|d| d == dim || own[d] == shape[d])
}

/// `y[.., j, ..] = x[.., index[.., j, ..], ..]` for an index of shape `own` and an operand of `shape`.
///
/// # Safety
/// `x` has the elements of `shape`; the index and `y` have those of `own`.
pub unsafe fn gather<T: Copy + Send>(
    [own, shape]: [&Shape; 2],
    dim: usize,
    x: *const T,
    index: &[i64],
    y: *mut T,
) -> Result<(), EvalError> {
    if !is_aligned(own, shape, dim) {
        for (i, p) in places(own, shape, dim, index)?.into_iter().enumerate() {
            // SAFETY: the caller's; places are inside the operand.
            unsafe { *y.add(i) = *x.add(p) };
        }
        return Ok(());
    }
    let (Axis { outer: _, n, inner }, count) = (Axis::of(shape, dim), own[dim].get());
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    // Elements that follow one another in the index: of one line where lines are contiguous, else of one row of it.
    let run = if inner == 1 { count } else { inner };
    each_in_bounds(index, dim, n, index.len() as u64, &|own| {
        if inner == 1 && count == 1 {
            // SAFETY: the part of the index is in bounds; parts of the result are disjoint.
            let to = unsafe { std::slice::from_raw_parts_mut(y.get().add(own.start), own.len()) };
            for (i, (y, k)) in to.iter_mut().zip(&index[own.clone()]).enumerate() {
                // SAFETY: as above: each element has a line of its own.
                *y = unsafe { *x.get().add((own.start + i) * n + *k as usize) };
            }
            return;
        }
        let mut at = own.start;
        // Only the first place is divided: lines may be as short as a window of a pooling.
        let (mut row, mut i) = (at / run, at % run);
        while at < own.end {
            let len = (run - i).min(own.end - at);
            // SAFETY: the part of the index is in bounds; parts of the result are disjoint.
            unsafe {
                let to = std::slice::from_raw_parts_mut(y.get().add(at), len);
                let places = to.iter_mut().zip(&index[at..][..len]);
                if inner == 1 {
                    let line = x.get().add(row * n);
                    places.for_each(|(y, k)| *y = *line.add(*k as usize));
                } else {
                    let line = x.get().add(row / count * n * inner + i);
                    places.enumerate().for_each(|(i, (y, k))| *y = *line.add(*k as usize * inner + i));
                }
            }
            at += len;
            (row, i) = (row + 1, 0);
        }
    })
}

/// For each element of an index of shape `own`, its place in an operand of `shape` with the index along `dim`.
///
/// *Errors*: the first index out of bounds.
pub fn places(own: &Shape, shape: &Shape, dim: usize, index: &[i64]) -> Result<Vec<usize>, EvalError> {
    in_bounds(index, dim, shape[dim].get())?;
    let strides = shape.strides();
    let rank = own.rank();
    let mut at = vec![0usize; rank];
    let mut base = 0usize;
    let mut out = Vec::with_capacity(index.len());
    for i in index {
        out.push(base + *i as usize * strides[dim]);
        // An odometer over all dims; the indexed one adds nothing to the base.
        for d in (0..rank).rev() {
            let stride = if d == dim { 0 } else { strides[d] };
            at[d] += 1;
            base += stride;
            if at[d] < own[d].get() {
                break;
            }
            base -= stride * at[d];
            at[d] = 0;
        }
    }
    Ok(out)
}
