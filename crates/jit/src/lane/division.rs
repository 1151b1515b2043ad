//! Quotients and remainders of integers, by way of a reciprocal in `F64`.
//!
//! A quotient is rounded down first, so that the remainder has the divisor's sign; what is rounded towards zero follows from it.

use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;

use super::{Bin, Builder, Conv, Pred, RoundTo, ScalarCall, Ty, V};

/// Divisors of 64 bits from this size on go through the scalar function.
const LARGE: i64 = 1 << 50;

impl Builder {
    /// Quotients (`DivFloor`, `DivTrunc`) and remainders (`Remainder`, `Fmod`); division by zero is an error of the scalar function.
    pub(super) fn whole_division(&mut self, f: Binary, a: V, b: V, dtype: DType) -> V {
        let (mut q, mut r) = if a.ty == Ty::I32 { self.floor_32(a, b) } else { self.floor_64(a, b) };
        if matches!(f, Binary::DivTrunc | Binary::Fmod) {
            let (zero, one) = (self.i(0, a.ty), self.i(1, a.ty));
            let signs = self.xor(a, b);
            let (differ, even) = (self.lt(signs, zero), self.cmp(Pred::Eq, r, zero));
            let up = self.bin(Bin::AndNot, even, differ);
            let (next, less) = (self.add(q, one), self.sub(r, b));
            (q, r) = (self.select(up, next, q), self.select(up, less, r));
        }
        let fast = if matches!(f, Binary::DivFloor | Binary::DivTrunc) { q } else { r };
        match self.is_const(b).map(|bits| if a.ty == Ty::I32 { i64::from(bits as i32) } else { bits.cast_signed() }) {
            Some(b) if b != 0 && b.unsigned_abs() < LARGE.unsigned_abs() => fast,
            Some(_) | None => {
                let zero = self.i(0, b.ty);
                let mut rare = self.cmp(Pred::Eq, b, zero);
                if b.ty == Ty::I64 {
                    let (high, low) = (self.i(LARGE - 1, Ty::I64), self.i(1 - LARGE, Ty::I64));
                    let (above, below) = (self.lt(high, b), self.lt(b, low));
                    let large = self.or(above, below);
                    rare = self.or(rare, large);
                }
                self.call(ScalarCall::Binary(f, dtype), a, b, Some((rare, fast)))
            }
        }
    }

    /// `1 / b`, known where `b` is.
    fn inverse(&mut self, b: V, float: V) -> V {
        match self.is_const(b) {
            Some(bits) if b.ty == Ty::I32 => self.f(1.0 / f64::from(bits as i32), Ty::F64),
            Some(bits) => self.f(1.0 / bits.cast_signed() as f64, Ty::F64),
            None => {
                let one = self.f(1.0, Ty::F64);
                self.div(one, float)
            }
        }
    }

    /// `I32`: with half of the divisor's size added the exact quotient is that far from every integer, and what it is computed to is nearer.
    fn floor_32(&mut self, a: V, b: V) -> (V, V) {
        let (x, y) = (self.conv(Conv::I32ToF64, a), self.conv(Conv::I32ToF64, b));
        let inverse = self.inverse(b, y);
        let (half, size) = (self.f(0.5, Ty::F64), self.fabs(inverse));
        let half = self.mul(half, size);
        let q = self.fma(x, inverse, half);
        let q = self.round(RoundTo::Down, q);
        // Of `i32::MIN / -1` only the low bits are kept.
        let q = self.conv(Conv::F64ToI32, q);
        let product = self.integer_mul(q, b);
        (q, self.sub(a, product))
    }

    /// `I64`, of divisors that are not [`LARGE`]: a first quotient leaves at most 2¹³ times the divisor, modulo 2⁶⁴ as everything here; that of
    /// the rest is taken a little too small, so that it is right or one less.
    fn floor_64(&mut self, a: V, b: V) -> (V, V) {
        let (x, y) = (self.i64_to_f64(a), self.i64_to_f64(b));
        let inverse = self.inverse(b, y);
        let first = self.mul(x, inverse);
        let first = self.f64_to_i64(first);
        let product = self.integer_mul(first, b);
        let rest = self.sub(a, product);
        let z = self.i64_to_f64(rest);
        let less = self.f(-1.0 / 1_073_741_824.0, Ty::F64);
        let second = self.fma(z, inverse, less);
        let second = self.round(RoundTo::Down, second);
        let second = self.f64_to_i64(second);
        let product = self.integer_mul(second, b);
        let (q, r) = (self.add(first, second), self.sub(rest, product));
        // Less by another divisor, the remainder has the other sign, or it was one too many.
        let (zero, one) = (self.i(0, Ty::I64), self.i(1, Ty::I64));
        let (next, less) = (self.add(q, one), self.sub(r, b));
        let signs = self.xor(less, b);
        let (differ, even) = (self.lt(signs, zero), self.cmp(Pred::Eq, less, zero));
        let right = self.bin(Bin::AndNot, even, differ);
        (self.select(right, q, next), self.select(right, r, less))
    }
}
