//! Masks in registers of their own: truth values of lane code with AVX-512.
//!
//! In memory, in accumulators and in what scalar functions read, masks are vectors of all ones or zeros on every path. Bits of lanes that a vector does not
//! have may be anything.

use super::alloc::{Loc, MASKS, Move};
use super::asm::gpr::{RAX, RDX, RSP};
use super::asm::{Masked, Rm};
use super::emit::{BOUNCE, Emit, Lanes, SCRATCH, TAIL};
use super::isa::Isa;
use super::op;
use crate::lane::{Bin, Code, Mem, Op, Pred, Ty, V};

/// For constants and steps: no instruction can be masked with it.
pub(super) const SPARE: u8 = 0;

impl Emit<'_> {
    /// Whether values of a type are in mask registers.
    pub(super) fn in_mask_register(&self, ty: Ty) -> bool {
        ty == Ty::Mask && self.isa == Isa::Avx512
    }

    /// The lanes that the block has.
    pub(super) fn lanes_of_block(&self) -> Masked {
        if self.lanes == Lanes::Tail { Masked::Zero(TAIL) } else { Masked::No }
    }

    fn take_mask(&mut self, v: (usize, u32), at: u32) -> u8 {
        let (r, moved) = self.alloc.take(v, at, self.isa.masks());
        if let Some(Move::Spill(from, slot)) = moved {
            let slot = self.slot(slot);
            self.asm().scalar(op::KMOV_TO, 0, from - MASKS, 0, slot);
        }
        r - MASKS
    }

    /// The mask register that holds a value.
    pub(super) fn mask(&mut self, code: &Code, v: V, c: usize, at: u32) -> u8 {
        if let Op::Const(bits) = code.insts[v.id as usize].op {
            let ones = if bits == 0 { op::KXOR } else { op::KXNOR };
            self.asm().scalar(ones, 1, SPARE, SPARE, Rm::Reg(SPARE));
            return SPARE;
        }
        let v = (c, v.id);
        let r = match self.alloc.loc(v) {
            Loc::Reg(r) => r - MASKS,
            Loc::Slot(s) => {
                let r = self.take_mask(v, at);
                let slot = self.slot(s);
                self.asm().scalar(op::KMOV, 0, r, 0, slot);
                r
            }
            Loc::None => unreachable!("values are defined before they are used"),
        };
        self.alloc.locked |= 1 << (r + MASKS);
        r
    }

    /// A mask register for the result, after those of operands used last have been freed.
    fn mask_result(&mut self, code: &Code, i: u32, c: usize) -> u8 {
        self.free_operands(code, i, c);
        self.take_mask((c, i), i)
    }

    /// Emits an instruction whose value is in a mask register, apart from comparisons; `false` for all others.
    pub(super) fn mask_inst(&mut self, code: &Code, i: u32, c: usize) -> bool {
        let inst = code.insts[i as usize];
        if !self.in_mask_register(inst.ty) {
            return false;
        }
        match inst.op {
            Op::Load(a, Mem::Bool) => {
                let k = self.take_mask((c, i), i);
                self.load_mask(a, k, c);
            }
            Op::Scalar(n) => {
                let k = self.take_mask((c, i), i);
                let at = Emit::word(self.kernel.layout.scalars + n as usize);
                self.asm().scalar(op::KMOV, 0, k, 0, at);
            }
            Op::Acc(n) => {
                let k = self.take_mask((c, i), i);
                let r = self.accumulator(n as usize, c, SCRATCH);
                self.mask_of(k, r);
            }
            Op::Bin(Bin::Xor, x, y) if Emit::is_const(code, y) => {
                // The one operation that lane code leaves with a constant: not.
                let p = self.mask(code, x, c, i);
                let d = self.mask_result(code, i, c);
                self.asm().scalar(op::KNOT, 0, d, 0, Rm::Reg(p));
            }
            Op::Bin(b, x, y) => {
                let (p, q) = (self.mask(code, x, c, i), self.mask(code, y, c, i));
                let d = self.mask_result(code, i, c);
                self.asm().scalar(op::mask_bin(b), 1, d, p, Rm::Reg(q));
            }
            Op::Cmp(..) | Op::Store(..) | Op::SetAcc(..) => return false,
            Op::Load(..)
            | Op::Gather(..)
            | Op::Const(_)
            | Op::Lane
            | Op::Outer(_)
            | Op::Serial(_)
            | Op::Fused(..)
            | Op::Sqrt(_)
            | Op::Round(..)
            | Op::Part(..)
            | Op::Shift(..)
            | Op::Select(..)
            | Op::Conv(..)
            | Op::Table(..)
            | Op::Call(..) => unreachable!("lane code: {:?} gives no mask", inst.op),
        }
        true
    }

    pub(super) fn compare_to_mask(&mut self, code: &Code, p: Pred, x: V, y: V, c: usize, i: u32) {
        let (ty, l) = (x.ty, self.l(x.ty));
        let (a, b) = (self.reg(code, x, c, i), self.rm(code, y, c));
        let d = self.mask_result(code, i, c);
        let wide = ty.is_wide();
        if ty.is_float() {
            self.asm().vi(if wide { op::CMPPD } else { op::CMPPS }, l, d, a, b, op::float_predicate(p));
            return;
        }
        let how = match p {
            Pred::Eq => 0,
            Pred::Lt => 1,
            Pred::Ne | Pred::Le | Pred::Unordered => unreachable!("lane code: {p:?} of integers"),
        };
        self.asm().vi(if wide { op::PCMPQ } else { op::PCMPD }, l, d, a, b, how);
    }

    /// Truth values as bytes of memory to a mask register.
    fn load_mask(&mut self, a: u32, k: u8, c: usize) {
        let a = a as usize;
        let stride = self.kernel.accesses[a].lane as i32;
        if stride == 0 {
            let at = Rm::Mem(self.pointer(a), 0);
            self.asm().mov_from(RAX, at, 1, false);
            self.asm().neg(RAX);
            return self.asm().scalar(op::KMOV_GPR, 0, k, 0, Rm::Reg(RAX));
        }
        let first = (c * self.width) as i32 * stride;
        let (at, lanes) = if stride == 1 {
            (Rm::Index(self.pointer(a), RDX, 0, first), self.lanes_of_block())
        } else {
            self.strided(a, stride);
            self.bounce(stride, 1, first, false);
            (Rm::Mem(RSP, BOUNCE), Masked::No)
        };
        match (lanes, self.width) {
            (Masked::No, 8) => self.asm().v(op::MOVQ, 0, SCRATCH, 0, at),
            (Masked::No | Masked::Merge(_) | Masked::Zero(_), _) => {
                self.asm().masked(op::MOV8, 0, SCRATCH, 0, at, lanes);
            }
        }
        self.asm().v(op::TESTMB, 0, k, SCRATCH, Rm::Reg(SCRATCH));
    }

    /// `k` = the mask that is a vector of ones and zeros in `r`.
    fn mask_of(&mut self, k: u8, r: u8) {
        let (l, what) = (self.isa.full(), if self.lanes_are_wide(Ty::Mask) { op::Q_TO_MASK } else { op::D_TO_MASK });
        self.asm().v(what, l, k, 0, Rm::Reg(r));
    }

    /// The mask as a vector of ones and zeros in the scratch register.
    pub(super) fn mask_as_vector(&mut self, k: u8) -> u8 {
        let (l, what) = (self.isa.full(), if self.lanes_are_wide(Ty::Mask) { op::MASK_TO_Q } else { op::MASK_TO_D });
        self.asm().v(what, l, SCRATCH, 0, Rm::Reg(k));
        SCRATCH
    }

    /// Bytes of 0 and 1 in the scratch register.
    pub(super) fn mask_as_bytes(&mut self, k: u8) -> u8 {
        self.asm().v(op::MASK_TO_B, 0, SCRATCH, 0, Rm::Reg(k));
        self.asm().v(op::PABSB, 0, SCRATCH, 0, Rm::Reg(SCRATCH));
        SCRATCH
    }
}
