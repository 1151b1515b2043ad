//! Hyperbolic functions and sigmoids: what is made of one exponential.

use super::super::{Bin, Builder, Op, Ty, V};
use super::tables::{TANH, TANH_CENTRES};

/// `(asinh(a) / a − 1) / a²` in `a²` up to ¼, within 1.3e-9; fitted as the arc tangent's.
const ASINH_F32: [f64; 5] =
    [-1.324_810_646_47e-2, 2.817_556_262_02e-2, -4.438_586_905_6e-2, 7.498_663_663_86e-2, -1.666_664_332_15e-1];

/// `(e^r − 1 − r) / r²` for `r` from −¼ log 2 to ¾ log 2, within 3e-18 of `e^r − 1`.
const EXPM1_TAIL: [f64; 11] = [
    2.422_621_890_133_654_6e-9,
    2.481_321_048_491_669e-8,
    2.756_356_580_416_586_4e-7,
    2.755_736_017_318_888e-6,
    2.480_158_273_706_780_4e-5,
    1.984_126_987_889_642_7e-4,
    1.388_888_888_981_422_3e-3,
    8.333_333_333_323_166e-3,
    4.166_666_666_666_601e-2,
    1.666_666_666_666_666_7e-1,
    0.5,
];

impl Builder {
    pub(in crate::lane) fn tanh(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let y = if x.ty == Ty::F32 { self.tanh_f32(a) } else { self.tanh_f64(a) };
        self.with_sign(y, x)
    }

    /// Of `a ≥ 0`; 1 from 9 on.
    fn tanh_f32(&mut self, a: V) -> V {
        let limit = self.f(10.0, a.ty);
        let a = self.bin(Bin::Min, limit, a);
        let (r, index) = self.off_centre(a, &TANH_CENTRES);
        self.poly_of_odd(r, index, &TANH)
    }

    /// Of `a ≥ 0`: `m / (m + 2)` with `m = e^2a − 1`.
    ///
    /// *Numerics*: at most three places from the nearest number on dense samples.
    fn tanh_f64(&mut self, a: V) -> V {
        let (twice, limit) = (self.add(a, a), self.f(44.0, a.ty));
        let twice = self.bin(Bin::Min, limit, twice);
        // Rounded down from three quarters, so that what is added to a power of two minus 1 is not nearly its opposite.
        let quarter = self.f(-0.25, a.ty);
        let (n, r) = self.exp_reduce_beside(twice, quarter);
        let tail = self.poly(r, &EXPM1_TAIL);
        let square = self.mul(r, r);
        let p = self.fma(tail, square, r);
        // Both are rounded once: the sums of a power of two and 1 are exact.
        let (s, one) = (self.pow2(n), self.f(1.0, a.ty));
        let (less, more) = (self.sub(s, one), self.add(s, one));
        let (m, d) = (self.fma(s, p, less), self.fma(s, p, more));
        self.div(m, d)
    }

    /// `e / (e + 1)` with `e = e^x`, both multiplied by a power of two that keeps them normal numbers where the result is none.
    pub(in crate::lane) fn sigmoid(&mut self, x: V) -> V {
        let (low, up) = if x.ty == Ty::F32 { (-104.0, 32.0) } else { (-746.0, 64.0) };
        let c = self.clamp(x, low, 40.0);
        let (n, r) = self.exp_reduce(c);
        let p = self.exp_small(r);
        let s = self.pow2_by(n, up);
        let e = self.mul(p, s);
        let one = self.f(up.exp2(), x.ty);
        let d = self.add(e, one);
        let y = self.div(e, d);
        // Below zero e (1 − y) is the same and nearer: what the sum and the quotient lost counts only as much as y does.
        let low = self.fnma(e, y, e);
        let down = self.f((-up).exp2(), x.ty);
        let low = self.mul(low, down);
        let zero = self.f(0.0, x.ty);
        let negative = self.lt(x, zero);
        self.select(negative, low, y)
    }

    /// `e^|x| / 2`, overflowing only where it must, and `|x|`.
    pub(super) fn half_exp(&mut self, x: V) -> (V, V) {
        let a = self.fabs(x);
        let limit = self.f(if x.ty == Ty::F32 { 90.0 } else { 711.0 }, x.ty);
        let c = self.bin(Bin::Min, limit, a);
        let (n, r) = self.exp_reduce(c);
        let p = self.exp_small(r);
        let one = self.f(1.0, x.ty);
        let n = self.sub(n, one);
        (self.scale(p, n), a)
    }

    pub(in crate::lane) fn cosh(&mut self, x: V) -> V {
        let (h, _) = self.half_exp(x);
        let quarter = self.f(0.25, x.ty);
        let low = self.div(quarter, h);
        self.add(h, low)
    }

    pub(in crate::lane) fn sinh(&mut self, x: V) -> V {
        let (h, a) = self.half_exp(x);
        let quarter = self.f(0.25, x.ty);
        let low = self.div(quarter, h);
        let large = self.sub(h, low);
        let z = self.mul(a, a);
        let p = if x.ty == Ty::F32 {
            self.poly(z, &[2.037_219_129_45e-4, 8.330_283_762_39e-3, 1.666_671_602_11e-1])
        } else {
            let p = self.poly(
                z,
                &[
                    -7.894_744_439_635_37e-1,
                    -1.637_258_575_259_838_3e2,
                    -1.156_144_357_650_052_2e4,
                    -3.517_549_648_081_514e5,
                ],
            );
            let q = self.poly(z, &[1.0, -2.777_110_814_206_028e2, 3.615_782_798_344_32e4, -2.110_529_788_848_908_4e6]);
            self.div(p, q)
        };
        let cube = self.mul(z, a);
        let small = self.fma(p, cube, a);
        let one = self.f(1.0, x.ty);
        let is_small = self.lt(a, one);
        let y = self.select(is_small, small, large);
        self.with_sign(y, x)
    }

    /// `log(x) + log(2)` where `x` is so large that it is all of an inverse hyperbolic function.
    fn log_twice(&mut self, x: V) -> V {
        let y = self.log(x);
        let ln2 = self.f(std::f64::consts::LN_2, x.ty);
        self.add(y, ln2)
    }

    /// From here on, squares and ones are lost in `log(2x)`.
    fn huge(&mut self, ty: Ty) -> V {
        self.f(if ty == Ty::F32 { 1e6 } else { 1e10 }, ty)
    }

    pub(in crate::lane) fn asinh(&mut self, x: V) -> V {
        // log(1 + a + a² / (1 + √(1 + a²)))
        let a = self.fabs(x);
        let one = self.f(1.0, x.ty);
        let square = self.mul(a, a);
        let root = self.fma(a, a, one);
        let root = self.push(Op::Sqrt(root), x.ty);
        let d = self.add(one, root);
        let t = self.div(square, d);
        let t = self.add(a, t);
        let near = self.log1p(t);
        let (far, huge) = (self.log_twice(a), self.huge(x.ty));
        let is_far = self.lt(huge, a);
        let mut y = self.select(is_far, far, near);
        if x.ty == Ty::F32 {
            // Where the sum in the logarithm is rounded far above the result's own last place.
            let p = self.poly(square, &ASINH_F32);
            let cube = self.mul(square, a);
            let small = self.fma(p, cube, a);
            let half = self.f(0.5, x.ty);
            let is_small = self.lt(a, half);
            y = self.select(is_small, small, y);
        }
        self.with_sign(y, x)
    }

    pub(in crate::lane) fn acosh(&mut self, x: V) -> V {
        // log(1 + t + √(2t + t²)) with t = x − 1
        let one = self.f(1.0, x.ty);
        let t = self.sub(x, one);
        let twice = self.add(t, t);
        let square = self.fma(t, t, twice);
        let root = self.push(Op::Sqrt(square), x.ty);
        let sum = self.add(t, root);
        let near = self.log1p(sum);
        // What the roundings of the root and of the sum lost.
        let rest = self.fnma(root, root, square);
        let twice = self.add(root, root);
        let tiny = self.f(if x.ty == Ty::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }, x.ty);
        let twice = self.add(twice, tiny);
        let rest = self.div(rest, twice);
        let back = self.sub(sum, t);
        let lost = self.sub(root, back);
        let lost = self.add(lost, rest);
        let d = self.add(sum, one);
        let lost = self.div(lost, d);
        let near = self.add(near, lost);
        let (far, huge) = (self.log_twice(x), self.huge(x.ty));
        let is_far = self.lt(huge, x);
        let y = self.select(is_far, far, near);
        let (outside, nan) = (self.lt(x, one), self.f(f64::NAN, x.ty));
        self.select(outside, nan, y)
    }

    pub(in crate::lane) fn atanh(&mut self, x: V) -> V {
        // log(1 + 2a / (1 − a)) / 2
        let a = self.fabs(x);
        let (one, half) = (self.f(1.0, x.ty), self.f(0.5, x.ty));
        let (twice, rest) = (self.add(a, a), self.sub(one, a));
        let t = self.div(twice, rest);
        let y = self.log1p(t);
        let mut y = self.mul(y, half);
        if x.ty == Ty::F32 {
            let z = self.mul(a, a);
            let p = self.poly(
                z,
                &[1.817_400_783_49e-1, 8.243_703_010_58e-2, 1.466_914_317_3e-1, 1.997_821_645e-1, 3.333_373_003_03e-1],
            );
            let cube = self.mul(z, a);
            let small = self.fma(p, cube, a);
            let is_small = self.lt(a, half);
            y = self.select(is_small, small, y);
        }
        // Beyond ±1 there is no number, whatever sign the quotient has.
        let outside = self.lt(one, a);
        let nan = self.f(f64::NAN, x.ty);
        let y = self.select(outside, nan, y);
        self.with_sign(y, x)
    }
}
