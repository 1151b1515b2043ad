//! Places that indices name.

use cotangent_loops::ir::Lookup;

use super::{Builder, ScalarCall, Shift, Ty, V};

impl Builder {
    /// The place of an index of a lookup, number `of` of the nest, beside `offset`; an index that the dim does not have is an error of the scalar
    /// function, and counts as 0.
    pub(super) fn place(&mut self, of: u32, lookup: &Lookup, offset: V, index: V) -> V {
        let (first, last) = (self.i(0, Ty::I64), self.i(lookup.size as i64 - 1, Ty::I64));
        let (below, above) = (self.lt(index, first), self.lt(last, index));
        let outside = self.or(below, above);
        let index = self.call(ScalarCall::Place(of, lookup.size), index, index, Some((outside, index)));
        let far = if lookup.step > 0 && lookup.step.unsigned_abs().is_power_of_two() {
            self.shift(Shift::Left, index, lookup.step.trailing_zeros() as u8)
        } else {
            let step = self.i(lookup.step, Ty::I64);
            self.integer_mul(index, step)
        };
        if self.is_const(offset) == Some(0) { far } else { self.add(far, offset) }
    }
}
