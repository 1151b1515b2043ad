//! Calls of scalar functions, out of line where a mask says that they are rare.

use std::sync::Arc;

use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, StackSlot, StackSlotData, StackSlotKind, Value, types};

use super::stage::Emit;
use crate::lane::{Code, ScalarCall, Ty, V};
use crate::machine::thunk::{self, Area, Call};

impl Emit<'_> {
    /// A function of two operands in each lane, or where the mask of `guard` is set, whose second value holds elsewhere.
    pub(super) fn call(
        &mut self,
        code: &Code,
        function: ScalarCall,
        args: [V; 2],
        guard: Option<(V, V)>,
        c: usize,
    ) -> Value {
        let result = function.result();
        let call = Call {
            function,
            wide: (args[0].ty.is_wide(), result.is_wide()),
            guarded: guard.is_some(),
            wide_mask: self.kernel.lane.wide,
        };
        let operands = args.map(|v| self.value(code, v, c));
        let Some((mask, fast)) = guard else {
            return self.thunk(call, &operands, result, c);
        };
        let (mask, fast) = (self.value(code, mask, c), self.value(code, fast, c));
        let (slow, join) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(slow);
        let joined = self.b.append_block_param(join, self.vector(result));
        let any = self.b.ins().vany_true(mask);
        self.b.ins().brif(any, slow, &[], join, &[fast.into()]);
        self.b.switch_to_block(slow);
        self.b.seal_block(slow);
        let y = self.thunk(call, &[operands[0], operands[1], mask, fast], result, c);
        self.b.ins().jump(join, &[y.into()]);
        self.b.switch_to_block(join);
        self.b.seal_block(join);
        joined
    }

    /// Computes the lanes of a call, of operands in the order of [`Area`]: also those that repeat the last one, whose error is its own.
    fn thunk(&mut self, call: Call, operands: &[Value], result: Ty, c: usize) -> Value {
        let call = Arc::new(call);
        let address = Arc::as_ptr(&call) as usize;
        self.calls.push(call);
        let area = self.area();
        for (k, x) in operands.iter().enumerate() {
            self.b.ins().stack_store(*x, area, (Area::VECTOR * k) as i32);
        }
        let lane = self.b.use_var(self.lane);
        let first = self.b.ins().iadd_imm(lane, (c * self.walk.width) as i64);
        let mut constant = |x: usize| self.b.ins().iconst(types::I64, x as i64);
        let (address, function) = (constant(address), constant(thunk::call as *const () as usize));
        let count = constant(self.walk.width);
        let place = self.b.ins().stack_addr(types::I64, area, 0);
        let call_conv = self.target.isa().default_call_conv();
        let signature = Signature { params: vec![AbiParam::new(types::I64); 5], returns: vec![], call_conv };
        let signature = self.b.import_signature(signature);
        self.b.ins().call_indirect(signature, function, &[address, place, count, first, self.frame]);
        let ty = self.vector(result);
        self.b.ins().stack_load(ty, area, (Area::VECTOR * 3) as i32)
    }

    /// Where operands and results of calls are.
    fn area(&mut self) -> StackSlot {
        *self.area.get_or_insert_with(|| {
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size_of::<Area>() as u32, 4);
            self.b.create_sized_stack_slot(data)
        })
    }
}
