//! The floats of convolutions.

use super::channels::{self, Turned};
#[cfg(target_arch = "x86_64")]
use super::lanes::{F32x8, F32x16, F64x4, F64x8, Lanes};
use super::long::{Chunk, steps as sums};
#[cfg(target_arch = "x86_64")]
use super::sliding;
use super::winograd::steps;
use super::{Left, Onto, Operand, Ring, Target, Vectors, correlate, planes, transpose};

/// The floats of convolutions.
pub trait Real: Ring + PartialOrd + std::ops::AddAssign + std::ops::Mul<Output = Self> {
    /// One half.
    const HALF: Self;
    /// Turns kernels into matrices of [`super::winograd`].
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; as [`steps::kernels`].
    unsafe fn kernels(vectors: Vectors, kernels: steps::Kernels<Self>);
    /// Turns windows of an image into matrices of [`super::winograd`].
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; as [`steps::windows`].
    unsafe fn windows(vectors: Vectors, windows: steps::Windows<Self>);
    /// Makes parts of the result of their products. Whether all of these elements are finite.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; as [`steps::results`].
    unsafe fn results(vectors: Vectors, results: steps::Results<Self>) -> bool;
    /// Computes sums over lines.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; all lines have their elements, and nobody else uses the results.
    unsafe fn dots(vectors: Vectors, dots: correlate::Dots<Self>);
    /// Computes rows of a plane.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; as [`planes::plane`].
    unsafe fn plane(vectors: Vectors, plane: planes::Plane<Self>);
    /// The lanes of a vector.
    fn lanes(vectors: Vectors) -> usize;
    /// The most rows of a register tile.
    fn rows(vectors: Vectors) -> usize;
    /// Adds products of some kernel elements.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; as [`sums::long`].
    unsafe fn long(vectors: Vectors, all: sums::Sums<Self>, chunks: &[Chunk]);
    /// The weights of `co` channels with `k` rows each as panels of two vectors of channels.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; `w` has as many elements, and `to` has room for them and for whole pairs of vectors, which nobody
    /// else uses.
    unsafe fn pack_channels(vectors: Vectors, k_co: [usize; 2], w: Operand<Self>, to: *mut Self);
    /// Computes lines of a convolution from such panels.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; all elements of the lines and of the image that they meet exist, and nobody else uses the result's
    /// and the sums.
    unsafe fn turned(vectors: Vectors, turned: Turned<Self>);
    /// The panels of `a`, which has `m` rows and `k` columns, for [`Real::sliding`].
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; the elements exist, `to` has room for as many, and nobody else uses it.
    unsafe fn pack(vectors: Vectors, mk: [usize; 2], a: Operand<Self>, to: *mut Self);
    /// The product of `a` and `b` goes `onto` `c`, where row `p` of `b` begins at `b + places[p]`.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; all of these elements exist, those of `b` up to [`SLIDING_STEP`] columns, and nobody else
    /// uses those of `c`.
    unsafe fn sliding(
        vectors: Vectors,
        mn: [usize; 2],
        a: Left<Self>,
        b: *const Self,
        places: &[usize],
        c: Target<Self>,
        onto: Onto,
    );
    /// `to[i + j · step] = from[j + i · stride]` for `i < m` and `j < n`.
    ///
    /// # Safety
    /// The CPU has the vectors; all of these elements exist, and nobody else uses those of `to`.
    unsafe fn transpose(vectors: Vectors, mn: [usize; 2], from: *const Self, stride: isize, to: *mut Self, step: usize);
    /// As [`Real::transpose`], `count` matrices `from` where each is `apart` from the one before `to` where they follow one another without gaps.
    ///
    /// # Safety
    /// As [`Real::transpose`], for all of them.
    unsafe fn transpose_each(
        vectors: Vectors,
        count: usize,
        mn: [usize; 2],
        from_to: [*mut Self; 2],
        stride: isize,
        apart: isize,
    );
}

macro_rules! real {
    ($($T:ty: $V256:ident $V512:ident),*) => { $(
        impl Real for $T {
            const HALF: Self = 0.5;
            unsafe fn kernels(vectors: Vectors, kernels: steps::Kernels<Self>) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { steps::kernels::<L>(kernels) }, else => {
                    let _ = kernels;
                    unreachable!("portable code gathers")
                })
            }
            unsafe fn windows(vectors: Vectors, windows: steps::Windows<Self>) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { steps::windows::<L>(windows) }, else => {
                    let _ = windows;
                    unreachable!("portable code gathers")
                })
            }
            unsafe fn results(vectors: Vectors, results: steps::Results<Self>) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { steps::results::<L>(results) }, else => {
                    let _ = results;
                    unreachable!("portable code gathers")
                })
            }
            unsafe fn dots(vectors: Vectors, dots: correlate::Dots<Self>) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { correlate::dots::<$V256, L>(&dots) }, else => {
                    let _ = dots;
                    unreachable!("portable code gathers")
                })
            }
            unsafe fn plane(vectors: Vectors, plane: planes::Plane<Self>) {
                // SAFETY: the caller's; whoever has 512 bits has 256.
                by_vectors!(vectors, $V256 $V512, L => unsafe { planes::plane::<$V256, L>(plane) }, else => {
                    let _ = plane;
                    unreachable!("portable code gathers")
                })
            }
            fn lanes(vectors: Vectors) -> usize {
                by_vectors!(vectors, $V256 $V512, L => <L as Lanes>::LANES, else => 1)
            }
            fn rows(vectors: Vectors) -> usize {
                by_vectors!(vectors, $V256 $V512, L => <L as Lanes>::ROWS, else => 1)
            }
            unsafe fn long(vectors: Vectors, all: sums::Sums<Self>, chunks: &[Chunk]) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { sums::long::<L>(&all, chunks) }, else => {
                    let _ = (all.to, chunks);
                    unreachable!("portable code gathers")
                })
            }
            unsafe fn pack_channels(vectors: Vectors, k_co: [usize; 2], w: Operand<Self>, to: *mut Self) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { channels::pack::<L>(k_co, w, to) }, else => {
                    let _ = (k_co, w, to);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn turned(vectors: Vectors, turned: Turned<Self>) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { channels::turned::<L>(&turned) }, else => {
                    let _ = turned;
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn pack(vectors: Vectors, mk: [usize; 2], a: Operand<Self>, to: *mut Self) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { sliding::pack::<L>(mk, a, to) }, else => {
                    let _ = (mk, a, to);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn sliding(
                vectors: Vectors,
                mn: [usize; 2],
                a: Left<Self>,
                b: *const Self,
                places: &[usize],
                c: Target<Self>,
                onto: Onto,
            ) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { sliding::sliding::<L>(mn, a, b, places, c, onto) }, else => {
                    let _ = (mn, a.0, b, places, c, onto);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn transpose_each(
                vectors: Vectors,
                count: usize,
                [m, n]: [usize; 2],
                [from, to]: [*mut Self; 2],
                stride: isize,
                apart: isize,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    by_vectors!(vectors, $V256 $V512, L => transpose::each_in_squares::<L>(count, [m, n], [from, to], stride, apart), else => {
                        for i in 0..count {
                            let from = from.wrapping_offset(apart * i as isize).cast_const();
                            transpose::plain([0..m, 0..n], from, stride, to.wrapping_add(m * n * i), m);
                        }
                    })
                }
            }
            unsafe fn transpose(
                vectors: Vectors,
                [m, n]: [usize; 2],
                from: *const Self,
                stride: isize,
                to: *mut Self,
                step: usize,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    by_vectors!(vectors, $V256 $V512, L => transpose::in_squares::<L>([m, n], from, stride, to, step), else => {
                        transpose::plain([0..m, 0..n], from, stride, to, step);
                    })
                }
            }
        }
    )* };
}
real!(f32: F32x8 F32x16, f64: F64x4 F64x8);
