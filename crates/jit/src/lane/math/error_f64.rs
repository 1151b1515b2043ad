//! The error function, its complement and its inverse, for `F64`: at most about 2 ULP.

use super::super::{Bin, Builder, Fused, Op, Pred, Ty, V};

/// `erf(x) / x − 1` in `x²` up to 1, within 3e-17.
const ERF_NEAR: [f64; 12] = [
    -7.795_898_827_002_142e-10,
    1.372_006_454_677_768_6e-8,
    -1.620_848_380_187_170_5e-7,
    1.644_742_470_331_736_2e-6,
    -1.492_473_690_741_966e-5,
    1.205_529_490_483_970_7e-4,
    -8.548_325_975_389_692e-4,
    5.223_977_607_116_422_5e-3,
    -2.686_617_064_323_777e-2,
    0.112_837_916_709_450_06,
    -0.376_126_389_031_835_43,
    0.128_379_167_095_512_56,
];
/// `log(erfc(a))` in `a − 1` from 1 to 6, such that `erfc(a)` is within 1e-17.
const ERF_FAR: [f64; 18] = [
    -5.042_423_875_962_833e-12,
    1.232_183_105_466_891e-10,
    -1.357_481_396_229_248e-9,
    8.743_863_111_839_361e-9,
    -3.426_744_576_513_149e-8,
    6.040_326_636_702_304e-8,
    2.000_957_129_114_701_4e-7,
    -2.125_118_837_104_118_4e-6,
    9.664_104_936_366_706e-6,
    -2.719_327_565_449_605_4e-5,
    2.629_308_320_077_721e-5,
    2.373_177_508_510_184_8e-4,
    -1.977_901_584_779_031e-3,
    1.003_382_524_734_780_5e-2,
    -4.156_109_803_282_154e-2,
    -0.843_107_256_358_934_2,
    -2.638_967_514_234_788_6,
    -1.849_605_509_933_248_2,
];
/// `erfc(a) e^(a²) (1 + 2a)` in `(a − 3) / (a + 3)`, for `a` from 0 to 28, within 1e-16 of itself.
const ERFCX: [f64; 24] = [
    -1.067_259_521_497_691_6e-9,
    -6.467_844_455_782_987e-9,
    -5.756_503_996_147_508e-9,
    4.113_475_639_215_801_6e-8,
    8.977_480_611_608_504e-8,
    -1.441_035_437_968_168_8e-7,
    -6.056_586_389_337_659e-7,
    3.606_686_347_542_412_6e-7,
    3.466_159_671_279_617_3e-6,
    -7.341_631_654_668_39e-7,
    -2.009_825_383_762_592_6e-5,
    4.950_552_349_634_667e-6,
    1.250_987_929_274_765e-4,
    -1.051_600_624_129_954_8e-4,
    -7.798_321_855_259_28e-4,
    1.888_690_398_169_680_1e-3,
    2.529_391_807_900_063e-3,
    -2.377_051_492_193_764_7e-2,
    6.830_802_734_440_604e-2,
    -0.119_273_663_415_168_57,
    0.129_645_158_702_750_26,
    -4.756_229_435_345_306e-2,
    -0.135_621_106_124_581_1,
    1.253_008_058_269_729_6,
];
/// `erf⁻¹(x) / x` in `w − 2.5` with `w = −log(1 − x²)` up to 5, within 1e-16 of itself.
const ERFINV_NEAR: [f64; 22] = [
    1.645_337_994_308_72e-19,
    2.538_203_868_845_463e-18,
    -2.664_564_880_977_009_2e-17,
    -1.013_808_619_283_623_4e-16,
    1.894_145_629_743_150_3e-15,
    -3.177_077_584_174_987e-15,
    -7.610_626_530_191_807e-14,
    5.371_780_341_166_9e-13,
    9.114_669_783_363_668e-13,
    -3.110_795_974_484_731e-11,
    1.196_072_917_193_537_5e-10,
    9.073_147_838_739_175e-10,
    -1.086_116_952_176_392_7e-8,
    1.341_678_881_191_355_7e-8,
    4.787_252_191_987_54e-7,
    -3.416_619_584_862_394e-6,
    -4.996_079_599_279_791e-6,
    2.182_502_643_393_594_5e-4,
    -1.252_707_907_810_906_6e-3,
    -4.177_317_724_382_887e-3,
    0.246_640_276_744_167,
    1.501_409_351_110_792,
];
/// The same in `√w − 3.125` up to 4.
const ERFINV_FAR: [f64; 22] = [
    4.194_974_637_807_77e-9,
    3.226_588_998_816_498e-9,
    -4.750_343_678_797_806e-8,
    5.244_547_195_092_858e-8,
    1.373_730_754_801_258e-7,
    -5.558_153_283_935_793e-7,
    7.462_517_528_097_704e-7,
    9.028_326_905_626_834e-7,
    -6.269_946_709_176_701e-6,
    1.139_959_450_437_116_3e-5,
    2.183_728_195_034_356e-6,
    -5.885_200_646_283_860_4e-5,
    1.361_050_241_113_440_8e-4,
    -8.955_338_253_669_269e-5,
    -3.286_621_890_010_131e-4,
    1.260_669_894_006_713_6e-3,
    -2.519_882_690_694_449e-3,
    3.794_420_014_670_012_8e-3,
    -5.301_010_608_514_722e-3,
    7.047_884_417_816_518e-3,
    1.003_718_691_797_925_3,
    2.958_320_150_240_462,
];
/// The same in `√w − 5` up to 6.1.
const ERFINV_FARTHEST: [f64; 19] = [
    -1.543_927_819_720_834e-11,
    4.280_243_303_730_942e-11,
    4.697_730_344_596_282_4e-11,
    -4.373_889_663_734_069e-10,
    1.358_936_534_157_709_3e-9,
    -3.471_437_933_896_719e-9,
    7.777_428_539_826_634e-9,
    -1.525_516_018_129_263e-8,
    2.904_490_932_078_947_3e-8,
    -6.755_603_035_373_66e-8,
    2.290_436_274_136_903_8e-7,
    -9.930_294_774_982_885e-7,
    4.526_054_328_559_671e-6,
    -1.968_177_067_694_925_3e-5,
    7.599_527_792_024_94e-5,
    -2.150_301_198_302_469_4e-4,
    -1.387_193_183_735_17e-4,
    1.010_300_464_864_545_5,
    4.849_906_401_408_584,
];

impl Builder {
    /// `F64`.
    pub(in crate::lane) fn erf_f64(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let near = self.erf_near(a);
        // 1 − erfc, which is less than half a last place from 6 on.
        let (one, limit) = (self.f(1.0, Ty::F64), self.f(6.0, Ty::F64));
        let t = self.bin(Bin::Min, limit, a);
        let t = self.sub(t, one);
        let r = self.poly(t, &ERF_FAR);
        let e = self.exp_normal(r);
        let far = self.sub(one, e);
        let is_near = self.lt(a, one);
        let y = self.select(is_near, near, far);
        self.with_sign(y, x)
    }

    /// `erf(x)` up to 1.
    fn erf_near(&mut self, x: V) -> V {
        let z = self.mul(x, x);
        let p = self.poly(z, &ERF_NEAR);
        self.fma(p, x, x)
    }

    /// `F64`.
    pub(in crate::lane) fn erfc_f64(&mut self, x: V) -> V {
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (zero, one, two, three, limit) = (c(self, 0.0), c(self, 1.0), c(self, 2.0), c(self, 3.0), c(self, 27.3));
        let a = self.fabs(x);
        let a = self.bin(Bin::Min, limit, a);
        let (below, above) = (self.sub(a, three), self.add(a, three));
        let u = self.div(below, above);
        let p = self.poly(u, &ERFCX);
        let d = self.fma(a, two, one);
        let p = self.div(p, d);
        // The square's rounding error is multiplied by the exponential, so it is put back.
        let square = self.mul(a, a);
        let rest = self.push(Op::Fused(Fused::Sub, a, a, square), Ty::F64);
        let sign = self.sign_bit(Ty::F64);
        let minus = self.xor(square, sign);
        let (n, r) = self.exp_reduce(minus);
        let r = self.sub(r, rest);
        let e = self.exp_small(r);
        let y = self.mul(p, e);
        let y = self.scale(y, n);
        let other = self.sub(two, y);
        let negative = self.lt(x, zero);
        let y = self.select(negative, other, y);
        // Next to 1 the sum of so many terms loses more than a difference does.
        let near = self.erf_near(x);
        let (near, half) = (self.sub(one, near), self.f(0.5, Ty::F64));
        let is_near = self.lt(a, half);
        self.select(is_near, near, y)
    }

    /// `F64`; infinite at ±1, NaN outside.
    pub(in crate::lane) fn erfinv_f64(&mut self, x: V) -> V {
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (one, inf) = (c(self, 1.0), c(self, f64::INFINITY));
        let rest = self.fnma(x, x, one);
        let log = self.log(rest);
        let sign = self.sign_bit(Ty::F64);
        let w = self.xor(log, sign);
        let s = self.push(Op::Sqrt(w), Ty::F64);
        let (near, far, limit) = (c(self, 5.0), c(self, 4.0), c(self, 6.1));
        let (is_near, is_far) = (self.lt(w, near), self.lt(s, far));
        let s = self.bin(Bin::Min, limit, s);
        let (w0, s1, s2) = (c(self, 2.5), c(self, 3.125), c(self, 5.0));
        let (t0, t1, t2) = (self.sub(w, w0), self.sub(s, s1), self.sub(s, s2));
        let t = self.select(is_far, t1, t2);
        let t = self.select(is_near, t0, t);
        // One polynomial, whose coefficients depend on the piece.
        let mut p = c(self, 0.0);
        let farthest = [0.0; ERFINV_NEAR.len() - ERFINV_FARTHEST.len()].into_iter().chain(ERFINV_FARTHEST);
        for ((c0, c1), c2) in ERFINV_NEAR.into_iter().zip(ERFINV_FAR).zip(farthest) {
            let [c0, c1, c2] = [c0, c1, c2].map(|v| c(self, v));
            let k = self.select(is_far, c1, c2);
            let k = self.select(is_near, c0, k);
            p = self.fma(p, t, k);
        }
        let a = self.fabs(x);
        let border = self.cmp(Pred::Eq, a, one);
        let p = self.select(border, inf, p);
        self.mul(p, x)
    }
}
