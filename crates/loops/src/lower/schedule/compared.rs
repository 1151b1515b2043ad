//! Values that have to be computed once.
//!
//! A value that two nests compute may differ between them in its last bit: whether a product and a sum are one instruction depends on what else needs the product
//! there. Mostly that is no more than rounding. But who asks which elements are the greatest compares a value with the greatest of the same values, and
//! finds none if they are others: derivatives of extremes divide by how many there are. So such values are in memory.

use cotangent_core::ops::{Binary, Monoid};

use super::Schedule;
use crate::lower::flow::{Flow, Id, Kind, Point};

/// The value of which `v` has the elements, in another order or repeated.
fn base(flow: &Flow, mut v: Id) -> Id {
    while let Kind::View(_) | Kind::Pick(_) = flow.values[v].kind {
        v = flow.values[v].args[0];
    }
    v
}

/// Which values some comparison has as an operand.
pub(super) fn compared(flow: &Flow) -> Vec<bool> {
    let mut found = vec![false; flow.values.len()];
    for value in &flow.values {
        if let Kind::Point(Point::Binary(Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge)) =
            value.kind
        {
            value.args.iter().for_each(|x| found[base(flow, *x)] = true);
        }
    }
    found
}

impl Schedule<'_> {
    /// Makes the operand `x` of a reduction memory, if it is an extreme of what is compared too.
    pub(super) fn settle(&mut self, x: Id, monoid: Monoid) {
        let is_extreme = match monoid {
            Monoid::Max | Monoid::Min => true,
            Monoid::Sum | Monoid::Prod | Monoid::LogAddExp => false,
        };
        let x = base(self.flow, x);
        if is_extreme && self.compared[x] && matches!(self.flow.values[x].kind, Kind::Point(_)) {
            self.once[x] = true;
            self.materialise(x);
        }
    }
}
