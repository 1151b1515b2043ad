//! Sums of the lanes of vectors.

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// As [`Lanes::mixed`]: elements of 32 bits in pairs, then pairs of them, then quarters of 128 bits, two and two.
///
/// # Safety
/// The CPU has AVX-512.
#[inline(always)]
pub unsafe fn mixed_512(level: usize, a: __m512, b: __m512) -> [__m512; 2] {
    // SAFETY: the caller's.
    unsafe {
        match level {
            0 => [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)],
            1 => {
                let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                [_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b))]
            }
            2 => [_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE)],
            _ => [_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD)],
        }
    }
}

/// As [`mixed_512`], with halves of 128 bits.
///
/// # Safety
/// The CPU has AVX.
#[inline(always)]
pub unsafe fn mixed_256(level: usize, a: __m256, b: __m256) -> [__m256; 2] {
    // SAFETY: the caller's.
    unsafe {
        match level {
            0 => [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)],
            1 => {
                let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
                [_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b))]
            }
            _ => [_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)],
        }
    }
}

/// The most lanes of a vector.
pub const LONGEST: usize = 16;

/// The sums of the lanes of as many vectors as each has lanes, in their order. Each vector's lanes are added in the same order, whichever it is.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
pub unsafe fn added_each<L: Lanes>(rows: [L; LONGEST]) -> L {
    let first = usize::from(size_of::<L::T>() > 4);
    // SAFETY: the caller's.
    unsafe {
        let mut eight = [rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]];
        let mut level = first;
        if L::LANES == 16 {
            eight = halved(level, rows);
            level += 1;
        }
        let mut four = [eight[0], eight[1], eight[2], eight[3]];
        if L::LANES >= 8 {
            four = halved(level, eight);
            level += 1;
        }
        let two: [L; 2] = halved(level, four);
        let [one] = halved(level + 1, two);
        one
    }
}

/// Half as many vectors, of sums of each.
///
/// # Safety
/// As [`added_each`].
#[inline(always)]
unsafe fn halved<L: Lanes, const N: usize, const H: usize>(level: usize, rows: [L; N]) -> [L; H] {
    // No closure: one would be compiled without the vectors' instructions.
    let mut sums = [rows[0]; H];
    for (i, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let [a, b] = L::mixed(level, rows[2 * i], rows[2 * i + 1]);
            *sum = a.add(b);
        }
    }
    sums
}

/// The sum of the lanes: halves are added to one another.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
pub unsafe fn added<L: Lanes>(x: L) -> L::T {
    let mut lanes = [L::T::default(); LONGEST];
    let at = lanes.as_mut_ptr();
    let mut half = L::LANES / 2;
    // SAFETY: a vector has at most `LONGEST` lanes.
    unsafe {
        x.store(at);
        while half > 0 {
            L::load_first(at, half).add(L::load_first(at.add(half), half)).store_first(at, half);
            half /= 2;
        }
    }
    lanes[0]
}
