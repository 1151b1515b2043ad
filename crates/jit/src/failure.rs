//! What goes wrong in compiled loops because of the data.

use std::sync::{Mutex, PoisonError};

use cotangent_core::ir::DType;
use cotangent_loops::ir::{BodyOp, Nest, Stage};

use crate::lane::ScalarCall;

/// What a scalar function refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// An integer divided by zero.
    ZeroDivision,
    /// An index that its dim does not have.
    Index {
        /// Which of the nest's lookups.
        of: u32,
        /// The index.
        index: i64,
    },
}

/// Whether a nest divides integers, of which one may be zero.
pub fn may_divide_by_zero(nest: &Nest) -> bool {
    has(nest, &|(op, dtype)| matches!(op, BodyOp::Binary(op, ..) if ScalarCall::Binary(*op, *dtype).can_fail()))
}

/// Whether a point of a nest may fail because of the data.
pub fn may_fail(nest: &Nest) -> bool {
    let is_aimed = |s: &Stage| s.accesses.iter().any(|a| a.aim.is_some());
    let looks_up = has(nest, &|(op, _)| matches!(op, BodyOp::Lookup { .. }));
    looks_up || nest.stages.iter().any(is_aimed) || may_divide_by_zero(nest)
}

fn has(nest: &Nest, is: &dyn Fn(&(BodyOp, DType)) -> bool) -> bool {
    nest.stages.iter().any(|s| s.body.ops.iter().chain(&s.after.ops).any(is))
}

/// The first failure of a nest, by its point, whichever thread finds it.
#[derive(Default, Debug)]
pub struct First(Mutex<Option<(usize, Failure)>>);

impl First {
    /// Notes a failure at a point.
    pub fn note(&self, at: usize, failure: Failure) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none_or(|(before, _)| at < before) {
            *first = Some((at, failure));
        }
    }

    /// The first of those that were noted.
    pub fn get(&self) -> Option<(usize, Failure)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_point_counts() {
        let first = First::default();
        assert_eq!(first.get(), None);
        first.note(7, Failure::ZeroDivision);
        first.note(3, Failure::Index { of: 0, index: -1 });
        first.note(5, Failure::ZeroDivision);
        assert_eq!(first.get(), Some((3, Failure::Index { of: 0, index: -1 })));
    }
}
