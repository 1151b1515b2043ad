//! Writes through an index in place: what nobody reads any more is not copied before some of its elements change.
//!
//! The derivative of a lookup adds rows to zeros that a nest has just written. In memory of their own, the zeros would be written, read, and written again,
//! which for a large table is all of the time.

use rustc_hash::{FxHashMap, FxHashSet};

use super::flow::{Flow, Id};
use super::schedule::Planned;

/// The values whose memory becomes that of the result of a write through an index, with that result: they are computed by the program, and the write is their
/// last reader. Linear in the number of steps.
pub(super) fn in_place(steps: &[Planned], flow: &Flow, results: &[Id]) -> FxHashMap<Id, Id> {
    let updates = |step: &Planned| match step {
        Planned::Call { call, .. } => flow.calls[*call].kind.updates(),
        Planned::Group(_) | Planned::Product { .. } => false,
    };
    if !steps.iter().any(updates) {
        return FxHashMap::default();
    }
    let (mut made, mut last): (FxHashSet<Id>, FxHashMap<Id, usize>) = Default::default();
    for (i, step) in steps.iter().enumerate() {
        last.extend(step.reads().map(|v| (v, i)));
        made.extend(step.writes(flow));
    }
    results.iter().for_each(|v| {
        made.remove(v);
    });
    let same = |(i, step): (usize, &Planned)| {
        let Planned::Call { call, args } = step else { return None };
        let ([x, others @ ..], [y]) = (&args[..], &flow.calls[*call].results[..]) else { return None };
        let [from, to] = [x, y].map(|v| &flow.values[*v]);
        let is_alike = from.dtype == to.dtype && from.numel() == to.numel();
        let is_last = made.contains(x) && last.get(x) == Some(&i) && !others.contains(x);
        (updates(step) && is_alike && is_last).then_some((*x, *y))
    };
    steps.iter().enumerate().filter_map(same).collect()
}
