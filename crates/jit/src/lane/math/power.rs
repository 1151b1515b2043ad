//! Powers.

use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;

use super::super::{Builder, Conv, Fused, Op, Pred, RoundTo, ScalarCall, Ty, V};

/// `(atanh(s) / s − 1 − z / 3) / z²` in `z = s²` up to 0.0295, within 2e-17.
const ATANH_F64: [f64; 8] = [
    5.861_801_811_452_705_5e-2,
    5.853_097_844_940_682e-2,
    6.667_403_106_050_301e-2,
    7.692_297_467_298_959e-2,
    9.090_909_167_827_08e-2,
    0.111_111_111_108_273_67,
    0.142_857_142_857_146_85,
    0.2,
];

impl Builder {
    /// `a·b − c` with one rounding.
    fn fms(&mut self, a: V, b: V, c: V) -> V {
        self.push(Op::Fused(Fused::Sub, a, b, c), c.ty)
    }

    /// `a + b` as a rounded sum and what it lost, where `a` is the larger one or 0.
    fn two_sum(&mut self, a: V, b: V) -> (V, V) {
        let sum = self.add(a, b);
        let back = self.sub(a, sum);
        (sum, self.add(back, b))
    }

    /// The logarithm of a positive finite `F64` as a sum of two, within about 2⁻⁶³ of itself: an exponent multiplies its error by up to 710.
    fn log_in_two(&mut self, x: V) -> (V, V) {
        let (m, e) = self.mantissa_and_exponent(x);
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (one, two) = (c(self, 1.0), c(self, 2.0));
        // s = (m − 1) / (m + 1), in two parts as all that follows.
        let r = self.sub(m, one);
        let (d, d_low) = self.two_sum(two, r);
        let inverse = self.div(one, d);
        let s = self.mul(r, inverse);
        let rest = self.fnma(s, d, r);
        let rest = self.fnma(s, d_low, rest);
        let s_low = self.mul(rest, inverse);
        let z = self.mul(s, s);
        let z_low = self.fms(s, s, z);
        let twice = self.add(s, s);
        let z_low = self.fma(twice, s_low, z_low);
        // log m = 2s (1 + z (⅓ + z Q(z)))
        let q = self.poly(z, &ATANH_F64);
        let q = self.mul(q, z);
        let (third, third_low) = (c(self, 1.0 / 3.0), c(self, 1.850_371_707_708_594e-17));
        let (t, t_low) = self.two_sum(third, q);
        let t_low = self.add(t_low, third_low);
        let p = self.mul(z, t);
        let p_low = self.fms(z, t, p);
        let p_low = self.fma(z, t_low, p_low);
        let p_low = self.fma(z_low, t, p_low);
        let twice_low = self.add(s_low, s_low);
        let u = self.mul(twice, p);
        let low = self.fms(twice, p, u);
        let low = self.fma(twice, p_low, low);
        let low = self.fma(twice_low, p, low);
        let low = self.add(low, twice_low);
        let (log, lost) = self.two_sum(twice, u);
        let low = self.add(low, lost);
        // e log 2, of which the first part is exact.
        let (ln2, ln2_low) = (c(self, 6.931_471_803_691_238e-1), c(self, 1.908_214_929_270_587_7e-10));
        let whole = self.mul(e, ln2);
        let (high, lost) = self.two_sum(whole, log);
        let low = self.add(low, lost);
        let low = self.fma(e, ln2_low, low);
        self.two_sum(high, low)
    }

    /// `size^y` of a positive finite `F64` and a finite `y`.
    fn power_f64(&mut self, size: V, y: V) -> V {
        let (log, log_low) = self.log_in_two(size);
        let x = self.mul(y, log);
        let x_low = self.fms(y, log, x);
        let x_low = self.fma(y, log_low, x_low);
        // Where the result is 0 or infinite, the second part may be no number.
        let (limit, zero, far) = (self.f(750.0, Ty::F64), self.f(0.0, Ty::F64), self.fabs(x));
        let bounded = self.lt(far, limit);
        let x_low = self.select(bounded, x_low, zero);
        let x = self.clamp(x, -746.0, 710.0);
        let (n, r) = self.exp_reduce(x);
        let r = self.add(r, x_low);
        let p = self.exp_small(r);
        self.scale(p, n)
    }

    /// Twice the exponent that `b` is known to be, where that is whole and multiplications and a root give `a^b` within 2 places (`F32`) or a few (`F64`).
    fn known_exponent(&self, b: V) -> Option<i32> {
        let bits = self.is_const(b)?;
        let (exponent, most) =
            if b.ty == Ty::F32 { (f64::from(f32::from_bits(bits as u32)), 64.0) } else { (f64::from_bits(bits), 8.0) };
        let is_whole = exponent.fract() == 0.0 && exponent.abs() <= most;
        let is_half = exponent.abs().fract() == 0.5 && exponent.abs() < 5.0;
        (is_whole || is_half).then_some((2.0 * exponent) as i32)
    }

    /// `a^(twice / 2)` by squares, products and for an odd number a root. As a power, it is 1 for 0 even of NaN.
    ///
    /// *Numerics*: of `F32`, 1/2, -1/2 and exponents from 2 to 4 are computed in `F32` (at most 1.5 ULP), all others in `F64`, rounded once. Of `F64`, the
    /// error is up to as many ULP as the exponent, and another one each for a negative one and for a root.
    fn known_power(&mut self, a: V, twice: i32) -> V {
        let (n, has_root) = (twice / 2, twice % 2 != 0);
        let wide = a.ty == Ty::F32 && if has_root { n != 0 } else { !(-1..=4).contains(&n) };
        let x = if wide { self.conv(Conv::F32ToF64, a) } else { a };
        let one = self.f(1.0, x.ty);
        let x = if has_root { self.without_signs_at_edges(x) } else { x };
        let mut power = has_root.then(|| self.push(Op::Sqrt(x), x.ty));
        let (mut left, mut square) = (n.unsigned_abs(), x);
        while left > 0 {
            if left & 1 == 1 {
                power = Some(power.map_or(square, |p| self.mul(p, square)));
            }
            left >>= 1;
            if left > 0 {
                square = self.mul(square, square);
            }
        }
        let power = power.unwrap_or(one);
        let y = if twice < 0 { self.div(one, power) } else { power };
        if wide { self.conv(Conv::F64ToF32, y) } else { y }
    }

    /// `x`, and positive ones for the negative zero and infinity: a power that is not whole is 0 or infinite there, a root is not.
    fn without_signs_at_edges(&mut self, x: V) -> V {
        let (zero, inf, low) = (self.f(0.0, x.ty), self.f(f64::INFINITY, x.ty), self.f(f64::NEG_INFINITY, x.ty));
        let is_low = self.cmp(Pred::Eq, x, low);
        let x = self.add(x, zero);
        self.select(is_low, inf, x)
    }

    /// `F32` by way of `F64`, where `e^(b log a)` keeps all digits; `F64` by way of a logarithm in two parts.
    pub(in crate::lane) fn pow(&mut self, a: V, b: V, dtype: DType) -> V {
        if let Some(twice) = self.known_exponent(b) {
            return self.known_power(a, twice);
        }
        let single = a.ty == Ty::F32;
        let (x, y) = if single { (self.conv(Conv::F32ToF64, a), self.conv(Conv::F32ToF64, b)) } else { (a, b) };
        let size = self.fabs(x);
        let power = if single {
            let log = self.log_finite(size);
            let exponent = self.mul(y, log);
            self.exp(exponent)
        } else {
            self.power_f64(size, y)
        };
        // A negative base has a power where the exponent is whole, and keeps its sign where that is odd.
        let (zero, half) = (self.f(0.0, Ty::F64), self.f(0.5, Ty::F64));
        let (rounded, halved) = (self.round(RoundTo::Zero, y), self.mul(y, half));
        let even = self.round(RoundTo::Zero, halved);
        let (is_whole, is_odd) = (self.cmp(Pred::Eq, rounded, y), self.cmp(Pred::Ne, even, halved));
        let minus = self.with_sign(power, x);
        let signed = self.select(is_odd, minus, power);
        let nan = self.f(f64::NAN, Ty::F64);
        let signed = self.select(is_whole, signed, nan);
        let negative = self.lt(x, zero);
        let power = self.select(negative, signed, power);
        let fast = if single { self.conv(Conv::F64ToF32, power) } else { power };
        // Zeros, infinities and NaN have rules of their own.
        let (inf, far) = (self.f(f64::INFINITY, Ty::F64), self.fabs(y));
        let (usual, bounded, finite) = (self.lt(zero, size), self.lt(size, inf), self.lt(far, inf));
        let usual = self.and(usual, bounded);
        let usual = self.and(usual, finite);
        let special = self.not(usual);
        self.call(ScalarCall::Binary(Binary::Pow, dtype), a, b, Some((special, fast)))
    }
}
