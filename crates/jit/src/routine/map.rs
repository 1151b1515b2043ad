//! Functions of one element that loops do not have.

use super::axis::Shared;
use crate::threads;

/// `y[i] = f(x[i])`, on several threads; `cost` is that of one element.
///
/// # Safety
/// `x` and `y` have `n` elements.
pub unsafe fn map<T: Copy>(n: usize, cost: u64, x: *const T, y: *mut T, f: impl Fn(T) -> T + Sync) {
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let pieces = n.div_ceil(256).min(256);
    threads::for_each(pieces, cost * n as u64, &|piece| {
        let (start, end) = (piece * n / pieces, (piece + 1) * n / pieces);
        // SAFETY: the caller's; pieces are disjoint.
        let (x, y) = unsafe {
            (
                std::slice::from_raw_parts(x.get().add(start).cast_const(), end - start),
                std::slice::from_raw_parts_mut(y.get().add(start), end - start),
            )
        };
        for (x, y) in x.iter().zip(y) {
            *y = f(*x);
        }
    });
}
