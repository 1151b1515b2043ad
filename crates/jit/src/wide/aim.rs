//! Accesses that an index moves which is the same in all lanes.

use super::asm::gpr::{R8, RAX};
use super::asm::{Asm, Cond, Label, Rm};
use super::emit::Emit;
use crate::frame::{FAILED_INDEX, FAILED_LANE, FAILURE, ROWS};

impl Emit<'_> {
    /// Moves the pointers that indices move: of those that change in serial loops, or of the others. An index that its dim does not have is noted in the frame,
    /// and counts as 0.
    pub(super) fn aim(&mut self, moves: bool) {
        for (i, aim) in self.kernel.aimed(moves) {
            let from = self.pointer(aim.index);
            self.asm().mov(RAX, Rm::Mem(from, 0));
            let outside = Outside { entry: self.asm().label(), join: self.asm().label(), of: aim.of };
            // Without signs: what is below 0 is far above.
            self.asm().cmp_imm(Rm::Reg(RAX), aim.size as i32);
            self.asm().jcc(Cond::AboveEqual, outside.entry);
            self.asm().bind(outside.join);
            self.outside.push(outside);
            self.asm().imul(RAX, Rm::Reg(RAX), aim.step as i32);
            let base = Emit::word(self.kernel.layout.pointers + i);
            self.asm().add(RAX, base);
            if i < 8 {
                self.asm().mov(R8 + i as u8, Rm::Reg(RAX));
            } else {
                let home = Emit::word(self.kernel.home(i));
                self.asm().mov_to(home, RAX, 8);
            }
        }
    }
}

/// What an index that its dim does not have goes through, out of the way of those that it has.
pub(super) struct Outside {
    entry: Label,
    join: Label,
    of: u32,
}

impl Outside {
    /// Notes the failed index, which is in `rax`, unless something has failed before; and makes it 0.
    pub(super) fn emit(&self, asm: &mut Asm) {
        let noted = asm.label();
        asm.bind(self.entry);
        asm.cmp_imm(Emit::word(FAILURE), 0);
        asm.jcc(Cond::NotZero, noted);
        asm.mov_to(Emit::word(FAILED_INDEX), RAX, 8);
        asm.mov(RAX, Emit::word(1));
        asm.mov_to(Emit::word(FAILED_LANE), RAX, 8);
        // The rows that are left stand in the upper half.
        asm.mov(RAX, Emit::word(ROWS));
        for _ in 0..2 {
            asm.imul(RAX, Rm::Reg(RAX), 1 << 16);
        }
        asm.add_imm(Rm::Reg(RAX), 2 + self.of as i32);
        asm.mov_to(Emit::word(FAILURE), RAX, 8);
        asm.bind(noted);
        asm.zero(RAX);
        asm.jmp(self.join);
    }
}
