//! Calls of scalar functions, out of line where a mask says that they are rare.

use std::sync::Arc;

use super::alloc::Loc;
use super::asm::gpr::{R8, RAX, RCX, RDI, RDX, RSI, RSP};
use super::asm::{Cond, Rm};
use super::emit::{AREA, COUNT, Emit, Lanes, SAVED, SAVED_GPR, SCRATCH, Slow};
use super::{op, thunk};
use crate::lane::{Code, V};

impl Emit<'_> {
    pub(super) fn call(
        &mut self,
        code: &Code,
        call: thunk::Call,
        args: [V; 2],
        guard: Option<(V, V)>,
        c: usize,
        i: u32,
    ) {
        let call = Arc::new(call);
        let address = Arc::as_ptr(&call);
        self.out.calls.push(call);
        let mask = guard.map(|(m, _)| self.reg(code, m, c, i));
        let mut operands = [Some(self.rm(code, args[0], c)), Some(self.rm(code, args[1], c)), mask.map(Rm::Reg), None];
        if let Some((_, fast)) = guard {
            operands[3] = Some(self.rm(code, fast, c));
        }
        let accumulators = self.accumulators.iter().fold(0u16, |m, a| match a {
            Loc::Reg(r) => (0..self.copies as u8).fold(m, |m, c| m | 1 << (r - c)),
            Loc::Slot(_) | Loc::None => m,
        });
        let saved = self.alloc.in_use() | accumulators;
        // The result takes the register of the fast value where that dies; room is made before the code forks.
        let inherited = guard.and_then(|(_, fast)| match self.alloc.loc((c, fast.id)) {
            Loc::Reg(r) if self.alloc.owns((c, fast.id), r) && self.alloc.dies(fast.id, i) => Some((fast, r)),
            Loc::Reg(_) | Loc::Slot(_) | Loc::None => None,
        });
        let to = match inherited {
            Some((fast, r)) => {
                self.alloc.free_register((c, fast.id));
                self.alloc.put((c, i), r);
                r
            }
            None => self.take((c, i), i),
        };
        let join = self.asm().label();
        let entry = mask.map(|_| self.asm().label());
        let slow = Slow {
            entry,
            join,
            saved,
            operands,
            to,
            call: address,
            first: (c * self.width) as i32,
            tail: self.lanes == Lanes::Tail,
        };
        if let (Some(mask), Some(entry)) = (mask, entry) {
            let test = if self.width == 8 { op::MOVMSKPS } else { op::MOVMSKPD };
            self.asm().v(test, 1, RAX, 0, Rm::Reg(mask));
            self.asm().test(RAX);
            self.asm().jcc(Cond::NotZero, entry);
            if let (None, Some(fast)) = (inherited, operands[3]) {
                self.asm().v(op::MOVUPS, 1, to, 0, fast);
            }
            self.asm().bind(join);
            self.slow.push(slow);
        } else {
            self.slow_call(&slow);
            self.asm().bind(join);
        }
    }

    pub(super) fn slow_call(&mut self, slow: &Slow) {
        if let Some(entry) = slow.entry {
            self.asm().bind(entry);
        }
        let registers = (0..16u8).filter(|r| slow.saved >> r & 1 == 1);
        for r in registers.clone() {
            self.asm().v(op::MOVUPS_TO, 1, r, 0, Rm::Mem(RSP, SAVED + 32 * i32::from(r)));
        }
        for (k, operand) in slow.operands.iter().enumerate() {
            let at = Rm::Mem(RSP, AREA + 32 * k as i32);
            match operand {
                None => {}
                Some(Rm::Reg(r)) => self.asm().v(op::MOVUPS_TO, 1, *r, 0, at),
                Some(memory) => {
                    self.asm().v(op::MOVUPS, 1, SCRATCH, 0, *memory);
                    self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, at);
                }
            }
        }
        let saved = [RSI, RDX, RDI, R8, 9, 10, 11];
        for (k, r) in saved.into_iter().enumerate() {
            self.asm().mov_to(Rm::Mem(RSP, SAVED_GPR + 8 * k as i32), r, 8);
        }
        self.asm().vzeroupper();
        self.asm().mov(R8, Rm::Reg(RDI));
        self.asm().lea(RCX, Rm::Mem(RDX, slow.first));
        if slow.tail {
            self.asm().mov(RDX, Rm::Mem(RSP, COUNT));
        } else {
            let width = self.width as u64;
            self.asm().mov_imm(RDX, width);
        }
        self.asm().lea(RSI, Rm::Mem(RSP, AREA));
        self.asm().mov_imm(RDI, slow.call as u64);
        self.asm().mov_imm(RAX, thunk::call as *const () as u64);
        self.asm().call(RAX);
        for (k, r) in saved.into_iter().enumerate() {
            self.asm().mov(r, Rm::Mem(RSP, SAVED_GPR + 8 * k as i32));
        }
        for r in registers {
            self.asm().v(op::MOVUPS, 1, r, 0, Rm::Mem(RSP, SAVED + 32 * i32::from(r)));
        }
        self.asm().v(op::MOVUPS, 1, slow.to, 0, Rm::Mem(RSP, AREA + 96));
        if slow.entry.is_some() {
            self.asm().jmp(slow.join);
        }
    }
}
