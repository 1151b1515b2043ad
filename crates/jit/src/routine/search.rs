//! Binary search in sorted lines.

use cotangent_core::array::Element;
use cotangent_core::ops::insertion_point;

use super::axis::Shared;
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
    let total = lines * k;
    let (sorted, x, y) = (Shared(sorted.cast_mut()), Shared(x.cast_mut()), Shared(y));
    let cost = total as u64 * 4 * u64::from(n.checked_ilog2().unwrap_or(0) + 1);
    threads::for_each(total.div_ceil(PIECE), cost, &|piece| {
        for i in piece * PIECE..total.min((piece + 1) * PIECE) {
            // SAFETY: the caller's; each value belongs to one piece.
            unsafe {
                let line = std::slice::from_raw_parts(sorted.get().add(i / k * n).cast_const(), n);
                *y.get().add(i) = end(insertion_point(line, *x.get().add(i), right));
            }
        }
    });
}
