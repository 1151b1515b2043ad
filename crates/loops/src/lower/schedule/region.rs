//! Regions: connected expressions are kept small, so that bodies are cheap to compile and recursion is shallow.

use smallvec::SmallVec;

use super::{MAX_LEAVES, MAX_REGION, Region, Schedule};
use crate::lower::flow::{Id, Kind};

impl Schedule<'_> {
    pub(super) fn root_of(&mut self, mut r: usize) -> usize {
        while self.regions[r].parent != r {
            let up = self.regions[self.regions[r].parent].parent;
            self.regions[r].parent = up;
            r = up;
        }
        r
    }

    pub(super) fn region_count(&mut self, v: Id) -> u32 {
        if self.region[v] == usize::MAX {
            return 1;
        }
        let r = self.root_of(self.region[v]);
        self.regions[r].count
    }

    pub(super) fn is_inline(&self, v: Id) -> bool {
        self.stored[v].is_none() && !matches!(self.flow.values[v].kind, Kind::Reduce(..))
    }

    /// Whether a value is a generator or a view of one.
    pub(super) fn is_generated(&self, v: Id) -> bool {
        self.is_inline(v) && self.region[v] == usize::MAX
    }

    /// Puts `v` into one region with its operands, of which the largest are stored if that would grow too large.
    pub(super) fn join_regions(&mut self, v: Id, own: u32) {
        let flow = self.flow;
        let args = &flow.values[v].args;
        loop {
            let mut parts: SmallVec<[usize; 3]> = SmallVec::new();
            let mut leaves: Vec<Id> = Vec::new();
            let mut largest: Option<(u32, Id)> = None;
            for a in args {
                if !self.is_inline(*a) {
                    leaves.push(*a);
                    continue;
                }
                if self.is_generated(*a) {
                    continue;
                }
                let r = self.root_of(self.region[*a]);
                if !parts.contains(&r) {
                    parts.push(r);
                    leaves.extend(&self.regions[r].leaves);
                    let weight = self.regions[r].count + self.regions[r].leaves.len() as u32 * 8;
                    if largest.is_none_or(|l| l.0 < weight) {
                        largest = Some((weight, *a));
                    }
                }
            }
            leaves.sort_unstable();
            leaves.dedup();
            let count = own + parts.iter().map(|r| self.regions[*r].count).sum::<u32>();
            match largest {
                Some((_, a)) if count > MAX_REGION || leaves.len() > MAX_LEAVES => self.materialise(a),
                Some(_) | None => {
                    let id = self.regions.len();
                    self.regions.push(Region { parent: id, count, leaves });
                    for r in parts {
                        self.regions[r] = Region { parent: id, count: 0, leaves: Vec::new() };
                    }
                    self.region[v] = id;
                    return;
                }
            }
        }
    }
}
