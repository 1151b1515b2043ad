//! What goes wrong in compiled loops because of the data.

use std::sync::{Mutex, PoisonError};

use cotangent_core::ir::DType;
use cotangent_loops::ir::{Body, BodyOp, Nest, Stage};

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

/// The name of the function of a stage that divides integers, of which one may be zero.
fn division(stage: &Stage) -> Option<&'static str> {
    let of = |body: &Body| {
        let divides = |(op, dtype): &(BodyOp, DType)| match op {
            BodyOp::Binary(f, _, by) if ScalarCall::Binary(*f, *dtype).can_fail() => {
                let known = matches!(&body.ops[by.0 as usize].0, BodyOp::Const(c) if c.to_f64() != 0.0);
                (!known).then(|| cotangent_core::ops::Op::from(*f).name())
            }
            _ => None,
        };
        body.ops.iter().find_map(divides)
    };
    of(&stage.body).or_else(|| of(&stage.after))
}

/// The name of what may fail in a stage because of the data. An index that is outside names its op itself.
pub fn fallible(stage: &Stage) -> Option<&'static str> {
    let is_lookup = |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Lookup { .. });
    let looks_up = || stage.body.ops.iter().chain(&stage.after.ops).any(is_lookup);
    let is_aimed = || stage.accesses.iter().any(|a| a.aim.is_some());
    division(stage).or_else(|| (looks_up() || is_aimed()).then_some("lookup"))
}

/// Whether a nest divides integers, of which one may be zero.
pub fn may_divide_by_zero(nest: &Nest) -> bool {
    nest.stages.iter().any(|s| division(s).is_some())
}

/// Whether a point of a nest may fail because of the data.
pub fn may_fail(nest: &Nest) -> bool {
    nest.stages.iter().any(|s| fallible(s).is_some())
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
