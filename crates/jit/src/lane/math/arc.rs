//! Arc sines, arc cosines and arc tangents.

use super::super::{Builder, Op, Ty, V};
use super::trigonometric::half_pi;

/// `(atan(t) / t − 1) / t²` in `t²` up to 1, within 1.5e-8; a least-squares fit, reweighted until its errors were even.
const ATAN_F32: [f64; 8] = [
    2.974_588_889_6e-3,
    -1.658_117_771_15e-2,
    4.355_353_116_99e-2,
    -7.580_577_582_12e-2,
    1.067_894_026_64e-1,
    -1.421_420_872_21e-1,
    1.999_413_669_11e-1,
    -3.333_316_743_37e-1,
];

impl Builder {
    /// The arc sine on `[0, ½]` as its argument and the rest, after the reduction `a > ½ → √((1 − a) / 2)`, and whether that was done.
    fn arc_small(&mut self, a: V) -> (V, V, V) {
        let (one, half) = (self.f(1.0, a.ty), self.f(0.5, a.ty));
        let big = self.lt(half, a);
        let z = self.sub(one, a);
        let z = self.mul(z, half);
        let root = self.push(Op::Sqrt(z), a.ty);
        let square = self.mul(a, a);
        let z = self.select(big, z, square);
        let s = self.select(big, root, a);
        let p = if a.ty == Ty::F32 {
            self.poly(
                z,
                &[4.216_319_904_8e-2, 2.418_131_104_9e-2, 4.547_002_599_8e-2, 7.495_300_268_6e-2, 1.666_675_242_2e-1],
            )
        } else {
            let p = self.poly(
                z,
                &[
                    3.479_331_075_960_212e-5,
                    7.915_349_942_898_145e-4,
                    -4.005_553_450_067_941e-2,
                    2.012_125_321_348_629_3e-1,
                    -3.255_658_186_224_009e-1,
                    1.666_666_666_666_666_6e-1,
                ],
            );
            let q = self.poly(
                z,
                &[
                    7.703_815_055_590_194e-2,
                    -6.882_839_716_054_533e-1,
                    2.020_945_760_233_505_7,
                    -2.403_394_911_734_414,
                    1.0,
                ],
            );
            self.div(p, q)
        };
        let cube = self.mul(z, s);
        // What the rounding of the root lost.
        let (zero, tiny) = (
            self.f(0.0, a.ty),
            self.f(if a.ty == Ty::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }, a.ty),
        );
        let rest = self.fnma(s, s, z);
        let twice = self.add(s, s);
        let twice = self.add(twice, tiny);
        let lost = self.div(rest, twice);
        let lost = self.select(big, lost, zero);
        (s, self.fma(p, cube, lost), big)
    }

    pub(in crate::lane) fn asin(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (s, rest, big) = self.arc_small(a);
        let (hi, low) = half_pi(x.ty);
        let (quarter, low) = (self.f(hi, x.ty), self.f(-low, x.ty));
        let two = self.f(2.0, x.ty);
        // π/2 − 2s is nearly exact: what is rounded is the small rest.
        let (twice_s, twice_rest) = (self.add(s, s), self.fma(two, rest, low));
        let far = self.sub(quarter, twice_s);
        let far = self.sub(far, twice_rest);
        let near = self.add(rest, s);
        let y = self.select(big, far, near);
        self.with_sign(y, x)
    }

    pub(in crate::lane) fn acos(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (s, rest, big) = self.arc_small(a);
        let p = self.add(rest, s);
        let zero = self.f(0.0, x.ty);
        let (hi, low) = half_pi(x.ty);
        let (quarter, low) = (self.f(hi, x.ty), self.f(low, x.ty));
        let negative = self.lt(x, zero);
        let sign = self.sign_bit(x.ty);
        let twice = self.add(p, p);
        // Near ±1: 2p, or π − 2p on the negative side; else π/2 ∓ p.
        let half_turn = self.sub(low, p);
        let half_turn = self.add(half_turn, quarter);
        let far = self.add(half_turn, half_turn);
        let near = self.select(negative, far, twice);
        let x_sign = self.and(x, sign);
        let signed = self.xor(p, x_sign);
        let middle = self.sub(low, signed);
        let middle = self.add(middle, quarter);
        self.select(big, near, middle)
    }

    pub(in crate::lane) fn atan(&mut self, x: V) -> V {
        if x.ty == Ty::F32 { self.atan_single(x) } else { self.atan_double(x) }
    }

    /// `F32`: one polynomial up to 1, and of the reciprocal beyond.
    fn atan_single(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (zero, one, minus) = (self.f(0.0, x.ty), self.f(1.0, x.ty), self.f(-1.0, x.ty));
        let big = self.lt(one, a);
        let (num, den) = (self.select(big, minus, a), self.select(big, a, one));
        let t = self.div(num, den);
        let z = self.mul(t, t);
        let p = self.poly(z, &ATAN_F32);
        let cube = self.mul(z, t);
        let (hi, low) = half_pi(x.ty);
        let (hi, low) = (self.f(hi, x.ty), self.f(low, x.ty));
        let (base, low) = (self.select(big, hi, zero), self.select(big, low, zero));
        let y = self.fma(p, cube, low);
        let y = self.add(y, t);
        let y = self.add(y, base);
        self.with_sign(y, x)
    }

    /// `F64`, by way of `(a − 1) / (a + 1)` in the middle.
    fn atan_double(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (one, minus) = (self.f(1.0, x.ty), self.f(-1.0, x.ty));
        let (tan1, tan3) = (self.f(0.66, x.ty), self.f(2.414_213_562_373_095, x.ty));
        let (mid, big) = (self.lt(tan1, a), self.lt(tan3, a));
        let (less, more) = (self.sub(a, one), self.add(a, one));
        let num = self.select(mid, less, a);
        let num = self.select(big, minus, num);
        let den = self.select(mid, more, one);
        let den = self.select(big, a, den);
        let t = self.div(num, den);
        let z = self.mul(t, t);
        let p = self.poly(
            z,
            &[
                -8.750_608_600_031_904e-1,
                -1.615_753_718_733_365e1,
                -7.500_855_792_314_705e1,
                -1.228_866_684_490_136_1e2,
                -6.485_021_904_942_025e1,
            ],
        );
        let q = self.poly(
            z,
            &[
                1.0,
                2.485_846_490_142_306_4e1,
                1.650_270_098_316_988_6e2,
                4.328_810_604_912_902_5e2,
                4.853_903_996_359_137e2,
                1.945_506_571_482_614e2,
            ],
        );
        let p = self.div(p, q);
        let cube = self.mul(z, t);
        let zero = self.f(0.0, x.ty);
        let (_, low) = half_pi(x.ty);
        let (low1, low2) = (self.f(low / 2.0, x.ty), self.f(low, x.ty));
        let low = self.select(mid, low1, zero);
        let low = self.select(big, low2, low);
        let y = self.fma(p, cube, low);
        let y = self.add(y, t);
        let (eighth, quarter) = (self.f(std::f64::consts::FRAC_PI_4, x.ty), self.f(std::f64::consts::FRAC_PI_2, x.ty));
        let base = self.select(mid, eighth, zero);
        let base = self.select(big, quarter, base);
        let y = self.add(y, base);
        self.with_sign(y, x)
    }
}
