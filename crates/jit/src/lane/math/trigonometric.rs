//! Sines, cosines and tangents.

use cotangent_core::ops::Unary;

use super::super::{Builder, Pred, ScalarCall, Shift, Ty, V};
use super::format;

/// π/2 in three parts, each rounded to `f32`.
const HALF_PI: f64 = std::f32::consts::FRAC_PI_2 as f64;
const HALF_PI_MID: f64 = -4.371_138_828_673_793e-8;
const HALF_PI_LOW: f64 = -1.715_124_510_005_882e-15;
/// What `f64` loses of π/2.
const HALF_PI_LOST: f64 = 6.123_233_995_736_766e-17;

/// π/2 in three parts of a format.
fn half_pi_parts(ty: Ty) -> [f64; 3] {
    if ty == Ty::F32 {
        [HALF_PI, HALF_PI_MID, HALF_PI_LOW]
    } else {
        [std::f64::consts::FRAC_PI_2, HALF_PI_LOST, -1.497_384_904_859_183_3e-33]
    }
}

/// π/2 of a format, and what rounding it lost.
pub(super) fn half_pi(ty: Ty) -> (f64, f64) {
    if ty == Ty::F32 { (HALF_PI, HALF_PI_MID) } else { (std::f64::consts::FRAC_PI_2, HALF_PI_LOST) }
}

impl Builder {
    /// The quadrant (in the low bits of an integer) and `r` in `[−π/4, π/4]` with `x = q π/2 + r`.
    pub(super) fn quadrant(&mut self, x: V) -> (V, V) {
        let f = format(x.ty);
        let parts = half_pi_parts(x.ty);
        let (scale, magic) = (self.f(std::f64::consts::FRAC_2_PI, x.ty), self.f(f.magic, x.ty));
        let shifted = self.fma(x, scale, magic);
        let n = self.sub(shifted, magic);
        let mut r = x;
        for part in parts {
            let part = self.f(part, x.ty);
            r = self.fnma(n, part, r);
        }
        (shifted.bits(f.int), r)
    }

    /// Sine and cosine of `r` in `[−π/4, π/4]`.
    pub(super) fn sin_cos_small(&mut self, r: V) -> (V, V) {
        let z = self.mul(r, r);
        let (sin, cos): (&[f64], &[f64]) = if r.ty == Ty::F32 {
            (
                &[-1.951_529_589_1e-4, 8.332_160_873_6e-3, -1.666_665_461_1e-1],
                &[2.443_315_711_809_948e-5, -1.388_731_625_493_765e-3, 4.166_664_568_298_827e-2],
            )
        } else {
            (
                &[
                    1.589_690_995_211_55e-10,
                    -2.505_076_025_340_686_3e-8,
                    2.755_731_370_707_007e-6,
                    -1.984_126_982_985_795e-4,
                    8.333_333_333_322_49e-3,
                    -1.666_666_666_666_663_2e-1,
                ],
                &[
                    -1.135_964_755_778_819_5e-11,
                    2.087_572_321_298_175e-9,
                    -2.755_731_435_139_066_3e-7,
                    2.480_158_728_947_673e-5,
                    -1.388_888_888_887_411e-3,
                    4.166_666_666_666_66e-2,
                ],
            )
        };
        let p = self.poly(z, sin);
        let cube = self.mul(r, z);
        let s = self.fma(p, cube, r);
        let q = self.poly(z, cos);
        let (one, half) = (self.f(1.0, r.ty), self.f(0.5, r.ty));
        let q = self.mul(q, z);
        let q = self.sub(q, half);
        (s, self.fma(q, z, one))
    }

    /// Beyond this, three parts of π/2 are too few and the scalar function takes over.
    pub(super) fn far(&mut self, x: V) -> V {
        let limit = self.f(if x.ty == Ty::F32 { 30_000.0 } else { 500_000.0 }, x.ty);
        let size = self.fabs(x);
        let near = self.cmp(Pred::Le, size, limit);
        self.not(near)
    }

    /// The sine, or the cosine where `ahead` is 1.
    pub(in crate::lane) fn sin_or_cos(&mut self, x: V, f: Unary, ahead: i64) -> V {
        let int = format(x.ty).int;
        let (q, r) = self.quadrant(x);
        let (s, c) = self.sin_cos_small(r);
        let (one, two, ahead) = (self.i(1, int), self.i(2, int), self.i(ahead, int));
        let q = if f == Unary::Cos { self.add(q, ahead) } else { q };
        let odd = self.and(q, one);
        let odd = self.cmp(Pred::Eq, odd, one);
        let y = self.select(odd, c, s);
        let flip = self.and(q, two);
        let flip = self.shift(Shift::Left, flip, if x.ty == Ty::F32 { 30 } else { 62 });
        let mut y = self.xor(y, flip.bits(x.ty));
        if f == Unary::Sin {
            let zero = self.f(0.0, x.ty);
            let is_zero = self.cmp(Pred::Eq, x, zero);
            y = self.select(is_zero, x, y);
        }
        let far = self.far(x);
        self.call(ScalarCall::Unary(f, x.ty), x, x, Some((far, y)))
    }

    /// `a − b` rounded, and exactly what the rounding lost (Knuth's two-sum).
    fn difference(&mut self, a: V, b: V) -> (V, V) {
        let difference = self.sub(a, b);
        let back = self.sub(difference, a);
        let kept = self.sub(difference, back);
        let (of_a, of_b) = (self.sub(a, kept), self.add(b, back));
        (difference, self.sub(of_a, of_b))
    }

    pub(in crate::lane) fn tan(&mut self, x: V) -> V {
        let (q, r) = self.quadrant(x);
        // What the rounding of r lost.
        let magic = self.f(format(x.ty).magic, x.ty);
        let n = self.sub(q.bits(x.ty), magic);
        let [hi, mid, lo] = half_pi_parts(x.ty);
        let (hi, mid, lo) = (self.f(hi, x.ty), self.f(mid, x.ty), self.f(lo, x.ty));
        // Next to a multiple of π/2 the first two differences cancel: what they lose is small beside them, but not beside r.
        let first = self.fnma(n, hi, x);
        let second = self.fnma(n, mid, first);
        let product = self.mul(n, mid);
        let (difference, lost) = self.difference(first, product);
        let apart = self.sub(difference, second);
        let lost = self.add(apart, lost);
        // The product's own rounding: product − n·mid.
        let rounding = self.fnma(n, mid, product);
        let lost = self.add(lost, rounding);
        let third = self.sub(second, r);
        let third = self.fnma(n, lo, third);
        let lost = self.add(third, lost);
        let z = self.mul(r, r);
        let p = if x.ty == Ty::F32 {
            self.poly(
                z,
                &[
                    9.385_401_855_43e-3,
                    3.119_922_326_97e-3,
                    2.443_013_545_25e-2,
                    5.341_128_070_05e-2,
                    1.333_879_940_85e-1,
                    3.333_315_685_48e-1,
                ],
            )
        } else {
            let p = self.poly(z, &[-1.309_369_391_813_837_9e4, 1.153_516_648_385_874_2e6, -1.795_652_519_764_848_8e7]);
            let q = self.poly(
                z,
                &[
                    1.0,
                    1.368_129_634_706_929_6e4,
                    -1.320_892_344_402_109_7e6,
                    2.500_838_018_233_579e7,
                    -5.386_957_559_294_546_6e7,
                ],
            );
            self.div(p, q)
        };
        let cube = self.mul(z, r);
        // What is lost counts as many times as the tangent is steep: twice at π/4.
        let near = self.fma(p, cube, r);
        let one = self.f(1.0, x.ty);
        let slope = self.fma(near, near, one);
        let lost = self.mul(lost, slope);
        let curved = self.fma(p, cube, lost);
        let t = self.add(r, curved);
        // −1/t, with what the sum and the quotient lost.
        let kept = self.sub(t, r);
        let lost = self.sub(curved, kept);
        let minus = self.f(-1.0, x.ty);
        let inverse = self.div(minus, t);
        let error = self.fma(inverse, t, one);
        let error = self.fma(inverse, lost, error);
        let inverse = self.fma(inverse, error, inverse);
        let bit = self.i(1, format(x.ty).int);
        let odd = self.and(q, bit);
        let odd = self.cmp(Pred::Eq, odd, bit);
        let y = self.select(odd, inverse, t);
        let zero = self.f(0.0, x.ty);
        let is_zero = self.cmp(Pred::Eq, x, zero);
        let y = self.select(is_zero, x, y);
        let far = self.far(x);
        self.call(ScalarCall::Unary(Unary::Tan, x.ty), x, x, Some((far, y)))
    }
}
