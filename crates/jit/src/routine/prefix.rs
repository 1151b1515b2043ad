//! Sums of the elements up to each one.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::axis::Shared;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, Kernel, Lanes};
use super::vectors::Vectors;
use crate::threads;

/// The elements of a block.
const BLOCK: usize = 8;

/// Sums of a block in `f64`. Every implementation adds in the same order: a block's sums in pairs, then in fours, then in all, where the last sum of a first
/// half is added to those of the second.
///
/// Methods touch what they say, and need only the instructions of their vectors, into whose functions they are inlined.
trait Block: Copy {
    /// Zeros.
    unsafe fn zero() -> Self;
    /// The sums up to each element of a block in memory.
    unsafe fn of(p: *const f32) -> Self;
    /// The last one in all places.
    unsafe fn last(self) -> Self;
    /// Elementwise.
    unsafe fn add(self, other: Self) -> Self;
    /// Rounded, to memory.
    unsafe fn store(self, p: *mut f32);
    /// The first one.
    unsafe fn first(self) -> f64;
}

/// Prefix sums of contiguous lines of `f32`, in `f64`: a block at a time, so that only one addition of each waits for the last. 512 bits are no faster,
/// for most of the work is to convert and to move.
///
/// # Safety
/// The CPU has the vectors; `x` and `y` have `lines · n` elements.
pub unsafe fn prefix_sums(vectors: Vectors, lines: usize, n: usize, x: *const f32, y: *mut f32) {
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let pieces = lines.min(256);
    threads::for_each(pieces, (lines * n) as u64 / 3, &|piece| {
        let from = piece * lines / pieces;
        let lines = (piece + 1) * lines / pieces - from;
        // SAFETY: the caller's; lines are disjoint.
        unsafe {
            let (x, y) = (x.get().add(from * n).cast_const(), y.get().add(from * n));
            match vectors {
                #[cfg(target_arch = "x86_64")]
                Vectors::V256 | Vectors::V512 => F64x4::enabled(Lines::<[__m256d; 2]>::new(lines, n, x, y)),
                Vectors::Portable => Lines::<[f64; BLOCK]>::new(lines, n, x, y).sums(),
            }
        }
    });
}

/// Lines of `n` elements behind each other.
struct Lines<B> {
    lines: usize,
    n: usize,
    x: *const f32,
    y: *mut f32,
    block: PhantomData<B>,
}

impl<B: Block> Lines<B> {
    fn new(lines: usize, n: usize, x: *const f32, y: *mut f32) -> Self {
        Lines { lines, n, x, y, block: PhantomData }
    }

    /// # Safety
    /// As [`prefix_sums`].
    #[inline(always)]
    unsafe fn sums(self) {
        let whole = self.n - self.n % BLOCK;
        for line in 0..self.lines {
            // SAFETY: the caller's.
            unsafe {
                let (x, y) = (self.x.add(line * self.n), self.y.add(line * self.n));
                let mut before = B::zero();
                for k in (0..whole).step_by(BLOCK) {
                    let sums = B::of(x.add(k));
                    before.add(sums).store(y.add(k));
                    before = before.add(sums.last());
                }
                let mut sum = before.first();
                for k in whole..self.n {
                    sum += f64::from(*x.add(k));
                    *y.add(k) = sum as f32;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<B: Block> Kernel for Lines<B> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.sums() }
    }
}

impl Block for [f64; BLOCK] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; BLOCK]
    }
    #[inline(always)]
    unsafe fn of(p: *const f32) -> Self {
        // SAFETY: the trait's.
        let mut sums: Self = std::array::from_fn(|i| f64::from(unsafe { *p.add(i) }));
        for half in [1, 2, 4] {
            for part in sums.chunks_exact_mut(2 * half) {
                let last = part[half - 1];
                part[half..].iter_mut().for_each(|sum| *sum += last);
            }
        }
        sums
    }
    #[inline(always)]
    unsafe fn last(self) -> Self {
        [self[BLOCK - 1]; BLOCK]
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        for (i, sum) in self.into_iter().enumerate() {
            // SAFETY: the trait's.
            unsafe { *p.add(i) = sum as f32 };
        }
    }
    #[inline(always)]
    unsafe fn first(self) -> f64 {
        self[0]
    }
}

#[cfg(target_arch = "x86_64")]
impl Block for [__m256d; 2] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the trait's.
        [unsafe { _mm256_setzero_pd() }; 2]
    }
    #[inline(always)]
    unsafe fn of(p: *const f32) -> Self {
        // SAFETY: the trait's.
        unsafe {
            let [a, b] = [fours(p), fours(p.add(4))];
            [a, _mm256_add_pd(b, _mm256_permute4x64_pd::<0xff>(a))]
        }
    }
    #[inline(always)]
    unsafe fn last(self) -> Self {
        // SAFETY: the trait's.
        [unsafe { _mm256_permute4x64_pd::<0xff>(self[1]) }; 2]
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { [_mm256_add_pd(self[0], other[0]), _mm256_add_pd(self[1], other[1])] }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the trait's.
        unsafe {
            _mm_storeu_ps(p, _mm256_cvtpd_ps(self[0]));
            _mm_storeu_ps(p.add(4), _mm256_cvtpd_ps(self[1]));
        }
    }
    #[inline(always)]
    unsafe fn first(self) -> f64 {
        // SAFETY: the trait's.
        unsafe { _mm256_cvtsd_f64(self[0]) }
    }
}

/// The sums up to each of four elements.
///
/// # Safety
/// The CPU has AVX2, and there are four elements.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn fours(p: *const f32) -> __m256d {
    // SAFETY: the caller's.
    unsafe {
        // Zeros in the places of first halves change no sum of elements that are not all −0, and no line begins with −0 but with 0.
        let zero = _mm256_setzero_pd();
        let x = _mm256_cvtps_pd(_mm_loadu_ps(p));
        let pairs = _mm256_add_pd(x, _mm256_unpacklo_pd(zero, x));
        _mm256_add_pd(pairs, _mm256_blend_pd::<0b1100>(zero, _mm256_permute4x64_pd::<0b0101_0000>(pairs)))
    }
}
