//! Vectors of which some lanes in the middle are read, and every second element of two of them.

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
            let ordered =
                |x: __m256| F32x8(_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0b11_01_10_00)));
            [ordered(_mm256_shuffle_ps(low.0, high.0, 0x88)), ordered(_mm256_shuffle_ps(low.0, high.0, 0xDD))]
        }
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
            let ordered = |x: __m256d| F64x4(_mm256_permute4x64_pd(x, 0b11_01_10_00));
            [ordered(_mm256_unpacklo_pd(low.0, high.0)), ordered(_mm256_unpackhi_pd(low.0, high.0))]
        }
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
}
