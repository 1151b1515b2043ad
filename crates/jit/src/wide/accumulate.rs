//! Accumulators: their places, their changes, and the combination of lanes and copies at the end.

use cotangent_core::ops::Monoid;

use super::alloc::Loc;
use super::asm::Rm;
use super::asm::gpr::{RAX, RDX, RSP};
use super::emit::{Emit, Lanes, MASK32, MASK64, SCRATCH, SCRATCH2};
use super::op;
use crate::frame::PARTIAL_WORDS;
use crate::lane::{Bin, Code, Ty, V};

impl Emit<'_> {
    /// Copy `c` of accumulator `k` in a register: its own, or `to` after a load.
    pub(super) fn accumulator(&mut self, k: usize, c: usize, to: u8) -> u8 {
        match self.accumulators[k] {
            Loc::Reg(r) => r - c as u8,
            Loc::Slot(s) => {
                self.asm().v(op::MOVUPS, 1, to, 0, Emit::slot(s + c as u32));
                to
            }
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    pub(super) fn neutral(&mut self, k: usize, c: usize) {
        let a = self.kernel.lane.accumulators[k];
        let value = self.constant(a.neutral(), Ty::of(a.dtype));
        match self.accumulators[k] {
            Loc::Reg(r) => self.asm().v(op::MOVUPS, 1, r - c as u8, 0, value),
            Loc::Slot(s) => {
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, value);
                self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, Emit::slot(s + c as u32));
            }
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    /// Brings the column accumulators of a block of lanes from memory behind the row reductions' partials, or back there.
    pub(super) fn columns(&mut self, lanes: Lanes, back: bool) {
        let rows = self.kernel.lane.rows;
        self.asm().mov(RAX, Emit::word(4));
        for k in rows..self.kernel.lane.accumulators.len() {
            let first = 8 * (PARTIAL_WORDS * rows + (k - rows) * self.kernel.column_words());
            for c in 0..lanes.copies() {
                // A vector is 32 bytes whatever its lanes are.
                let at = Rm::Index(RAX, RDX, if self.width == 8 { 2 } else { 3 }, (first + 32 * c) as i32);
                let own = self.accumulators[k];
                let r = if back { self.accumulator(k, c, SCRATCH) } else { own.register(c).unwrap_or(SCRATCH) };
                self.asm().v(if back { op::MOVUPS_TO } else { op::MOVUPS }, 1, r, 0, at);
                if let (false, Loc::Slot(s)) = (back, own) {
                    self.asm().v(op::MOVUPS_TO, 1, r, 0, Emit::slot(s + c as u32));
                }
            }
        }
    }

    pub(super) fn set_accumulator(&mut self, code: &Code, k: usize, v: V, c: usize, i: u32) {
        let masked = self.lanes == Lanes::Tail && k < self.kernel.lane.rows;
        let value = self.reg(code, v, c, i);
        let own = self.accumulators[k];
        if masked {
            let old = match own {
                Loc::Reg(r) => r - c as u8,
                Loc::Slot(_) | Loc::None => {
                    // The old value and the mask need both scratch registers; the value is in neither unless it is a constant.
                    self.accumulator(k, c, SCRATCH2)
                }
            };
            let wide = v.ty.is_wide() || (v.ty == Ty::Mask && self.width == 4);
            let (mask, blend) = if wide { (MASK64, op::BLENDPD) } else { (MASK32, op::BLENDPS) };
            self.asm().v(op::MOVUPS, 1, SCRATCH, 0, Rm::Mem(RSP, mask));
            self.asm().vi(blend, 1, old, old, Rm::Reg(value), SCRATCH << 4);
            if let Loc::Slot(s) = own {
                self.asm().v(op::MOVUPS_TO, 1, old, 0, Emit::slot(s + c as u32));
            }
            return;
        }
        match own {
            Loc::Reg(r) if r - c as u8 == value => {}
            Loc::Reg(r) => self.asm().v(op::MOVAPS, 1, r - c as u8, 0, Rm::Reg(value)),
            Loc::Slot(s) => self.asm().v(op::MOVUPS_TO, 1, value, 0, Emit::slot(s + c as u32)),
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    /// Leaves row reduction `k` in the first word of its partials (whose address is in `rax`), combined in a fixed tree of copies and lanes;
    /// or all of its vectors where a combination is no single instruction.
    pub(super) fn fold(&mut self, k: usize) {
        let a = self.kernel.lane.accumulators[k];
        let to = |c: usize| Rm::Mem(RAX, (8 * PARTIAL_WORDS * k + 32 * c) as i32);
        if !super::folds(&a) {
            for c in 0..self.copies {
                let r = self.accumulator(k, c, SCRATCH);
                self.asm().v(op::MOVUPS_TO, 1, r, 0, to(c));
            }
            return;
        }
        let ty = Ty::of(a.dtype);
        // No values live any more: low registers are free, `0` for the sum, `1` and `2` for steps.
        let mut n = self.copies;
        let mut copies: Vec<u8> = (0..n).map(|c| self.accumulator(k, c, c as u8)).collect();
        while n > 1 {
            let half = n.div_ceil(2);
            for c in 0..n - half {
                let (p, q) = (copies[c], copies[c + half]);
                self.combine(&a, 1, p, q);
                copies[c] = p;
            }
            n = half;
        }
        let r = copies[0];
        let wide = ty.is_wide() || (ty == Ty::Mask && self.width == 4);
        if self.l(ty) == 1 {
            self.asm().vi(op::EXTRACT128, 1, r, 0, Rm::Reg(SCRATCH2), 1);
            self.combine(&a, 0, r, SCRATCH2);
        }
        self.asm().vi(op::PSHUFD, 0, SCRATCH2, 0, Rm::Reg(r), 0x4E);
        self.combine(&a, 0, r, SCRATCH2);
        if !wide {
            self.asm().vi(op::PSHUFD, 0, SCRATCH2, 0, Rm::Reg(r), 0xB1);
            self.combine(&a, 0, r, SCRATCH2);
        }
        let scalar = a.scalar.filter(|_| self.whole);
        let to = scalar.map_or(to(0), |i| Emit::word(self.kernel.layout.scalars + i as usize));
        self.asm().v(op::MOVQ_TO, 0, r, 0, to);
    }

    /// `x = x ∘ y` in registers, by way of the scratch register.
    pub(super) fn combine(&mut self, a: &crate::lane::Accumulator, l: u8, x: u8, y: u8) {
        let ty = Ty::of(a.dtype);
        let instruction = |b| op::bin(b, ty);
        let b = match (a.monoid, ty) {
            (Monoid::Sum | Monoid::Max, Ty::Mask) => Bin::Or,
            (Monoid::Prod | Monoid::Min, Ty::Mask) => Bin::And,
            (Monoid::Sum | Monoid::LogAddExp, _) => Bin::Add,
            (Monoid::Prod, _) => Bin::Mul,
            (Monoid::Max, _) => Bin::Max,
            (Monoid::Min, _) => Bin::Min,
        };
        if ty.is_float() && matches!(b, Bin::Max | Bin::Min) {
            // The instruction gives `y` where either is NaN; where `x` is, `x` stays.
            let (compare, blend) = if ty.is_wide() { (op::CMPPD, op::BLENDPD) } else { (op::CMPPS, op::BLENDPS) };
            self.asm().vi(compare, l, SCRATCH, x, Rm::Reg(x), 3);
            self.asm().v(instruction(b), l, y, x, Rm::Reg(y));
            self.asm().vi(blend, l, x, y, Rm::Reg(x), SCRATCH << 4);
        } else {
            self.asm().v(instruction(b), l, x, x, Rm::Reg(y));
        }
    }
}
