//! Vectors of which some lanes in the middle are read, every second element of two of them, and what puts these together again.

use std::arch::x86_64::*;
use std::ops::Range;

use super::lanes::{F32x8, F32x16, F64x4, F64x8, Lanes};

/// A vector that is read in spans.
///
/// # Safety
/// As [`Lanes`].
pub unsafe trait Spans: Lanes {
    /// Some lanes.
    type Mask: Copy;
    /// Those of a range, of which both ends are at most `LANES`; none if it ends before it begins.
    unsafe fn mask(lanes: Range<usize>) -> Self::Mask;
    /// These lanes from memory, zeros in the others, which are not touched.
    unsafe fn load_inside(p: *const Self::T, mask: Self::Mask) -> Self;
    /// The even and the odd elements of two vectors, one behind the other.
    unsafe fn split(low: Self, high: Self) -> [Self; 2];
    /// The two vectors, one behind the other, that [`Spans::split`] splits into these.
    unsafe fn joined(even: Self, odd: Self) -> [Self; 2];
    /// The first `n ≤ LANES` lanes, zeros behind.
    unsafe fn first(self, n: usize) -> Self;
}

/// Windows of ones followed by zeros.
static ONES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The lanes of a range, of `words` words each, of 256 bits.
///
/// # Safety
/// The CPU has AVX2, and both ends are at most 8 words.
#[inline(always)]
unsafe fn between(lanes: Range<usize>, words: usize) -> __m256i {
    // SAFETY: both windows are inside the table.
    unsafe {
        let first = |n: usize| _mm256_loadu_si256(ONES.as_ptr().add(8 - n * words).cast());
        _mm256_andnot_si256(first(lanes.start), first(lanes.end))
    }
}

/// As a mask of bits.
#[inline(always)]
fn bits(lanes: Range<usize>) -> u16 {
    let first = |n: usize| ((1u32 << n) - 1) as u16;
    first(lanes.end) & !first(lanes.start)
}

// SAFETY (all four): lanes outside of a mask are not touched.
unsafe impl Spans for F32x8 {
    type Mask = __m256i;
    #[inline(always)]
    unsafe fn mask(lanes: Range<usize>) -> __m256i {
        // SAFETY: the trait's.
        unsafe { between(lanes, 1) }
    }
    #[inline(always)]
    unsafe fn load_inside(p: *const f32, mask: __m256i) -> Self {
        // SAFETY: the trait's.
        F32x8(unsafe { _mm256_maskload_ps(p, mask) })
    }
    #[inline(always)]
    unsafe fn split(low: Self, high: Self) -> [Self; 2] {
        // SAFETY: the trait's. Halves of the register are picked from apart, so that quarters are put in order.
        unsafe {
            let (even, odd) = (_mm256_shuffle_ps(low.0, high.0, 0x88), _mm256_shuffle_ps(low.0, high.0, 0xDD));
            let (even, odd) = (_mm256_castps_pd(even), _mm256_castps_pd(odd));
            // Not in a closure, which would be compiled without these instructions.
            let (even, odd) = (_mm256_permute4x64_pd(even, 0b11_01_10_00), _mm256_permute4x64_pd(odd, 0b11_01_10_00));
            [F32x8(_mm256_castpd_ps(even)), F32x8(_mm256_castpd_ps(odd))]
        }
    }
    #[inline(always)]
    unsafe fn joined(even: Self, odd: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(even.0, odd.0), _mm256_unpackhi_ps(even.0, odd.0));
            [F32x8(_mm256_permute2f128_ps(low, high, 0x20)), F32x8(_mm256_permute2f128_ps(low, high, 0x31))]
        }
    }
    #[inline(always)]
    unsafe fn first(self, n: usize) -> Self {
        // SAFETY: the trait's.
        F32x8(unsafe { _mm256_and_ps(self.0, _mm256_castsi256_ps(between(0..n, 1))) })
    }
}

unsafe impl Spans for F64x4 {
    type Mask = __m256i;
    #[inline(always)]
    unsafe fn mask(lanes: Range<usize>) -> __m256i {
        // SAFETY: the trait's.
        unsafe { between(lanes, 2) }
    }
    #[inline(always)]
    unsafe fn load_inside(p: *const f64, mask: __m256i) -> Self {
        // SAFETY: the trait's.
        F64x4(unsafe { _mm256_maskload_pd(p, mask) })
    }
    #[inline(always)]
    unsafe fn split(low: Self, high: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let (even, odd) = (_mm256_unpacklo_pd(low.0, high.0), _mm256_unpackhi_pd(low.0, high.0));
            [F64x4(_mm256_permute4x64_pd(even, 0b11_01_10_00)), F64x4(_mm256_permute4x64_pd(odd, 0b11_01_10_00))]
        }
    }
    #[inline(always)]
    unsafe fn joined(even: Self, odd: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let (low, high) = (_mm256_unpacklo_pd(even.0, odd.0), _mm256_unpackhi_pd(even.0, odd.0));
            [F64x4(_mm256_permute2f128_pd(low, high, 0x20)), F64x4(_mm256_permute2f128_pd(low, high, 0x31))]
        }
    }
    #[inline(always)]
    unsafe fn first(self, n: usize) -> Self {
        // SAFETY: the trait's.
        F64x4(unsafe { _mm256_and_pd(self.0, _mm256_castsi256_pd(between(0..n, 2))) })
    }
}

unsafe impl Spans for F32x16 {
    type Mask = u16;
    #[inline(always)]
    unsafe fn mask(lanes: Range<usize>) -> u16 {
        bits(lanes)
    }
    #[inline(always)]
    unsafe fn load_inside(p: *const f32, mask: u16) -> Self {
        // SAFETY: the trait's.
        F32x16(unsafe { _mm512_maskz_loadu_ps(mask, p) })
    }
    #[inline(always)]
    unsafe fn split(low: Self, high: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [even, odd].map(|places| F32x16(_mm512_permutex2var_ps(low.0, places, high.0)))
        }
    }
    #[inline(always)]
    unsafe fn joined(even: Self, odd: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            [F32x16(_mm512_permutex2var_ps(even.0, low, odd.0)), F32x16(_mm512_permutex2var_ps(even.0, high, odd.0))]
        }
    }
    #[inline(always)]
    unsafe fn first(self, n: usize) -> Self {
        // SAFETY: the trait's.
        F32x16(unsafe { _mm512_maskz_mov_ps(bits(0..n), self.0) })
    }
}

unsafe impl Spans for F64x8 {
    type Mask = u8;
    #[inline(always)]
    unsafe fn mask(lanes: Range<usize>) -> u8 {
        bits(lanes) as u8
    }
    #[inline(always)]
    unsafe fn load_inside(p: *const f64, mask: u8) -> Self {
        // SAFETY: the trait's.
        F64x8(unsafe { _mm512_maskz_loadu_pd(mask, p) })
    }
    #[inline(always)]
    unsafe fn split(low: Self, high: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
            let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
            [even, odd].map(|places| F64x8(_mm512_permutex2var_pd(low.0, places, high.0)))
        }
    }
    #[inline(always)]
    unsafe fn joined(even: Self, odd: Self) -> [Self; 2] {
        // SAFETY: the trait's.
        unsafe {
            let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
            [F64x8(_mm512_permutex2var_pd(even.0, low, odd.0)), F64x8(_mm512_permutex2var_pd(even.0, high, odd.0))]
        }
    }
    #[inline(always)]
    unsafe fn first(self, n: usize) -> Self {
        // SAFETY: the trait's.
        F64x8(unsafe { _mm512_maskz_mov_pd(bits(0..n) as u8, self.0) })
    }
}
