//! Operations of integers and masks.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

use super::stage::Emit;
use crate::lane::Bin;

impl Emit<'_> {
    pub(super) fn integer_bin(&mut self, op: Bin, x: Value, y: Value) -> Value {
        match op {
            Bin::Add => self.b.ins().iadd(x, y),
            Bin::Sub => self.b.ins().isub(x, y),
            Bin::Mul => self.b.ins().imul(x, y),
            Bin::Min => self.b.ins().smin(x, y),
            Bin::Max => self.b.ins().smax(x, y),
            Bin::And => self.b.ins().band(x, y),
            Bin::AndNot => self.b.ins().band_not(y, x),
            Bin::Or => self.b.ins().bor(x, y),
            Bin::Xor => self.b.ins().bxor(x, y),
            Bin::MulLow => {
                let (x, y) = (self.low_halves(x), self.low_halves(y));
                let (x, y) = (self.b.ins().uwiden_low(x), self.b.ins().uwiden_low(y));
                self.b.ins().imul(x, y)
            }
            Bin::ShlBy | Bin::ShrBy => self.shift_lanes(op == Bin::ShlBy, x, y),
            Bin::Div => unreachable!("lane code: {op:?} of integers"),
            Bin::Scale | Bin::LogEdges => unreachable!("lane code: {op:?} is of the extended set"),
        }
    }

    /// Shifts by lanes, for which not every machine has an instruction; counts beyond the width give 0.
    fn shift_lanes(&mut self, left: bool, x: Value, by: Value) -> Value {
        let ty = self.b.func.dfg.value_type(x);
        let lane = ty.lane_type();
        let zero = self.b.ins().iconst(lane, 0);
        let lanes = (0..ty.lane_count() as u8).map(|j| {
            let (x, by) = (self.b.ins().extractlane(x, j), self.b.ins().extractlane(by, j));
            let y = if left { self.b.ins().ishl(x, by) } else { self.b.ins().ushr(x, by) };
            let fits = self.b.ins().icmp_imm(IntCC::UnsignedLessThan, by, i64::from(lane.bits()));
            self.b.ins().select(fits, y, zero)
        });
        let lanes: Vec<Value> = lanes.collect();
        self.lanes_of(&lanes, ty)
    }
}
