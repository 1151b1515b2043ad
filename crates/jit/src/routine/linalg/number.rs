//! Numbers of one matrix, or of several at once.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use crate::routine::lanes::{F64x4, F64x8};

/// A number of each of `W` matrices.
///
/// # Safety
/// All `unsafe` methods need a CPU with the vectors, and are inlined into functions that enable the instructions.
pub unsafe trait Number: Copy {
    /// Of how many matrices.
    const W: usize;
    /// The same number for each.
    unsafe fn splat(x: f64) -> Self;
    /// A number for each.
    unsafe fn of(f: impl Fn(usize) -> f64) -> Self;
    /// The numbers go to the first `W` places.
    unsafe fn spread(self, to: &mut [f64; 8]);
    /// `self - f · x`, each rounded.
    unsafe fn less_product(self, f: Self, x: Self) -> Self;
    /// `self / x`
    unsafe fn over(self, x: Self) -> Self;
    /// The square root.
    unsafe fn root(self) -> Self;
    /// The absolute value.
    unsafe fn magnitude(self) -> Self;
    /// `if a > b { x } else { y }`
    unsafe fn if_greater(a: Self, b: Self, x: Self, y: Self) -> Self;
    /// `if a == b { x } else { y }`
    unsafe fn if_equal(a: Self, b: Self, x: Self, y: Self) -> Self;
}

// SAFETY: the methods need no instructions.
unsafe impl Number for f64 {
    const W: usize = 1;
    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        x
    }
    #[inline(always)]
    unsafe fn of(f: impl Fn(usize) -> f64) -> Self {
        f(0)
    }
    #[inline(always)]
    unsafe fn spread(self, to: &mut [f64; 8]) {
        to[0] = self;
    }
    #[inline(always)]
    unsafe fn less_product(self, f: Self, x: Self) -> Self {
        self - f * x
    }
    #[inline(always)]
    unsafe fn over(self, x: Self) -> Self {
        self / x
    }
    #[inline(always)]
    unsafe fn root(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    unsafe fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    unsafe fn if_greater(a: Self, b: Self, x: Self, y: Self) -> Self {
        if a > b { x } else { y }
    }
    #[inline(always)]
    unsafe fn if_equal(a: Self, b: Self, x: Self, y: Self) -> Self {
        if a == b { x } else { y }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! vectors {
    (
        $V:ident: $w:literal, $splat:ident $load:ident $store:ident $sub:ident $mul:ident $div:ident $sqrt:ident;
        abs($a:ident) $abs:expr; select::<$how:ident>($l:ident, $r:ident, $x:ident, $y:ident) $select:expr
    ) => {
        // SAFETY: the methods need only the vector's instructions.
        unsafe impl Number for $V {
            const W: usize = $w;
            #[inline(always)]
            unsafe fn splat(x: f64) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $splat(x) })
            }
            #[inline(always)]
            unsafe fn of(f: impl Fn(usize) -> f64) -> Self {
                // A library function would be compiled without the instructions, and called.
                let mut numbers = [0.0; $w];
                for (w, x) in numbers.iter_mut().enumerate() {
                    *x = f(w);
                }
                // SAFETY: the trait's; there are as many numbers.
                $V(unsafe { $load(numbers.as_ptr()) })
            }
            #[inline(always)]
            unsafe fn spread(self, to: &mut [f64; 8]) {
                // SAFETY: the trait's; there is room for as many numbers.
                unsafe { $store(to.as_mut_ptr(), self.0) }
            }
            #[inline(always)]
            unsafe fn less_product(self, f: Self, x: Self) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $sub(self.0, $mul(f.0, x.0)) })
            }
            #[inline(always)]
            unsafe fn over(self, x: Self) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $div(self.0, x.0) })
            }
            #[inline(always)]
            unsafe fn root(self) -> Self {
                // SAFETY: the trait's.
                $V(unsafe { $sqrt(self.0) })
            }
            #[inline(always)]
            unsafe fn magnitude(self) -> Self {
                let $a = self.0;
                // SAFETY: the trait's.
                $V(unsafe { $abs })
            }
            #[inline(always)]
            unsafe fn if_greater($l: Self, $r: Self, $x: Self, $y: Self) -> Self {
                const $how: i32 = _CMP_GT_OQ;
                // SAFETY: the trait's.
                $V(unsafe { $select })
            }
            #[inline(always)]
            unsafe fn if_equal($l: Self, $r: Self, $x: Self, $y: Self) -> Self {
                const $how: i32 = _CMP_EQ_OQ;
                // SAFETY: the trait's.
                $V(unsafe { $select })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vectors! {
    F64x4: 4, _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_sqrt_pd;
    abs(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), a);
    select::<HOW>(l, r, x, y) _mm256_blendv_pd(y.0, x.0, _mm256_cmp_pd::<HOW>(l.0, r.0))
}

#[cfg(target_arch = "x86_64")]
vectors! {
    F64x8: 8, _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_sqrt_pd;
    abs(a) _mm512_abs_pd(a);
    select::<HOW>(l, r, x, y) _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<HOW>(l.0, r.0), y.0, x.0)
}
