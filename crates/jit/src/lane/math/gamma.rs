//! The logarithm of the gamma function and its derivative, for `F64`, and by way of it for `F32`: at most about 3 ULP of `F64`.
//!
//! Positive numbers below [`FAR`] are brought by whole steps to where a polynomial around a zero holds, so that nothing cancels near it; from there on
//! the asymptotic series do. Others, which need a reflection or have poles, go through the scalar function.

use cotangent_core::ops::Unary;

use super::super::{Bin, Builder, Conv, Pred, ScalarCall, Ty, V};

/// Where the asymptotic series begin.
const FAR: f64 = 6.5;
/// The positive zero of the digamma function, in two parts.
const ROOT: (f64, f64) = (1.461_632_144_968_362_2, 9.549_995_429_965_697e-17);
/// `(log(2π) − 1) / 2`
const STIRLING_CONSTANT: f64 = 0.418_938_533_204_672_7;
/// `log Γ(2 + t) / t` up to ½, within 3e-17 of itself.
const LGAMMA: [f64; 20] = [
    6.379_047_507_619_774e-8,
    -1.341_281_975_851_728_7e-7,
    2.030_480_675_161_522_7e-7,
    -4.303_558_760_359_961e-7,
    9.578_663_334_114_758e-7,
    -2.044_920_146_701_511_5e-6,
    4.374_374_916_915_131e-6,
    -9.438_458_716_242_811e-6,
    2.050_726_741_605_779e-5,
    -4.492_635_110_383_333_4e-5,
    9.945_750_909_889_392e-5,
    -2.231_547_507_452_036_7e-4,
    5.096_695_248_853_096e-4,
    -1.192_753_912_001_022_6e-3,
    2.890_510_330_738_737e-3,
    -7.385_551_028_668_153_5e-3,
    2.058_080_842_778_457e-2,
    -6.735_230_105_319_814e-2,
    0.322_467_033_424_113_2,
    0.422_784_335_098_467_13,
];
/// `log Γ(1.15 + t) / (t + 0.15)` from 0.8 to 1.5, within 1e-16 of itself.
const LGAMMA_LOW: [f64; 20] = [
    5.396_089_291_080_998e-3,
    -6.516_558_926_641_595e-3,
    4.584_601_723_852_250_5e-3,
    -5.587_806_766_216_385e-3,
    7.695_154_269_649_654e-3,
    -9.432_765_981_605_598e-3,
    1.148_969_074_910_955_8e-2,
    -1.422_173_982_297_967_6e-2,
    1.771_917_755_783_84e-2,
    -2.221_893_378_586_226_7e-2,
    2.809_972_403_134_633e-2,
    -3.591_684_720_064_621e-2,
    4.653_869_088_670_193e-2,
    -6.141_415_483_000_519_5e-2,
    8.317_185_724_578_369e-2,
    -0.117_175_008_779_779_63,
    0.176_407_002_233_554_6,
    -0.302_122_744_947_796_6,
    0.718_098_087_760_221_9,
    -0.462_041_391_140_312_56,
];
/// `x (log Γ(x) − (x − ½) log x + x − log(2π) / 2)` in `1 / x²` for `x` from 6.5 on, within 6e-17 of itself.
const STIRLING: [f64; 9] = [
    8.831_261_363_998_699e-2,
    -2.615_634_061_547_643_7e-2,
    6.335_736_496_753_994e-3,
    -1.916_537_017_443_079e-3,
    8.417_429_704_415_49e-4,
    -5.952_380_596_900_511e-4,
    7.936_507_935_697_838e-4,
    -2.777_777_777_777_706_3e-3,
    8.333_333_333_333_333e-2,
];
/// `ψ(r + t) / t` of its positive root `r`, from 1 to 2, within 1e-16 of itself.
const DIGAMMA: [f64; 23] = [
    1.188_123_290_851_033_5e-4,
    -2.785_074_876_883_787e-4,
    2.805_343_686_746_867e-4,
    -2.843_132_292_526_133e-4,
    4.717_939_701_691_318e-4,
    -7.549_229_618_596_274e-4,
    1.090_122_523_445_857_8e-3,
    -1.574_202_168_136_65e-3,
    2.302_889_542_055_789_4e-3,
    -3.370_068_051_548_416_5e-3,
    4.927_058_026_774_201_6e-3,
    -7.204_519_666_511_045e-3,
    1.053_876_993_857_695_6e-2,
    -1.542_476_626_127_791_9e-2,
    2.259_764_928_437_279e-2,
    -3.316_112_647_814_546e-2,
    4.880_428_813_443_657_4e-2,
    -7.219_956_125_611_147e-2,
    0.107_824_050_691_692_2,
    -0.163_942_705_442_411_85,
    0.258_499_760_955_648_6,
    -0.442_763_168_983_592_1,
    0.967_672_245_447_621_2,
];
/// `x² (log x − 1 / 2x − ψ(x))` in `1 / x²` for `x` from 6.5 on, within 6e-17 of itself.
const DIGAMMA_TAIL: [f64; 9] = [
    1.391_635_542_465_380_6,
    -0.382_582_707_154_903_33,
    8.201_298_930_553_075e-2,
    -2.107_534_417_166_136_5e-2,
    7.575_619_222_872_775e-3,
    -4.166_666_043_021_801e-3,
    3.968_253_966_834_387e-3,
    -8.333_333_333_332_082e-3,
    8.333_333_333_333_333e-2,
];

impl Builder {
    /// `Lgamma` or `Digamma`.
    pub(in crate::lane) fn gamma_function(&mut self, f: Unary, x: V) -> V {
        let single = x.ty == Ty::F32;
        let wide = if single { self.conv(Conv::F32ToF64, x) } else { x };
        let fast = if f == Unary::Lgamma { self.lgamma(wide) } else { self.digamma(wide) };
        let fast = if single { self.conv(Conv::F64ToF32, fast) } else { fast };
        let zero = self.f(0.0, x.ty);
        let positive = self.lt(zero, x);
        let rare = self.not(positive);
        self.call(ScalarCall::Unary(f, x.ty), x, x, Some((rare, fast)))
    }

    /// `log Γ(x)` of a positive `F64`.
    fn lgamma(&mut self, x: V) -> V {
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (half, one, two, low) = (c(self, 0.5), c(self, 1.0), c(self, 2.0), c(self, 1.5));
        let (middle, centre) = (c(self, 0.8), c(self, 1.15));
        // Down to [1.5, 2.5): Γ(x) = (x − 1) … (x − k) Γ(x − k).
        let (mut u, mut product) = (x, one);
        for step in 1..=4 {
            let step = c(self, f64::from(step));
            let below = self.sub(x, step);
            let more = self.cmp(Pred::Le, low, below);
            let longer = self.mul(product, below);
            (u, product) = (self.select(more, below, u), self.select(more, longer, product));
        }
        // Up: Γ(x) = Γ(x + 1) / x = Γ(x + 2) / (x (x + 1)); `t` is what is beyond 2, exactly.
        let (is_low, is_lowest) = (self.lt(x, low), self.lt(x, half));
        let (above, less) = (self.add(x, one), self.sub(x, one));
        let both = self.mul(x, above);
        let divisor = self.select(is_lowest, both, x);
        let (t, up) = (self.sub(u, two), self.select(is_lowest, x, less));
        let t = self.select(is_low, up, t);
        let factor = self.select(is_low, divisor, product);
        // Around the zero at 1 both terms would cancel: it has a polynomial of its own, and no factor.
        let is_middle = self.cmp(Pred::Le, middle, x);
        let is_middle = self.and(is_low, is_middle);
        let factor = self.select(is_middle, one, factor);
        let far = c(self, FAR);
        let is_far = self.cmp(Pred::Le, far, x);
        let factor = self.select(is_far, x, factor);
        let log = self.log(factor);
        let from_centre = self.sub(x, centre);
        let v = self.select(is_middle, from_centre, t);
        let mut base = c(self, 0.0);
        for (around_two, around_one) in LGAMMA.into_iter().zip(LGAMMA_LOW) {
            let (k, other) = (c(self, around_two), c(self, around_one));
            let k = self.select(is_middle, other, k);
            base = self.fma(base, v, k);
        }
        let base = self.mul(base, t);
        let (more, less) = (self.add(base, log), self.sub(base, log));
        // A zero is added, not subtracted: so that of 1 is positive.
        let is_up = self.bin(Bin::AndNot, is_middle, is_low);
        let near = self.select(is_up, less, more);
        let inverse = self.div(one, x);
        let z = self.mul(inverse, inverse);
        let tail = self.poly(z, &STIRLING);
        let constant = c(self, STIRLING_CONSTANT);
        let tail = self.fma(tail, inverse, constant);
        let (log, x) = (self.sub(log, one), self.sub(x, half));
        let series = self.fma(x, log, tail);
        self.select(is_far, series, near)
    }

    /// `ψ(x)` of a positive `F64`.
    fn digamma(&mut self, x: V) -> V {
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (zero, half, one, minus) = (c(self, 0.0), c(self, 0.5), c(self, 1.0), c(self, -1.0));
        // Down to [1, 2): ψ(x) = ψ(x − k) + 1 / (x − 1) + … + 1 / (x − k), of which the sum is one quotient.
        let (mut u, mut top, mut bottom) = (x, zero, one);
        for step in 1..=5 {
            let step = c(self, f64::from(step));
            let below = self.sub(x, step);
            let more = self.cmp(Pred::Le, one, below);
            let (sum, product) = (self.fma(top, below, bottom), self.mul(bottom, below));
            (u, top, bottom) =
                (self.select(more, below, u), self.select(more, sum, top), self.select(more, product, bottom));
        }
        // Up: ψ(x) = ψ(x + 1) − 1 / x.
        let is_low = self.lt(x, one);
        let above = self.add(x, one);
        (u, top, bottom) =
            (self.select(is_low, above, u), self.select(is_low, minus, top), self.select(is_low, x, bottom));
        let far = c(self, FAR);
        let is_far = self.cmp(Pred::Le, far, x);
        let (top, bottom) = (self.select(is_far, one, top), self.select(is_far, x, bottom));
        let quotient = self.div(top, bottom);
        let (root, rest) = (c(self, ROOT.0), c(self, ROOT.1));
        let t = self.sub(u, root);
        let t = self.sub(t, rest);
        let base = self.poly(t, &DIGAMMA);
        let near = self.fma(base, t, quotient);
        let z = self.mul(quotient, quotient);
        let tail = self.poly(z, &DIGAMMA_TAIL);
        let tail = self.mul(tail, z);
        let tail = self.fma(quotient, half, tail);
        let log = self.log(x);
        let series = self.sub(log, tail);
        self.select(is_far, series, near)
    }
}
