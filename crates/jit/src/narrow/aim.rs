//! Accesses that an index moves which is the same in all lanes.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::stage::{Emit, plain};
use crate::frame::{FAILED_INDEX, FAILED_LANE, FAILURE, ROWS};
use crate::place::Aimed;

impl Emit<'_> {
    /// Moves the pointers that indices move: of those that change in serial loops, or of the others. An index that its dim does not have is noted in the frame,
    /// and counts as 0.
    pub(super) fn aim(&mut self, moves: bool) {
        for (i, aim) in self.kernel.aimed(moves) {
            let from = self.b.use_var(self.pointers[aim.index]);
            let index = self.b.ins().load(types::I64, plain(), from, 0);
            // Without signs: what is below 0 is far above.
            let outside = self.b.ins().icmp_imm(IntCC::UnsignedGreaterThanOrEqual, index, aim.size as i64);
            let end = self.when(outside);
            self.outside(&aim, index);
            self.join(end);
            let zero = self.b.ins().iconst(types::I64, 0);
            let index = self.b.ins().select(outside, zero, index);
            let far = self.b.ins().imul_imm(index, aim.step);
            // The pointer of an access that stays at its index has not been moved before.
            let base = self.b.use_var(self.bases[i].unwrap_or(self.pointers[i]));
            let at = self.b.ins().iadd(base, far);
            self.b.def_var(self.pointers[i], at);
        }
    }

    /// Notes a failed index, unless something has failed before.
    fn outside(&mut self, aim: &Aimed, index: Value) {
        let before = self.word(FAILURE);
        let nothing = self.b.ins().icmp_imm(IntCC::Equal, before, 0);
        let end = self.when(nothing);
        let (lane, left) = (self.word(1), self.word(ROWS));
        // The rows that are left stand in the upper half.
        let upper = self.b.ins().ishl_imm(left, 32);
        let what = self.b.ins().iadd_imm(upper, 2 + i64::from(aim.of));
        for (word, x) in [(FAILED_INDEX, index), (FAILED_LANE, lane), (FAILURE, what)] {
            self.b.ins().store(plain(), x, self.frame, Offset32::new(8 * word as i32));
        }
        self.join(end);
    }
}
