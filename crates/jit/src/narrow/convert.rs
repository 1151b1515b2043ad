//! Changes of type. Beside 64-bit lanes, those of 32 bits fill half of a vector.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::stage::Emit;
use crate::lane::{Conv, Ty};

/// 2⁵² + 2⁵¹: added to a whole number of 32 bits, the sum has it in its low bits.
const WHOLE: f64 = 6_755_399_441_055_744.0;

impl Emit<'_> {
    pub(super) fn convert(&mut self, conv: Conv, x: Value) -> Value {
        match conv {
            Conv::F32ToF64 => self.b.ins().fvpromote_low(x),
            Conv::F64ToF32 => self.b.ins().fvdemote(x),
            Conv::I32ToF32 => self.b.ins().fcvt_from_sint(types::F32X4, x),
            Conv::I32ToF64 => {
                let x = self.b.ins().swiden_low(x);
                self.b.ins().fcvt_from_sint(types::F64X2, x)
            }
            Conv::F32ToI32 => {
                let y = self.b.ins().fcvt_to_sint_sat(types::I32X4, x);
                // Small numbers saturate to what is wanted.
                let (limit, min) = (self.float(2_147_483_648.0, Ty::F32), self.constant(1 << 31, Ty::I32));
                let fits = self.b.ins().fcmp(FloatCC::LessThan, x, limit);
                self.b.ins().bitselect(fits, y, min)
            }
            Conv::F64ToI32 => self.f64_to_i32(x),
            Conv::I32ToI64 => self.b.ins().swiden_low(x),
            Conv::I64ToI32 => self.low_halves(x),
            Conv::RoundF16 => {
                let half = self.narrow_half(x);
                self.widen_half(half)
            }
            Conv::I64ToF64 | Conv::I64ToF32 | Conv::F64ToI64 => {
                unreachable!("lane code: {conv:?} is of the extended set")
            }
        }
    }

    /// A number in all lanes.
    pub(super) fn float(&mut self, x: f64, ty: Ty) -> Value {
        let bits = if ty == Ty::F32 { u64::from((x as f32).to_bits()) } else { x.to_bits() };
        self.constant(bits, ty)
    }

    fn f64_to_i32(&mut self, x: Value) -> Value {
        let (low, high) = (self.float(-2_147_483_649.0, Ty::F64), self.float(2_147_483_648.0, Ty::F64));
        let above = self.b.ins().fcmp(FloatCC::GreaterThan, x, low);
        let below = self.b.ins().fcmp(FloatCC::LessThan, x, high);
        let fits = self.b.ins().band(above, below);
        let (whole, magic) = (self.b.ins().trunc(x), self.float(WHOLE, Ty::F64));
        let sum = self.b.ins().fadd(whole, magic);
        let sum = self.cast(sum, types::I64X2);
        let min = self.constant(1 << 31, Ty::I64);
        let y = self.b.ins().bitselect(fits, sum, min);
        self.low_halves(y)
    }
}
