//! The numbers of matrix products.

use std::ops::Add;

#[cfg(target_arch = "x86_64")]
use super::lanes::{F32x8, F32x16, F64x4, F64x8, I32x8, I32x16, I64x4, I64x8};
use super::{Onto, Operand, PanelSizes, Products, Target, Vectors, by_lines};
#[cfg(target_arch = "x86_64")]
use super::{deep, panel, shared, skinny, small};

/// The numbers of matrix products. Integers have kernels for vectors only.
pub trait Ring: Copy + Send + Sync + 'static {
    /// How many times as long as a float's a multiplication and an addition take.
    const SLOWNESS: usize;
    const ZERO: Self;
    /// As [`product`].
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn product(
        vectors: Vectors,
        mkn: [usize; 3],
        a: Operand<Self>,
        b: Operand<Self>,
        c: Target<Self>,
        onto: Onto,
    );
    /// `c = a · b` for a few rows of `a` and a large matrix `b`, on several threads, an estimated `cost` in ns; `false`, and nothing done, for others.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn skinny(
        vectors: Vectors,
        mkn: [usize; 3],
        operands: [Operand<Self>; 2],
        c: Target<Self>,
        cost: u64,
    ) -> bool;
    /// Computes products of lines and vectors, an estimated `cost` in ns.
    ///
    /// # Safety
    /// The CPU has the vectors; all elements exist, and nobody else uses those of the result.
    unsafe fn by_lines(vectors: Vectors, lines: by_lines::Lines<Self>, cost: u64);
    /// Computes these products if they are small; `false`, and nothing done, if not.
    ///
    /// # Safety
    /// As [`product`], for all of them.
    unsafe fn small(vectors: Vectors, products: Products<Self>) -> bool;
    /// `c = a · b` in blocks that share the panels of `b`, on several threads, an estimated `cost` in ns; `false`, and nothing done, if `b` needs
    /// no panels.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn shared(
        vectors: Vectors,
        mkn: [usize; 3],
        operands: [Operand<Self>; 2],
        c: Target<Self>,
        cost: u64,
    ) -> bool;
    /// `to += from` for `n` elements.
    ///
    /// # Safety
    /// The CPU has the vectors; the elements exist, and nobody else uses those of `to`.
    unsafe fn add(vectors: Vectors, n: usize, to: *mut Self, from: *const Self);
    /// The panels of the right operand that blocks of `m` rows can share; `None` if they need none.
    fn panels(vectors: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2]) -> Option<PanelSizes>;
    /// Packs one of the pieces of `b`, which has `k` rows and `n` columns.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; the elements exist, `to` has room for the panels, and nobody else uses those of the piece.
    unsafe fn pack_right(vectors: Vectors, kn: [usize; 2], b: Operand<Self>, to: *mut Self, piece: usize);
    /// As [`product`], with the packed panels of `b`.
    ///
    /// # Safety
    /// As [`product`], and the vectors are some; all pieces are packed.
    unsafe fn with_panels(
        vectors: Vectors,
        mkn: [usize; 3],
        operands: [Operand<Self>; 2],
        panels: *const Self,
        c: Target<Self>,
    );
}

macro_rules! ring {
    ($($T:ty: $zero:literal $one:literal $add:path, $slowness:literal $V256:ident $V512:ident),*) => { $(
        impl Ring for $T {
            const SLOWNESS: usize = $slowness;
            const ZERO: Self = $zero;
            unsafe fn product(
                vectors: Vectors,
                [m, k, n]: [usize; 3],
                a: Operand<Self>,
                b: Operand<Self>,
                c: Target<Self>,
                onto: Onto,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    by_vectors!(vectors, $V256 $V512, L => panel::product::<L>([m, k, n], a, b, c, onto), else => gemm::gemm(
                        m, n, k, c.at, 1, c.row as isize, onto != Onto::Nothing, a.at, a.col, a.row, b.at, b.col, b.row, $one,
                        if onto == Onto::Difference { -$one } else { $one },
                        false, false, false, gemm::Parallelism::None,
                    ))
                }
            }
            unsafe fn skinny(
                vectors: Vectors,
                mkn: [usize; 3],
                operands: [Operand<Self>; 2],
                c: Target<Self>,
                cost: u64,
            ) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { skinny::product::<L>(mkn, operands, c, cost) }, else => {
                    let _ = (mkn, operands, c, cost);
                    false
                })
            }
            unsafe fn by_lines(vectors: Vectors, lines: by_lines::Lines<Self>, cost: u64) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { by_lines::product::<L>(lines, cost) }, else => unsafe {
                    by_lines::plain(lines, cost);
                })
            }
            unsafe fn small(vectors: Vectors, products: Products<Self>) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { small::products::<L>(products) }, else => {
                    let _ = products;
                    false
                })
            }
            unsafe fn shared(
                vectors: Vectors,
                mkn: [usize; 3],
                operands: [Operand<Self>; 2],
                c: Target<Self>,
                cost: u64,
            ) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { shared::product::<L>(mkn, operands, c, cost) }, else => {
                    let _ = (mkn, operands, c, cost);
                    false
                })
            }
            unsafe fn add(vectors: Vectors, n: usize, to: *mut Self, from: *const Self) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { deep::add::<L>(n, to, from) }, else => {
                    for i in 0..n {
                        // SAFETY: the caller's.
                        unsafe { *to.add(i) = $add(*to.add(i), *from.add(i)) };
                    }
                })
            }
            fn panels(vectors: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2]) -> Option<PanelSizes> {
                by_vectors!(vectors, $V256 $V512, L => shared::sizes::<L>(mkn, operands), else => {
                    let _ = (mkn, operands);
                    None
                })
            }
            unsafe fn pack_right(vectors: Vectors, kn: [usize; 2], b: Operand<Self>, to: *mut Self, piece: usize) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { shared::Panels::<L>::whole(kn, b, to).pack(piece) }, else => {
                    let _ = (kn, b, to, piece);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn with_panels(
                vectors: Vectors,
                [m, k, n]: [usize; 3],
                [a, b]: [Operand<Self>; 2],
                panels: *const Self,
                c: Target<Self>,
            ) {
                // SAFETY: the caller's; the panels are only read.
                by_vectors!(vectors, $V256 $V512, L => unsafe {
                    shared::Panels::<L>::whole([k, n], b, panels.cast_mut()).multiply(m, a, 0..n, c)
                }, else => {
                    let _ = (m, k, n, a, b, panels, c);
                    unreachable!("portable code has no panels")
                })
            }
        }
    )* };
}
ring!(
    f32: 0.0 1.0 Add::add, 1 F32x8 F32x16,
    f64: 0.0 1.0 Add::add, 1 F64x4 F64x8,
    i32: 0 1 i32::wrapping_add, 2 I32x8 I32x16,
    i64: 0 1 i64::wrapping_add, 4 I64x4 I64x8
);
