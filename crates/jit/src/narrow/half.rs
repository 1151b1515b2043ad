//! Binary16 in integer arithmetic: x86-64 without F16C has no instruction for it, and Cranelift uses none.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::stage::Emit;
use crate::lane::Ty;

/// What is between the exponents of both formats: 2¹¹² as an `f32`.
const REBIAS: u64 = (127 + 112) << 23;
/// Infinity of an `f32`.
const INFINITY: u64 = 0xff << 23;

impl Emit<'_> {
    /// The numbers whose bits are in the low halves of 32-bit lanes.
    pub(super) fn widen_half(&mut self, x: Value) -> Value {
        let (magnitude, sign) = (self.constant(0x7fff, Ty::I32), self.constant(0x8000, Ty::I32));
        let (magnitude, sign) = (self.b.ins().band(x, magnitude), self.b.ins().band(x, sign));
        // The product is exact, of small numbers without an implicit one as well.
        let bits = self.b.ins().ishl_imm(magnitude, 13);
        let (small, rebias) = (self.cast(bits, types::F32X4), self.constant(REBIAS, Ty::F32));
        let y = self.b.ins().fmul(small, rebias);
        let y = self.cast(y, types::I32X4);
        let (largest, infinity) = (self.constant(0x7bff, Ty::I32), self.constant(INFINITY, Ty::I32));
        let special = self.b.ins().icmp(IntCC::SignedGreaterThan, magnitude, largest);
        let infinity = self.b.ins().band(special, infinity);
        let y = self.b.ins().bor(y, infinity);
        let sign = self.b.ins().ishl_imm(sign, 16);
        let y = self.b.ins().bor(y, sign);
        self.cast(y, types::F32X4)
    }

    /// The bits of numbers rounded to the nearest one, ties to even, in 32-bit lanes.
    pub(super) fn narrow_half(&mut self, x: Value) -> Value {
        let bits = self.cast(x, types::I32X4);
        let all = self.constant(0x7fff_ffff, Ty::I32);
        let magnitude = self.b.ins().band(bits, all);
        // Numbers below 2⁻¹⁴: the sum with ½ rounds to multiples of 2⁻²⁴, and has them in its low bits.
        let one_half = self.float(0.5, Ty::F32);
        let small = self.cast(magnitude, types::F32X4);
        let small = self.b.ins().fadd(small, one_half);
        let (small, one_half) = (self.cast(small, types::I32X4), self.cast(one_half, types::I32X4));
        let small = self.b.ins().isub(small, one_half);
        // The others, with the exponent of the format; what is carried into it is right, up to infinity.
        let (odd, one) = (self.b.ins().ushr_imm(magnitude, 13), self.constant(1, Ty::I32));
        let odd = self.b.ins().band(odd, one);
        let bias = self.constant(u64::from(0xfffu32.wrapping_sub(112 << 23)), Ty::I32);
        let normal = self.b.ins().iadd(magnitude, bias);
        let normal = self.b.ins().iadd(normal, odd);
        let normal = self.b.ins().ushr_imm(normal, 13);
        let (least, infinity) = (self.constant(113 << 23, Ty::I32), self.constant(0x7c00, Ty::I32));
        let is_small = self.b.ins().icmp(IntCC::SignedLessThan, magnitude, least);
        let y = self.b.ins().bitselect(is_small, small, normal);
        let too_large = self.constant((127 + 16) << 23, Ty::I32);
        let overflows = self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, magnitude, too_large);
        let y = self.b.ins().bitselect(overflows, infinity, y);
        let (nan, quiet) = (self.b.ins().fcmp(FloatCC::Unordered, x, x), self.constant(0x7e00, Ty::I32));
        let y = self.b.ins().bitselect(nan, quiet, y);
        let (sign, mask) = (self.b.ins().ushr_imm(bits, 16), self.constant(0x8000, Ty::I32));
        let sign = self.b.ins().band(sign, mask);
        self.b.ins().bor(y, sign)
    }
}
