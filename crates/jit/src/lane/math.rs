//! Elementary functions in lane code, for `F32` and, where noted, `F64`.
//!
//! *Numerics*: `F32` at most 2 ULP on dense samples of all inputs; signs of zeros, denormals, infinities and NaN as IEEE 754 has them.
//! *Source*: reductions and coefficients of Cephes (Moshier) for `F32` and of FreeBSD's msun for `F64`; erf from N. Juffa's `erff`.

use cotangent_core::ops::Unary;

use super::{Bin, Builder, Pred, RoundTo, ScalarCall, Shift, Ty, V};

/// What differs between the formats.
struct Format {
    /// The integer of the same width.
    int: Ty,
    mantissa: u8,
    bias: f64,
    /// `1.5 · 2^mantissa`: added, it brings an integer into the low bits.
    magic: f64,
}

fn format(ty: Ty) -> Format {
    if ty == Ty::F32 {
        Format { int: Ty::I32, mantissa: 23, bias: 127.0, magic: 12_582_912.0 }
    } else {
        Format { int: Ty::I64, mantissa: 52, bias: 1023.0, magic: 6_755_399_441_055_744.0 }
    }
}

/// π/2 in three parts, each rounded to `f32`.
const HALF_PI: f64 = std::f32::consts::FRAC_PI_2 as f64;
const HALF_PI_MID: f64 = -4.371_138_828_673_793e-8;
const HALF_PI_LOW: f64 = -1.715_124_510_005_882e-15;

const EXP_F32: [f64; 6] = [
    1.987_569_15e-4,
    1.398_199_950_7e-3,
    8.333_451_907_3e-3,
    4.166_579_589_4e-2,
    1.666_666_545_9e-1,
    5.000_000_120_1e-1,
];
/// 1/13!, …, 1/2!
const EXP_F64: [f64; 12] = [
    1.605_904_383_682_161_3e-10,
    2.087_675_698_786_81e-9,
    2.505_210_838_544_172e-8,
    2.755_731_922_398_589_3e-7,
    2.755_731_922_398_589e-6,
    2.480_158_730_158_73e-5,
    1.984_126_984_126_984e-4,
    1.388_888_888_888_889e-3,
    8.333_333_333_333_333e-3,
    4.166_666_666_666_666_4e-2,
    1.666_666_666_666_666_6e-1,
    0.5,
];

impl Builder {
    /// `2^n` for an integral float `n` in the range of normal numbers.
    fn pow2(&mut self, n: V) -> V {
        let f = format(n.ty);
        let magic = self.f(f.magic + f.bias, n.ty);
        let biased = self.add(n, magic).bits(f.int);
        self.shift(Shift::Left, biased, f.mantissa).bits(n.ty)
    }

    /// `p · 2^n` in two steps, so that neither overflows before the product does and denormals round once.
    fn scale(&mut self, p: V, n: V) -> V {
        let half = self.f(0.5, n.ty);
        let a = self.mul(n, half);
        let a = self.round(RoundTo::Down, a);
        let b = self.sub(n, a);
        let (a, b) = (self.pow2(a), self.pow2(b));
        let y = self.mul(p, a);
        self.mul(y, b)
    }

    /// `(e^r − 1 − r) / r²` for `|r| ≤ log(2) / 2`.
    fn exp_tail(&mut self, r: V) -> V {
        if r.ty == Ty::F32 { self.poly(r, &EXP_F32) } else { self.poly(r, &EXP_F64) }
    }

    /// `x` between bounds, NaN as it is.
    fn clamp(&mut self, x: V, low: f64, high: f64) -> V {
        let (low, high) = (self.f(low, x.ty), self.f(high, x.ty));
        let x = self.bin(Bin::Max, low, x);
        self.bin(Bin::Min, high, x)
    }

    /// `n`, `r` with `x = n log 2 + r`.
    fn exp_reduce(&mut self, x: V) -> (V, V) {
        let log2e = self.f(std::f64::consts::LOG2_E, x.ty);
        let (hi, lo) = if x.ty == Ty::F32 {
            (0.693_147_182_464_599_6, -1.904_654_299_957_768e-9)
        } else {
            (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10)
        };
        let (hi, lo) = (self.f(hi, x.ty), self.f(lo, x.ty));
        let t = self.mul(x, log2e);
        let n = self.round(RoundTo::Even, t);
        let r = self.fnma(n, hi, x);
        (n, self.fnma(n, lo, r))
    }

    /// `e^r`.
    fn exp_small(&mut self, r: V) -> V {
        let q = self.exp_tail(r);
        let one = self.f(1.0, r.ty);
        let q = self.fma(q, r, one);
        self.fma(q, r, one)
    }

    pub(super) fn exp(&mut self, x: V) -> V {
        let x = if x.ty == Ty::F32 { self.clamp(x, -104.0, 89.0) } else { self.clamp(x, -746.0, 710.0) };
        let (n, r) = self.exp_reduce(x);
        let p = self.exp_small(r);
        self.scale(p, n)
    }

    /// `e^x` where the result is a normal number.
    fn exp_normal(&mut self, x: V) -> V {
        let (n, r) = self.exp_reduce(x);
        let p = self.exp_small(r);
        let s = self.pow2(n);
        self.mul(p, s)
    }

    pub(super) fn exp2(&mut self, x: V) -> V {
        let x = if x.ty == Ty::F32 { self.clamp(x, -151.0, 129.0) } else { self.clamp(x, -1076.0, 1025.0) };
        let n = self.round(RoundTo::Even, x);
        let r = self.sub(x, n);
        let ln2 = self.f(std::f64::consts::LN_2, x.ty);
        let r = self.mul(r, ln2);
        let p = self.exp_small(r);
        self.scale(p, n)
    }

    pub(super) fn expm1(&mut self, x: V) -> V {
        let c = if x.ty == Ty::F32 { self.clamp(x, -30.0, 89.0) } else { self.clamp(x, -50.0, 710.0) };
        let (n, r) = self.exp_reduce(c);
        let q = self.exp_tail(r);
        let square = self.mul(r, r);
        let p = self.fma(q, square, r);
        // Half of the result, so that 2^n does not overflow before the result does.
        let (one, half) = (self.f(1.0, x.ty), self.f(0.5, x.ty));
        let n = self.sub(n, one);
        let s = self.pow2(n);
        let low = self.sub(s, half);
        let y = self.fma(s, p, low);
        let y = self.add(y, y);
        let sign = self.sign_bit(x.ty);
        let sign = self.and(x, sign);
        self.or(y, sign)
    }

    /// `log m` and the integral `e` with `x = 2^e m`, `m` in `[√½, √2)`; for `x` positive and finite.
    fn log_parts(&mut self, x: V) -> (V, V) {
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
        let one = self.f(1.0, x.ty);
        let r = self.sub(m, one);
        let half = self.f(0.5, x.ty);
        let log = if single {
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
            self.fma(p, square, r)
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
            self.add(r, p)
        };
        (log, e)
    }

    /// `y` where `x` is positive and finite; what a logarithm is elsewhere.
    fn log_specials(&mut self, x: V, y: V) -> V {
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

    fn log_finite(&mut self, x: V) -> V {
        let (log, e) = self.log_parts(x);
        let (hi, lo) = if x.ty == Ty::F32 {
            (0.693_359_375, -2.121_944_4e-4)
        } else {
            (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10)
        };
        let (hi, lo) = (self.f(hi, x.ty), self.f(lo, x.ty));
        let y = self.fma(e, lo, log);
        self.fma(e, hi, y)
    }

    pub(super) fn log(&mut self, x: V) -> V {
        let y = self.log_finite(x);
        self.log_specials(x, y)
    }

    pub(super) fn log1p(&mut self, x: V) -> V {
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

    pub(super) fn log2(&mut self, x: V) -> V {
        let (log, e) = self.log_parts(x);
        let scale = self.f(std::f64::consts::LOG2_E, x.ty);
        let y = self.fma(log, scale, e);
        self.log_specials(x, y)
    }

    pub(super) fn log10(&mut self, x: V) -> V {
        let (log, e) = self.log_parts(x);
        let (scale, hi, lo) = if x.ty == Ty::F32 {
            (std::f64::consts::LOG10_E, 0.301_029_980_182_647_7, 1.548_133_388_586_2e-8)
        } else {
            (std::f64::consts::LOG10_E, 3.010_299_956_636_117_7e-1, 3.694_239_077_158_931e-13)
        };
        let (scale, hi, lo) = (self.f(scale, x.ty), self.f(hi, x.ty), self.f(lo, x.ty));
        let low = self.mul(e, lo);
        let y = self.fma(log, scale, low);
        let y = self.fma(e, hi, y);
        self.log_specials(x, y)
    }

    /// The quadrant (in the low bits of an integer) and `r` in `[−π/4, π/4]` with `x = q π/2 + r`.
    fn quadrant(&mut self, x: V) -> (V, V) {
        let f = format(x.ty);
        let parts: [f64; 3] = if x.ty == Ty::F32 {
            [HALF_PI, HALF_PI_MID, HALF_PI_LOW]
        } else {
            [std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17, -1.497_384_904_859_183_3e-33]
        };
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
    fn sin_cos_small(&mut self, r: V) -> (V, V) {
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
    fn far(&mut self, x: V) -> V {
        let limit = self.f(if x.ty == Ty::F32 { 30_000.0 } else { 500_000.0 }, x.ty);
        let size = self.fabs(x);
        let near = self.cmp(Pred::Le, size, limit);
        self.not(near)
    }

    /// The sine, or the cosine where `ahead` is 1.
    pub(super) fn sin_or_cos(&mut self, x: V, f: Unary, ahead: i64) -> V {
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

    /// `F32`.
    pub(super) fn tan(&mut self, x: V) -> V {
        let (q, r) = self.quadrant(x);
        // What the rounding of r lost.
        let magic = self.f(format(x.ty).magic, x.ty);
        let n = self.sub(q.bits(x.ty), magic);
        let [hi, mid, lo] = [HALF_PI, HALF_PI_MID, HALF_PI_LOW];
        let (hi, mid, lo) = (self.f(hi, x.ty), self.f(mid, x.ty), self.f(lo, x.ty));
        let first = self.fnma(n, hi, x);
        let lost = self.sub(first, r);
        let lost = self.fnma(n, mid, lost);
        let lost = self.fnma(n, lo, lost);
        let z = self.mul(r, r);
        let p = self.poly(
            z,
            &[
                9.385_401_855_43e-3,
                3.119_922_326_97e-3,
                2.443_013_545_25e-2,
                5.341_128_070_05e-2,
                1.333_879_940_85e-1,
                3.333_315_685_48e-1,
            ],
        );
        let cube = self.mul(z, r);
        let t = self.fma(p, cube, lost);
        let t = self.add(t, r);
        let minus = self.f(-1.0, x.ty);
        let inverse = self.div(minus, t);
        let one = self.i(1, Ty::I32);
        let odd = self.and(q, one);
        let odd = self.cmp(Pred::Eq, odd, one);
        let y = self.select(odd, inverse, t);
        let zero = self.f(0.0, x.ty);
        let is_zero = self.cmp(Pred::Eq, x, zero);
        let y = self.select(is_zero, x, y);
        let far = self.far(x);
        self.call(ScalarCall::Unary(Unary::Tan, x.ty), x, x, Some((far, y)))
    }

    pub(super) fn tanh(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let z = self.mul(a, a);
        let small = if x.ty == Ty::F32 {
            let p = self.poly(
                z,
                &[
                    -5.704_988_727_45e-3,
                    2.063_908_879_54e-2,
                    -5.373_971_555_31e-2,
                    1.333_144_220_36e-1,
                    -3.333_328_194_22e-1,
                ],
            );
            let cube = self.mul(z, a);
            self.fma(p, cube, a)
        } else {
            let p = self.poly(z, &[-9.643_991_794_250_523e-1, -9.928_772_310_019_186e1, -1.614_687_684_417_084_4e3]);
            let q = self.poly(z, &[1.0, 1.128_116_784_916_329_3e2, 2.235_488_390_601_004_5e3, 4.844_063_053_251_255e3]);
            let p = self.div(p, q);
            let cube = self.mul(z, a);
            self.fma(p, cube, a)
        };
        // 1 − 2 / (e^2a + 1)
        let twice = self.add(a, a);
        let limit = self.f(if x.ty == Ty::F32 { 20.0 } else { 44.0 }, x.ty);
        let twice = self.bin(Bin::Min, limit, twice);
        let e = self.exp_normal(twice);
        let (one, two) = (self.f(1.0, x.ty), self.f(2.0, x.ty));
        let d = self.add(e, one);
        let d = self.div(two, d);
        let large = self.sub(one, d);
        let border = self.f(0.625, x.ty);
        let is_small = self.lt(a, border);
        let y = self.select(is_small, small, large);
        self.with_sign(y, x)
    }

    pub(super) fn sigmoid(&mut self, x: V) -> V {
        // 1 / (1 + e^−|x|), or e^−|x| times that: neither overflows.
        let sign = self.sign_bit(x.ty);
        let minus = self.or(x, sign);
        let e = self.exp(minus);
        let (one, zero) = (self.f(1.0, x.ty), self.f(0.0, x.ty));
        let d = self.add(e, one);
        let back = self.sub(one, d);
        let lost = self.add(back, e);
        let negative = self.lt(x, zero);
        let n = self.select(negative, e, one);
        let inverse = self.div(one, d);
        let y = self.mul(n, inverse);
        // One step of correction for the quotient and for what 1 + e lost.
        let rest = self.fnma(y, d, n);
        let rest = self.fnma(y, lost, rest);
        self.fma(rest, inverse, y)
    }

    /// `e^|x| / 2`, overflowing only where it must, and `|x|`.
    fn half_exp(&mut self, x: V) -> (V, V) {
        let a = self.fabs(x);
        let limit = self.f(if x.ty == Ty::F32 { 90.0 } else { 711.0 }, x.ty);
        let c = self.bin(Bin::Min, limit, a);
        let (n, r) = self.exp_reduce(c);
        let p = self.exp_small(r);
        let one = self.f(1.0, x.ty);
        let n = self.sub(n, one);
        (self.scale(p, n), a)
    }

    pub(super) fn cosh(&mut self, x: V) -> V {
        let (h, _) = self.half_exp(x);
        let quarter = self.f(0.25, x.ty);
        let low = self.div(quarter, h);
        self.add(h, low)
    }

    /// `F32`.
    pub(super) fn sinh(&mut self, x: V) -> V {
        let (h, a) = self.half_exp(x);
        let quarter = self.f(0.25, x.ty);
        let low = self.div(quarter, h);
        let large = self.sub(h, low);
        let z = self.mul(a, a);
        let p = self.poly(z, &[2.037_219_129_45e-4, 8.330_283_762_39e-3, 1.666_671_602_11e-1]);
        let cube = self.mul(z, a);
        let small = self.fma(p, cube, a);
        let one = self.f(1.0, x.ty);
        let is_small = self.lt(a, one);
        let y = self.select(is_small, small, large);
        self.with_sign(y, x)
    }

    /// `F32`; the polynomial of the arc sine on `[0, ½]` after the reduction `a > ½ → √((1 − a) / 2)`, and whether that was done.
    fn arc_small(&mut self, a: V) -> (V, V) {
        let (one, half) = (self.f(1.0, a.ty), self.f(0.5, a.ty));
        let big = self.lt(half, a);
        let z = self.sub(one, a);
        let z = self.mul(z, half);
        let root = self.push(super::Op::Sqrt(z), a.ty);
        let square = self.mul(a, a);
        let z = self.select(big, z, square);
        let s = self.select(big, root, a);
        let p = self.poly(
            z,
            &[4.216_319_904_8e-2, 2.418_131_104_9e-2, 4.547_002_599_8e-2, 7.495_300_268_6e-2, 1.666_675_242_2e-1],
        );
        let cube = self.mul(z, s);
        // What the rounding of the root lost.
        let (zero, tiny) = (self.f(0.0, a.ty), self.f(f64::from(f32::MIN_POSITIVE), a.ty));
        let rest = self.fnma(s, s, z);
        let twice = self.add(s, s);
        let twice = self.add(twice, tiny);
        let lost = self.div(rest, twice);
        let lost = self.select(big, lost, zero);
        let p = self.fma(p, cube, lost);
        (self.add(p, s), big)
    }

    /// `F32`.
    pub(super) fn asin(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (p, big) = self.arc_small(a);
        let (quarter, low) = (self.f(HALF_PI, x.ty), self.f(-HALF_PI_MID, x.ty));
        let two = self.f(2.0, x.ty);
        let twice = self.fma(two, p, low);
        let rest = self.sub(quarter, twice);
        let y = self.select(big, rest, p);
        self.with_sign(y, x)
    }

    /// `F32`.
    pub(super) fn acos(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (p, big) = self.arc_small(a);
        let zero = self.f(0.0, x.ty);
        let (quarter, low) = (self.f(HALF_PI, x.ty), self.f(HALF_PI_MID, x.ty));
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

    /// `F32`.
    pub(super) fn atan(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let (one, minus) = (self.f(1.0, x.ty), self.f(-1.0, x.ty));
        let (tan1, tan3) = (self.f(0.414_213_562_373_095_03, x.ty), self.f(2.414_213_562_373_095, x.ty));
        let (mid, big) = (self.lt(tan1, a), self.lt(tan3, a));
        let (less, more) = (self.sub(a, one), self.add(a, one));
        let num = self.select(mid, less, a);
        let num = self.select(big, minus, num);
        let den = self.select(mid, more, one);
        let den = self.select(big, a, den);
        let t = self.div(num, den);
        let z = self.mul(t, t);
        let p = self.poly(z, &[8.053_744_495_38e-2, -1.387_768_560_32e-1, 1.997_771_064_78e-1, -3.333_294_915_39e-1]);
        let cube = self.mul(z, t);
        let zero = self.f(0.0, x.ty);
        let (low1, low2) = (self.f(HALF_PI_MID / 2.0, x.ty), self.f(HALF_PI_MID, x.ty));
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

    /// `F32`.
    pub(super) fn erf(&mut self, x: V) -> V {
        let a = self.fabs(x);
        let s = self.mul(x, x);
        let c = |b: &mut Builder, v| b.f(v, Ty::F32);
        // Far from 0: 1 − e^(polynomial).
        let limit = c(self, 4.0);
        let t = self.bin(Bin::Min, limit, a);
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
        let sign = self.sign_bit(x.ty);
        let minus = self.xor(t, sign);
        let r = self.fma(r, t, minus);
        let e = self.exp_normal(r);
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
}
