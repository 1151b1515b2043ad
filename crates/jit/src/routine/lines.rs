//! Gathers whose index is the same for many lines: it is read and checked once for all of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use cotangent_core::error::EvalError;

use super::axis::{Axis, Shared};
use crate::threads;

/// Indices that are made places in a line at once: their places stay in the first-level cache while lines are read through them.
const BLOCK: usize = 2048;
/// So many pieces, at least, are made of blocks and lines, so that threads share them.
const PIECES: usize = 16;

/// `y[g, t, j, i] = x[g, t, index[g, j, i], i]` for `count` indices along `dim` and as many `times` for each index.
///
/// *Errors*: the first index out of bounds, whose place is that in the index of all lines.
///
/// # Safety
/// `x` has the elements of `axis`, whose `outer` is a multiple of `times`; the index is of all outer lines without `times`, and `y` has `times` as
/// many elements, which nobody else uses.
pub unsafe fn gather_lines<T: Copy + Send>(
    Axis { outer, n, inner }: Axis,
    dim: usize,
    [count, times]: [usize; 2],
    x: *const T,
    index: &[i64],
    y: *mut T,
) -> Result<(), EvalError> {
    let line = count * inner;
    if index.is_empty() || times == 0 {
        return Ok(());
    }
    let (groups, blocks) = (outer / times, line.div_ceil(BLOCK));
    let parts = PIECES.div_ceil(groups * blocks).min(times);
    let first = AtomicUsize::new(usize::MAX);
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let is_short = u32::try_from(n * inner).is_ok();
    threads::for_each(groups * blocks * parts, (outer * line) as u64, &|piece| {
        let (group, block, part) = (piece / parts / blocks, piece / parts % blocks, piece % parts);
        let (begin, end) = (block * BLOCK, line.min((block + 1) * BLOCK));
        let own = &index[group * line..][begin..end];
        // Negative indices are large unsigned ones.
        let bad = |k: &i64| k.cast_unsigned() >= n as u64;
        if own.iter().fold(false, |b, k| b | bad(k)) {
            let at = group * times * line + begin + own.iter().position(bad).unwrap_or(0);
            first.fetch_min(at, Ordering::Relaxed);
            return;
        }
        let all = part * times / parts..(part + 1) * times / parts;
        let lines = all.map(|t| group * times + t);
        let lines = lines.map(|l| (x.get().wrapping_add(l * n * inner), y.get().wrapping_add(l * line + begin)));
        // A division for each place would cost more than what it reads.
        let across = (begin % inner..inner).chain(std::iter::repeat(0..inner).flatten());
        let places = own.iter().zip(across).map(|(k, i)| *k as usize * inner + i);
        // SAFETY: the indices are in bounds, so places are those of a line; each piece has elements of its own of the result.
        unsafe {
            if is_short {
                let mut room = [0u32; BLOCK];
                if inner == 1 {
                    room.iter_mut().zip(own).for_each(|(p, k)| *p = *k as u32);
                } else {
                    room.iter_mut().zip(places).for_each(|(p, place)| *p = place as u32);
                }
                let places = &room[..own.len()];
                lines.for_each(|(x, y)| copy(x, places.iter().map(|p| *p as usize), y));
            } else {
                lines.for_each(|(x, y)| copy(x, places.clone(), y));
            }
        }
    });
    match first.into_inner() {
        usize::MAX => Ok(()),
        at => {
            let index = index[at / (times * line) * line + at % line];
            Err(EvalError::Index { dim, index, size: n, at })
        }
    }
}

/// Copies the elements of a line at some places.
///
/// # Safety
/// They exist, there is room for as many at `to`, and nobody else uses it.
unsafe fn copy<T: Copy>(line: *const T, places: impl Iterator<Item = usize>, to: *mut T) {
    for (j, place) in places.enumerate() {
        // SAFETY: the caller's.
        unsafe { *to.add(j) = *line.add(place) };
    }
}
