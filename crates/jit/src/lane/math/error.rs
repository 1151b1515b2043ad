//! The error function, its complement and its inverse, for `F32`.

use super::super::{Bin, Builder, Conv, Fused, Op, Pred, Ty, V};

/// `log(erfc(a) e^(a²) / t)` in `t − ½` with `t = 2 / (2 + a)`, for `a` from 0 to 10.6, within 3e-9.
const ERFC: [f64; 12] = [
    -8.047_873_500_304e-2,
    -6.951_119_109_814e-2,
    2.717_099_014_343e-1,
    -3.207_165_720_991e-2,
    -2.920_647_342_668e-1,
    1.116_048_347_198e-1,
    2.819_679_835_185e-1,
    -1.579_140_292_201e-1,
    -3.751_551_233_352e-1,
    1.893_724_450_518e-1,
    1.345_286_382_128,
    -6.717_940_821_95e-1,
];
/// `erf⁻¹(x) / x` in `s − 2.1` with `s = √(−log(1 − x²))` up to 4.2, within 6e-9 of itself.
const ERFINV: [f64; 23] = [
    -5.624_642_276_419e-10,
    -4.546_002_928_106e-9,
    1.917_423_466_822e-8,
    1.265_842_466_221e-7,
    -3.063_397_230_227e-7,
    -1.582_602_565_434e-6,
    3.085_085_585_01e-6,
    1.178_844_242_901e-5,
    -2.231_525_657_681e-5,
    -5.832_849_353_725e-5,
    1.255_951_569_061e-4,
    1.979_266_606_165e-4,
    -5.812_233_781_043e-4,
    -4.042_586_394_968e-4,
    2.282_314_012_015e-3,
    -2.537_152_386_682e-4,
    -7.478_818_602_34e-3,
    7.799_858_275_697e-3,
    1.841_339_020_91e-2,
    -6.438_546_142_001e-2,
    9.248_677_673_714e-2,
    9.339_170_044_722e-1,
    1.951_179_797_467,
];

impl Builder {
    /// `F32`.
    pub(in crate::lane) fn erf(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let s = self.mul(x, x);
        let c = |b: &mut Builder, v| b.f(v, Ty::F32);
        // Far from 0: 1 − e^(polynomial).
        let limit = c(self, 4.0);
        let t = self.bin(Bin::Min, a, limit);
        let t2 = self.mul(t, t);
        let (c0, c1, c2, c3) =
            (c(self, -1.728_534_7e-5), c(self, 3.831_971_3e-4), c(self, -3.883_964_4e-3), c(self, 2.425_462_2e-2));
        let r = self.fma(c0, t, c1);
        let u = self.fma(c2, t, c3);
        let mut r = self.fma(r, t2, u);
        for k in [-1.067_778_77e-1, -6.348_466_9e-1, -1.287_175_1e-1] {
            let k = c(self, k);
            r = self.fma(r, t, k);
        }
        let r = self.push(Op::Fused(Fused::Sub, r, t, t), x.ty);
        let e = self.exp_coarse(r, 1.0);
        let one = c(self, 1.0);
        let far = self.sub(one, e);
        let p = self.poly(
            s,
            &[-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_3e-1, -3.761_253_4e-1, 1.283_791_66e-1],
        );
        let near = self.fma(p, a, a);
        let border = c(self, 0.927_734_375);
        let is_far = self.lt(border, a);
        let y = self.select(is_far, far, near);
        self.with_sign(y, x)
    }

    /// Computed in `F64`: the exponent is a difference of large numbers, the result a denormal at the end.
    pub(in crate::lane) fn erfc(&mut self, x: V) -> V {
        let x = self.conv(Conv::F32ToF64, x);
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (zero, half, two, limit) = (c(self, 0.0), c(self, 0.5), c(self, 2.0), c(self, 10.6));
        let a = self.fabs(x);
        let a = self.bin(Bin::Min, limit, a);
        let d = self.add(a, two);
        let t = self.div(two, d);
        let u = self.sub(t, half);
        let p = self.poly(u, &ERFC);
        let r = self.fnma(a, a, p);
        let e = self.exp_normal(r);
        let y = self.mul(t, e);
        let other = self.sub(two, y);
        let negative = self.lt(x, zero);
        let y = self.select(negative, other, y);
        self.conv(Conv::F64ToF32, y)
    }

    /// Computed in `F64`, in which `1 − x²` is exact; infinite at ±1, NaN outside.
    pub(in crate::lane) fn erfinv(&mut self, x: V) -> V {
        let x = self.conv(Conv::F32ToF64, x);
        let c = |b: &mut Builder, v| b.f(v, Ty::F64);
        let (one, centre, limit, inf) = (c(self, 1.0), c(self, 2.1), c(self, 4.2), c(self, f64::INFINITY));
        let rest = self.fnma(x, x, one);
        let log = self.log(rest);
        let sign = self.sign_bit(Ty::F64);
        let w = self.xor(log, sign);
        let s = self.push(Op::Sqrt(w), Ty::F64);
        let s = self.bin(Bin::Min, limit, s);
        let s = self.sub(s, centre);
        let p = self.poly(s, &ERFINV);
        let a = self.fabs(x);
        let border = self.cmp(Pred::Eq, a, one);
        let p = self.select(border, inf, p);
        let y = self.mul(p, x);
        self.conv(Conv::F64ToF32, y)
    }
}
