//! Lane code as a list of instructions.

use super::{Inst, Op, V};

/// Straight-line lane code.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Code {
    /// Instructions; each reads earlier ones.
    pub insts: Vec<Inst>,
}

impl Code {
    /// The instructions at these places, in this order; each place stands after those of its operands.
    pub(super) fn rebuilt(&self, order: &[usize]) -> Code {
        let mut new = vec![0u32; self.insts.len()];
        let mut insts = Vec::with_capacity(order.len());
        for i in order {
            new[*i] = insts.len() as u32;
            let Inst { op, ty } = self.insts[*i];
            insts.push(Inst { op: op.map(|v| V { id: new[v.id as usize], ty: v.ty }), ty });
        }
        Code { insts }
    }

    /// The most values that live at once, of those that `counts` says; constants are operands in memory, and accumulators have registers of
    /// their own.
    pub fn most_alive(&self, counts: impl Fn(&Inst) -> bool) -> usize {
        let mut uses = vec![0usize; self.insts.len()];
        for (i, inst) in self.insts.iter().enumerate() {
            inst.op.operands(|v| uses[v.id as usize] = i);
        }
        let mut ends = vec![0usize; self.insts.len() + 1];
        let (mut live, mut most) = (0, 1);
        for (i, inst) in self.insts.iter().enumerate() {
            live -= ends[i];
            let elsewhere = matches!(inst.op, Op::Const(_) | Op::Acc(_)) || !counts(inst);
            if !elsewhere && uses[i] > i {
                live += 1;
                ends[uses[i]] += 1;
            }
            most = most.max(live);
        }
        most
    }
}
