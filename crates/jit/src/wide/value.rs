//! Where the values of lane code are: registers, stack slots and constants.

use super::alloc::{Loc, Move, Value};
use super::asm::Rm;
use super::emit::{Emit, Lanes, SCRATCH, SCRATCH2};
use super::isa::Isa;
use super::op;
use crate::lane::{Bin, Code, Inst, Op, Ty, V};

impl Emit<'_> {
    /// A vector register for a value.
    pub(super) fn take(&mut self, v: Value, at: u32) -> u8 {
        let (r, moved) = self.alloc.take(v, at, self.isa.vectors());
        if let Some(Move::Spill(from, slot)) = moved {
            let (l, slot) = (self.isa.full(), self.slot(slot));
            self.asm().v(op::MOVUPS_TO, l, from, 0, slot);
        }
        r
    }

    /// `d` = a whole vector, or one element of memory in all lanes of `ty`.
    pub(super) fn copy(&mut self, d: u8, from: Rm, ty: Ty) {
        let l = self.isa.full();
        match from {
            Rm::Spread(at) => {
                let spread = if self.lanes_are_wide(ty) { op::BROADCAST64 } else { op::BROADCAST32 };
                self.asm().v(spread, l, d, 0, Rm::Pool(at));
            }
            Rm::Reg(_) | Rm::Mem(..) | Rm::Index(..) | Rm::Pool(_) => self.asm().v(op::MOVUPS, l, d, 0, from),
        }
    }

    /// A value as a register operand.
    pub(super) fn reg(&mut self, code: &Code, v: V, c: usize, at: u32) -> u8 {
        if let Some(r) = self.kept(&code.insts[v.id as usize]) {
            return r;
        }
        if self.shared == Some(v.id) {
            return SCRATCH;
        }
        if let Op::Const(bits) = code.insts[v.id as usize].op {
            let ty = code.insts[v.id as usize].ty;
            let value = self.constant(bits, ty);
            let r = if self.scratch_taken { SCRATCH } else { SCRATCH2 };
            self.scratch_taken = true;
            self.copy(r, value, ty);
            return r;
        }
        let v = (c, v.id);
        let r = match self.alloc.loc(v) {
            Loc::Reg(r) => r,
            Loc::Slot(s) => {
                let r = self.take(v, at);
                let (l, slot) = (self.isa.full(), self.slot(s));
                self.asm().v(op::MOVUPS, l, r, 0, slot);
                r
            }
            Loc::None => unreachable!("values are defined before they are used"),
        };
        self.alloc.locked |= 1 << r;
        r
    }

    /// A value as the last operand.
    pub(super) fn rm(&mut self, code: &Code, v: V, c: usize) -> Rm {
        if let Some(r) = self.kept(&code.insts[v.id as usize]) {
            return Rm::Reg(r);
        }
        if self.shared == Some(v.id) {
            return Rm::Reg(SCRATCH);
        }
        if let Op::Const(bits) = code.insts[v.id as usize].op {
            return self.constant(bits, code.insts[v.id as usize].ty);
        }
        match self.alloc.loc((c, v.id)) {
            Loc::Reg(r) => {
                self.alloc.locked |= 1 << r;
                Rm::Reg(r)
            }
            Loc::Slot(s) => self.slot(s),
            Loc::None => unreachable!("values are defined before they are used"),
        }
    }

    /// Whether a value is a constant that stands in memory.
    pub(super) fn in_pool(&self, code: &Code, v: V) -> bool {
        Emit::is_const(code, v) && self.kept(&code.insts[v.id as usize]).is_none()
    }

    /// Loads the constant of an instruction that all copies are about to execute, if there is one, and only one, that stands in memory.
    ///
    /// For AVX2: the units that load are as wide as those that compute at best, and half as wide on some machines, where bodies of many constants would wait
    /// for loads. With AVX-512 a constant is one element that is spread on the way.
    pub(super) fn share_constant(&mut self, code: &Code, i: u32, copies: usize) {
        self.shared = None;
        let inst = code.insts[i as usize];
        // Those that leave the scratch register alone.
        let plain = match inst.op {
            Op::Bin(..) | Op::Fused(..) | Op::Cmp(..) => true,
            Op::Select(_, x, y) => !self.kernel.lane.wide && self.select_of_bits(code, x, y).is_none(),
            Op::Load(..)
            | Op::Gather(..)
            | Op::Store(..)
            | Op::Const(_)
            | Op::Lane
            | Op::Outer(_)
            | Op::Serial(_)
            | Op::Scalar(_)
            | Op::Acc(_)
            | Op::SetAcc(..)
            | Op::Sqrt(_)
            | Op::Round(..)
            | Op::Part(..)
            | Op::Shift(..)
            | Op::Conv(..)
            | Op::Table(..)
            | Op::Call(..) => false,
        };
        if !plain || copies < 2 || self.isa != Isa::Avx2 {
            return;
        }
        let mut found: Option<V> = None;
        let mut others = false;
        inst.op.operands(|v| {
            if self.in_pool(code, v) {
                others |= found.is_some_and(|f| f.id != v.id);
                found = Some(v);
            }
        });
        let Some(v) = found.filter(|_| !others) else { return };
        let Inst { op: Op::Const(bits), ty } = code.insts[v.id as usize] else { return };
        let value = self.constant(bits, ty);
        self.copy(SCRATCH, value, ty);
        self.shared = Some(v.id);
    }

    /// The operation of the mask and one value that a choice between that value and zeros, or ones, is with AVX2.
    pub(super) fn select_of_bits(&self, code: &Code, x: V, y: V) -> Option<(Bin, V)> {
        let all = |v: V, ones: bool| match code.insts[v.id as usize].op {
            Op::Const(bits) if v.ty.is_wide() => bits == if ones { u64::MAX } else { 0 },
            Op::Const(bits) => bits as u32 == if ones { u32::MAX } else { 0 },
            _ => false,
        };
        match self.isa {
            Isa::Avx2 if all(x, true) => Some((Bin::Or, y)),
            Isa::Avx2 if all(x, false) => Some((Bin::AndNot, y)),
            Isa::Avx2 if all(y, false) => Some((Bin::And, x)),
            Isa::Avx2 | Isa::Avx512 => None,
        }
    }

    pub(super) fn is_const(code: &Code, v: V) -> bool {
        matches!(code.insts[v.id as usize].op, Op::Const(_))
    }

    /// The accumulator's register, if instruction `i` can write its value straight into it.
    pub(super) fn hint(&self, code: &Code, i: u32, c: usize) -> Option<u8> {
        if self.in_mask_register(code.insts[i as usize].ty) {
            return None;
        }
        let set = (i as usize + 1..code.insts.len())
            .take(3)
            .find(|j| matches!(code.insts[*j].op, Op::SetAcc(_, v) if v.id == i))?;
        let Op::SetAcc(k, _) = code.insts[set].op else { return None };
        let Loc::Reg(r) = self.accumulators[k as usize] else { return None };
        let masked = self.lanes == Lanes::Tail && (k as usize) < self.kernel.lane.rows;
        let read_later =
            code.insts.iter().enumerate().any(|(j, inst)| {
                inst.op == Op::Acc(k) && (j > i as usize && j <= set || !self.alloc.dies(j as u32, i))
            });
        (!masked && !read_later && self.alloc.only_use(i, set as u32)).then_some(r - c as u8)
    }

    /// A register for the result, after the registers of operands used last have been freed.
    pub(super) fn result(&mut self, code: &Code, i: u32, c: usize) -> u8 {
        self.free_operands(code, i, c);
        if let Some(r) = self.hint(code, i, c) {
            self.alloc.pin((c, i), r);
            return r;
        }
        self.take((c, i), i)
    }

    pub(super) fn free_operands(&mut self, code: &Code, i: u32, c: usize) {
        let mut dead: [Option<u32>; 4] = [None; 4];
        let mut n = 0;
        code.insts[i as usize].op.operands(|v| {
            dead[n] = Some(v.id);
            n += 1;
        });
        for id in dead.into_iter().flatten() {
            if self.alloc.dies(id, i) {
                self.alloc.free_register((c, id));
            }
        }
    }
}
