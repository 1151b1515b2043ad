//! Matrices transposed in memory.

#[cfg(target_arch = "x86_64")]
use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use super::lanes::{Kernel, Lanes};

/// `to[i + j · step] = from[j + i · stride]` for `i` and `j` in the ranges, element by element.
///
/// # Safety
/// All of these elements exist, and nobody else uses those of `to`.
pub unsafe fn plain<T: Copy>(
    [is, js]: [std::ops::Range<usize>; 2],
    from: *const T,
    stride: isize,
    to: *mut T,
    step: usize,
) {
    for j in js {
        for i in is.clone() {
            // SAFETY: the caller's.
            unsafe { *to.add(i + j * step) = *from.offset(j as isize + i as isize * stride) };
        }
    }
}

/// As [`plain`] for `i < m` and `j < n`, in squares of vectors.
///
/// # Safety
/// As [`plain`], and the CPU has the vectors.
#[cfg(target_arch = "x86_64")]
pub unsafe fn in_squares<L: Lanes>(mn: [usize; 2], from: *const L::T, stride: isize, to: *mut L::T, step: usize) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Squares::<L> { mn, from, stride, to, step, lanes: PhantomData }) }
}

#[cfg(target_arch = "x86_64")]
struct Squares<L: Lanes> {
    mn: [usize; 2],
    from: *const L::T,
    stride: isize,
    to: *mut L::T,
    step: usize,
    lanes: PhantomData<L>,
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> Kernel for Squares<L> {
    /// # Safety
    /// As [`in_squares`].
    #[inline(always)]
    unsafe fn run(self) {
        let Squares { mn: [m, n], from, stride, to, step, lanes: _ } = self;
        let (high, wide) = (m / L::SQUARE * L::SQUARE, n / L::SQUARE * L::SQUARE);
        // SAFETY: the caller's; squares, what is below them, and what is to the right of both cover everything.
        unsafe {
            // Two squares beside one another write whole cache lines, which may not stay until the next are written where rows of the result are far apart,
            // often in one set of a cache; where those of the operand are farther, it is they that have to stay.
            let side = if step as isize >= stride.abs() { 2 * L::SQUARE } else { L::SQUARE };
            for i in (0..high).step_by(side) {
                for j in (0..wide).step_by(L::SQUARE) {
                    for i in (i..high.min(i + side)).step_by(L::SQUARE) {
                        L::transpose(from.offset(j as isize + i as isize * stride), stride, to.add(i + j * step), step);
                    }
                }
            }
            plain([high..m, 0..wide], from, stride, to, step);
            plain([0..m, wide..n], from, stride, to, step);
        }
    }
}
