//! Results of convolutions next to borders, where a number of the kernel is not finite.
//!
//! All forms take what lies outside of an image as zeros, and an infinite number times zero is none. Borders take no part in the sums: results that became NaN
//! there are summed again without them, one by one. Finite kernels cost a look at them.

use cotangent_core::ops::Convolution;

use super::Real;
use super::convolution::{Pointers, Sizes};
use super::long::Layout;
use crate::threads;

/// Numbers that are looked at at once.
const BLOCK: usize = 1 << 15;

/// Where the numbers of a kernel are: how far groups, channels of the result and channels of the input are apart.
type Weights = [usize; 3];

/// The weights of dense operands.
pub fn dense(op: &Convolution, s: &Sizes) -> Weights {
    let kernel: usize = s.k.iter().product();
    let group = s.co * s.ci * kernel;
    if op.transposed { [group, kernel, s.co * kernel] } else { [group, s.ci * kernel, kernel] }
}

/// Sums again what is NaN next to borders of a result that has been computed, if some number of the kernel is not finite.
///
/// # Safety
/// The operands and the result have the sizes `s` and lie as the layout and `weights` say, and nobody else uses the result.
pub unsafe fn without<T: Real>(
    op: &Convolution,
    s: &Sizes,
    (layout, weights): (Layout, Weights),
    [x, w]: [*const T; 2],
    y: *mut T,
) {
    let (kernel, plane): (usize, usize) = (s.k.iter().product(), s.plane());
    let has_borders = op.transposed || op.padding.iter().any(|p| *p > 0);
    let count = s.groups * s.co * s.ci * kernel;
    // SAFETY: the caller's: operands and results are dense, in whatever order.
    if !has_borders || s.x_plane() * count == 0 || unsafe { all_finite(w, count) } {
        return;
    }
    let channels = s.groups * s.co;
    let pointers = Pointers(x, w, y);
    threads::for_each(s.images * channels, (s.images * channels * plane) as u64, &|piece| {
        let (x, w, y) = pointers.get();
        let (n, c) = (piece / channels, piece % channels);
        let (g, o) = (c / s.co, c % s.co);
        // SAFETY: the caller's; each piece has a plane of its own.
        let results = unsafe { std::slice::from_raw_parts_mut(y.add(n * layout.y[0] + c * layout.y[1]), plane) };
        let mut met = Vec::new();
        for (at, result) in results.iter_mut().enumerate().filter(|(_, y)| is_nan(**y)) {
            meetings(op, s, at, &mut met);
            if met.len() == kernel {
                continue;
            }
            let mut sum = T::ZERO;
            for i in 0..s.ci {
                let from = x.wrapping_add(n * layout.x[0] + g * layout.x[1] + i * layout.x[2]);
                let of = w.wrapping_add(g * weights[0] + o * weights[1] + i * weights[2]);
                for (element, place) in &met {
                    // SAFETY: the caller's; `meetings` are inside of the kernel and of the image.
                    sum += unsafe { *of.add(*element) * *from.add(*place) };
                }
                if is_nan(sum) {
                    break;
                }
            }
            *result = sum;
        }
    });
}

fn is_nan<T: Real>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

/// Whether `count` numbers are finite.
///
/// # Safety
/// There are so many.
unsafe fn all_finite<T: Real>(from: *const T, count: usize) -> bool {
    let pointers = Pointers(from, from, std::ptr::null_mut());
    let found = std::sync::atomic::AtomicBool::new(true);
    threads::for_each(count.div_ceil(BLOCK), count as u64 / 16, &|piece| {
        let (first, last) = (piece * BLOCK, count.min((piece + 1) * BLOCK));
        // SAFETY: the caller's.
        let numbers = unsafe { std::slice::from_raw_parts(pointers.get().0.add(first), last - first) };
        // Zero times what is not finite is not zero.
        if !numbers.iter().fold(true, |all, x| all & (*x * T::ZERO == T::ZERO)) {
            found.store(false, std::sync::atomic::Ordering::Relaxed);
        }
    });
    found.into_inner()
}

/// The kernel elements that meet the image at place `at` of the result, and where.
fn meetings(op: &Convolution, s: &Sizes, at: usize, met: &mut Vec<(usize, usize)>) {
    met.clear();
    met.push((0, 0));
    let mut below = at;
    // From the last dim to the first: elements and places of what has been looked at, and the strides of the next dim.
    let (mut k_stride, mut x_stride) = (1, 1);
    for d in (0..s.y.len()).rev() {
        let a = below % s.y[d];
        below /= s.y[d];
        let inner = std::mem::take(met);
        for k in 0..s.k[d] {
            let Some(place) = s.meets(op, d, a, k) else { continue };
            met.extend(inner.iter().map(|(e, p)| (e + k * k_stride, p + place * x_stride)));
        }
        (k_stride, x_stride) = (k_stride * s.k[d], x_stride * s.x[d]);
    }
}
