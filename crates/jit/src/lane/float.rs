//! Floats: which functions become vector instructions, which a scalar call.

use cotangent_core::ir::DType;
use cotangent_core::ops::{Binary, Unary};

use super::{Bin, Builder, Op, Pred, RoundTo, ScalarCall, Ty, V};

impl Builder {
    pub(super) fn float_unary(&mut self, f: Unary, x: V, dtype: DType) -> V {
        let single = x.ty == Ty::F32;
        let y = match f {
            Unary::Neg => {
                let sign = self.sign_bit(x.ty);
                return self.xor(x, sign);
            }
            Unary::Abs => return self.fabs(x),
            Unary::Detach => return x,
            Unary::Sign => {
                let (zero, one, minus) = (self.f(0.0, x.ty), self.f(1.0, x.ty), self.f(-1.0, x.ty));
                let (positive, negative) = (self.lt(zero, x), self.lt(x, zero));
                let y = self.select(positive, one, zero);
                return self.select(negative, minus, y);
            }
            Unary::Floor => return self.round(RoundTo::Down, x),
            Unary::Ceil => return self.round(RoundTo::Up, x),
            Unary::Trunc => return self.round(RoundTo::Zero, x),
            Unary::Round => return self.round(RoundTo::Even, x),
            Unary::Sqrt => self.push(Op::Sqrt(x), x.ty),
            Unary::Rsqrt => {
                let one = self.f(1.0, x.ty);
                let root = self.push(Op::Sqrt(x), x.ty);
                self.div(one, root)
            }
            Unary::Reciprocal => {
                let one = self.f(1.0, x.ty);
                self.div(one, x)
            }
            Unary::Exp => self.exp(x),
            Unary::Exp2 => self.exp2(x),
            Unary::Expm1 => self.expm1(x),
            Unary::Log => self.log(x),
            Unary::Log1p => self.log1p(x),
            Unary::Log2 => self.log2(x),
            Unary::Log10 => self.log10(x),
            Unary::Sin => self.sin_or_cos(x, f, 0),
            Unary::Cos => self.sin_or_cos(x, f, 1),
            Unary::Tanh => self.tanh(x),
            Unary::Sigmoid => self.sigmoid(x),
            Unary::Cosh => self.cosh(x),
            Unary::Tan => self.tan(x),
            Unary::Sinh => self.sinh(x),
            Unary::Asin => self.asin(x),
            Unary::Acos => self.acos(x),
            Unary::Atan => self.atan(x),
            Unary::Asinh => self.asinh(x),
            Unary::Acosh => self.acosh(x),
            Unary::Atanh => self.atanh(x),
            Unary::Erf => {
                if single {
                    self.erf(x)
                } else {
                    self.erf_f64(x)
                }
            }
            Unary::Erfc => {
                if single {
                    self.erfc(x)
                } else {
                    self.erfc_f64(x)
                }
            }
            Unary::Erfinv => {
                if single {
                    self.erfinv(x)
                } else {
                    self.erfinv_f64(x)
                }
            }
            Unary::Lgamma | Unary::Digamma => self.gamma_function(f, x),
            Unary::I0 | Unary::ModifiedBesselI0 => self.bessel_i0(x, false),
            Unary::I0e => self.bessel_i0(x, true),
            Unary::I1 | Unary::ModifiedBesselI1 => self.bessel_i1(x, false),
            Unary::I1e => self.bessel_i1(x, true),
            // Rare functions go through the reference's scalar row.
            _ => self.call(ScalarCall::Unary(f, x.ty), x, x, None),
        };
        self.narrow(y, dtype)
    }

    pub(super) fn float_binary(&mut self, f: Binary, a: V, b: V, dtype: DType) -> V {
        let y = match f {
            Binary::Add => self.add(a, b),
            Binary::Sub => self.sub(a, b),
            Binary::Mul => self.mul(a, b),
            Binary::Div => self.div(a, b),
            Binary::Maximum => return self.float_extreme(a, b, Bin::Max),
            Binary::Minimum => return self.float_extreme(a, b, Bin::Min),
            Binary::Fmod => self.fmod(a, b, dtype),
            Binary::Remainder => self.remainder(a, b, dtype),
            Binary::DivTrunc => self.div_trunc(a, b),
            Binary::DivFloor => self.div_floor(a, b, dtype),
            Binary::Atan2 => self.atan2(a, b, dtype),
            Binary::Pow => self.pow(a, b, dtype),
            // Neighbours of half precision are not those of `F32`.
            Binary::Nextafter if matches!(dtype, DType::F32 | DType::F64) => return self.next_after(a, b),
            _ => self.call(ScalarCall::Binary(f, dtype), a, b, None),
        };
        self.narrow(y, dtype)
    }

    /// The larger or smaller, NaN if either is. Of two zeros either may be taken, as in PyTorch.
    pub(super) fn float_extreme(&mut self, a: V, b: V, op: Bin) -> V {
        // The instruction gives its second operand where either is NaN, so one test is left, and none if the first is a constant.
        let number = |builder: &Builder, v: V| {
            builder.is_const(v).is_some_and(|bits| match v.ty {
                Ty::F32 => !f32::from_bits(bits as u32).is_nan(),
                Ty::F64 => !f64::from_bits(bits).is_nan(),
                Ty::I32 | Ty::I64 | Ty::Mask => false,
            })
        };
        let (a, b) = if number(self, b) { (b, a) } else { (a, b) };
        let y = self.bin(op, a, b);
        if number(self, a) {
            return y;
        }
        let nan = self.is_nan(a);
        self.select(nan, a, y)
    }

    /// The next number after `x` towards `y`; `y` itself where they are equal, NaN where either is.
    fn next_after(&mut self, x: V, y: V) -> V {
        let int = if x.ty == Ty::F32 { Ty::I32 } else { Ty::I64 };
        let (zero, one, minus) = (self.f(0.0, x.ty), self.i(1, int), self.i(-1, int));
        // The bits count magnitudes: up, if both ways lead away from 0.
        let (down, negative) = (self.lt(y, x), self.lt(x, zero));
        let towards = self.xor(down, negative);
        let step = self.select(towards, minus, one);
        let moved = self.add(x.bits(int), step).bits(x.ty);
        // From 0, the smallest number of the sign of y.
        let smallest = one.bits(x.ty);
        let first = self.with_sign(smallest, y);
        let (is_zero, equal) = (self.cmp(Pred::Eq, x, zero), self.cmp(Pred::Eq, x, y));
        let moved = self.select(is_zero, first, moved);
        let moved = self.select(equal, y, moved);
        let (sum, nan) = (self.add(x, y), self.cmp(Pred::Unordered, x, y));
        self.select(nan, sum, moved)
    }
}
