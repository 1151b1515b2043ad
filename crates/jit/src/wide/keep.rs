//! Constants and row scalars that stay in registers while a stage runs.
//!
//! As operands in memory they cost a load for each use, and short bodies of many constants wait for loads rather than for arithmetic.

use rustc_hash::FxHashMap;

use super::asm::Rm;
use super::emit::Emit;
use crate::kernel::StageKernel;
use crate::lane::{Code, Inst, Op, Ty};

/// What is kept: the operation, and whether its lanes have 64 bits.
pub(super) type Kept = FxHashMap<(Op, bool), u8>;

/// A value that is the same in all lanes and all steps of a stage.
fn key(inst: &Inst) -> Option<(Op, bool)> {
    match inst.op {
        Op::Const(_) | Op::Scalar(_) if inst.ty != Ty::Mask => Some((inst.op, inst.ty.is_wide())),
        _ => None,
    }
}

/// How often the stage reads each value, most frequent first, then in order of appearance; `blocks` is how often the body runs.
fn reads(kernel: &StageKernel, blocks: usize) -> Vec<(Op, bool)> {
    let mut found: Vec<((Op, bool), usize)> = Vec::new();
    let mut at: FxHashMap<(Op, bool), usize> = FxHashMap::default();
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
    count(&kernel.lane.body, blocks.saturating_mul(points));
    count(&kernel.lane.after, blocks);
    found.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    // The load for the register is one, too.
    found.into_iter().filter(|(_, times)| *times > 2).map(|(key, _)| key).collect()
}

/// The registers for values that are read often: those of `spare`, highest first.
pub(super) fn choose(kernel: &StageKernel, blocks: usize, spare: &[u8]) -> Kept {
    reads(kernel, blocks).into_iter().zip(spare).map(|(key, r)| (key, *r)).collect()
}

impl Emit<'_> {
    /// The register in which the value of an instruction is kept.
    pub(super) fn kept(&self, inst: &Inst) -> Option<u8> {
        key(inst).and_then(|key| self.kept.get(&key).copied())
    }

    /// Loads what is kept, before the loops of a stage.
    pub(super) fn load_kept(&mut self) {
        let mut kept: Vec<(u8, (Op, bool))> = self.kept.iter().map(|(key, r)| (*r, *key)).collect();
        kept.sort_unstable_by_key(|(r, _)| *r);
        for (r, (op, wide)) in kept {
            let ty = if wide { Ty::I64 } else { Ty::I32 };
            match op {
                Op::Const(bits) => {
                    let value = self.constant(bits, ty);
                    self.copy(r, value, ty);
                }
                Op::Scalar(k) => {
                    let at = Emit::word(self.kernel.layout.scalars + k as usize);
                    self.spread(r, at, ty);
                }
                _ => unreachable!("only constants and row scalars are kept"),
            }
        }
    }

    /// `d` = an element of memory in all lanes.
    pub(super) fn spread(&mut self, d: u8, at: Rm, ty: Ty) {
        let l = self.l(ty);
        let spread = if self.lanes_are_wide(ty) { super::op::BROADCAST64 } else { super::op::BROADCAST32 };
        self.asm().v(spread, l, d, 0, at);
    }
}
