//! Casts between dtypes, by the rules of [`cotangent_core::array::Array::cast`].

use cotangent_core::ir::DType;

use super::{Builder, Conv, OpSet, Pred, RoundTo, ScalarCall, Shift, Ty, V};

impl Builder {
    /// Rounds an `F32` to what a half format holds.
    pub(super) fn narrow(&mut self, x: V, dtype: DType) -> V {
        match dtype {
            DType::F16 => self.conv(Conv::RoundF16, x),
            DType::BF16 => {
                let b = x.bits(Ty::I32);
                let one = self.i(1, Ty::I32);
                let (bias, high) = (self.i(0x7fff, Ty::I32), self.i(-0x1_0000, Ty::I32));
                let odd = self.shift(Shift::Logical, b, 16);
                let odd = self.and(odd, one);
                let sum = self.add(b, bias);
                let sum = self.add(sum, odd);
                let y = self.and(sum, high).bits(Ty::F32);
                let nan = self.is_nan(x);
                let quiet = self.f(f64::NAN, Ty::F32);
                self.select(nan, quiet, y)
            }
            DType::F32 | DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => x,
        }
    }

    pub(super) fn convert(&mut self, x: V, from: DType, to: DType) -> V {
        if from == to {
            return x;
        }
        let y = match (x.ty, Ty::of(to)) {
            (Ty::Mask, Ty::Mask) => x,
            (Ty::Mask, ty @ (Ty::F32 | Ty::F64)) => {
                let (one, zero) = (self.f(1.0, ty), self.f(0.0, ty));
                self.select(x, one, zero)
            }
            (Ty::Mask, ty @ (Ty::I32 | Ty::I64)) => {
                let (one, zero) = (self.i(1, ty), self.i(0, ty));
                self.select(x, one, zero)
            }
            (Ty::F32 | Ty::F64, Ty::Mask) => {
                let zero = self.f(0.0, x.ty);
                self.cmp(Pred::Ne, x, zero)
            }
            (Ty::I32 | Ty::I64, Ty::Mask) => {
                let zero = self.i(0, x.ty);
                let eq = self.cmp(Pred::Eq, x, zero);
                self.not(eq)
            }
            (Ty::F32, Ty::F32) | (Ty::F64, Ty::F64) | (Ty::I32, Ty::I32) | (Ty::I64, Ty::I64) => x,
            (Ty::F32, Ty::F64) => self.conv(Conv::F32ToF64, x),
            (Ty::F64, Ty::F32) => self.conv(Conv::F64ToF32, x),
            (Ty::F32, Ty::I32) => self.conv(Conv::F32ToI32, x),
            (Ty::F32, Ty::I64) => {
                let x = self.conv(Conv::F32ToF64, x);
                self.f64_to_i64(x)
            }
            (Ty::F64, Ty::I64) => self.f64_to_i64(x),
            (Ty::F64, Ty::I32) => self.conv(Conv::F64ToI32, x),
            (Ty::I32, Ty::F32) => self.conv(Conv::I32ToF32, x),
            (Ty::I64, Ty::F32) => self.i64_to_f32(x),
            (Ty::I32, Ty::F64) => self.conv(Conv::I32ToF64, x),
            (Ty::I64, Ty::F64) => self.i64_to_f64(x),
            (Ty::I32, Ty::I64) => self.conv(Conv::I32ToI64, x),
            (Ty::I64, Ty::I32) => self.conv(Conv::I64ToI32, x),
        };
        match Ty::of(to) {
            Ty::F32 => self.narrow(y, to),
            Ty::I32 => self.wrap(y, to),
            Ty::F64 | Ty::I64 | Ty::Mask => y,
        }
    }

    /// Rounds once: both halves are exact in `F64`.
    pub(super) fn i64_to_f64(&mut self, x: V) -> V {
        if self.ops == OpSet::Extended {
            return self.conv(Conv::I64ToF64, x);
        }
        let low = self.i(0xffff_ffff, Ty::I64);
        // The bits of 2⁵² + low and of 2⁸⁴ + 2⁶³ + high·2³².
        let (two52, high) = (self.i(0x4330_0000_0000_0000, Ty::I64), self.i(0x4530_0000_8000_0000, Ty::I64));
        let magic = self.constant(0x4530_0000_8010_0000, Ty::F64);
        let l = self.and(x, low);
        let l = self.or(l, two52).bits(Ty::F64);
        let h = self.shift(Shift::Logical, x, 32);
        let h = self.xor(h, high).bits(Ty::F64);
        let h = self.sub(h, magic);
        self.add(h, l)
    }

    /// Towards zero; `i64::MIN` where it does not fit.
    pub(super) fn f64_to_i64(&mut self, x: V) -> V {
        if self.ops == OpSet::Extended {
            return self.conv(Conv::F64ToI64, x);
        }
        let t = self.round(RoundTo::Zero, x);
        let (scale, unscale) = (self.f(1.0 / 4_294_967_296.0, Ty::F64), self.f(4_294_967_296.0, Ty::F64));
        let magic = self.f(6_755_399_441_055_744.0, Ty::F64);
        let h = self.mul(t, scale);
        let h = self.round(RoundTo::Down, h);
        let l = self.fnma(h, unscale, t);
        let integer = |b: &mut Builder, v| {
            let s = b.add(v, magic).bits(Ty::I64);
            b.sub(s, magic.bits(Ty::I64))
        };
        let (hi, lo) = (integer(self, h), integer(self, l));
        let hi = self.shift(Shift::Left, hi, 32);
        let y = self.add(hi, lo);
        let limit = self.f(9_223_372_036_854_775_808.0, Ty::F64);
        let size = self.fabs(t);
        let fits = self.lt(size, limit);
        let min = self.i(i64::MIN, Ty::I64);
        self.select(fits, y, min)
    }

    /// Rounds once: by way of `F64` where that is exact, by a scalar function for larger numbers.
    fn i64_to_f32(&mut self, x: V) -> V {
        if self.ops == OpSet::Extended {
            return self.conv(Conv::I64ToF32, x);
        }
        let y = self.i64_to_f64(x);
        let limit = self.f(9_007_199_254_740_992.0, Ty::F64);
        let size = self.fabs(y);
        let large = self.cmp(Pred::Le, limit, size);
        let fast = self.conv(Conv::F64ToF32, y);
        self.call(ScalarCall::I64ToF32, x, x, Some((large, fast)))
    }
}
