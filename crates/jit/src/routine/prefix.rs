//! Sums of the elements up to each one.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::axis::Shared;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F32x8, F64x8, Kernel, Lanes};
use super::vectors::{Loops, Vectors, with};
use crate::threads;

/// So many elements are added up side by side.
const BLOCK: usize = 8;

/// The floats of lines.
pub trait Float: Copy {
    /// As `f64`.
    fn wide(self) -> f64;
    /// Rounded.
    fn narrow(x: f64) -> Self;
    /// The first `n` elements, up to [`BLOCK`], as `f64`, zeros behind.
    ///
    /// # Safety
    /// There are so many, and the CPU has 512 bits.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load(p: *const Self, n: usize) -> __m512d;
    /// As many, rounded, to memory.
    ///
    /// # Safety
    /// There is room for so many, and the CPU has 512 bits.
    #[cfg(target_arch = "x86_64")]
    unsafe fn store(p: *mut Self, n: usize, x: __m512d);
}

impl Float for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn narrow(x: f64) -> Self {
        x as f32
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(p: *const f32, n: usize) -> __m512d {
        // SAFETY: the caller's.
        unsafe { _mm512_cvtps_pd(if n == BLOCK { F32x8::load(p) } else { F32x8::load_first(p, n) }.0) }
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn store(p: *mut f32, n: usize, x: __m512d) {
        // SAFETY: the caller's.
        unsafe {
            let x = F32x8(_mm512_cvtpd_ps(x));
            if n == BLOCK { x.store(p) } else { x.store_first(p, n) }
        }
    }
}

impl Float for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(x: f64) -> Self {
        x
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(p: *const f64, n: usize) -> __m512d {
        // SAFETY: the caller's.
        unsafe { if n == BLOCK { F64x8::load(p) } else { F64x8::load_first(p, n) }.0 }
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn store(p: *mut f64, n: usize, x: __m512d) {
        // SAFETY: the caller's.
        unsafe { if n == BLOCK { F64x8(x).store(p) } else { F64x8(x).store_first(p, n) } }
    }
}

/// Prefix sums of contiguous lines, in `f64`: eight elements at a time, so that only one addition of each block waits for the last.
///
/// # Safety
/// `x` and `y` have `lines · n` elements, and the CPU has the vectors.
pub unsafe fn prefix_sums<T: Float>(vectors: Vectors, lines: usize, n: usize, x: *const T, y: *mut T) {
    let (x, y) = (Shared(x.cast_mut()), Shared(y));
    let pieces = lines.min(256);
    threads::for_each(pieces, (lines * n) as u64 / 2, &|piece| {
        let part = piece * lines / pieces * n..(piece + 1) * lines / pieces * n;
        // SAFETY: the caller's; lines are disjoint.
        unsafe {
            let x = std::slice::from_raw_parts(x.get().add(part.start).cast_const(), part.len());
            let y = std::slice::from_raw_parts_mut(y.get().add(part.start), part.len());
            match vectors {
                #[cfg(target_arch = "x86_64")]
                Vectors::V512 => F64x8::enabled(Lines { n, x, y }),
                #[cfg(target_arch = "x86_64")]
                Vectors::V256 => with(vectors, Lines { n, x, y }),
                Vectors::Portable => with(vectors, Lines { n, x, y }),
            }
        }
    });
}

/// Neighbouring lines of `n` elements and their sums.
struct Lines<'a, T> {
    n: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Float> Loops for Lines<'_, T> {
    /// # Safety
    /// None.
    #[inline(always)]
    unsafe fn run(self) {
        // Lines without elements have no sums.
        let n = self.n.max(1);
        for (x, y) in self.x.chunks_exact(n).zip(self.y.chunks_exact_mut(n)) {
            let mut sum = 0.0;
            let (xs, ys) = (x.as_chunks::<BLOCK>(), y.as_chunks_mut::<BLOCK>());
            for (x, y) in xs.0.iter().zip(ys.0) {
                let mut p = x.map(Float::wide);
                for step in [1, 2, 4] {
                    let q = p;
                    for i in step..BLOCK {
                        p[i] += q[i - step];
                    }
                }
                *y = p.map(|p| T::narrow(sum + p));
                sum += p[BLOCK - 1];
            }
            for (x, y) in xs.1.iter().zip(ys.1) {
                sum += x.wide();
                *y = T::narrow(sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<T: Float> Kernel for Lines<'_, T> {
    /// The same sums in the same order, of blocks in one register.
    ///
    /// # Safety
    /// None but that the CPU has 512 bits.
    #[inline(always)]
    unsafe fn run(self) {
        let n = self.n.max(1);
        for (x, y) in self.x.chunks_exact(n).zip(self.y.chunks_exact_mut(n)) {
            // SAFETY: blocks lie inside of the lines.
            unsafe {
                let (zero, last) = (_mm512_setzero_pd(), _mm512_set1_epi64(BLOCK as i64 - 1));
                let mut sum = zero;
                for at in (0..n).step_by(BLOCK) {
                    let count = BLOCK.min(n - at);
                    let mut p = T::load(x.as_ptr().add(at), count);
                    p = _mm512_add_pd(p, moved::<7>(p, zero));
                    p = _mm512_add_pd(p, moved::<6>(p, zero));
                    p = _mm512_add_pd(p, moved::<4>(p, zero));
                    T::store(y.as_mut_ptr().add(at), count, _mm512_add_pd(sum, p));
                    // Nothing but the addition waits for the last block.
                    sum = _mm512_add_pd(sum, _mm512_permutexvar_pd(last, p));
                }
            }
        }
    }
}

/// The lanes of `p` moved up by `8 - BACK`, behind zeros.
///
/// # Safety
/// The CPU has AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn moved<const BACK: i32>(p: __m512d, zero: __m512d) -> __m512d {
    // SAFETY: the caller's.
    unsafe { _mm512_castsi512_pd(_mm512_alignr_epi64::<BACK>(_mm512_castpd_si512(p), _mm512_castpd_si512(zero))) }
}
