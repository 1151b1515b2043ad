//! Vectors of floats and integers of 256 and of 512 bits, as the register tiles of matrix products use them.
//!
//! What is written once for all of them is a [`Kernel`]; [`Lanes::enabled`] compiles it with the instructions of the vector.

use std::arch::x86_64::*;

use super::added::{mixed_256, mixed_512};
use super::squares::{edge_8_wide, edge_16, transpose_8_wide, transpose_16};
use super::transpose::plain;

/// Code that is compiled for the vectors that run it. Implementations are `#[inline(always)]`, so that [`Lanes::enabled`] makes
/// them part of a function with the vector's instructions.
pub trait Kernel {
    /// Runs it.
    ///
    /// # Safety
    /// The CPU has the vectors that the kernel uses; what else it needs, the kernel says.
    unsafe fn run(self);
}

/// A vector of numbers.
///
/// # Safety
/// All `unsafe` methods need a CPU with the vectors, which a path has made sure of, and addresses of as many elements as they touch; all
/// but `enabled` are inlined into functions that enable the instructions.
pub unsafe trait Lanes: Copy {
    /// An element.
    type T: Copy + Default + Send + Sync + 'static;
    /// The elements of a vector.
    const LANES: usize;
    /// The most rows of a register tile of two vectors: its sums, two vectors of the right operand and one of the left fit
    /// the registers.
    const ROWS: usize;
    /// Runs a kernel with the instructions of these vectors.
    unsafe fn enabled(kernel: impl Kernel);
    /// A vector from memory.
    unsafe fn load(p: *const Self::T) -> Self;
    /// The first `n ≤ LANES` elements from memory, zeros behind.
    unsafe fn load_first(p: *const Self::T, n: usize) -> Self;
    /// A vector to memory.
    unsafe fn store(self, p: *mut Self::T);
    /// The first `n ≤ LANES` elements to memory.
    unsafe fn store_first(self, p: *mut Self::T, n: usize);
    /// One element in all lanes.
    unsafe fn splat(p: *const Self::T) -> Self;
    /// Zeros.
    unsafe fn zero() -> Self;
    /// `a · b + self`
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;
    /// The side of the squares that `transpose` takes.
    const SQUARE: usize;
    /// `to[j + i · step] = from[i + j · stride]` for a square.
    unsafe fn transpose(from: *const Self::T, stride: isize, to: *mut Self::T, step: usize);
    /// The side of the squares that `transpose_line` takes: those of 512 bits are whole cache lines.
    const LINE: usize;
    /// As `transpose`, for these squares.
    unsafe fn transpose_line(from: *const Self::T, stride: isize, to: *mut Self::T, step: usize);
    /// As `transpose_line`, for `j < rows` and `i < columns`, each at most `LINE`.
    unsafe fn transpose_edge(
        from: *const Self::T,
        stride: isize,
        to: *mut Self::T,
        step: usize,
        rows_columns: [usize; 2],
    );
    /// Two vectors, each of half of `a` and half of `b`, whose sum has the sums of halves of both: step `level` of [`super::added::added_each`].
    unsafe fn mixed(level: usize, a: Self, b: Self) -> [Self; 2];
    /// As `transpose`, for squares of 4.
    unsafe fn transpose_4(from: *const Self::T, stride: isize, to: *mut Self::T, step: usize);
}

/// Eight `f32` in 256 bits.
#[derive(Clone, Copy)]
pub struct F32x8(pub(super) __m256);
/// Four `f64` in 256 bits.
#[derive(Clone, Copy)]
pub struct F64x4(pub(super) __m256d);
/// 16 `f32` in 512 bits.
#[derive(Clone, Copy)]
pub struct F32x16(pub(super) __m512);
/// Eight `f64` in 512 bits.
#[derive(Clone, Copy)]
pub struct F64x8(pub(super) __m512d);

/// Eight `i32` in 256 bits.
#[derive(Clone, Copy)]
pub struct I32x8(__m256i);
/// Four `i64` in 256 bits.
#[derive(Clone, Copy)]
pub struct I64x4(__m256i);
/// 16 `i32` in 512 bits.
#[derive(Clone, Copy)]
pub struct I32x16(__m512i);
/// Eight `i64` in 512 bits.
#[derive(Clone, Copy)]
pub struct I64x8(__m512i);

/// Windows of ones followed by zeros.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `n` lanes of 256 bits, of `words` words each.
///
/// # Safety
/// The CPU has AVX, and `n · words` is at most 8.
#[inline(always)]
unsafe fn mask(n: usize, words: usize) -> __m256i {
    // SAFETY: `n · words ≤ 8` keeps the window inside the table.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n * words).cast()) }
}

macro_rules! lanes {
    (
        $V:ident of $T:ty: $lanes:literal lanes, $rows:literal rows, $features:literal;
        $load:ident $store:ident $splat:ident $zero:ident $fma:ident $add:ident $sub:ident;
        load_first($p:ident, $n:ident) $load_first:expr; store_first($q:ident, $v:ident, $m:ident) $store_first:expr;
        $transposed:ident in squares of $square:literal, $transposed_4:ident, $mixed:ident as $bits:ty,
        $line_transposed:ident, $edge_transposed:ident in lines of $line:literal
    ) => {
        // SAFETY: the methods touch what the trait says and need only the instructions that it names.
        unsafe impl Lanes for $V {
            type T = $T;
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            const SQUARE: usize = $square;
            #[inline(always)]
            unsafe fn enabled(kernel: impl Kernel) {
                #[target_feature(enable = $features)]
                unsafe fn with(kernel: impl Kernel) {
                    // SAFETY: the caller's.
                    unsafe { kernel.run() }
                }
                // SAFETY: the caller's: the CPU has the instructions.
                unsafe { with(kernel) }
            }
            #[inline(always)]
            unsafe fn load(p: *const $T) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $load(p.cast()) })
            }
            #[inline(always)]
            unsafe fn load_first($p: *const $T, $n: usize) -> Self {
                // SAFETY: the trait's; lanes behind the first `n` are not touched.
                $V(unsafe { $load_first })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $T) {
                // SAFETY: the trait's.
                unsafe { $store(p.cast(), self.0) }
            }
            #[inline(always)]
            unsafe fn store_first(self, $q: *mut $T, $m: usize) {
                let $v = self.0;
                // SAFETY: the trait's; lanes behind the first `n` are not touched.
                unsafe { $store_first }
            }
            #[inline(always)]
            unsafe fn splat(p: *const $T) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $splat(*p) })
            }
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $zero() })
            }
            #[inline(always)]
            unsafe fn fma(self, a: Self, b: Self) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $fma(a.0, b.0, self.0) })
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn transpose(from: *const $T, stride: isize, to: *mut $T, step: usize) {
                // SAFETY: the trait's; whoever has 512 bits has 256.
                unsafe { $transposed(from.cast(), stride, to.cast(), step) }
            }
            const LINE: usize = $line;
            #[inline(always)]
            unsafe fn transpose_line(from: *const $T, stride: isize, to: *mut $T, step: usize) {
                // SAFETY: the trait's.
                unsafe { $line_transposed(from.cast(), stride, to.cast(), step) }
            }
            #[inline(always)]
            unsafe fn transpose_edge(
                from: *const $T,
                stride: isize,
                to: *mut $T,
                step: usize,
                rows_columns: [usize; 2],
            ) {
                // SAFETY: the trait's.
                unsafe { $edge_transposed(from.cast(), stride, to.cast(), step, rows_columns) }
            }
            #[inline(always)]
            unsafe fn mixed(level: usize, a: Self, b: Self) -> [Self; 2] {
                // SAFETY: the trait's; vectors of one size have the same bits, and every pattern of bits is a vector.
                unsafe {
                    let [a, b]: [$bits; 2] = [std::mem::transmute_copy(&a.0), std::mem::transmute_copy(&b.0)];
                    let [x, y] = $mixed(level, a, b);
                    [$V(std::mem::transmute_copy(&x)), $V(std::mem::transmute_copy(&y))]
                }
            }
            #[inline(always)]
            unsafe fn transpose_4(from: *const $T, stride: isize, to: *mut $T, step: usize) {
                // SAFETY: as above.
                unsafe { $transposed_4(from.cast(), stride, to.cast(), step) }
            }
        }
    };
}

pub(super) use lanes;

lanes! {
    F32x8 of f32: 8 lanes, 6 rows, "avx2,fma";
    _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_setzero_ps _mm256_fmadd_ps _mm256_add_ps _mm256_sub_ps;
    load_first(p, n) _mm256_maskload_ps(p, mask(n, 1));
    store_first(p, v, n) _mm256_maskstore_ps(p, mask(n, 1), v);
    transpose_8 in squares of 8, transpose_4_narrow, mixed_256 as __m256,
    transpose_8, edge_8 in lines of 8
}
lanes! {
    F64x4 of f64: 4 lanes, 6 rows, "avx2,fma";
    _mm256_loadu_pd _mm256_storeu_pd _mm256_set1_pd _mm256_setzero_pd _mm256_fmadd_pd _mm256_add_pd _mm256_sub_pd;
    load_first(p, n) _mm256_maskload_pd(p, mask(n, 2));
    store_first(p, v, n) _mm256_maskstore_pd(p, mask(n, 2), v);
    transpose_4_wide in squares of 4, transpose_4_wide, mixed_256 as __m256,
    transpose_4_wide, edge_4_wide in lines of 4
}
lanes! {
    F32x16 of f32: 16 lanes, 12 rows, "avx2,fma,avx512f,avx512vl";
    _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_setzero_ps _mm512_fmadd_ps _mm512_add_ps _mm512_sub_ps;
    load_first(p, n) _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p);
    store_first(p, v, n) _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v);
    transpose_8 in squares of 8, transpose_4_narrow, mixed_512 as __m512,
    transpose_16, edge_16 in lines of 16
}
lanes! {
    F64x8 of f64: 8 lanes, 12 rows, "avx2,fma,avx512f,avx512vl,avx512dq";
    _mm512_loadu_pd _mm512_storeu_pd _mm512_set1_pd _mm512_setzero_pd _mm512_fmadd_pd _mm512_add_pd _mm512_sub_pd;
    load_first(p, n) _mm512_maskz_loadu_pd(((1u32 << n) - 1) as u8, p);
    store_first(p, v, n) _mm512_mask_storeu_pd(p, ((1u32 << n) - 1) as u8, v);
    transpose_4_wide in squares of 4, transpose_4_wide, mixed_512 as __m512,
    transpose_8_wide, edge_8_wide in lines of 8
}

lanes! {
    I32x8 of i32: 8 lanes, 6 rows, "avx2,fma";
    _mm256_loadu_si256 _mm256_storeu_si256 _mm256_set1_epi32 _mm256_setzero_si256 madd_i32x8 _mm256_add_epi32 _mm256_sub_epi32;
    load_first(p, n) _mm256_maskload_epi32(p, mask(n, 1));
    store_first(p, v, n) _mm256_maskstore_epi32(p, mask(n, 1), v);
    transpose_8 in squares of 8, transpose_4_narrow, mixed_256 as __m256,
    transpose_8, edge_8 in lines of 8
}
lanes! {
    I64x4 of i64: 4 lanes, 6 rows, "avx2,fma";
    _mm256_loadu_si256 _mm256_storeu_si256 _mm256_set1_epi64x _mm256_setzero_si256 madd_i64x4 _mm256_add_epi64 _mm256_sub_epi64;
    load_first(p, n) _mm256_maskload_epi64(p, mask(n, 2));
    store_first(p, v, n) _mm256_maskstore_epi64(p, mask(n, 2), v);
    transpose_4_wide in squares of 4, transpose_4_wide, mixed_256 as __m256,
    transpose_4_wide, edge_4_wide in lines of 4
}
lanes! {
    I32x16 of i32: 16 lanes, 12 rows, "avx2,fma,avx512f,avx512vl";
    _mm512_loadu_si512 _mm512_storeu_si512 _mm512_set1_epi32 _mm512_setzero_si512 madd_i32x16 _mm512_add_epi32 _mm512_sub_epi32;
    load_first(p, n) _mm512_maskz_loadu_epi32(((1u32 << n) - 1) as u16, p);
    store_first(p, v, n) _mm512_mask_storeu_epi32(p, ((1u32 << n) - 1) as u16, v);
    transpose_8 in squares of 8, transpose_4_narrow, mixed_512 as __m512,
    transpose_16, edge_16 in lines of 16
}
lanes! {
    I64x8 of i64: 8 lanes, 12 rows, "avx2,fma,avx512f,avx512vl,avx512dq";
    _mm512_loadu_si512 _mm512_storeu_si512 _mm512_set1_epi64 _mm512_setzero_si512 madd_i64x8 _mm512_add_epi64 _mm512_sub_epi64;
    load_first(p, n) _mm512_maskz_loadu_epi64(((1u32 << n) - 1) as u8, p);
    store_first(p, v, n) _mm512_mask_storeu_epi64(p, ((1u32 << n) - 1) as u8, v);
    transpose_4_wide in squares of 4, transpose_4_wide, mixed_512 as __m512,
    transpose_8_wide, edge_8_wide in lines of 8
}

/// `a · b + sum`, wrapping.
#[inline]
#[target_feature(enable = "avx2")]
fn madd_i32x8(a: __m256i, b: __m256i, sum: __m256i) -> __m256i {
    _mm256_add_epi32(sum, _mm256_mullo_epi32(a, b))
}

/// As [`madd_i32x8`].
#[inline]
#[target_feature(enable = "avx512f")]
fn madd_i32x16(a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
    _mm512_add_epi32(sum, _mm512_mullo_epi32(a, b))
}

/// As [`madd_i32x8`]; a product is that of the low halves, and those of a low and a high half above it.
#[inline]
#[target_feature(enable = "avx2")]
fn madd_i64x4(a: __m256i, b: __m256i, sum: __m256i) -> __m256i {
    let high = |x| _mm256_srli_epi64(x, 32);
    let mixed = _mm256_add_epi64(_mm256_mul_epu32(high(a), b), _mm256_mul_epu32(a, high(b)));
    let low = _mm256_mul_epu32(a, b);
    _mm256_add_epi64(sum, _mm256_add_epi64(low, _mm256_slli_epi64(mixed, 32)))
}

/// As [`madd_i32x8`].
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn madd_i64x8(a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
    _mm512_add_epi64(sum, _mm512_mullo_epi64(a, b))
}

/// # Safety
/// As [`Lanes::transpose`], for squares of 8.
#[inline(always)]
pub unsafe fn transpose_8(from: *const f32, stride: isize, to: *mut f32, step: usize) {
    // SAFETY: the caller's.
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

/// # Safety
/// As [`Lanes::transpose_edge`].
#[inline(always)]
unsafe fn edge_8(from: *const f32, stride: isize, to: *mut f32, step: usize, [rows, columns]: [usize; 2]) {
    // SAFETY: the caller's.
    unsafe { plain([0..rows, 0..columns], from, stride, to, step) }
}

/// # Safety
/// As [`Lanes::transpose_edge`].
#[inline(always)]
unsafe fn edge_4_wide(from: *const f64, stride: isize, to: *mut f64, step: usize, [rows, columns]: [usize; 2]) {
    // SAFETY: the caller's.
    unsafe { plain([0..rows, 0..columns], from, stride, to, step) }
}

/// # Safety
/// As [`Lanes::transpose`], for squares of 4.
#[inline(always)]
unsafe fn transpose_4_wide(from: *const f64, stride: isize, to: *mut f64, step: usize) {
    // SAFETY: the caller's.
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

/// # Safety
/// As [`Lanes::transpose`], for squares of 4.
#[inline(always)]
pub unsafe fn transpose_4_narrow(from: *const f32, stride: isize, to: *mut f32, step: usize) {
    // SAFETY: the caller's.
    unsafe {
        let r: [__m128; 4] = std::array::from_fn(|j| _mm_loadu_ps(from.offset(j as isize * stride)));
        let (a, b) = (_mm_unpacklo_ps(r[0], r[1]), _mm_unpacklo_ps(r[2], r[3]));
        let (c, d) = (_mm_unpackhi_ps(r[0], r[1]), _mm_unpackhi_ps(r[2], r[3]));
        _mm_storeu_ps(to, _mm_movelh_ps(a, b));
        _mm_storeu_ps(to.add(step), _mm_movehl_ps(b, a));
        _mm_storeu_ps(to.add(2 * step), _mm_movelh_ps(c, d));
        _mm_storeu_ps(to.add(3 * step), _mm_movehl_ps(d, c));
    }
}
