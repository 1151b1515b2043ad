//! Reads and additions through an index: `gather`, `scatter_add`, `index_select`, `index_add`.
//!
//! Where the index has the operand's sizes on all other dims, both are `[outer, n, inner]`, outer lines are independent and threads share them. Sums are
//! made in `f64` in the order of the index and rounded once, as the reference does, whatever the number of threads.

use cotangent_core::array::Element;
use cotangent_core::error::EvalError;
use cotangent_core::ir::Shape;

use super::axis::{Axis, Shared};
use crate::threads;

/// Checks all indices of a dim.
pub fn in_bounds(index: &[i64], dim: usize, size: usize) -> Result<(), EvalError> {
    // A sum of violations is vectorised, a search is not; negative indices are large unsigned ones.
    let bad = |i: &i64| i.cast_unsigned() >= size as u64;
    for (block, part) in index.chunks(1024).enumerate() {
        if part.iter().fold(false, |b, i| b | bad(i)) {
            let at = block * 1024 + part.iter().position(bad).unwrap_or(0);
            return Err(EvalError::Index { dim, index: index[at], size, at });
        }
    }
    Ok(())
}

/// `y[o, j, i] = x[o, index[j], i]`, of elements of `size` bytes.
///
/// # Safety
/// `x` has the elements of `axis`, `y` has `outer · index.len() · inner`.
pub unsafe fn select(
    axis: Axis,
    dim: usize,
    x: *const u8,
    index: &[i64],
    y: *mut u8,
    size: usize,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let bytes = axis.inner * size;
    let rows = axis.outer * index.len();
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let pieces = rows.min(64);
    threads::for_each(pieces, (rows * bytes) as u64 / 8, &|piece| {
        for row in piece * rows / pieces..(piece + 1) * rows / pieces {
            let (o, j) = (row / index.len(), row % index.len());
            let from = (o * axis.n + index[j] as usize) * bytes;
            // SAFETY: the index is in bounds; rows of the result are disjoint.
            unsafe { std::ptr::copy_nonoverlapping(x.get().add(from), y.get().add(row * bytes), bytes) };
        }
    });
    Ok(())
}

/// The part of `[outer, inner]` that a piece adds into, so that pieces are disjoint.
fn pieces(axis: Axis, work: usize) -> (usize, usize) {
    // Columns are cut where there are few lines; at least a cache line of them.
    let columns = (axis.inner / 16).clamp(1, 16);
    let lines = axis.outer.min(256);
    if work < 1 << 14 { (1, 1) } else { (lines, if lines < 8 { columns } else { 1 }) }
}

/// `y = x`, then `y[o, index[j], i] += src[o, j, i]` in the order of `j`.
///
/// # Safety
/// `x` and `y` have the elements of `axis`, `src` has `outer · index.len() · inner`.
pub unsafe fn select_add<T: Element>(
    axis: Axis,
    dim: usize,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let count = index.len();
    // SAFETY: the caller's; the index is in bounds.
    unsafe { add(axis, count, [x, src], y, |_, j, _| index[j] as usize) };
    Ok(())
}

/// `y = x`, then `y[o, index[o, j, i], i] += src[o, j, i]` in the order of `j`; the index has `count` on its dim.
///
/// # Safety
/// As [`select_add`], with an index of as many elements as `src`.
pub unsafe fn scatter_add<T: Element>(
    axis: Axis,
    dim: usize,
    count: usize,
    [x, src]: [*const T; 2],
    index: &[i64],
    y: *mut T,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    // SAFETY: the caller's; the index is in bounds.
    unsafe { add(axis, count, [x, src], y, |o, j, i| index[(o * count + j) * axis.inner + i] as usize) };
    Ok(())
}

/// # Safety
/// As the callers', and `place` is below `axis.n`.
#[inline(always)]
unsafe fn add<T: Element>(
    axis: Axis,
    count: usize,
    [x, src]: [*const T; 2],
    y: *mut T,
    place: impl Fn(usize, usize, usize) -> usize + Sync,
) {
    let Axis { outer, n, inner } = axis;
    let work = outer * inner * (n + count);
    let (lines, columns) = pieces(axis, work);
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    threads::for_each(lines * columns, work as u64, &|piece| {
        let (line, column) = (piece / columns, piece % columns);
        let (from, to) = (column * inner / columns, (column + 1) * inner / columns);
        let width = to - from;
        let mut sums = vec![0.0f64; n * width];
        for o in line * outer / lines..(line + 1) * outer / lines {
            for k in 0..n {
                // SAFETY: the caller's.
                let row = unsafe { std::slice::from_raw_parts(x.get().add((o * n + k) * inner + from), width) };
                sums[k * width..][..width].iter_mut().zip(row).for_each(|(s, x)| *s = x.to_f64());
            }
            for j in 0..count {
                // SAFETY: the caller's.
                let row = unsafe { std::slice::from_raw_parts(src.get().add((o * count + j) * inner + from), width) };
                for (i, x) in row.iter().enumerate() {
                    sums[place(o, j, from + i) * width + i] += x.to_f64();
                }
            }
            for k in 0..n {
                // SAFETY: the caller's; pieces have lines or columns of their own.
                let row = unsafe { std::slice::from_raw_parts_mut(y.get().add((o * n + k) * inner + from), width) };
                row.iter_mut().zip(&sums[k * width..]).for_each(|(y, s)| *y = T::from_f64(*s));
            }
        }
    });
}

/// Whether an index has the sizes of the operand on all dims but one.
pub fn is_aligned(own: &Shape, shape: &Shape, dim: usize) -> bool {
    (0..shape.rank()).all(|d| d == dim || own[d] == shape[d])
}

/// `y[o, j, i] = x[o, index[o, j, i], i]`, of elements that are copied as `T`.
///
/// # Safety
/// `x` has the elements of `axis`; the index and `y` have `outer · count · inner`.
pub unsafe fn gather<T: Copy + Send>(
    axis: Axis,
    dim: usize,
    count: usize,
    x: *const T,
    index: &[i64],
    y: *mut T,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let Axis { outer, n, inner } = axis;
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let lines = outer * count;
    let pieces = lines.min(64);
    threads::for_each(pieces, index.len() as u64, &|piece| {
        for line in piece * lines / pieces..(piece + 1) * lines / pieces {
            let base = line / count * n * inner;
            for (i, k) in index[line * inner..][..inner].iter().enumerate() {
                // SAFETY: the index is in bounds; lines of the result are disjoint.
                unsafe { *y.get().add(line * inner + i) = *x.get().add(base + *k as usize * inner + i) };
            }
        }
    });
    Ok(())
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
