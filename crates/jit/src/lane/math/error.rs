//! The error function, its complement and its inverse, for `F32`: polynomials whose coefficients are looked up.

use super::super::{Bin, Builder, Fused, Op, Pred, Ty, V};
use super::log::LogTerms;
use super::tables::{ERF, ERFCX, ERFCX_CENTRES, ERFINV, ERFINV_MINUS_CENTRES};

impl Builder {
    /// Of a magnitude below 4 the nearest multiple of ¼, as number of the table, and what is left; 1 beyond.
    pub(in crate::lane) fn erf(&mut self, x: V) -> V {
        let a = self.fabs(x);
        // The number before the middle between 3¾ and 4.
        let limit = self.f(3.874_999_8, Ty::F32);
        let a = self.bin(Bin::Min, limit, a);
        // Rounded by an addition that leaves no place for less than a quarter: the low bits count quarters.
        let magic = self.f(3_145_728.0, Ty::F32);
        let t = self.add(a, magic);
        let n = self.sub(t, magic);
        let r = self.sub(a, n);
        let index = self.table_index(t.bits(Ty::I32));
        let y = self.poly_of_odd(r, index, &ERF);
        self.with_sign(y, x)
    }

    /// `e^(−a²)` times a polynomial for `a = |x|`, where `a²` and the product are sums of two numbers.
    pub(in crate::lane) fn erfc(&mut self, x: V) -> V {
        let c = |b: &mut Builder, v| b.f(v, Ty::F32);
        let (zero, two, limit) = (c(self, 0.0), c(self, 2.0), c(self, 10.6));
        let a = self.fabs(x);
        let a = self.bin(Bin::Min, limit, a);
        let (r, index) = self.off_centre(a, &ERFCX_CENTRES);
        let (q, g0) = self.poly_and_constant(r, index, &ERFCX);
        let g1 = self.mul(q, r);
        let g = self.add(g0, g1);
        let square = self.mul(a, a);
        let lost = self.push(Op::Fused(Fused::Sub, a, a, square), Ty::F32);
        let sign = self.sign_bit(Ty::F32);
        let minus = self.xor(square, sign);
        let (n, e) = self.exp_reduce_less(minus, lost);
        // (g0 + g1) (1 + s), the largest term last.
        let tail = self.exp_tail(e);
        let e2 = self.mul(e, e);
        let s = self.fma(tail, e2, e);
        let y = self.fma(g, s, g1);
        let y = self.add(g0, y);
        let y = self.scale(y, n);
        let other = self.sub(two, y);
        let negative = self.lt(x, zero);
        self.select(negative, other, y)
    }

    /// Infinite at ±1, NaN outside.
    pub(in crate::lane) fn erfinv(&mut self, x: V) -> V {
        let c = |b: &mut Builder, v| b.f(v, Ty::F32);
        let (one, inf, nan, most) = (c(self, 1.0), c(self, f64::INFINITY), c(self, f64::NAN), c(self, 0.9));
        let a = self.fabs(x);
        let (less, more) = (self.sub(one, a), self.add(one, a));
        let v = self.mul(less, more);
        let LogTerms { e, ln2, rest } = self.log_terms(v);
        let log = self.fma(e, ln2, rest);
        // No logarithm is below −16: all of them fit in the intervals.
        let z = self.fnma(log, most, one);
        let index = self.quarter_of_binade(z);
        // The distance from the centre without the rounding of the logarithm.
        let minus_centre = self.entry(&ERFINV_MINUS_CENTRES, index);
        let r = self.fma(e, ln2, minus_centre);
        let r = self.add(r, rest);
        let p = self.poly_by_table(r, index, &ERFINV);
        let at_border = self.cmp(Pred::Eq, a, one);
        let outside = self.select(at_border, inf, nan);
        let inside = self.lt(a, one);
        let p = self.select(inside, p, outside);
        self.mul(p, x)
    }
}
