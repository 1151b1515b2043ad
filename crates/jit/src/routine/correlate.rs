//! Convolutions with large kernels and few positions of few channels, as gradients of depthwise weights are: each element of the result is a sum over
//! lines of the kernel and of the input, which vectors run along.
//!
//! What [`super::convolution`] gathers for a product has the input once for each position, and no other row shares it.

use cotangent_core::ops::Convolution;

#[cfg(target_arch = "x86_64")]
use super::added::added;
use super::convolution::{Pointers, Sizes};
use super::lanes::{Kernel, Lanes};
use super::{Real, Vectors};
use crate::memory::Block;
use crate::threads;

/// Images from which they fill vectors, as in [`super::columns`].
const IMAGES: usize = 8;
/// Channels of a group's result from which a product is better.
const CHANNELS: usize = 4;

/// Lines of a kernel and of an input whose products are added up: for each of some positions.
pub struct Dots<'a, T> {
    /// Where the lines of each pair begin.
    pub pairs: &'a [(usize, usize)],
    /// How many channels have such pairs, and how far they are apart.
    pub channels: [usize; 3],
    /// The elements of a line.
    pub len: usize,
    pub kernel: *const T,
    pub input: *const T,
    /// The results, how many, and how far the lines of the input move from one to the next.
    pub to: *mut T,
    pub count: usize,
    pub step: usize,
}

/// Computes a convolution if this form is worth it; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of the result's is 0, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    let (Some(k), Some(x_line), Some(y_line)) = (s.k.last(), s.x.last(), s.y.last()) else { return false };
    let (k, x_line, y_line, last) = (*k, *x_line, *y_line, s.k.len() - 1);
    let (kernel, x_plane, plane): (usize, usize, usize) =
        (s.k.iter().product(), s.x.iter().product(), s.y.iter().product());
    let is_one = !op.transposed && op.dilation[last] == 1 && kernel >= plane;
    let is_some = kernel * s.ci * x_plane > 0;
    if vectors == Vectors::Portable || !is_one || !is_some || s.images >= IMAGES || s.co > CHANNELS {
        return false;
    }
    let (front, step) = (op.padding[last], op.stride[last]);
    // Lines with their borders.
    let (lines, pitch) = (x_plane / x_line, (front + x_line).max((y_line - 1) * step + k));
    if !s.is_near([lines, pitch].into_iter()) {
        return false;
    }
    let meets = |y: usize| {
        let line = |l: usize| s.line(op, y, l).map(|at| (l * k, at / x_line * pitch));
        (0..kernel / k).filter_map(line).collect::<Vec<_>>()
    };
    let meets: Vec<Vec<(usize, usize)>> = (0..plane / y_line).map(meets).collect();
    let groups = s.images * s.groups;
    let cost = (groups * s.co * plane) as u64 * (s.ci * kernel) as u64 / 12;
    let pointers = Pointers(x, w, y);
    threads::for_each(groups, cost, &|i| {
        let (x, w, y) = pointers.get();
        let memory = Block::new(s.ci * lines * pitch * size_of::<T>());
        let input: *mut T = memory.as_ptr().cast();
        // SAFETY: the caller's: image and group are inside the input; the block has a line of `pitch` for each line of the group, and pairs are
        // inside these; each group has results of its own.
        unsafe {
            std::slice::from_raw_parts_mut(input, s.ci * lines * pitch).fill(T::ZERO);
            let from = x.add(i * s.ci * x_plane);
            for line in 0..s.ci * lines {
                std::ptr::copy_nonoverlapping(from.add(line * x_line), input.add(line * pitch + front), x_line);
            }
            for o in 0..s.co {
                let kernel_of = w.add((i % s.groups * s.co + o) * s.ci * kernel);
                for (line, pairs) in meets.iter().enumerate() {
                    let to = y.add((i * s.co + o) * plane + line * y_line);
                    let (channels, input) = ([s.ci, kernel, lines * pitch], input.cast_const());
                    let dots = Dots { pairs, channels, len: k, kernel: kernel_of, input, to, count: y_line, step };
                    T::dots(vectors, dots);
                }
            }
        }
    });
    true
}

/// Positions whose sums stay in registers.
#[cfg(target_arch = "x86_64")]
const AT_ONCE: usize = 8;

/// Computes the sums.
///
/// # Safety
/// The CPU has the vectors; all lines have their elements, and nobody else uses the results.
#[cfg(target_arch = "x86_64")]
pub unsafe fn dots<L: Lanes>(dots: &Dots<L::T>) {
    for first in (0..dots.count).step_by(AT_ONCE) {
        macro_rules! sized {
            ($($N:literal)*) => {
                // SAFETY: the caller's.
                unsafe {
                    match AT_ONCE.min(dots.count - first) {
                        $( $N => L::enabled(Several::<L, $N> { dots, first }), )*
                        n => unreachable!("{n} positions at once"),
                    }
                }
            };
        }
        sized!(1 2 3 4 5 6 7 8);
    }
}

/// The sums of `N` positions.
#[cfg(target_arch = "x86_64")]
struct Several<'a, L: Lanes, const N: usize> {
    dots: &'a Dots<'a, L::T>,
    first: usize,
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes, const N: usize> Kernel for Several<'_, L, N> {
    /// # Safety
    /// As [`dots`].
    #[inline(always)]
    unsafe fn run(self) {
        let Dots { pairs, channels: [count, kernel_step, input_step], len, kernel, input, to, count: _, step } =
            *self.dots;
        let (input, to) = (input.wrapping_add(self.first * step), to.wrapping_add(self.first));
        let whole = len / L::LANES * L::LANES;
        // SAFETY: the caller's; behind the last whole vector of a line nothing is read but the rest.
        unsafe {
            let mut sums = [L::zero(); N];
            for c in 0..count {
                for (k, x) in pairs {
                    let k = kernel.wrapping_add(c * kernel_step + k);
                    let x = input.wrapping_add(c * input_step + x);
                    for p in (0..whole).step_by(L::LANES) {
                        let k = L::load(k.wrapping_add(p));
                        for (j, sum) in sums.iter_mut().enumerate() {
                            *sum = sum.fma(k, L::load(x.wrapping_add(p + j * step)));
                        }
                    }
                    if whole < len {
                        let rest = len - whole;
                        let k = L::load_first(k.wrapping_add(whole), rest);
                        for (j, sum) in sums.iter_mut().enumerate() {
                            *sum = sum.fma(k, L::load_first(x.wrapping_add(whole + j * step), rest));
                        }
                    }
                }
            }
            for (j, sum) in sums.into_iter().enumerate() {
                *to.add(j) = added(sum);
            }
        }
    }
}
