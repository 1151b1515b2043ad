//! Convolutions of single planes, as depthwise layers have: each group has one channel.
//!
//! A product would have one row for each result and nothing to share. So a few rows of the result are sums in registers, and what a kernel element
//! meets along a row is a vector of the input where it lies, of which a mask keeps what is inside: no image gets borders. A vector that is read
//! serves all rows of the result that meet it. Measured with 3 × 3 on 1,024 planes of 28 × 28, half of the time of a product went into the borders.

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
#[cfg(target_arch = "x86_64")]
use super::lanes::Kernel;
#[cfg(target_arch = "x86_64")]
use super::spans::Spans;
use super::{Real, Vectors};
use crate::memory::Block;
use crate::threads;

/// Pieces that threads share.
const PIECES: usize = 32;
/// The most channels of the result in a group: of more, a product shares what they read.
const CHANNELS: usize = 2;
/// Rows of the result that are summed at once.
const AT_ONCE: usize = 4;
/// The most elements of a row that a mask may begin before, or end behind: twice those of the longest vector.
const BESIDE: usize = 32;

/// How far a kernel may reach, and its first element be from the input.
const FAR: isize = 1 << 16;

/// Where the positions of a plane's result meet its input.
#[derive(Clone, Copy)]
pub struct Meeting {
    x: [usize; 2],
    y: [usize; 2],
    k: [usize; 2],
    /// The positions of the input between neighbours of the result: 1 or 2.
    stride: usize,
    dilation: [usize; 2],
    /// What the first position of the result meets first is so far before the input.
    front: [isize; 2],
    /// Whether kernel elements stand in reverse, as in the transposed form.
    reversed: bool,
}

impl Meeting {
    /// The meeting of a convolution that has this form.
    fn new(op: &Convolution, s: &Sizes) -> Option<Self> {
        let pair = |v: &[usize]| <[usize; 2]>::try_from(v).ok();
        let (x, y, k) = (pair(&s.x)?, pair(&s.y)?, pair(&s.k)?);
        let ([down, along], dilation, padding) = (pair(&op.stride)?, pair(&op.dilation)?, pair(&op.padding)?);
        let is_strided = down == along && (along == 1 || (along == 2 && !op.transposed));
        if s.ci != 1 || s.co > CHANNELS || !is_strided || k.contains(&0) || x.contains(&0) {
            return None;
        }
        let mut front = [0; 2];
        for d in 0..2 {
            let reach = isize::try_from((k[d] - 1).checked_mul(dilation[d])?).ok()?;
            let padding = isize::try_from(padding[d]).ok()?;
            front[d] = if op.transposed { reach - padding } else { padding };
            // Both are any numbers: rows of zeros are as long, and sums of places do not overflow.
            if front[d].abs() > FAR || reach > FAR {
                return None;
            }
        }
        Some(Meeting { x, y, k, stride: along, dilation, front, reversed: op.transposed })
    }
}

/// Rows of one plane of the result.
pub struct Plane<'a, T> {
    meeting: &'a Meeting,
    rows: Range<usize>,
    x: *const T,
    w: *const T,
    y: *mut T,
    /// What stands for rows beside the input: zeros wherever a kernel row reaches.
    zeros: *const T,
}

/// Computes a convolution if it has this form; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of the result's is 0, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    if vectors == Vectors::Portable {
        return false;
    }
    let Some(meeting) = Meeting::new(op, s) else { return false };
    let Meeting { x: input, y: result, k, .. } = meeting;
    let (x_plane, plane, kernel) = (input[0] * input[1], result[0] * result[1], k[0] * k[1]);
    let beside = (k[1] - 1) * meeting.dilation[1] + BESIDE;
    let zeros = Block::new(beside * size_of::<T>());
    // SAFETY: the block has as many elements.
    unsafe { std::slice::from_raw_parts_mut(zeros.as_ptr().cast::<T>(), beside) }.fill(T::ZERO);
    let planes = s.images * s.groups * s.co;
    // Few planes are cut into parts of whole steps, many are taken several at a time.
    let steps = result[0].div_ceil(AT_ONCE);
    let parts = PIECES.div_ceil(planes).min(steps);
    let pieces = (planes * parts).min(PIECES);
    let cost = (planes * plane) as u64 * (kernel as u64 + 4) / 16;
    let pointers = Pointers(x, w, y);
    let zeros = Pointers(zeros.as_ptr().cast::<T>().cast_const(), x, y);
    threads::for_each(pieces, cost, &|piece| {
        let ((x, w, y), (zeros, ..)) = (pointers.get(), zeros.get());
        let end = |piece: usize| piece * planes * parts / pieces;
        for unit in end(piece)..end(piece + 1) {
            let (of, part) = (unit / parts, unit % parts);
            let cut = |part: usize| (part * steps / parts * AT_ONCE).min(result[0]);
            let (image, channel) = (of / s.co, of % (s.groups * s.co));
            // SAFETY: the caller's: planes of the input are one for each image and group, kernels for each channel of the result; each unit has rows
            // of its own; the zeros reach as far as a row of the kernel and two vectors.
            unsafe {
                T::plane(
                    vectors,
                    Plane {
                        meeting: &meeting,
                        rows: cut(part)..cut(part + 1),
                        x: x.add(image * x_plane),
                        w: w.add(channel * kernel),
                        y: y.add(of * plane),
                        zeros,
                    },
                );
            }
        }
    });
    true
}

/// Computes rows of a plane with vectors `L`, or with `N`, which are half as long, if fewer lanes are idle then and the CPU adds them twice as fast.
///
/// # Safety
/// The CPU has both vectors; `x` is a plane of the input, `w` a kernel, `y` a plane of the result with the rows, which nobody else uses; `zeros` are
/// the positions of a row of the kernel and two vectors more.
#[cfg(target_arch = "x86_64")]
pub unsafe fn plane<N: Spans, L: Spans<T = N::T>>(plane: Plane<N::T>) {
    let width = plane.meeting.y[1];
    // SAFETY: the caller's.
    unsafe {
        let fewer = width.next_multiple_of(N::LANES) < width.next_multiple_of(L::LANES);
        if fewer && (width <= N::LANES || Vectors::has_halves()) {
            strided::<N>(plane);
        } else {
            strided::<L>(plane);
        }
    }
}

/// # Safety
/// As [`plane`].
#[cfg(target_arch = "x86_64")]
unsafe fn strided<L: Spans>(plane: Plane<L::T>) {
    let is_high = plane.rows.len() >= AT_ONCE;
    // SAFETY: the caller's.
    unsafe {
        match (plane.meeting.stride, is_high) {
            (1, true) => L::enabled(Rows::<L, 1, AT_ONCE>(plane)),
            (1, false) => L::enabled(Rows::<L, 1, 1>(plane)),
            (_, true) => L::enabled(Rows::<L, 2, AT_ONCE>(plane)),
            (_, false) => L::enabled(Rows::<L, 2, 1>(plane)),
        }
    }
}

/// Rows of a plane with stride `S`, `R` at once.
#[cfg(target_arch = "x86_64")]
struct Rows<'a, L: Spans, const S: usize, const R: usize>(Plane<'a, L::T>);

#[cfg(target_arch = "x86_64")]
impl<L: Spans, const S: usize, const R: usize> Kernel for Rows<'_, L, S, R> {
    /// # Safety
    /// As [`plane`]; there are at least `R` rows, and the stride is `S`.
    #[inline(always)]
    unsafe fn run(self) {
        let Meeting { y: [_, width], k: [high, _], dilation, .. } = *self.0.meeting;
        let mut first = self.0.rows.start;
        while first < self.0.rows.end {
            // The last rows are summed with some of those before them once more.
            let row = first.min(self.0.rows.end - R);
            for column in (0..width).step_by(L::LANES) {
                // SAFETY: the caller's.
                unsafe {
                    let mut sums = [L::zero(); R];
                    let mut k = 0;
                    while k < high {
                        let left = if dilation[0] == 1 { high - k } else { 1 };
                        k += match left {
                            1 => self.kernel_rows::<1>(&mut sums, [row, column], k),
                            2 => self.kernel_rows::<2>(&mut sums, [row, column], k),
                            _ => self.kernel_rows::<3>(&mut sums, [row, column], k),
                        };
                    }
                    for (r, sum) in sums.into_iter().enumerate() {
                        let to = self.0.y.wrapping_add((row + r) * width + column);
                        if width - column >= L::LANES { sum.store(to) } else { sum.store_first(to, width - column) }
                    }
                }
            }
            first += R;
        }
    }
}

/// The most rows of the input that rows of the result meet at once, through three rows of the kernel.
#[cfg(target_arch = "x86_64")]
const MOST: usize = (AT_ONCE - 1) * 2 + 3;

#[cfg(target_arch = "x86_64")]
impl<L: Spans, const S: usize, const R: usize> Rows<'_, L, S, R> {
    /// Adds what `D` rows of the kernel from `k` on meet; there are neighbours if `D > 1`.
    ///
    /// # Safety
    /// As [`plane`].
    #[inline(always)]
    unsafe fn kernel_rows<const D: usize>(&self, sums: &mut [L; R], at: [usize; 2], k: usize) -> usize {
        let Plane { meeting: Meeting { x, k: [_, wide], dilation, front, .. }, x: from, zeros, .. } = &self.0;
        let place = |d: usize| (at[d] * S) as isize - front[d];
        let (top, left) = (place(0) + (k * dilation[0]) as isize, place(1));
        let base: [*const L::T; MOST] = std::array::from_fn(|i| match usize::try_from(top + i as isize) {
            Ok(row) if row < x[0] => from.wrapping_offset((row * x[1]) as isize + left),
            Ok(_) | Err(_) => *zeros,
        });
        // With a stride of 2, two neighbours of the kernel meet elements of the same two vectors.
        let is_pair = S == 2 && dilation[1] == 1;
        let mut c = 0;
        // SAFETY: the caller's; lanes outside of a row are not touched, and rows outside of the input are zeros.
        unsafe {
            while is_pair && c + 1 < *wide {
                self.kernel_columns::<D, 2>(sums, &base, left, [k, c]);
                c += 2;
            }
            while c < *wide {
                self.kernel_columns::<D, 1>(sums, &base, left, [k, c]);
                c += 1;
            }
        }
        D
    }

    /// As [`Rows::kernel_rows`], for `C` columns of the kernel from `k[1]` on.
    ///
    /// # Safety
    /// As [`plane`].
    #[inline(always)]
    unsafe fn kernel_columns<const D: usize, const C: usize>(
        &self,
        sums: &mut [L; R],
        base: &[*const L::T; MOST],
        left: isize,
        k: [usize; 2],
    ) {
        let Meeting { x: [_, width], dilation, .. } = self.0.meeting;
        let at = k[1] * dilation[1];
        // Lanes that are inside of a row: of the vector from here on, and of the one behind it.
        let inside = |vector: usize| {
            let first = left + (at + vector * L::LANES) as isize;
            let clamp = |n: isize| n.clamp(0, L::LANES as isize) as usize;
            clamp(-first)..clamp(*width as isize - first)
        };
        // SAFETY: the caller's.
        unsafe {
            let weights: [[L; D]; C] =
                std::array::from_fn(|c| std::array::from_fn(|d| L::splat(self.weight([k[0] + d, k[1] + c]))));
            let masks = [L::mask(inside(0)), L::mask(inside(1))];
            let read = |p: *const L::T| -> [L; 2] {
                let (p, low) = (p.wrapping_add(at), L::load_inside(p.wrapping_add(at), masks[0]));
                if S == 1 {
                    return [low, low];
                }
                L::split(low, L::load_inside(p.wrapping_add(L::LANES), masks[1]))
            };
            // Written out, so that sums stay in registers: row `i` of the input meets row `r` of the result through row `i - r · S` of the kernel.
            macro_rules! meets {
                ($i:literal: $($r:literal)*) => {
                    if $i < (R - 1) * S + D && (D >= S || $i % S == 0) {
                        let xs = read(base[$i]);
                        $( if $r < R && $i >= $r * S && $i - $r * S < D {
                            for c in 0..C {
                                sums[$r] = sums[$r].fma(weights[c][$i - $r * S], xs[c]);
                            }
                        } )*
                    }
                };
            }
            meets!(0: 0 1 2 3);
            meets!(1: 0 1 2 3);
            meets!(2: 0 1 2 3);
            meets!(3: 0 1 2 3);
            meets!(4: 0 1 2 3);
            meets!(5: 0 1 2 3);
            meets!(6: 0 1 2 3);
            meets!(7: 0 1 2 3);
            meets!(8: 0 1 2 3);
        }
    }

    /// Where an element of the kernel stands.
    #[inline(always)]
    fn weight(&self, [row, column]: [usize; 2]) -> *const L::T {
        let Meeting { k: [high, wide], reversed, .. } = self.0.meeting;
        let i = row * wide + column;
        self.0.w.wrapping_add(if *reversed { high * wide - 1 - i } else { i })
    }
}
