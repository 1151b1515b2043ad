//! Products and sums with one rounding, also on machines that have no instruction for it.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value, types};

use super::stage::Emit;
use crate::lane::Ty;

/// `a·b + c`, rounded once.
extern "C" fn fused(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

impl Emit<'_> {
    /// `x·y + z`, rounded once.
    pub(super) fn fused(&mut self, x: Value, y: Value, z: Value) -> Value {
        if self.target.fused {
            return self.b.ins().fma(x, y, z);
        }
        if self.b.func.dfg.value_type(x) == types::F64X2 {
            return self.fused_lanes([x, y, z]);
        }
        let low = [x, y, z].map(|x| self.b.ins().fvpromote_low(x));
        let low = self.fused_half(low);
        if self.kernel.lane.wide {
            return low;
        }
        let high = [x, y, z].map(|x| {
            let x = self.shuffle(x, &[8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15], types::F32X4);
            self.b.ins().fvpromote_low(x)
        });
        let high = self.fused_half(high);
        self.shuffle_two(low, high, std::array::from_fn(|i| if i < 8 { i } else { i + 8 } as u8), types::F32X4)
    }

    /// Two lanes of `f32` in `f64`: the product is exact there, and a sum that is rounded to an odd number where it is not
    /// exact rounds to the same `f32` as the sum itself (53 bits are more than 2 · 24 + 1).
    fn fused_half(&mut self, [x, y, z]: [Value; 3]) -> Value {
        let product = self.b.ins().fmul(x, y);
        let sum = self.b.ins().fadd(product, z);
        // What the sum lacks, exactly; NaN where it is not finite.
        let of_z = self.b.ins().fsub(sum, product);
        let of_product = self.b.ins().fsub(sum, of_z);
        let (lacks_product, lacks_z) = (self.b.ins().fsub(product, of_product), self.b.ins().fsub(z, of_z));
        let lack = self.b.ins().fadd(lacks_product, lacks_z);
        let (size, zero) = (self.b.ins().fabs(lack), self.constant(0, Ty::F64));
        let inexact = self.b.ins().fcmp(FloatCC::LessThan, zero, size);
        let (bits, lack) = (self.cast(sum, types::I64X2), self.cast(lack, types::I64X2));
        let one = self.constant(1, Ty::I64);
        // One step away from zero if what it lacks has its sign, else towards zero; from even numbers only.
        let signs = self.b.ins().bxor(bits, lack);
        let differ = self.b.ins().ushr_imm(signs, 63);
        let back = self.b.ins().ishl_imm(differ, 1);
        let step = self.b.ins().isub(one, back);
        let odd = self.b.ins().band(bits, one);
        let even = self.b.ins().isub(odd, one);
        let moves = self.b.ins().band(inexact, even);
        let step = self.b.ins().band(step, moves);
        let bits = self.b.ins().iadd(bits, step);
        let sum = self.cast(bits, types::F64X2);
        self.b.ins().fvdemote(sum)
    }

    /// Lane by lane.
    fn fused_lanes(&mut self, operands: [Value; 3]) -> Value {
        let call_conv = self.target.isa().default_call_conv();
        let number = AbiParam::new(types::F64);
        let signature = Signature { params: vec![number; 3], returns: vec![number], call_conv };
        let signature = self.b.import_signature(signature);
        let address = fused as *const () as usize;
        let lanes = [0, 1].map(|j| {
            let scalars = operands.map(|x| self.b.ins().extractlane(x, j));
            let function = self.b.ins().iconst(types::I64, address as i64);
            let call = self.b.ins().call_indirect(signature, function, &scalars);
            self.b.inst_results(call)[0]
        });
        self.lanes_of(&lanes, types::F64X2)
    }
}
