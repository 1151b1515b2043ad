//! Elements at places that vectors hold.

use super::asm::gpr::{RBX, RCX, RSP};
use super::asm::{Cond, Masked, Rm};
use super::emit::{AREA, BOUNCE, COUNT, Emit, Lanes, SCRATCH, SCRATCH2, TAIL};
use super::isa::Isa;
use super::op;
use crate::lane::{Code, Mem, Ty, V};

impl Emit<'_> {
    /// The elements of access `a` at the places `v`, in all lanes that the block has.
    pub(super) fn gather_lanes(&mut self, code: &Code, a: u32, mem: Mem, v: V, c: usize, i: u32) {
        let places = self.reg(code, v, c, i);
        let full = self.isa.full();
        // The places have a register of their own: that of the result may be the one where they die.
        self.asm().v(op::MOVUPS, full, SCRATCH, 0, Rm::Reg(places));
        let d = self.result(code, i, c);
        let size = mem.size();
        let scale = size.trailing_zeros() as u8;
        let gather = if mem == Mem::B64 { op::GATHER64 } else { op::GATHER32 };
        let base = self.pointer(a as usize);
        let (at, tail) = (Rm::Index(base, SCRATCH, scale, 0), self.lanes == Lanes::Tail);
        match self.isa {
            Isa::Avx512 => {
                // Lanes behind the last one name anything.
                if tail {
                    self.asm().scalar(op::KMOV_TO_GPR, 0, RCX, 0, Rm::Reg(TAIL));
                } else {
                    self.asm().scalar(op::KXNOR, 1, TAIL, TAIL, Rm::Reg(TAIL));
                }
                self.asm().v(op::PXOR, 0, d, d, Rm::Reg(d));
                self.asm().masked(gather, full, d, 0, at, Masked::Merge(TAIL));
                if tail {
                    self.asm().scalar(op::KMOV_GPR, 0, TAIL, 0, Rm::Reg(RCX));
                }
            }
            Isa::Avx2 if !tail => {
                self.asm().v(op::PCMPEQD, 1, SCRATCH2, SCRATCH2, Rm::Reg(SCRATCH2));
                self.asm().v(op::PXOR, 0, d, d, Rm::Reg(d));
                self.asm().v(gather, 1, d, SCRATCH2, at);
            }
            Isa::Avx2 => {
                self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, Rm::Mem(RSP, AREA));
                let top = self.asm().label();
                self.asm().zero(RCX);
                self.asm().bind(top);
                self.asm().mov(RBX, Rm::Index(RSP, RCX, 3, AREA));
                self.asm().mov_from(RBX, Rm::Index(base, RBX, scale, 0), size, false);
                self.asm().mov_to(Rm::Index(RSP, RCX, scale, BOUNCE), RBX, size);
                self.asm().add_imm(Rm::Reg(RCX), 1);
                self.asm().cmp(RCX, Rm::Mem(RSP, COUNT));
                self.asm().jcc(Cond::Below, top);
                let l = self.l(if mem == Mem::B64 { Ty::I64 } else { Ty::I32 });
                self.asm().v(op::MOVUPS, l, d, 0, Rm::Mem(RSP, BOUNCE));
            }
        }
    }
}
