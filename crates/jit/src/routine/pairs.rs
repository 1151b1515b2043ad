//! Pairs of `bf16`, whose products the CPU adds at once (AVX512_BF16).
//!
//! A matrix of pairs along the inner dim is one of numbers of 32 bits with half as many rows or columns, for which all kernels of products are written.

use std::arch::x86_64::*;

use super::added::mixed_512;
use super::lanes::{Kernel, Lanes, lanes, transpose_4_narrow, transpose_8};
use super::squares::{edge_16, transpose_16};
use super::{Onto, Operand, PanelSizes, Products, Ring, Target, Vectors, by_lines};
use super::{deep, panel, shared, skinny, small};

/// Two neighbours; as an element of a result, a sum of `f32`. It begins where a `bf16` may.
#[derive(Clone, Copy, Default)]
#[repr(C, packed(2))]
pub struct Pair(u32);

/// 16 pairs, or sums, in 512 bits.
#[derive(Clone, Copy)]
pub struct Pairs(__m512);

/// Whether the CPU has the instructions of [`Pairs`].
pub fn available(vectors: Vectors) -> bool {
    vectors == Vectors::V512 && is_x86_feature_detected!("avx512bf16")
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(x: Pair) -> __m512 {
    _mm512_castsi512_ps(_mm512_set1_epi32(x.0 as i32))
}

/// `a · b + sum`
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn madd(a: __m512, b: __m512, sum: __m512) -> __m512 {
    // SAFETY: vectors of the same bits.
    unsafe {
        _mm512_dpbf16_ps(sum, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b))
    }
}

lanes! {
    Pairs of Pair: 16 lanes, 12 rows, "avx2,fma,avx512f,avx512vl,avx512bf16";
    _mm512_loadu_ps _mm512_storeu_ps splat _mm512_setzero_ps madd _mm512_add_ps _mm512_sub_ps;
    load_first(p, n) _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p.cast());
    store_first(p, v, n) _mm512_mask_storeu_ps(p.cast(), ((1u32 << n) - 1) as u16, v);
    transpose_8 in squares of 8, transpose_4_narrow, mixed_512 as __m512,
    transpose_16, edge_16 in lines of 16
}

// `vectors` are those of which `available` has said that the CPU has them.
impl Ring for Pair {
    const SLOWNESS: usize = 1;
    const ZERO: Self = Pair(0);
    unsafe fn product(_: Vectors, mkn: [usize; 3], a: Operand<Self>, b: Operand<Self>, c: Target<Self>, onto: Onto) {
        // SAFETY: the caller's.
        unsafe { panel::product::<Pairs>(mkn, a, b, c, onto) }
    }
    unsafe fn skinny(_: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2], c: Target<Self>, cost: u64) -> bool {
        // SAFETY: the caller's.
        unsafe { skinny::product::<Pairs>(mkn, operands, c, cost) }
    }
    unsafe fn by_lines(_: Vectors, lines: by_lines::Lines<Self>, cost: u64) {
        // SAFETY: the caller's.
        unsafe { by_lines::product::<Pairs>(lines, cost) }
    }
    unsafe fn small(_: Vectors, products: Products<Self>) -> bool {
        // SAFETY: the caller's.
        unsafe { small::products::<Pairs>(products) }
    }
    unsafe fn shared(_: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2], c: Target<Self>, cost: u64) -> bool {
        // SAFETY: the caller's.
        unsafe { shared::product::<Pairs>(mkn, operands, c, cost) }
    }
    unsafe fn add(_: Vectors, n: usize, to: *mut Self, from: *const Self) {
        // SAFETY: the caller's.
        unsafe { deep::add::<Pairs>(n, to, from) }
    }
    fn panels(_: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2]) -> Option<PanelSizes> {
        shared::sizes::<Pairs>(mkn, operands)
    }
    unsafe fn pack_right(_: Vectors, kn: [usize; 2], b: Operand<Self>, to: *mut Self, piece: usize) {
        // SAFETY: the caller's.
        unsafe { shared::Panels::<Pairs>::whole(kn, b, to).pack(piece) }
    }
    unsafe fn with_panels(
        _: Vectors,
        [m, k, n]: [usize; 3],
        [a, b]: [Operand<Self>; 2],
        panels: *const Self,
        c: Target<Self>,
    ) {
        // SAFETY: the caller's; the panels are only read.
        unsafe { shared::Panels::<Pairs>::whole([k, n], b, panels.cast_mut()).multiply(m, a, 0..n, c) }
    }
}
