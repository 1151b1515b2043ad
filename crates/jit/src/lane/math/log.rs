//! Logarithms.

use super::super::{Bin, Builder, OpSet, Part, Pred, Shift, Ty, V};
use super::format;

/// What `log x` is made of where `x = 2^e m` with `m` in `[√½, √2)`. Nothing is computed that is not used.
struct Parts {
    /// `log m`
    log: V,
    /// `m − 1`, exactly.
    r: V,
    /// `log m − r`
    rest: V,
    /// Integral.
    e: V,
}

/// A logarithm as the sum `e ln2 + rest`.
pub(super) struct LogTerms {
    /// Integral.
    pub(super) e: V,
    /// The logarithm of 2 without its last digits: the product is exact.
    pub(super) ln2: V,
    /// Small.
    pub(super) rest: V,
}

impl Builder {
    /// The logarithm of a positive finite `x` in its parts.
    fn log_parts(&mut self, x: V) -> Parts {
        let single = x.ty == Ty::F32;
        let (m, e) = self.mantissa_and_exponent(x);
        let one = self.f(1.0, x.ty);
        let r = self.sub(m, one);
        let half = self.f(0.5, x.ty);
        let (log, rest) = if single {
            let p = self.poly(
                r,
                &[
                    7.037_683_629_2e-2,
                    -1.151_461_031e-1,
                    1.167_699_874e-1,
                    -1.242_014_084_6e-1,
                    1.424_932_278_7e-1,
                    -1.666_805_766_5e-1,
                    2.000_071_476_5e-1,
                    -2.499_999_399_3e-1,
                    3.333_333_117_4e-1,
                ],
            );
            let square = self.mul(r, r);
            let p = self.mul(p, r);
            let p = self.sub(p, half);
            (self.fma(p, square, r), self.mul(p, square))
        } else {
            let two = self.f(2.0, x.ty);
            let d = self.add(r, two);
            let s = self.div(r, d);
            let z = self.mul(s, s);
            let p = self.poly(
                z,
                &[
                    1.479_819_860_511_658_6e-1,
                    1.531_383_769_920_937_3e-1,
                    1.818_357_216_161_805e-1,
                    2.222_219_843_214_978_4e-1,
                    2.857_142_874_366_239e-1,
                    3.999_999_999_940_942e-1,
                    6.666_666_666_666_735e-1,
                ],
            );
            let p = self.mul(p, z);
            let h = self.mul(r, r);
            let h = self.mul(h, half);
            let p = self.add(p, h);
            let p = self.mul(p, s);
            let p = self.sub(p, h);
            (self.add(r, p), p)
        };
        Parts { log, r, rest, e }
    }

    /// `m` in `[√½, √2)` and an integral `e` with `x = 2^e m`, for a positive finite `x`.
    pub(super) fn mantissa_and_exponent(&mut self, x: V) -> (V, V) {
        if self.ops == OpSet::Extended { self.parts(x) } else { self.parts_by_bits(x) }
    }

    /// The same from instructions for both.
    fn parts(&mut self, x: V) -> (V, V) {
        let (m, e) = (self.part(Part::Mantissa, x), self.part(Part::Exponent, x));
        let root = self.constant(if x.ty == Ty::F32 { 0x3fb5_04f3 } else { 0x3ff6_a09e_0000_0000 }, x.ty);
        let (one, half) = (self.f(1.0, x.ty), self.f(0.5, x.ty));
        let high = self.cmp(Pred::Le, root, m);
        let (less, more) = (self.mul(m, half), self.add(e, one));
        (self.select(high, less, m), self.select(high, more, e))
    }

    /// The same from the bits.
    fn parts_by_bits(&mut self, x: V) -> (V, V) {
        let f = format(x.ty);
        let single = x.ty == Ty::F32;
        let (least, up, steps) = if single {
            (f64::from(f32::MIN_POSITIVE), 33_554_432.0, 25.0)
        } else {
            (f64::MIN_POSITIVE, 18_014_398_509_481_984.0, 54.0)
        };
        let (least, up, steps, zero) = (self.f(least, x.ty), self.f(up, x.ty), self.f(steps, x.ty), self.f(0.0, x.ty));
        let tiny = self.lt(x, least);
        let larger = self.mul(x, up);
        let x = self.select(tiny, larger, x);
        let steps = self.select(tiny, steps, zero);
        let (one, root, mask, exponent): (i64, i64, i64, i64) = if single {
            (0x3f80_0000, 0x3f35_04f3, 0x7f_ffff, 0x4b00_0000)
        } else {
            (0x3ff0_0000_0000_0000, 0x3fe6_a09e_0000_0000, 0xf_ffff_ffff_ffff, 0x4330_0000_0000_0000)
        };
        let (shift, mask, root, exponent) =
            (self.i(one - root, f.int), self.i(mask, f.int), self.i(root, f.int), self.i(exponent, f.int));
        let u = self.add(x.bits(f.int), shift);
        let e = self.shift(Shift::Logical, u, f.mantissa);
        let e = self.or(e, exponent).bits(x.ty);
        let bias = self.f(f.magic / 1.5 + f.bias, x.ty);
        let e = self.sub(e, bias);
        let e = self.sub(e, steps);
        let m = self.and(u, mask);
        let m = self.add(m, root).bits(x.ty);
        (m, e)
    }

    /// `y` where `x` is positive and finite; what a logarithm is elsewhere.
    pub(super) fn log_specials(&mut self, x: V, y: V) -> V {
        if self.ops == OpSet::Extended {
            return self.bin(Bin::LogEdges, x, y);
        }
        let (zero, inf) = (self.f(0.0, x.ty), self.f(f64::INFINITY, x.ty));
        // The NaN of x86's invalid operations, which has the sign bit set: `signbit` shows it.
        let (minus_inf, nan) = (self.f(f64::NEG_INFINITY, x.ty), self.f(-f64::NAN, x.ty));
        let finite = self.lt(x, inf);
        let y = self.select(finite, y, x);
        let is_zero = self.cmp(Pred::Eq, x, zero);
        let special = self.select(is_zero, minus_inf, nan);
        let positive = self.lt(zero, x);
        self.select(positive, y, special)
    }

    /// The logarithm of a positive finite `x` as a sum.
    pub(super) fn log_terms(&mut self, x: V) -> LogTerms {
        let Parts { log, e, .. } = self.log_parts(x);
        let (hi, lo) = if x.ty == Ty::F32 {
            (0.693_359_375, -2.121_944_4e-4)
        } else {
            (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10)
        };
        let (hi, lo) = (self.f(hi, x.ty), self.f(lo, x.ty));
        LogTerms { e, ln2: hi, rest: self.fma(e, lo, log) }
    }

    pub(super) fn log_finite(&mut self, x: V) -> V {
        let LogTerms { e, ln2, rest } = self.log_terms(x);
        self.fma(e, ln2, rest)
    }

    pub(in crate::lane) fn log(&mut self, x: V) -> V {
        let y = self.log_finite(x);
        self.log_specials(x, y)
    }

    pub(in crate::lane) fn log1p(&mut self, x: V) -> V {
        let one = self.f(1.0, x.ty);
        let u = self.add(x, one);
        let y = self.log_finite(u);
        // What was lost in 1 + x, whichever of the two is larger.
        let back = self.sub(u, one);
        let small = self.sub(x, back);
        let back = self.sub(u, x);
        let large = self.sub(one, back);
        let is_large = self.lt(one, x);
        let lost = self.select(is_large, large, small);
        let lost = self.div(lost, u);
        let y = self.add(y, lost);
        let y = self.log_specials(u, y);
        let sign = self.sign_bit(x.ty);
        let sign = self.and(x, sign);
        self.or(y, sign)
    }

    pub(in crate::lane) fn log2(&mut self, x: V) -> V {
        let Parts { r, rest, e, .. } = self.log_parts(x);
        // The rounding of log m would be rounded again.
        let scale = self.f(std::f64::consts::LOG2_E, x.ty);
        let y = self.mul(rest, scale);
        let y = self.fma(r, scale, y);
        let y = self.add(y, e);
        self.log_specials(x, y)
    }

    pub(in crate::lane) fn log10(&mut self, x: V) -> V {
        let Parts { r, rest, e, .. } = self.log_parts(x);
        let (scale, hi, lo) = if x.ty == Ty::F32 {
            (std::f64::consts::LOG10_E, 0.301_029_980_182_647_7, 1.548_133_388_586_2e-8)
        } else {
            (std::f64::consts::LOG10_E, 3.010_299_956_636_117_7e-1, 3.694_239_077_158_931e-13)
        };
        let (scale, hi, lo) = (self.f(scale, x.ty), self.f(hi, x.ty), self.f(lo, x.ty));
        let low = self.mul(e, lo);
        let y = self.fma(rest, scale, low);
        let y = self.fma(r, scale, y);
        let y = self.fma(e, hi, y);
        self.log_specials(x, y)
    }
}
