//! Sums of the elements up to each one.

use super::axis::Shared;
use crate::threads;

/// Prefix sums of contiguous lines of `f32`, in `f64`: eight elements at a time, so that only one addition of each block waits for the last.
///
/// # Safety
/// `x` and `y` have `lines · n` elements.
pub unsafe fn prefix_sums(lines: usize, n: usize, x: *const f32, y: *mut f32) {
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let pieces = lines.min(256);
    threads::for_each(pieces, (lines * n) as u64 / 2, &|piece| {
        for line in piece * lines / pieces..(piece + 1) * lines / pieces {
            // SAFETY: the caller's; lines are disjoint.
            let (x, y) = unsafe {
                (
                    std::slice::from_raw_parts(x.get().add(line * n).cast_const(), n),
                    std::slice::from_raw_parts_mut(y.get().add(line * n), n),
                )
            };
            let mut sum = 0.0;
            let (xs, ys) = (x.chunks_exact(8), y.chunks_exact_mut(8));
            for (x, y) in xs.zip(ys) {
                let mut p: [f64; 8] = std::array::from_fn(|i| f64::from(x[i]));
                for step in [1, 2, 4] {
                    let q = p;
                    for i in step..8 {
                        p[i] += q[i - step];
                    }
                }
                for (y, p) in y.iter_mut().zip(p) {
                    *y = (sum + p) as f32;
                }
                sum += p[7];
            }
            let done = n - n % 8;
            for (x, y) in x[done..].iter().zip(&mut y[done..]) {
                sum += f64::from(*x);
                *y = sum as f32;
            }
        }
    });
}
