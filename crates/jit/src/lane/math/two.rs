//! Functions of two floats: remainders and rounded quotients, angles.

use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;

use super::super::{Bin, Builder, Pred, RoundTo, ScalarCall, Ty, V};
use super::trigonometric::half_pi;

impl Builder {
    /// `|a| mod |b|` with the sign of `a`, and where the quotient is too large for that, or no number.
    fn exact_remainder(&mut self, a: V, b: V) -> (V, V) {
        let (p, q) = (self.fabs(a), self.fabs(b));
        let ratio = self.div(p, q);
        let t = self.round(RoundTo::Zero, ratio);
        // The quotient may be one off; the remainder of either is exact.
        let r = self.fnma(t, q, p);
        let zero = self.f(0.0, a.ty);
        let (below, above) = (self.lt(r, zero), self.cmp(Pred::Le, q, r));
        let (more, less) = (self.add(r, q), self.sub(r, q));
        let r = self.select(above, less, r);
        let r = self.select(below, more, r);
        let limit = self.f(if a.ty == Ty::F32 { 4_194_304.0 } else { 2_251_799_813_685_248.0 }, a.ty);
        let inf = self.f(f64::INFINITY, a.ty);
        let (near, finite) = (self.lt(ratio, limit), self.lt(q, inf));
        let near = self.and(near, finite);
        (self.with_sign(r, a), self.not(near))
    }

    /// Whether a remainder of `b` has to move to the sign of `b`.
    fn has_other_sign(&mut self, r: V, b: V) -> V {
        let zero = self.f(0.0, r.ty);
        let (minus, other) = (self.lt(r, zero), self.lt(b, zero));
        let differ = self.xor(minus, other);
        let some = self.cmp(Pred::Ne, r, zero);
        self.and(some, differ)
    }

    pub(in crate::lane) fn fmod(&mut self, a: V, b: V, dtype: DType) -> V {
        let (r, far) = self.exact_remainder(a, b);
        self.call(ScalarCall::Binary(Binary::Fmod, dtype), a, b, Some((far, r)))
    }

    pub(in crate::lane) fn remainder(&mut self, a: V, b: V, dtype: DType) -> V {
        let (r, far) = self.exact_remainder(a, b);
        let moves = self.has_other_sign(r, b);
        let moved = self.add(r, b);
        let y = self.select(moves, moved, r);
        self.call(ScalarCall::Binary(Binary::Remainder, dtype), a, b, Some((far, y)))
    }

    pub(in crate::lane) fn div_trunc(&mut self, a: V, b: V) -> V {
        let q = self.div(a, b);
        self.round(RoundTo::Zero, q)
    }

    /// The quotient rounded down, computed from the remainder as Python does.
    pub(in crate::lane) fn div_floor(&mut self, a: V, b: V, dtype: DType) -> V {
        let (r, far) = self.exact_remainder(a, b);
        let (zero, one, half) = (self.f(0.0, a.ty), self.f(1.0, a.ty), self.f(0.5, a.ty));
        let whole = self.sub(a, r);
        let q = self.div(whole, b);
        let moves = self.has_other_sign(r, b);
        let less = self.sub(q, one);
        let q = self.select(moves, less, q);
        let floor = self.round(RoundTo::Down, q);
        let rest = self.sub(q, floor);
        let up = self.lt(half, rest);
        let next = self.add(floor, one);
        let y = self.select(up, next, floor);
        let sign = self.div(a, b);
        let signed = self.with_sign(zero, sign);
        let is_zero = self.cmp(Pred::Eq, q, zero);
        let y = self.select(is_zero, signed, y);
        self.call(ScalarCall::Binary(Binary::DivFloor, dtype), a, b, Some((far, y)))
    }

    /// The angle of the point `(x, y)`.
    pub(in crate::lane) fn atan2(&mut self, y: V, x: V, dtype: DType) -> V {
        let (p, q) = (self.fabs(y), self.fabs(x));
        let (small, large) = (self.bin(Bin::Min, p, q), self.bin(Bin::Max, p, q));
        let t = self.div(small, large);
        let angle = self.atan(t);
        let (hi, low) = half_pi(x.ty);
        let (quarter, low) = (self.f(hi, x.ty), self.f(low, x.ty));
        let steep = self.lt(q, p);
        let rest = self.sub(angle, low);
        let rest = self.sub(quarter, rest);
        let angle = self.select(steep, rest, angle);
        // Left of the axis: π less that.
        let int = super::format(x.ty).int;
        let zero = self.i(0, int);
        let left = self.lt(x.bits(int), zero);
        let (half, twice) = (self.add(quarter, quarter), self.add(low, low));
        let back = self.sub(angle, twice);
        let back = self.sub(half, back);
        let angle = self.select(left, back, angle);
        let fast = self.with_sign(angle, y);
        // Both zero, both infinite, or NaN.
        let (indefinite, unordered) = (self.is_nan(t), self.cmp(Pred::Unordered, y, x));
        let special = self.or(indefinite, unordered);
        self.call(ScalarCall::Binary(Binary::Atan2, dtype), y, x, Some((special, fast)))
    }
}
