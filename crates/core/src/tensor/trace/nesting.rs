//! The transforms around the code that runs, and around a tensor.

use std::sync::Arc;

use super::super::{Repr, Tensor};
use super::{ACTIVE, Level, Randomness, Trace, ancestors, current};
use crate::ir::{Aval, Value};

/// One transform around a tensor.
pub(crate) struct Wrapping {
    /// The number of the transform, from 1 for the outermost.
    pub ordinal: u32,
    /// The trace that it opened.
    pub trace: Arc<Trace>,
    /// For `vmap`, where the batch dim stands.
    pub dim: Option<(usize, usize)>,
}

/// The transforms on whose parameters a value depends, innermost first.
///
/// A parameter keeps the dim that the user mapped; what is computed from it has the batch dim in front.
pub(crate) fn wrappings(trace: &Arc<Trace>, v: Value) -> Vec<Wrapping> {
    let mask = trace.mask(v);
    let mut known = Some((trace.clone(), v));
    let mut out = Vec::new();
    for t in ancestors(Some(trace)) {
        while let Some((at, v)) = &known
            && at.depth > t.depth
        {
            let origin = at.lock().origins.get(v).cloned();
            known = match origin.map(|o| o.0) {
                Some(Repr::Traced(trace, v, _)) => Some((trace, v)),
                Some(Repr::Concrete(_) | Repr::Abstract(_) | Repr::Poison(..)) | None => None,
            };
        }
        if mask & t.bit() == 0 {
            continue;
        }
        let dim = match &t.level {
            Level::Batched { in_dims, size, .. } => {
                let here = known.as_ref().filter(|(at, _)| at.id == t.id);
                let dim = here.and_then(|(_, v)| in_dims.get(v.index()).copied().flatten());
                Some((dim.unwrap_or(0), *size))
            }
            Level::Capture | Level::Composite | Level::Wrapper | Level::Pass => None,
        };
        out.push(Wrapping { ordinal: t.ordinal, trace: t.clone(), dim });
    }
    out
}

/// An active `vmap`.
#[derive(Clone, Debug)]
pub struct BatchLevel {
    /// What a random draw without a key means inside.
    pub randomness: Randomness,
    /// The number of the example.
    pub index: Tensor,
}

/// The active `vmap`s of this thread, outermost first.
pub fn batch_levels() -> Vec<BatchLevel> {
    let level = |t: &Arc<Trace>| match &t.level {
        Level::Batched { in_dims, randomness, .. } => {
            let index = t.tensor(Value::from_index(in_dims.len()), Aval::new(crate::ir::DType::I64, ()));
            Some(BatchLevel { randomness: *randomness, index })
        }
        Level::Capture | Level::Composite | Level::Wrapper | Level::Pass => None,
    };
    ACTIVE.with_borrow(|a| a.iter().filter_map(level).collect())
}

/// The number of transforms around the code that runs; 0 outside.
pub fn current_level() -> u32 {
    ancestors(current().as_ref()).map(|t| t.ordinal).max().unwrap_or(0)
}
