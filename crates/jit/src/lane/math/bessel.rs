//! Modified Bessel functions of the first kind, of orders 0 and 1.
//!
//! `F32` is computed in `F64` by the powers of shortened series, within 4e-9 of itself; `F64` by the whole series of the reference, in its order.

use cotangent_core::ops::series::{I0_LARGE, I0_SMALL, I1_LARGE, I1_SMALL};

use super::super::{Bin, Builder, Conv, Op, Pred, Ty, V};

/// Up to which operand the series in it hold; beyond, those in its reciprocal do.
const BORDER: f64 = 8.0;

/// `e^-x I0(x)` up to 8 in `x / 4 − 1`.
const I0_NEAR: [f64; 20] = [
    -1.360_473_778_195_074_3e-4,
    3.486_284_152_415_698e-4,
    -2.057_593_459_019_275_4e-4,
    4.126_514_603_994_727_9e-4,
    -2.047_345_079_767_120_8e-3,
    4.169_273_658_126_487e-3,
    -6.604_619_497_155_476e-3,
    1.155_406_559_808_401e-2,
    -1.977_620_607_150_725_6e-2,
    3.036_063_713_979_472_7e-2,
    -4.295_691_574_384_897e-2,
    5.672_728_830_188_166e-2,
    -6.954_659_124_941_231e-2,
    7.928_297_277_213_99e-2,
    -8.496_283_115_339_742e-2,
    8.734_280_515_487_014e-2,
    -8.904_346_700_054_29e-2,
    9.451_564_719_798_7e-2,
    -0.113_004_326_534_456_13,
    0.207_001_921_130_108_57,
];
/// `e^-x √x I0(x)` from 8 on in `16 / x − 1`.
const I0_FAR: [f64; 9] = [
    1.521_810_829_804_344_3e-9,
    3.161_985_528_463_981e-8,
    1.056_358_031_630_597e-7,
    3.073_322_917_315_887_5e-7,
    1.478_017_997_878_504e-6,
    1.113_981_565_861_345e-5,
    1.362_168_137_905_065e-4,
    3.360_552_242_172_043e-3,
    0.402_176_509_431_101_3,
];
/// `e^-x I1(x) / x` up to 8 in `x / 4 − 1`.
const I1_NEAR: [f64; 19] = [
    4.752_133_693_835_991e-5,
    -1.236_827_997_289_075e-4,
    9.356_820_085_807_39e-5,
    -2.026_265_888_118_341_3e-4,
    8.124_034_742_045_469e-4,
    -1.698_594_314_670_541_7e-3,
    2.956_003_966_950_409e-3,
    -5.427_421_324_892_725_6e-3,
    9.606_306_452_167_205e-3,
    -1.561_430_099_037_550_5e-2,
    2.367_994_377_156_157_3e-2,
    -3.366_128_286_674_064e-2,
    4.467_551_729_725_158e-2,
    -5.528_131_276_199_898e-2,
    6.376_732_927_373_735e-2,
    -6.848_253_319_811_62e-2,
    6.805_760_218_087_063e-2,
    -6.112_433_925_519_851_5e-2,
    4.468_770_986_418_757_5e-2,
];
/// `e^-x √x I1(x)` from 8 on in `16 / x − 1`.
const I1_FAR: [f64; 9] = [
    -2.428_794_639_808_693e-9,
    -3.577_435_815_805_813_6e-8,
    -1.178_745_830_712_382_1e-7,
    -3.584_298_887_257_214e-7,
    -1.828_726_725_069_644_8e-6,
    -1.503_526_802_952_116e-5,
    -2.192_365_181_832_386_5e-4,
    -9.749_577_457_556_757e-3,
    0.389_398_459_040_684_3,
];

/// The series of a function, near 0 and far from it.
struct Series {
    /// By powers, the highest first, for `F32`.
    powers: [&'static [f64]; 2],
    /// Of Chebyshev, for `F64`.
    chebyshev: [&'static [f64]; 2],
}

const I0: Series = Series { powers: [&I0_NEAR, &I0_FAR], chebyshev: [&I0_SMALL, &I0_LARGE] };
const I1: Series = Series { powers: [&I1_NEAR, &I1_FAR], chebyshev: [&I1_SMALL, &I1_LARGE] };

impl Builder {
    /// `I0` of `x`, times `e^-|x|` if it is `scaled`.
    pub(in crate::lane) fn bessel_i0(&mut self, x: V, scaled: bool) -> V {
        self.bessel(x, &I0, false, scaled)
    }

    /// `I1` of `x`, times `e^-|x|` if it is `scaled`.
    pub(in crate::lane) fn bessel_i1(&mut self, x: V, scaled: bool) -> V {
        let y = self.bessel(x, &I1, true, scaled);
        self.with_sign(y, x)
    }

    /// The function of `|x|`, of which the near series is that of its quotient by `|x|` if it is `odd`.
    fn bessel(&mut self, x: V, series: &Series, odd: bool, scaled: bool) -> V {
        let (a, single) = self.bessel_operand(x, scaled);
        let (t, u, root) = self.bessel_variables(a);
        let [near, far] = if single {
            [self.poly(t, series.powers[0]), self.poly(u, series.powers[1])]
        } else {
            [self.chebyshev(t, series.chebyshev[0]), self.chebyshev(u, series.chebyshev[1])]
        };
        let near = if odd { self.mul(near, a) } else { near };
        let far = self.mul(far, root);
        self.bessel_result(a, [near, far], scaled, single)
    }

    /// `|x|` as `F64`, and whether `x` was an `F32`. From 720 on, what is not scaled is infinite, and at infinity NaN.
    fn bessel_operand(&mut self, x: V, scaled: bool) -> (V, bool) {
        let single = x.ty == Ty::F32;
        let wide = if single { self.conv(Conv::F32ToF64, x) } else { x };
        let (a, limit) = (self.fabs(wide), self.f(720.0, Ty::F64));
        if scaled {
            return (a, single);
        }
        // Zero, but NaN at infinity.
        let zero = self.sub(a, a);
        let limited = self.bin(Bin::Min, limit, a);
        (self.add(limited, zero), single)
    }

    /// `a / 4 − 1`, `16 / a − 1` and `1 / √a`.
    fn bessel_variables(&mut self, a: V) -> (V, V, V) {
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (quarter, sixteen, minus, one) = (c(self, 0.25), c(self, 16.0), c(self, -1.0), c(self, 1.0));
        let t = self.fma(a, quarter, minus);
        let u = self.div(sixteen, a);
        let u = self.add(u, minus);
        let root = self.push(Op::Sqrt(a), Ty::F64);
        (t, u, self.div(one, root))
    }

    /// The Chebyshev series `c` at `t`, by Clenshaw's recurrence.
    fn chebyshev(&mut self, t: V, c: &[f64]) -> V {
        let zero = self.f(0.0, Ty::F64);
        let twice = self.add(t, t);
        let (mut b1, mut b2) = (zero, zero);
        for c in c[1..].iter().rev() {
            (b1, b2) = (self.clenshaw(twice, b1, b2, *c), b1);
        }
        self.clenshaw(t, b1, b2, c[0])
    }

    /// `t b1 − b2 + c`, rounded after each step as the reference does: errors of the recurrence grow towards its ends, and are the same.
    fn clenshaw(&mut self, t: V, b1: V, b2: V, c: f64) -> V {
        let c = self.f(c, Ty::F64);
        let product = self.mul(t, b1);
        let difference = self.sub(product, b2);
        self.add(difference, c)
    }

    /// The one of both that holds at `a`, times `e^a` unless it is `scaled`, as what it was asked for.
    fn bessel_result(&mut self, a: V, [near, far]: [V; 2], scaled: bool, single: bool) -> V {
        let border = self.f(BORDER, Ty::F64);
        let is_near = self.cmp(Pred::Le, a, border);
        let mut y = self.select(is_near, near, far);
        if !scaled {
            // The product may exist where the power does not.
            let (n, r) = self.exp_reduce(a);
            let power = self.exp_small(r);
            let product = self.mul(y, power);
            y = self.scale(product, n);
        }
        if single { self.conv(Conv::F64ToF32, y) } else { y }
    }
}
