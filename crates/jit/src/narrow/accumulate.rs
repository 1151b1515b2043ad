//! Accumulators: their changes, and the combination of copies and lanes at the end.

use cotangent_core::ops::Monoid;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::BYTES;
use super::blocks::Lanes;
use super::stage::{Emit, plain};
use crate::frame::PARTIAL_WORDS;
use crate::lane::{Accumulator, Ty};
use crate::machine::folds;

impl Emit<'_> {
    /// The neutral element in the first copies of accumulator `k`.
    pub(super) fn neutral(&mut self, k: usize, copies: usize) {
        let a = self.kernel.lane.accumulators[k];
        let neutral = self.constant(a.neutral(), Ty::of(a.dtype));
        for c in 0..copies {
            self.b.def_var(self.accumulators[k][c], neutral);
        }
    }

    /// Copy `c` of accumulator `k` takes a value in the lanes that there are.
    pub(super) fn set_accumulator(&mut self, k: usize, x: Value, c: usize, lanes: &Lanes) {
        let own = self.accumulators[k][c];
        let x = match lanes {
            // Column accumulators have lanes of their own: one that repeats another keeps to itself.
            Lanes::Rest(rest) if k < self.kernel.lane.rows => {
                let old = self.b.use_var(own);
                self.select(rest.mask, x, old)
            }
            Lanes::Full(_) | Lanes::Rest(_) => x,
        };
        self.b.def_var(own, x);
    }

    /// The address of the vectors of column accumulator `k` in a block, in memory behind the row reductions' partials.
    fn column(&mut self, k: usize) -> Value {
        let rows = self.kernel.lane.rows;
        let first = 8 * (PARTIAL_WORDS * rows + (k - rows) * self.kernel.column_words());
        let (partials, lane) = (self.word(4), self.b.use_var(self.lane));
        let lane = self.b.ins().ishl_imm(lane, if self.kernel.lane.wide { 3 } else { 2 });
        let at = self.b.ins().iadd(partials, lane);
        self.b.ins().iadd_imm(at, first as i64)
    }

    /// Brings the column accumulators of a block of lanes from memory.
    pub(super) fn load_columns(&mut self, lanes: &Lanes) {
        for k in self.kernel.lane.rows..self.accumulators.len() {
            let at = self.column(k);
            let ty = self.vector(Ty::of(self.kernel.lane.accumulators[k].dtype));
            for c in 0..lanes.copies() {
                let x = self.b.ins().load(ty, plain(), at, (BYTES * c) as i32);
                self.b.def_var(self.accumulators[k][c], x);
            }
        }
    }

    /// Brings them back there.
    pub(super) fn store_columns(&mut self, lanes: &Lanes) {
        for k in self.kernel.lane.rows..self.accumulators.len() {
            let at = self.column(k);
            for c in 0..lanes.copies() {
                let x = self.b.use_var(self.accumulators[k][c]);
                self.b.ins().store(plain(), x, at, (BYTES * c) as i32);
            }
        }
    }

    /// Leaves row reduction `k` in the first word of its partials, combined in a fixed tree of copies and lanes; or all of its vectors where
    /// that is not for machine code.
    pub(super) fn fold(&mut self, k: usize) {
        let a = self.kernel.lane.accumulators[k];
        let partials = self.word(4);
        let at = |c: usize| (8 * PARTIAL_WORDS * k + BYTES * c) as i32;
        let mut copies: Vec<Value> = self.accumulators[k].iter().map(|copy| self.b.use_var(*copy)).collect();
        if !folds(&a) {
            for (c, x) in copies.into_iter().enumerate() {
                self.b.ins().store(plain(), x, partials, at(c));
            }
            return;
        }
        while copies.len() > 1 {
            let half = copies.len().div_ceil(2);
            let upper = copies.split_off(half);
            for (x, y) in copies.iter_mut().zip(upper) {
                *x = self.combine(&a, *x, y);
            }
        }
        let (mut x, ty) = (copies[0], self.vector(Ty::of(a.dtype)));
        // Lanes of 32 bits beside wider ones have the first half alone.
        if ty.lane_bits() == 64 || !self.kernel.lane.wide {
            let halves = self.shuffle(x, &[8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7], ty);
            x = self.combine(&a, x, halves);
        }
        if ty.lane_bits() == 32 {
            let lanes = self.shuffle(x, &[4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11], ty);
            x = self.combine(&a, x, lanes);
        }
        let words = self.cast(x, types::I64X2);
        let word = self.b.ins().extractlane(words, 0);
        self.b.ins().store(plain(), word, partials, at(0));
    }

    /// `x ∘ y` by lanes.
    fn combine(&mut self, a: &Accumulator, x: Value, y: Value) -> Value {
        let ty = Ty::of(a.dtype);
        match (a.monoid, ty) {
            (Monoid::Sum | Monoid::Max | Monoid::LogAddExp, Ty::Mask) => self.b.ins().bor(x, y),
            (Monoid::Prod | Monoid::Min, Ty::Mask) => self.b.ins().band(x, y),
            (Monoid::LogAddExp, Ty::F32 | Ty::F64 | Ty::I32 | Ty::I64) => unreachable!("machine code does not fold it"),
            (Monoid::Sum, Ty::F32 | Ty::F64) => self.b.ins().fadd(x, y),
            (Monoid::Sum, Ty::I32 | Ty::I64) => self.b.ins().iadd(x, y),
            (Monoid::Prod, Ty::F32 | Ty::F64) => self.b.ins().fmul(x, y),
            (Monoid::Prod, Ty::I32 | Ty::I64) => self.b.ins().imul(x, y),
            (Monoid::Max, Ty::F32 | Ty::F64) => self.extreme(FloatCC::GreaterThan, x, y),
            (Monoid::Min, Ty::F32 | Ty::F64) => self.extreme(FloatCC::LessThan, x, y),
            (Monoid::Max, Ty::I32 | Ty::I64) => {
                let more = self.b.ins().icmp(IntCC::SignedGreaterThan, x, y);
                self.select(more, x, y)
            }
            (Monoid::Min, Ty::I32 | Ty::I64) => {
                let less = self.b.ins().icmp(IntCC::SignedLessThan, x, y);
                self.select(less, x, y)
            }
        }
    }

    /// `x` where it is a NaN or the comparison holds, else `y`.
    fn extreme(&mut self, comparison: FloatCC, x: Value, y: Value) -> Value {
        let (nan, better) = (self.b.ins().fcmp(FloatCC::Unordered, x, x), self.b.ins().fcmp(comparison, x, y));
        let own = self.b.ins().bor(nan, better);
        self.select(own, x, y)
    }
}
