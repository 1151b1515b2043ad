//! Squares of whole cache lines, transposed in 512-bit registers: each line is written at once, so that it does not matter when it leaves the cache.

use std::arch::asm;
use std::arch::x86_64::*;

/// Rows whose places one address and one stride give, as instructions add them.
const FOUR: usize = 4;

/// The same address, of which the compiler knows nothing more: else it keeps the places of all rows of a square, relative to the first one, on the stack,
/// and reads each before each row. Measured with batches of 32 × 32, two threads of Zen 5: 59 to 54 µs.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // There is no instruction.
fn at_hand<T>(p: *const T) -> *const T {
    let mut p = p;
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) p, options(pure, nomem, nostack, preserves_flags)) };
    p
}

macro_rules! squares {
    (
        $full:ident, $edge:ident of $n:literal $T:ty, by $columns:ident, masks of $mask:ty;
        $zero:ident $load:ident $store:ident $load_first:ident $store_first:ident
    ) => {
        /// `to[j + i · step] = from[i + j · stride]` for all rows `j` and columns `i` of a square.
        ///
        /// # Safety
        /// The CPU has AVX-512; all of these elements exist, and nobody else uses those of `to`.
        #[inline]
        #[target_feature(enable = "avx512f")]
        pub unsafe fn $full(from: *const $T, stride: isize, to: *mut $T, step: usize) {
            let mut r = [$zero(); $n];
            // SAFETY: the caller's.
            unsafe {
                let mut from = from;
                for four in r.as_chunks_mut::<FOUR>().0 {
                    for (j, r) in four.iter_mut().enumerate() {
                        *r = $load(from.offset(j as isize * stride));
                    }
                    from = at_hand(from.wrapping_offset(FOUR as isize * stride));
                }
                let mut to = to;
                for four in $columns(r).as_chunks::<FOUR>().0 {
                    for (i, r) in four.iter().enumerate() {
                        $store(to.add(i * step), *r);
                    }
                    to = at_hand(to.cast_const().wrapping_add(FOUR * step)).cast_mut();
                }
            }
        }

        /// As above, for so many rows and columns, each no more than a square has.
        ///
        /// # Safety
        /// As above.
        #[inline]
        #[target_feature(enable = "avx512f")]
        pub unsafe fn $edge(from: *const $T, stride: isize, to: *mut $T, step: usize, [rows, columns]: [usize; 2]) {
            let mut r = [$zero(); $n];
            let (read, write) = (((1u32 << columns) - 1) as $mask, ((1u32 << rows) - 1) as $mask);
            // SAFETY: the caller's; masked lanes are not touched.
            unsafe {
                for (j, r) in r.iter_mut().enumerate().take(rows) {
                    *r = $load_first(read, from.offset(j as isize * stride));
                }
                for (i, r) in $columns(r).iter().enumerate().take(columns) {
                    $store_first(to.add(i * step), write, *r);
                }
            }
        }
    };
}

squares! {
    transpose_16, edge_16 of 16 f32, by columns_of_16, masks of u16;
    _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_maskz_loadu_ps _mm512_mask_storeu_ps
}
squares! {
    transpose_8_wide, edge_8_wide of 8 f64, by columns_of_8, masks of u8;
    _mm512_setzero_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_maskz_loadu_pd _mm512_mask_storeu_pd
}

/// The columns of a square of which these are the rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns_of_16(r: [__m512; 16]) -> [__m512; 16] {
    // Pairs of rows, then fours: quarter `q` of `fours[4 i + j]` has column `4 q + j` of rows `4 i` to `4 i + 3`.
    let (mut pairs, mut fours, mut columns) = (r, r, r);
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for i in 0..4 {
        for side in 0..2 {
            let (a, b) = (_mm512_castps_pd(pairs[4 * i + side]), _mm512_castps_pd(pairs[4 * i + 2 + side]));
            fours[4 * i + 2 * side] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[4 * i + 2 * side + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for j in 0..4 {
        let (a, b) = (
            _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0x88),
            _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0x88),
        );
        let (c, d) = (
            _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0xDD),
            _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0xDD),
        );
        columns[j] = _mm512_shuffle_f32x4(a, b, 0x88);
        columns[4 + j] = _mm512_shuffle_f32x4(c, d, 0x88);
        columns[8 + j] = _mm512_shuffle_f32x4(a, b, 0xDD);
        columns[12 + j] = _mm512_shuffle_f32x4(c, d, 0xDD);
    }
    columns
}

/// As [`columns_of_16`], of wide elements.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns_of_8(r: [__m512d; 8]) -> [__m512d; 8] {
    // Quarter `q` of `pairs[2 i + j]` has column `2 q + j` of rows `2 i` and `2 i + 1`.
    let (mut pairs, mut columns) = (r, r);
    for i in 0..4 {
        pairs[2 * i] = _mm512_unpacklo_pd(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_pd(r[2 * i], r[2 * i + 1]);
    }
    for j in 0..2 {
        let (a, b) = (
            _mm512_shuffle_f64x2(pairs[j], pairs[2 + j], 0x88),
            _mm512_shuffle_f64x2(pairs[4 + j], pairs[6 + j], 0x88),
        );
        let (c, d) = (
            _mm512_shuffle_f64x2(pairs[j], pairs[2 + j], 0xDD),
            _mm512_shuffle_f64x2(pairs[4 + j], pairs[6 + j], 0xDD),
        );
        columns[j] = _mm512_shuffle_f64x2(a, b, 0x88);
        columns[2 + j] = _mm512_shuffle_f64x2(c, d, 0x88);
        columns[4 + j] = _mm512_shuffle_f64x2(a, b, 0xDD);
        columns[6 + j] = _mm512_shuffle_f64x2(c, d, 0xDD);
    }
    columns
}
