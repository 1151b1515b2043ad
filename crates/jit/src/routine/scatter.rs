//! Writes through an index for each element, that overwrite or combine.
//!
//! Lines, and the order in which sources are combined, are those of [`super::indexed`].

use cotangent_core::array::Element;
use cotangent_core::error::EvalError;
use cotangent_core::ir::Shape;

use super::axis::{Axis, Shared, copy_elsewhere};
use super::indexed::{Combine, in_bounds, places};
use crate::threads;

/// Lines with at least so many elements for each source are copied, and only the places of sources are combined.
const FEW: usize = 4;
/// With at least so many, sources are ordered by their places instead of keeping a sum for each element.
const SPARSE: usize = 64;

/// The part of `[outer, inner]` that a piece combines into, so that pieces are disjoint.
fn pieces(axis: Axis, work: usize) -> (usize, usize) {
    // Columns are cut where there are few lines; at least a few cache lines of them, which are read one behind the other.
    let columns = (axis.inner / 32).clamp(1, 16);
    let lines = axis.outer.min(256);
    if work < 1 << 14 { (1, 1) } else { (lines, if lines < 8 { columns } else { 1 }) }
}

/// `y = x`, then `y[o, index[o, j, i], i]` combined with `src[o, j, i]` in the order of `j`; the index has `count` on its dim.
///
/// # Safety
/// As [`super::indexed::index_rows`], with an index of as many elements as `src`.
pub unsafe fn scatter<T: Element, S: Copy + Send>(
    axis: Axis,
    dim: usize,
    count: usize,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let Axis { outer, n, inner } = axis;
    if inner == 1 {
        // SAFETY: the caller's; the index is in bounds.
        unsafe { scatter_lines([outer, n, count], [x, src], |o| &index[o * count..][..count], y, combine) };
        return Ok(());
    }
    let work = outer * inner * (n + count);
    let (lines, columns) = pieces(axis, work);
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    threads::for_each(lines * columns, work as u64, &|piece| {
        let (line, column) = (piece / columns, piece % columns);
        let (from, to) = (column * inner / columns, (column + 1) * inner / columns);
        let width = to - from;
        let mut sums: Vec<S> = Vec::with_capacity(n * width);
        for o in line * outer / lines..(line + 1) * outer / lines {
            sums.clear();
            for k in 0..n {
                // SAFETY: the caller's.
                let row = unsafe { std::slice::from_raw_parts(x.get().add((o * n + k) * inner + from), width) };
                sums.extend(row.iter().map(|x| (combine.widen)(*x)));
            }
            for j in 0..count {
                let at = (o * count + j) * inner + from;
                // SAFETY: the caller's.
                let row = unsafe { std::slice::from_raw_parts(src.get().add(at), width) };
                for (i, (x, k)) in row.iter().zip(&index[at..][..width]).enumerate() {
                    let s = &mut sums[*k as usize * width + i];
                    *s = (combine.both)(*s, (combine.widen)(*x));
                }
            }
            for k in 0..n {
                // SAFETY: the caller's; pieces have lines or columns of their own.
                let row = unsafe { std::slice::from_raw_parts_mut(y.get().add((o * n + k) * inner + from), width) };
                row.iter_mut().zip(&sums[k * width..]).for_each(|(y, s)| *y = (combine.end)(*s));
            }
        }
    });
    Ok(())
}

/// `y = x`, then `y[o, index(o)[j]]` combined with `src[o, j]` in the order of `j`, for `[outer, n, count]` lines, their elements, and sources
/// of each. Threads share the lines.
///
/// # Safety
/// `x` and `y`, which may be the same, have `outer · n` elements, `src` has `outer · count`; indices are in bounds.
pub unsafe fn scatter_lines<'a, T: Element, S: Copy + Send>(
    lines @ [outer, n, count]: [usize; 3],
    [x, src]: [*const T; 2],
    index: impl Fn(usize) -> &'a [i64] + Sync,
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) {
    if count * FEW <= n {
        // SAFETY: the caller's.
        return unsafe { scatter_few(lines, [x, src], index, y, combine) };
    }
    let pieces = outer.min(256);
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    threads::for_each(pieces, (outer * (n + count)) as u64, &|piece| {
        let mut sums: Vec<S> = Vec::with_capacity(n);
        for o in piece * outer / pieces..(piece + 1) * outer / pieces {
            // SAFETY: the caller's; nobody writes the operand meanwhile.
            let (line, sources) = unsafe {
                (
                    std::slice::from_raw_parts(x.get().add(o * n).cast_const(), n),
                    std::slice::from_raw_parts(src.get().add(o * count).cast_const(), count),
                )
            };
            sums.clear();
            sums.extend(line.iter().map(|x| (combine.widen)(*x)));
            for (x, k) in sources.iter().zip(index(o)) {
                // SAFETY: the index is in bounds, and there are `n` sums.
                let s = unsafe { sums.get_unchecked_mut(*k as usize) };
                *s = (combine.both)(*s, (combine.widen)(*x));
            }
            // SAFETY: the caller's; pieces have lines of their own, of which the operand is not read any more.
            let to = unsafe { std::slice::from_raw_parts_mut(y.get().add(o * n), n) };
            to.iter_mut().zip(&sums).for_each(|(y, s)| *y = (combine.end)(*s));
        }
    });
}

/// As [`scatter_lines`], where few elements get sources: the others are only copied.
///
/// # Safety
/// As [`scatter_lines`].
unsafe fn scatter_few<'a, T: Element, S: Copy + Send>(
    [outer, n, count]: [usize; 3],
    [x, src]: [*const T; 2],
    index: impl Fn(usize) -> &'a [i64] + Sync,
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
) {
    let pieces = outer.min(256);
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    let is_sparse = count * SPARSE <= n;
    threads::for_each(pieces, (outer * (n / 8 + count)) as u64, &|piece| {
        // What is kept of each element, or the sources by their places.
        let (mut sums, mut order): (Vec<S>, Vec<usize>) = (Vec::new(), Vec::new());
        for o in piece * outer / pieces..(piece + 1) * outer / pieces {
            let index = index(o);
            // SAFETY: the caller's; pieces have lines of their own, and places are in bounds.
            unsafe {
                let (x, y) = (x.get().add(o * n).cast_const(), y.get().add(o * n));
                let source = |j: usize| (combine.widen)(*src.get().add(o * count + j));
                if is_sparse {
                    copy_elsewhere(x, y, n);
                    order.clear();
                    order.extend(0..count);
                    order.sort_by_key(|j| index[*j]);
                    for same in order.chunk_by(|a, b| index[*a] == index[*b]) {
                        let to = y.add(index[same[0]] as usize);
                        let sum = same.iter().fold((combine.widen)(*to), |s, j| (combine.both)(s, source(*j)));
                        *to = (combine.end)(sum);
                    }
                    continue;
                }
                let before = |k: usize| (combine.widen)(*x.add(k));
                if sums.is_empty() {
                    sums.extend((0..n).map(before));
                }
                for k in index {
                    sums[*k as usize] = before(*k as usize);
                }
                for (j, k) in index.iter().enumerate() {
                    let s = &mut sums[*k as usize];
                    *s = (combine.both)(*s, source(j));
                }
                copy_elsewhere(x, y, n);
                for k in index {
                    *y.add(*k as usize) = (combine.end)(sums[*k as usize]);
                }
            }
        }
    });
}

/// As [`scatter`], of an index that is smaller than the operand on other dims too: one element after the other.
///
/// # Safety
/// `x` and `y`, which may be the same, have the elements of `shape`, `src` has those of `own`, as the index.
pub unsafe fn scatter_within<T: Element, S: Copy>(
    [own, shape]: [&Shape; 2],
    dim: usize,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
    combine: &Combine<impl Fn(T) -> S, impl Fn(S, S) -> S, impl Fn(S) -> T>,
) -> Result<(), EvalError> {
    let places = places(own, shape, dim, index)?;
    // SAFETY: the caller's; places are inside the operand.
    unsafe {
        let mut sums: Vec<S> = (0..shape.numel()).map(|i| (combine.widen)(*x.add(i))).collect();
        for (i, p) in places.into_iter().enumerate() {
            sums[p] = (combine.both)(sums[p], (combine.widen)(*src.add(i)));
        }
        for (i, s) in sums.into_iter().enumerate() {
            *y.add(i) = (combine.end)(s);
        }
    }
    Ok(())
}
