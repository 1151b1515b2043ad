//! The order of steps: loops over what is given stand before a product, not between it and what reads it.
//!
//! Steps that follow one another can run piece by piece, so that what one writes is read by the next from the cache. The mask of an attention, say,
//! is computed where it is first read, which is between the scores and their softmax: before the scores it is in nobody's way.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::flow::{Flow, Id, Kind};
use super::schedule::Planned;

/// How many steps before and after a product are looked at: the time stays linear in the number of steps.
const NEAR: usize = 8;

/// What a step reads and writes.
struct Touched {
    reads: FxHashSet<Id>,
    writes: SmallVec<[Id; 2]>,
}

impl Touched {
    fn of(step: &Planned, flow: &Flow) -> Self {
        Self { reads: step.reads().collect(), writes: step.writes(flow).collect() }
    }

    fn reads_of(&self, earlier: &Self) -> bool {
        earlier.writes.iter().any(|w| self.reads.contains(w))
    }

    /// Whether both write pieces of one value.
    fn writes_beside(&self, other: &Self) -> bool {
        self.writes.iter().any(|w| other.writes.contains(w))
    }
}

/// Moves loops that read what no step writes from between a product and its next reader to before the product. Others stay: they are near what they read.
pub(super) fn order(steps: &mut [Planned], flow: &Flow) {
    if !steps.iter().any(|s| matches!(s, Planned::Product { .. })) {
        return;
    }
    let mut touched: Vec<Touched> = steps.iter().map(|s| Touched::of(s, flow)).collect();
    for i in 0..steps.len() {
        if !matches!(steps[i], Planned::Product { .. }) {
            continue;
        }
        let near = (i + 1..steps.len().min(i + NEAR)).find(|r| touched[*r].reads_of(&touched[i]));
        let Some(reader) = near else { continue };
        let between = i + 1..reader;
        let is_given = |v: &Id| matches!(flow.values[*v].kind, Kind::Param | Kind::Stored(_));
        let is_early = |t: usize| matches!(steps[t], Planned::Group(_)) && touched[t].reads.iter().all(is_given);
        if between.is_empty() || !between.clone().all(is_early) {
            continue;
        }
        // The nearest place that is not itself between a step and its next reader.
        let is_free = |at: usize| between.clone().all(|t| !touched[t].writes_beside(&touched[at]));
        let far = i.saturating_sub(NEAR);
        let place = (far..=i)
            .rev()
            .take_while(|at| is_free(*at))
            .find(|at| *at == 0 || !touched[*at].reads_of(&touched[at - 1]));
        if let Some(place) = place {
            let n = between.len();
            steps[place..reader].rotate_right(n);
            touched[place..reader].rotate_right(n);
        }
    }
}
