//! What registers are used for: how many copies of a body are interleaved, and which constants and row scalars stay in registers while a stage runs.
//!
//! As operands in memory constants cost a load for each use, and short bodies of many constants wait for loads rather than for arithmetic.

use rustc_hash::FxHashMap;

use super::asm::Rm;
use super::emit::Emit;
use super::isa::Isa;
use crate::kernel::StageKernel;
use crate::lane::{Code, Inst, Op, Ty};

/// How often a body runs whose number of lanes is not known.
pub(super) const MANY: usize = 1 << 20;

/// A value that is the same in all lanes and all steps of a stage, and whether its lanes have 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Same {
    /// The bits of a constant.
    Const(u64, bool),
    /// A row scalar.
    Scalar(u32, bool),
}

/// What is kept, and in which register.
pub(super) type Kept = FxHashMap<Same, u8>;

fn key(inst: &Inst) -> Option<Same> {
    let key = match inst.op {
        Op::Const(bits) => Same::Const(bits, inst.ty.is_wide()),
        Op::Scalar(k) => Same::Scalar(k, inst.ty.is_wide()),
        Op::Load(..)
        | Op::Gather(..)
        | Op::Store(..)
        | Op::Lane
        | Op::Outer(_)
        | Op::Serial(_)
        | Op::Acc(_)
        | Op::SetAcc(..)
        | Op::Bin(..)
        | Op::Fused(..)
        | Op::Cmp(..)
        | Op::Select(..)
        | Op::Sqrt(_)
        | Op::Round(..)
        | Op::Part(..)
        | Op::Shift(..)
        | Op::Conv(..)
        | Op::Table(..)
        | Op::Call(..) => return None,
    };
    (inst.ty != Ty::Mask).then_some(key)
}

/// How often the stage reads each value, most frequent first, then in order of appearance; `blocks` is how often the body runs.
fn reads(kernel: &StageKernel, blocks: usize) -> Vec<Same> {
    let mut found: Vec<(Same, usize)> = Vec::new();
    let mut at: FxHashMap<Same, usize> = FxHashMap::default();
    let mut count = |code: &Code, times: usize| {
        for inst in &code.insts {
            inst.op.operands(|v| {
                if let Some(key) = key(&code.insts[v.id as usize]) {
                    let i = *at.entry(key).or_insert_with(|| {
                        found.push((key, 0));
                        found.len() - 1
                    });
                    found[i].1 += times;
                }
            });
        }
    };
    let points: usize = kernel.serial.iter().product();
    count(&kernel.lane.body, blocks.saturating_mul(points).min(MANY));
    count(&kernel.lane.after, blocks);
    found.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    // The load for the register is one, too.
    found.into_iter().filter(|(_, times)| *times > 2).map(|(key, _)| key).collect()
}

/// The registers for values that are read often: those of `spare`, highest first.
pub(super) fn choose(kernel: &StageKernel, blocks: usize, spare: &[u8]) -> Kept {
    reads(kernel, blocks).into_iter().zip(spare).map(|(key, r)| (key, *r)).collect()
}

/// The most values of a body that are in vector registers at once.
pub(super) fn most_alive(code: &Code, isa: Isa) -> usize {
    code.most_alive(|inst| inst.ty != Ty::Mask || isa.masks() == 0)
}

/// How many copies of the body to interleave: as many as registers allow, few for long bodies.
pub(super) fn copies(kernel: &StageKernel, isa: Isa, most: usize) -> usize {
    let code = &kernel.lane.body;
    let accumulators = kernel.lane.accumulators.len();
    let calls = code.insts.iter().any(|i| matches!(i.op, Op::Call(_, _, _, None)));
    // Measured: the longer a body, the more latency there is to hide, and the more spills that is worth. Machines without AVX-512 look less far ahead.
    let room = match (isa, code.insts.len() > 100) {
        (Isa::Avx2, _) => 28,
        (Isa::Avx512, false) => 40,
        (Isa::Avx512, true) => 48,
    };
    let fits = |c: &usize| c * most + accumulators * c <= room && accumulators * c <= isa.accumulators() + 2;
    if calls { 1 } else { [4, 3, 2].into_iter().find(fits).unwrap_or(1) }
}

/// The integer of 32 or 64 bits.
fn integer(wide: bool) -> Ty {
    if wide { Ty::I64 } else { Ty::I32 }
}

impl Emit<'_> {
    /// The register in which the value of an instruction is kept.
    pub(super) fn kept(&self, inst: &Inst) -> Option<u8> {
        key(inst).and_then(|key| self.kept.get(&key).copied())
    }

    /// What is kept, by register.
    fn by_register(&self) -> Vec<(u8, Same)> {
        let mut kept: Vec<(u8, Same)> = self.kept.iter().map(|(key, r)| (*r, *key)).collect();
        kept.sort_unstable();
        kept
    }

    /// Loads the constants that are kept; they stay where the stage runs for several rows.
    pub(super) fn load_constants(&mut self) {
        for (r, key) in self.by_register() {
            if let Same::Const(bits, wide) = key {
                let value = self.constant(bits, integer(wide));
                self.copy(r, value, integer(wide));
            }
        }
    }

    /// Loads the row scalars that are kept, before the loops of a stage.
    pub(super) fn load_scalars(&mut self) {
        for (r, key) in self.by_register() {
            if let Same::Scalar(k, wide) = key {
                let at = Emit::word(self.kernel.layout.scalars + k as usize);
                self.spread(r, at, integer(wide));
            }
        }
    }

    /// `d` = an element of memory in all lanes.
    pub(super) fn spread(&mut self, d: u8, at: Rm, ty: Ty) {
        // That of 64 bits has no form of 128.
        let (l, spread) = match self.lanes_are_wide(ty) {
            true => (self.l(ty).max(1), super::op::BROADCAST64),
            false => (self.l(ty), super::op::BROADCAST32),
        };
        self.asm().v(spread, l, d, 0, at);
    }
}
