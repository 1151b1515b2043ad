//! Accumulators: their places, their changes, and the combination of lanes and copies at the end.

use cotangent_core::ops::Monoid;

use super::alloc::Loc;
use super::asm::gpr::{RAX, RDX};
use super::asm::{Cond, Masked, Rm};
use super::emit::{Emit, Lanes, SCRATCH, SCRATCH2, TAIL};
use super::isa::Isa;
use super::mask::SPARE;
use super::op;
use crate::frame::PARTIAL_WORDS;
use crate::lane::{Accumulator, Bin, Code, Ty, V};

/// The comparison that says whether either is NaN.
const UNORDERED: u8 = 3;

/// One step of a combination: `x = x ∘ y` in registers, of vectors of this length.
type Step<E> = fn(&mut E, &Accumulator, u8, u8, u8);

impl Emit<'_> {
    /// Copy `c` of accumulator `k` in a register: its own, or `to` after a load.
    pub(super) fn accumulator(&mut self, k: usize, c: usize, to: u8) -> u8 {
        match self.accumulators[k] {
            Loc::Reg(r) => r - c as u8,
            Loc::Slot(s) => {
                let (l, slot) = (self.isa.full(), self.slot(s + c as u32));
                self.asm().v(op::MOVUPS, l, to, 0, slot);
                to
            }
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    pub(super) fn neutral(&mut self, k: usize, c: usize) {
        let a = self.kernel.lane.accumulators[k];
        let ty = Ty::of(a.dtype);
        if let (Loc::Reg(r), 0) = (self.accumulators[k], a.neutral()) {
            let (l, r) = (self.isa.full(), r - c as u8);
            return self.asm().v(op::PXOR, l, r, r, Rm::Reg(r));
        }
        let value = self.constant(a.neutral(), ty);
        match self.accumulators[k] {
            Loc::Reg(r) => self.copy(r - c as u8, value, ty),
            Loc::Slot(s) => {
                self.copy(SCRATCH, value, ty);
                let (l, slot) = (self.isa.full(), self.slot(s + c as u32));
                self.asm().v(op::MOVUPS_TO, l, SCRATCH, 0, slot);
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
                // A vector has as many bytes whatever its lanes are.
                let scale = if self.kernel.lane.wide { 3 } else { 2 };
                let at = Rm::Index(RAX, RDX, scale, (first + self.isa.bytes() * c) as i32);
                let own = self.accumulators[k];
                let r = if back { self.accumulator(k, c, SCRATCH) } else { own.register(c).unwrap_or(SCRATCH) };
                let l = self.isa.full();
                self.asm().v(if back { op::MOVUPS_TO } else { op::MOVUPS }, l, r, 0, at);
                if !back {
                    self.put_back(own, r, c);
                }
            }
        }
    }

    pub(super) fn set_accumulator(&mut self, code: &Code, k: usize, v: V, c: usize, i: u32) {
        let masked = self.lanes == Lanes::Tail && k < self.kernel.lane.rows;
        let (own, l) = (self.accumulators[k], self.isa.full());
        // The second scratch register is for an old value in memory.
        self.scratch_taken = true;
        if masked && self.isa == Isa::Avx2 {
            let value = self.rm(code, v, c);
            let old = self.accumulator(k, c, SCRATCH2);
            let wide = self.lanes_are_wide(v.ty);
            if let Some(n) = self.rest {
                self.asm().vi(if wide { op::BLENDPD_OF } else { op::BLENDPS_OF }, 1, old, old, value, (1 << n) - 1);
            } else {
                let mask = self.tail_mask(wide);
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, mask);
                self.asm().vi(if wide { op::BLENDPD } else { op::BLENDPS }, 1, old, old, value, SCRATCH << 4);
            }
            return self.put_back(own, old, c);
        }
        let value = if self.in_mask_register(v.ty) {
            let mask = self.mask(code, v, c, i);
            self.mask_as_vector(mask)
        } else {
            self.reg(code, v, c, i)
        };
        if masked {
            let old = self.accumulator(k, c, SCRATCH2);
            let mov = if self.lanes_are_wide(v.ty) { op::MOVUPD } else { op::MOVUPS };
            self.asm().masked(mov, l, old, 0, Rm::Reg(value), Masked::Merge(TAIL));
            return self.put_back(own, old, c);
        }
        match own {
            Loc::Reg(r) if r - c as u8 == value => {}
            Loc::Reg(r) => self.asm().v(op::MOVAPS, l, r - c as u8, 0, Rm::Reg(value)),
            Loc::Slot(_) | Loc::None => self.put_back(own, value, c),
        }
    }

    /// Writes copy `c` of an accumulator in memory; one in a register has it already.
    fn put_back(&mut self, own: Loc, value: u8, c: usize) {
        match own {
            Loc::Reg(_) => {}
            Loc::Slot(s) => {
                let (l, slot) = (self.isa.full(), self.slot(s + c as u32));
                self.asm().v(op::MOVUPS_TO, l, value, 0, slot);
            }
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    /// Leaves row reduction `k` in its row scalar or the first word of its partials, combined in a fixed tree of copies and lanes;
    /// or all of its vectors where a combination is no single instruction.
    pub(super) fn fold(&mut self, k: usize) {
        let a = self.kernel.lane.accumulators[k];
        let (l, bytes) = (self.isa.full(), self.isa.bytes());
        let to = |c: usize| Rm::Mem(RAX, (8 * PARTIAL_WORDS * k + bytes * c) as i32);
        if !crate::machine::folds(&a) {
            self.asm().mov(RAX, Emit::word(4));
            for c in 0..self.copies {
                let r = self.accumulator(k, c, SCRATCH);
                self.asm().v(op::MOVUPS_TO, l, r, 0, to(c));
            }
            return;
        }
        // No values live any more: low registers are free, `0` for the sum, `1` and `2` for steps.
        let copies: Vec<u8> = (0..self.copies).map(|c| self.accumulator(k, c, c as u8)).collect();
        let r = copies[0];
        let ty = Ty::of(a.dtype);
        if ty.is_float() && matches!(a.monoid, Monoid::Max | Monoid::Min) {
            // A look for NaN at each step is most of what the extreme of a short row takes; there is hardly ever one.
            let (careful, join) = (self.asm().label(), self.asm().label());
            self.any_nan(&copies, ty);
            self.asm().jcc(Cond::NotZero, careful);
            self.tree(&a, &copies, Self::extreme);
            self.asm().jmp(join);
            self.asm().bind(careful);
            self.tree(&a, &copies, Self::combine);
            self.asm().bind(join);
        } else {
            self.tree(&a, &copies, Self::combine);
        }
        let to = match a.scalar.filter(|_| self.whole) {
            Some(i) => Emit::word(self.kernel.layout.scalars + i as usize),
            None => {
                self.asm().mov(RAX, Emit::word(4));
                to(0)
            }
        };
        self.asm().v(op::MOVQ_TO, 0, r, 0, to);
    }

    /// Copies and lanes combined by `step`, in a fixed tree: in the first lane of the first copy.
    fn tree(&mut self, a: &Accumulator, copies: &[u8], step: Step<Self>) {
        let (l, ty) = (self.isa.full(), Ty::of(a.dtype));
        let mut n = copies.len();
        while n > 1 {
            let half = n.div_ceil(2);
            for c in 0..n - half {
                step(self, a, l, copies[c], copies[c + half]);
            }
            n = half;
        }
        let r = copies[0];
        if self.l(ty) == 2 {
            self.asm().vi(op::EXTRACT256, 2, r, 0, Rm::Reg(SCRATCH2), 1);
            step(self, a, 1, r, SCRATCH2);
        }
        if self.l(ty) >= 1 {
            self.asm().vi(op::EXTRACT128, 1, r, 0, Rm::Reg(SCRATCH2), 1);
            step(self, a, 0, r, SCRATCH2);
        }
        self.asm().vi(op::PSHUFD, 0, SCRATCH2, 0, Rm::Reg(r), 0x4E);
        step(self, a, 0, r, SCRATCH2);
        if !self.lanes_are_wide(ty) {
            self.asm().vi(op::PSHUFD, 0, SCRATCH2, 0, Rm::Reg(r), 0xB1);
            step(self, a, 0, r, SCRATCH2);
        }
    }

    /// Leaves in the flags whether some lane of these registers is NaN: not zero then. It overwrites `rax`.
    fn any_nan(&mut self, registers: &[u8], ty: Ty) {
        let (l, compare) = (self.isa.full(), if ty.is_wide() { op::CMPPD } else { op::CMPPS });
        for (i, pair) in registers.chunks(2).enumerate() {
            let (x, y) = (pair[0], pair[pair.len() - 1]);
            // All lanes have been seen: the mask of the last ones is not needed any more.
            match (self.isa, i) {
                (Isa::Avx2, 0) => self.asm().vi(compare, l, SCRATCH, x, Rm::Reg(y), UNORDERED),
                (Isa::Avx2, _) => {
                    self.asm().vi(compare, l, SCRATCH2, x, Rm::Reg(y), UNORDERED);
                    self.asm().v(op::bin(Bin::Or, ty), l, SCRATCH, SCRATCH, Rm::Reg(SCRATCH2));
                }
                (Isa::Avx512, 0) => self.asm().vi(compare, l, TAIL, x, Rm::Reg(y), UNORDERED),
                (Isa::Avx512, _) => {
                    self.asm().vi(compare, l, SPARE, x, Rm::Reg(y), UNORDERED);
                    self.asm().scalar(op::KOR, 1, TAIL, TAIL, Rm::Reg(SPARE));
                }
            }
        }
        match self.isa {
            Isa::Avx2 => {
                self.asm().v(if ty.is_wide() { op::MOVMSKPD } else { op::MOVMSKPS }, l, RAX, 0, Rm::Reg(SCRATCH));
                self.asm().test(RAX);
            }
            Isa::Avx512 => self.asm().scalar(op::KORTEST, 0, TAIL, 0, Rm::Reg(TAIL)),
        }
    }

    /// `x = x ∘ y` in registers for an extreme of numbers of which none is NaN.
    fn extreme(&mut self, a: &Accumulator, l: u8, x: u8, y: u8) {
        let b = if a.monoid == Monoid::Max { Bin::Max } else { Bin::Min };
        self.asm().v(op::bin(b, Ty::of(a.dtype)), l, x, x, Rm::Reg(y));
    }

    /// `x = x ∘ y` in registers, by way of the scratch register.
    pub(super) fn combine(&mut self, a: &Accumulator, l: u8, x: u8, y: u8) {
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
            let compare = if ty.is_wide() { op::CMPPD } else { op::CMPPS };
            // All lanes have been seen: the mask of the last ones is not needed any more.
            let nan = match self.isa {
                Isa::Avx2 => SCRATCH,
                Isa::Avx512 => TAIL,
            };
            self.asm().vi(compare, l, nan, x, Rm::Reg(x), UNORDERED);
            self.asm().v(instruction(b), l, y, x, Rm::Reg(y));
            self.blend(ty, l, x, Rm::Reg(x), y, nan);
        } else {
            self.asm().v(instruction(b), l, x, x, Rm::Reg(y));
        }
    }
}
