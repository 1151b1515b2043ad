//! Binary search in sorted lines.

use cotangent_core::array::Element;
use cotangent_core::ops::insertion_point;

use super::axis::Shared;
use super::vectors::{Loops, Vectors, with};
use crate::threads;

/// Lines of `n` sorted elements, and as many of `k` values that are searched in them.
pub struct Lines {
    pub lines: usize,
    pub n: usize,
    pub k: usize,
    /// Whether positions are behind equal elements.
    pub right: bool,
}

/// Values that are searched by one piece.
const PIECE: usize = 1024;
/// Values that are searched side by side, so that the reads of one do not wait for those of another.
const LANES: usize = 16;
/// So few values are searched one after the other.
const FEW: usize = 4;

/// `y[l, j]` = where `x[l, j]` would be inserted in `sorted[l, :]`.
///
/// # Safety
/// The three have the elements of `lines`; nobody else uses `y`.
pub unsafe fn positions<T: Element, I: Copy>(
    lines: &Lines,
    sorted: *const T,
    x: *const T,
    y: *mut I,
    end: impl Fn(usize) -> I + Sync,
) {
    let Lines { lines, n, k, right } = *lines;
    let (total, vectors) = (lines * k, Vectors::narrow());
    let (sorted, x, y) = (Shared(sorted.cast_mut()), Shared(x.cast_mut()), Shared(y));
    let cost = total as u64 * 2 * u64::from(n.checked_ilog2().unwrap_or(0) + 1);
    threads::for_each(total.div_ceil(PIECE), cost, &|piece| {
        let (mut at, last) = (piece * PIECE, total.min((piece + 1) * PIECE));
        while at < last {
            let count = (k - at % k).min(last - at);
            // SAFETY: the caller's; each value belongs to one piece, and the CPU has the vectors.
            unsafe {
                let line = std::slice::from_raw_parts(sorted.get().add(at / k * n).cast_const(), n);
                let xs = std::slice::from_raw_parts(x.get().add(at).cast_const(), count);
                let ys = std::slice::from_raw_parts_mut(y.get().add(at), count);
                if right {
                    with(vectors, Search { line, xs, ys, is_behind: |y: T, x: T| y > x, right, end: &end });
                } else {
                    with(vectors, Search { line, xs, ys, is_behind: |y: T, x: T| y >= x, right, end: &end });
                }
            }
            at += count;
        }
    });
}

/// The search of `xs` in a line. Safety: none beyond the vectors.
struct Search<'a, T, I, B, E> {
    line: &'a [T],
    xs: &'a [T],
    ys: &'a mut [I],
    /// Whether an element of the line stands behind a value.
    is_behind: B,
    right: bool,
    end: &'a E,
}

impl<T: Element, I: Copy, B: Fn(T, T) -> bool, E: Fn(usize) -> I> Loops for Search<'_, T, I, B, E> {
    #[inline(always)]
    unsafe fn run(self) {
        let Search { line, xs, ys, is_behind, right, end } = self;
        for (xs, ys) in xs.chunks(LANES).zip(ys.chunks_mut(LANES)) {
            if xs.len() < FEW || line.is_empty() || i32::try_from(line.len()).is_err() {
                ys.iter_mut().zip(xs).for_each(|(y, x)| *y = end(insertion_point(line, *x, right)));
                continue;
            }
            let mut values = [xs[0]; LANES];
            values[..xs.len()].copy_from_slice(xs);
            let found = side_by_side(line, &values, &is_behind);
            ys.iter_mut().zip(found).for_each(|(y, p)| *y = end(p as usize));
        }
    }
}

/// As [`insertion_point`] of each value, by the same steps, in a line of some elements.
#[inline(always)]
fn side_by_side<T: Element>(line: &[T], values: &[T; LANES], is_behind: impl Fn(T, T) -> bool) -> [i32; LANES] {
    let last = line.len() as i32 - 1;
    let (mut begins, mut ends) = ([0i32; LANES], [line.len() as i32; LANES]);
    for _ in 0..=line.len().ilog2() {
        for j in 0..LANES {
            let (begin, end) = (begins[j], ends[j]);
            let middle = begin + ((end - begin) >> 1);
            // Where nothing is left, `middle` is both, and may be behind the last element.
            // SAFETY: at least 0, and at most the last place.
            let element = unsafe { *line.get_unchecked(middle.min(last) as usize) };
            let (before, is_left) = (middle < end, is_behind(element, values[j]));
            ends[j] = if is_left { middle } else { end };
            begins[j] = begin + if before & !is_left { middle + 1 - begin } else { 0 };
        }
    }
    begins
}
