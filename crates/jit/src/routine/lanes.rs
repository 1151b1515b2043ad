//! Vectors of 256 bits of `f32` and `f64`, as the register tiles of matrix products use them.

use std::arch::x86_64::*;

/// A float type with its vectors.
///
/// # Safety
/// All `unsafe` methods need a CPU with AVX2 and FMA, and addresses of as many elements as they touch; they are inlined into
/// functions that enable the features.
pub unsafe trait Lanes: Copy + Default + Send + Sync + 'static {
    /// A vector.
    type V: Copy;
    /// Its elements.
    const LANES: usize;
    /// The sum of two elements.
    fn plus(a: Self, b: Self) -> Self;
    /// A vector from memory.
    unsafe fn load(p: *const Self) -> Self::V;
    /// The first `n < LANES` elements from memory, zeros behind.
    unsafe fn load_first(p: *const Self, n: usize) -> Self::V;
    /// A vector to memory.
    unsafe fn store(p: *mut Self, v: Self::V);
    /// One element in all lanes.
    unsafe fn splat(p: *const Self) -> Self::V;
    /// Zeros.
    unsafe fn zero() -> Self::V;
    /// `a·b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `to[j + i · step] = from[i + j · stride]` for a square of `LANES`.
    unsafe fn transpose(from: *const Self, stride: isize, to: *mut Self, step: usize);
}

/// Windows of ones followed by zeros.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

// SAFETY: the methods touch what the trait says and need only the features that it names.
unsafe impl Lanes for f32 {
    type V = __m256;
    const LANES: usize = 8;
    #[inline(always)]
    fn plus(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        // SAFETY: the trait's.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> __m256 {
        // SAFETY: the trait's; `n < 8` keeps the window inside the table.
        unsafe { _mm256_maskload_ps(p, _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast())) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        // SAFETY: the trait's.
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> __m256 {
        // SAFETY: the trait's.
        unsafe { _mm256_broadcast_ss(&*p) }
    }
    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: the trait's.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the trait's.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the trait's.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: isize, to: *mut f32, step: usize) {
        // SAFETY: the trait's.
        unsafe {
            let r: [__m256; 8] = std::array::from_fn(|j| _mm256_loadu_ps(from.offset(j as isize * stride)));
            // Pairs of rows, then fours, then halves.
            let quads = |base: usize| {
                let low = [_mm256_unpacklo_ps(r[base], r[base + 1]), _mm256_unpacklo_ps(r[base + 2], r[base + 3])];
                let high = [_mm256_unpackhi_ps(r[base], r[base + 1]), _mm256_unpackhi_ps(r[base + 2], r[base + 3])];
                [
                    _mm256_shuffle_ps(low[0], low[1], 0x44),
                    _mm256_shuffle_ps(low[0], low[1], 0xEE),
                    _mm256_shuffle_ps(high[0], high[1], 0x44),
                    _mm256_shuffle_ps(high[0], high[1], 0xEE),
                ]
            };
            let (upper, lower) = (quads(0), quads(4));
            for i in 0..4 {
                _mm256_storeu_ps(to.add(i * step), _mm256_permute2f128_ps(upper[i], lower[i], 0x20));
                _mm256_storeu_ps(to.add((i + 4) * step), _mm256_permute2f128_ps(upper[i], lower[i], 0x31));
            }
        }
    }
}

// SAFETY: as above.
unsafe impl Lanes for f64 {
    type V = __m256d;
    const LANES: usize = 4;
    #[inline(always)]
    fn plus(a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> __m256d {
        // SAFETY: the trait's.
        unsafe { _mm256_loadu_pd(p) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f64, n: usize) -> __m256d {
        // SAFETY: the trait's; two words of the table for each lane.
        unsafe { _mm256_maskload_pd(p, _mm256_loadu_si256(MASKS.as_ptr().add(8 - 2 * n).cast())) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f64, v: __m256d) {
        // SAFETY: the trait's.
        unsafe { _mm256_storeu_pd(p, v) }
    }
    #[inline(always)]
    unsafe fn splat(p: *const f64) -> __m256d {
        // SAFETY: the trait's.
        unsafe { _mm256_broadcast_sd(&*p) }
    }
    #[inline(always)]
    unsafe fn zero() -> __m256d {
        // SAFETY: the trait's.
        unsafe { _mm256_setzero_pd() }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: the trait's.
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: the trait's.
        unsafe { _mm256_add_pd(a, b) }
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f64, stride: isize, to: *mut f64, step: usize) {
        // SAFETY: the trait's.
        unsafe {
            let r: [__m256d; 4] = std::array::from_fn(|j| _mm256_loadu_pd(from.offset(j as isize * stride)));
            let (a, b) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
            let (c, d) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
            _mm256_storeu_pd(to, _mm256_permute2f128_pd(a, c, 0x20));
            _mm256_storeu_pd(to.add(step), _mm256_permute2f128_pd(b, d, 0x20));
            _mm256_storeu_pd(to.add(2 * step), _mm256_permute2f128_pd(a, c, 0x31));
            _mm256_storeu_pd(to.add(3 * step), _mm256_permute2f128_pd(b, d, 0x31));
        }
    }
}
