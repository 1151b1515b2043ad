//! Rows that are copied through an index: reads of them, and writes over others.
//!
//! Rows may be single elements, or so short that a call costs more than the copy.

use cotangent_core::error::EvalError;

use super::axis::{Axis, Shared, copy_elsewhere};
use super::indexed::in_bounds;
use crate::threads;

/// Lines from which on threads do not share any.
const MANY_LINES: usize = 8;
/// Parts of a line whose rows are replaced: each reads all of the index.
const WRITERS: usize = 4;

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
    let lines = (axis.outer, axis.n, index.len());
    // SAFETY: the caller's; the index is in bounds, and elements are aligned to their size.
    unsafe {
        match size {
            1 if axis.inner == 1 => pick::<u8>(lines, x, index, y),
            2 if axis.inner == 1 => pick::<u16>(lines, x.cast(), index, y.cast()),
            4 if axis.inner == 1 => pick::<u32>(lines, x.cast(), index, y.cast()),
            8 if axis.inner == 1 => pick::<u64>(lines, x.cast(), index, y.cast()),
            _ => copies(axis, x, index.len(), |_, j| index[j], y, bytes),
        }
    }
    Ok(())
}

/// `y[o, j] = x[o, index[j]]` for `(outer, n, count)` lines, their elements, and places in an index. Threads share the result.
///
/// # Safety
/// `x` has `outer · n` elements, `y` has `outer · count`; indices are below `n`.
unsafe fn pick<T: Copy + Send>((outer, n, count): (usize, usize, usize), x: *const T, index: &[i64], y: *mut T) {
    let total = outer * count;
    let pieces = total.min(64);
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    threads::for_each(pieces, total as u64, &|piece| {
        let (mut at, end) = (piece * total / pieces, (piece + 1) * total / pieces);
        // Lines may be single elements: only the first place is divided.
        let (mut o, mut j) = (at / count, at % count);
        while at < end {
            let len = (count - j).min(end - at);
            // SAFETY: the caller's; pieces write places of their own.
            unsafe {
                let (line, to) = (x.get().add(o * n), std::slice::from_raw_parts_mut(y.get().add(at), len));
                for (y, k) in to.iter_mut().zip(&index[j..j + len]) {
                    *y = *line.add(*k as usize);
                }
            }
            at += len;
            (o, j) = (o + 1, 0);
        }
    });
}

/// `y[o, j, i] = x[o, index[o, j], i]`, of elements of `size` bytes.
///
/// # Safety
/// `x` has the elements of `axis`, `y` has `index.len() · inner`.
pub unsafe fn gather_rows(
    axis: Axis,
    dim: usize,
    x: *const u8,
    index: &[i64],
    y: *mut u8,
    size: usize,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let count = index.len() / axis.outer.max(1);
    // SAFETY: the caller's; the index is in bounds.
    unsafe { copies(axis, x, count, |row, _| index[row], y, axis.inner * size) };
    Ok(())
}

/// `y[o, j] = x[o, index(o · count + j, j)]`, of rows of `bytes`.
///
/// # Safety
/// As [`select`]; indices are in bounds.
unsafe fn copies(
    axis: Axis,
    x: *const u8,
    count: usize,
    index: impl Fn(usize, usize) -> i64 + Sync,
    y: *mut u8,
    bytes: usize,
) {
    // SAFETY: the caller's; rows of these sizes are copied without a loop.
    unsafe {
        match bytes {
            32 => each_copy(axis, x, count, index, y, Bytes::<32>),
            64 => each_copy(axis, x, count, index, y, Bytes::<64>),
            128 => each_copy(axis, x, count, index, y, Bytes::<128>),
            _ => each_copy(axis, x, count, index, y, bytes),
        }
    }
}

/// The size of a row.
trait Row: Copy + Sync {
    fn bytes(self) -> usize;
    /// Copies a row.
    ///
    /// # Safety
    /// Both have so many bytes, and nobody else uses those of `to`.
    unsafe fn copy(self, from: *const u8, to: *mut u8);
}

/// A size that is known.
#[derive(Clone, Copy)]
struct Bytes<const N: usize>;

impl<const N: usize> Row for Bytes<N> {
    #[inline(always)]
    fn bytes(self) -> usize {
        N
    }
    #[inline(always)]
    unsafe fn copy(self, from: *const u8, to: *mut u8) {
        // SAFETY: the caller's.
        unsafe { *to.cast::<[u8; N]>() = *from.cast() };
    }
}

impl Row for usize {
    #[inline(always)]
    fn bytes(self) -> usize {
        self
    }
    #[inline(always)]
    unsafe fn copy(self, from: *const u8, to: *mut u8) {
        // SAFETY: the caller's.
        unsafe { copy_row(from, to, self) };
    }
}

/// As [`copies`].
///
/// # Safety
/// As there.
unsafe fn each_copy(
    axis: Axis,
    x: *const u8,
    count: usize,
    index: impl Fn(usize, usize) -> i64 + Sync,
    y: *mut u8,
    size: impl Row,
) {
    let (rows, bytes) = (axis.outer * count, size.bytes());
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let pieces = rows.min(64);
    threads::for_each(pieces, (rows * bytes) as u64 / 8, &|piece| {
        let own = piece * rows / pieces..(piece + 1) * rows / pieces;
        // Only the first place is divided: rows may be short.
        let (mut line, mut j) = (own.start / count * axis.n, own.start % count);
        for row in own {
            let from = (line + index(row, j) as usize) * bytes;
            // SAFETY: the index is in bounds; rows of the result are disjoint.
            unsafe { size.copy(x.get().add(from), y.get().add(row * bytes)) };
            j += 1;
            if j == count {
                (line, j) = (line + axis.n, 0);
            }
        }
    });
}

/// Copies a row, which may be too short for a call: by blocks, of which the last may overlap the one before.
///
/// # Safety
/// Both have so many bytes, and nobody else uses those of `to`.
#[inline(always)]
unsafe fn copy_row(from: *const u8, to: *mut u8, bytes: usize) {
    const BLOCK: usize = 32;
    const SHORT: usize = 16 * BLOCK;
    if !(BLOCK..=SHORT).contains(&bytes) {
        // SAFETY: the caller's.
        return unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
    }
    let (last, mut at) = (bytes - BLOCK, 0);
    while at < last {
        // SAFETY: `at + BLOCK < bytes`.
        unsafe { *to.add(at).cast::<[u8; BLOCK]>() = *from.add(at).cast() };
        at += BLOCK;
    }
    // SAFETY: `last + BLOCK = bytes`.
    unsafe { *to.add(last).cast::<[u8; BLOCK]>() = *from.add(last).cast() };
}

/// `y = x`, then row `index[o, j]` of line `o` of `y` is row `j` of line `o` of `src`, of rows of `bytes`; of several the last. Threads share the rows of
/// the result, and each reads the index.
///
/// # Safety
/// `x` and `y`, which may be the same, have the elements of `axis`, `src` has the rows of the index.
pub unsafe fn replace_rows(
    axis: Axis,
    dim: usize,
    [x, src]: [*const u8; 2],
    index: &[i64],
    y: *mut u8,
    bytes: usize,
) -> Result<(), EvalError> {
    in_bounds(index, dim, axis.n)?;
    let Axis { outer, n, inner: _ } = axis;
    let count = index.len() / outer.max(1);
    let (x, src, y) = (Shared(x.cast_mut()), Shared(src.cast_mut()), Shared(y));
    let parts = if outer < MANY_LINES { WRITERS.min(n) } else { 1 };
    threads::for_each(outer * parts, (outer * (n + count) * bytes) as u64 / 16, &|piece| {
        let (o, part) = (piece / parts, piece % parts);
        let own = part * n / parts..(part + 1) * n / parts;
        let (x, y) = (x.get().wrapping_add(o * n * bytes), y.get().wrapping_add(o * n * bytes));
        let src = src.get().wrapping_add(o * count * bytes);
        // SAFETY: the caller's; the index is in bounds, and pieces have rows of their own.
        unsafe {
            copy_elsewhere(x.add(own.start * bytes).cast_const(), y.add(own.start * bytes), own.len() * bytes);
            for (j, k) in index[o * count..][..count].iter().enumerate() {
                if own.contains(&(*k as usize)) {
                    copy_row(src.add(j * bytes), y.add(*k as usize * bytes), bytes);
                }
            }
        }
    });
    Ok(())
}
