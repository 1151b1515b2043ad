//! Calls of scalar functions, out of line where a mask says that they are rare.

use std::sync::Arc;

use super::alloc::MASKS;
use super::asm::gpr::{R8, RAX, RCX, RDI, RDX, RSI, RSP};
use super::asm::{Cond, Rm};
use super::emit::{AREA, COUNT, Emit, Lanes, SAVED, SAVED_GPR, SAVED_MASKS, SCRATCH, Slow, TAIL};
use super::isa::Isa;
use super::op;
use crate::lane::{Code, Ty, V};
use crate::machine::thunk;

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
        let mask = guard.map(|(m, _)| match self.isa {
            Isa::Avx2 => self.reg(code, m, c, i),
            Isa::Avx512 => self.mask(code, m, c, i),
        });
        let fast = guard.map(|(_, fast)| (self.rm(code, fast, c), fast.ty));
        let operands = [0, 1].map(|k: usize| (self.rm(code, args[k], c), args[k].ty));
        let tail_mask = if self.isa == Isa::Avx512 && self.lanes == Lanes::Tail { 1 << (MASKS + TAIL) } else { 0 };
        let saved = self.alloc.in_use() | self.pinned_registers() | tail_mask;
        // The result takes the register of the fast value where that dies; room is made before the code forks.
        let inherited = guard.and_then(|(_, fast)| self.dying(fast, c, i).map(|r| (fast, r)));
        let to = match inherited {
            Some((fast, r)) => {
                self.inherit(fast, r, c, i);
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
            mask,
            fast,
            to,
            call: address,
            first: (c * self.width) as i32,
            tail: self.lanes == Lanes::Tail,
        };
        if let (Some(mask), Some(entry)) = (mask, entry) {
            match self.isa {
                Isa::Avx2 => {
                    let test = if self.lanes_are_wide(Ty::Mask) { op::MOVMSKPD } else { op::MOVMSKPS };
                    self.asm().v(test, 1, RAX, 0, Rm::Reg(mask));
                    self.asm().test(RAX);
                }
                Isa::Avx512 => {
                    let test = if self.width == 8 { op::KORTEST8 } else { op::KORTEST };
                    self.asm().scalar(test, 0, mask, 0, Rm::Reg(mask));
                }
            }
            self.asm().jcc(Cond::NotZero, entry);
            if let (None, Some((fast, ty))) = (inherited, fast) {
                self.copy(to, fast, ty);
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
        let l = self.isa.full();
        let is_saved = |r: &u8| slow.saved >> r & 1 == 1;
        let vectors = (0..MASKS).filter(is_saved).map(|r| (r, Rm::Mem(RSP, SAVED + 64 * i32::from(r))));
        let masks = (MASKS..u64::BITS as u8)
            .filter(is_saved)
            .map(|r| (r - MASKS, Rm::Mem(RSP, SAVED_MASKS + 8 * i32::from(r - MASKS))));
        vectors.clone().for_each(|(r, at)| self.asm().v(op::MOVUPS_TO, l, r, 0, at));
        masks.clone().for_each(|(k, at)| self.asm().scalar(op::KMOV_TO, 0, k, 0, at));
        let area = |k: usize| Rm::Mem(RSP, AREA + 64 * k as i32);
        for (k, (operand, ty)) in slow.operands.into_iter().enumerate() {
            self.copy_to(area(k), operand, ty);
        }
        if let Some(mask) = slow.mask {
            let r = match self.isa {
                Isa::Avx2 => mask,
                Isa::Avx512 => self.mask_as_vector(mask),
            };
            self.asm().v(op::MOVUPS_TO, l, r, 0, area(2));
        }
        if let Some((fast, ty)) = slow.fast {
            self.copy_to(area(3), fast, ty);
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
        vectors.for_each(|(r, at)| self.asm().v(op::MOVUPS, l, r, 0, at));
        masks.for_each(|(k, at)| self.asm().scalar(op::KMOV, 0, k, 0, at));
        self.asm().v(op::MOVUPS, l, slow.to, 0, area(3));
        if slow.entry.is_some() {
            self.asm().jmp(slow.join);
        }
    }

    /// Writes an operand to the stack.
    fn copy_to(&mut self, at: Rm, operand: Rm, ty: Ty) {
        let r = match operand {
            Rm::Reg(r) => r,
            Rm::Mem(..) | Rm::Index(..) | Rm::Pool(_) | Rm::Spread(_) => {
                self.copy(SCRATCH, operand, ty);
                SCRATCH
            }
        };
        let l = self.isa.full();
        self.asm().v(op::MOVUPS_TO, l, r, 0, at);
    }
}
