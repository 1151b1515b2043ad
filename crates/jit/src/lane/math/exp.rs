//! Exponentials.

use super::super::{Bin, Builder, OpSet, RoundTo, Shift, Ty, V};
use super::format;

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
    pub(super) fn pow2(&mut self, n: V) -> V {
        self.pow2_by(n, 0.0)
    }

    /// `2^(n + by)` for an integral float `n`, in the range of normal numbers.
    pub(super) fn pow2_by(&mut self, n: V, by: f64) -> V {
        let f = format(n.ty);
        let magic = self.f(f.magic + f.bias + by, n.ty);
        let biased = self.add(n, magic).bits(f.int);
        self.shift(Shift::Left, biased, f.mantissa).bits(n.ty)
    }

    /// `p · 2^n` in two steps, so that neither overflows before the product does and denormals round once.
    pub(super) fn scale(&mut self, p: V, n: V) -> V {
        if self.ops == OpSet::Extended {
            return self.bin(Bin::Scale, p, n);
        }
        let half = self.f(0.5, n.ty);
        let a = self.mul(n, half);
        let a = self.round(RoundTo::Down, a);
        let b = self.sub(n, a);
        let (a, b) = (self.pow2(a), self.pow2(b));
        let y = self.mul(p, a);
        self.mul(y, b)
    }

    /// `(e^r − 1 − r) / r²` for `|r| ≤ log(2) / 2`.
    pub(super) fn exp_tail(&mut self, r: V) -> V {
        if r.ty == Ty::F32 { self.poly(r, &EXP_F32) } else { self.poly(r, &EXP_F64) }
    }

    /// `x` between bounds, NaN as it is.
    pub(super) fn clamp(&mut self, x: V, low: f64, high: f64) -> V {
        let (low, high) = (self.f(low, x.ty), self.f(high, x.ty));
        let x = self.bin(Bin::Max, low, x);
        self.bin(Bin::Min, high, x)
    }

    /// `n`, `r` with `x = n log 2 + r`.
    pub(super) fn exp_reduce(&mut self, x: V) -> (V, V) {
        let (n, r, lo) = self.exp_reduce_high(x, None);
        (n, self.fnma(n, lo, r))
    }

    /// The same with an `n` that is rounded after `beside` was added.
    pub(super) fn exp_reduce_beside(&mut self, x: V, beside: V) -> (V, V) {
        let (n, r, lo) = self.exp_reduce_high(x, Some(beside));
        (n, self.fnma(n, lo, r))
    }

    /// The same of `x − less`, for a `less` that is lost in the difference.
    pub(super) fn exp_reduce_less(&mut self, x: V, less: V) -> (V, V) {
        let (n, r, lo) = self.exp_reduce_high(x, None);
        let less = self.fma(n, lo, less);
        (n, self.sub(r, less))
    }

    /// `n`, `r`, `lo` with `x = n log 2 + r − n lo`
    fn exp_reduce_high(&mut self, x: V, beside: Option<V>) -> (V, V, V) {
        let log2e = self.f(std::f64::consts::LOG2_E, x.ty);
        let (hi, lo) = if x.ty == Ty::F32 {
            (0.693_147_182_464_599_6, -1.904_654_299_957_768e-9)
        } else {
            (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10)
        };
        let (hi, lo) = (self.f(hi, x.ty), self.f(lo, x.ty));
        // Rounded by an addition that leaves no place for fractions.
        let magic = self.f(format(x.ty).magic, x.ty);
        let t = match beside {
            Some(beside) => {
                let t = self.fma(x, log2e, beside);
                self.add(t, magic)
            }
            None => self.fma(x, log2e, magic),
        };
        let n = self.sub(t, magic);
        (n, self.fnma(n, hi, x), lo)
    }

    /// `e^r`.
    pub(super) fn exp_small(&mut self, r: V) -> V {
        let q = self.exp_tail(r);
        let one = self.f(1.0, r.ty);
        let q = self.fma(q, r, one);
        self.fma(q, r, one)
    }

    pub(in crate::lane) fn exp(&mut self, x: V) -> V {
        let x = if x.ty == Ty::F32 { self.clamp(x, -104.0, 89.0) } else { self.clamp(x, -746.0, 710.0) };
        let (n, r) = self.exp_reduce(x);
        let p = self.exp_small(r);
        self.scale(p, n)
    }

    /// `e^x` where the result is a normal number.
    pub(super) fn exp_normal(&mut self, x: V) -> V {
        let (n, r) = self.exp_reduce(x);
        let p = self.exp_small(r);
        if self.ops == OpSet::Extended {
            return self.bin(Bin::Scale, p, n);
        }
        let s = self.pow2(n);
        self.mul(p, s)
    }

    pub(in crate::lane) fn exp2(&mut self, x: V) -> V {
        let x = if x.ty == Ty::F32 { self.clamp(x, -151.0, 129.0) } else { self.clamp(x, -1076.0, 1025.0) };
        let n = self.round(RoundTo::Even, x);
        let r = self.sub(x, n);
        let ln2 = self.f(std::f64::consts::LN_2, x.ty);
        let r = self.mul(r, ln2);
        let p = self.exp_small(r);
        self.scale(p, n)
    }

    pub(in crate::lane) fn expm1(&mut self, x: V) -> V {
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
}
