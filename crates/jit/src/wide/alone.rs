//! Stages of one lane, and vectors of which one lane is left: most need no masks, and those of which nothing else is asked are computed in 128 bits.

use super::asm::Rm;
use super::asm::gpr::RAX;
use super::emit::Emit;
use crate::kernel::StageKernel;
use crate::lane::{Inst, Mem, Op, Ty};

/// The instructions of a stage.
fn insts(kernel: &StageKernel) -> impl Iterator<Item = &Inst> {
    kernel.lane.body.insts.iter().chain(&kernel.lane.after.insts)
}

/// Whether the code of a stage asks for no mask where a masked vector has one lane.
pub(super) fn goes_alone(kernel: &StageKernel) -> bool {
    insts(kernel).all(|inst| match inst.op {
        Op::Store(a, mem, _) => matches!(mem, Mem::B32 | Mem::B64) && kernel.accesses[a as usize].repeats == 1,
        Op::Load(_, mem) => matches!(mem, Mem::B32 | Mem::B64),
        Op::Gather(..) | Op::SetAcc(..) | Op::Call(..) => false,
        Op::Const(_)
        | Op::Lane
        | Op::Outer(_)
        | Op::Serial(_)
        | Op::Scalar(_)
        | Op::Acc(_)
        | Op::Bin(..)
        | Op::Fused(..)
        | Op::Cmp(..)
        | Op::Select(..)
        | Op::Sqrt(_)
        | Op::Round(..)
        | Op::Part(..)
        | Op::Shift(..)
        | Op::Conv(..)
        | Op::Table(..) => true,
    })
}

/// Whether the code of a stage of one lane has a form in 128 bits: no tables, and lanes of one width.
pub(super) fn is_short(kernel: &StageKernel) -> bool {
    goes_alone(kernel)
        && !insts(kernel).any(|i| matches!(i.op, Op::Table(..) | Op::Conv(..)))
        && (!kernel.lane.wide || insts(kernel).all(|i| i.ty.is_wide() || i.ty == Ty::Mask))
}

impl Emit<'_> {
    /// Where the lane is that a masked vector has alone: the only one of a row, or the last one.
    pub(super) fn lane_alone(&mut self, a: usize, stride: i32) -> Rm {
        if self.kernel.lanes == 1 {
            return Rm::Mem(self.pointer(a), 0);
        }
        self.strided(a, stride);
        Rm::Mem(RAX, 0)
    }
}
