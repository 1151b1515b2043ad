//! Which values share a nest: one walk over the flow, in order.
//!
//! Steps are made in order and read only what earlier steps wrote, so a value may join any nest that is not before its
//! operands. Values that are not stored are expressions; they become memory when somebody needs them there. The cost model stands in
//! `ir-spec/loops.md`.

mod compared;
mod emit;
mod lookup;
mod memory;
mod place;
mod region;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::flow::{Flow, Id, Kind};
use super::group::{Expr, Group, IndexId, LOAD, LOOKUP, cost_of};
use crate::affine::{Affine, Index};
use crate::ir::Matrix;

/// An expression at least this dear is stored when a second nest needs it.
const DEAR: u32 = 16;

/// An expression at least this dear is stored when one nest needs it at different points.
const SHIFTED: u32 = 24;

/// An expression at least this dear is stored when a broadcast would repeat it outside of the rows that compute it once.
const REPEATED: u32 = 8;

/// What at least this many rows of reductions end with, at this cost for each, is computed for many rows at once where rows have at most this
/// many elements for each unit of the cost.
const MANY_ROWS: usize = 256;
const DEAR_END: u32 = 12;
const LANES: usize = 4;

/// Nests of at most this many points are joined even if they share nothing.
const SMALL: usize = 4096;

/// The most nodes in a connected piece of expressions, and the most memory that it reads.
const MAX_REGION: u32 = 256;
const MAX_LEAVES: usize = 24;

/// A step of the program in the making.
#[derive(Debug)]
pub(crate) enum Planned {
    Group(Box<Group>),
    Product { value: Id, args: [Id; 2], mats: [Matrix; 2], batch: usize, mkn: [usize; 3] },
    Call { call: usize, args: Vec<Id> },
}

impl Planned {
    /// The values that it reads from memory.
    pub fn reads(&self) -> impl Iterator<Item = Id> + '_ {
        let (group, args): (Option<&Group>, &[Id]) = match self {
            Planned::Group(group) => (Some(group), &[]),
            Planned::Product { args, .. } => (None, args),
            Planned::Call { args, .. } => (None, args),
        };
        group.into_iter().flat_map(Group::loads).chain(args.iter().copied())
    }

    /// The values that it writes, or pieces of which it writes.
    pub fn writes<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = Id> + 'a {
        let (group, values): (Option<&Group>, &[Id]) = match self {
            Planned::Group(group) => (Some(group), &[]),
            Planned::Product { value, .. } => (None, std::slice::from_ref(value)),
            Planned::Call { call, .. } => (None, &flow.calls[*call].results),
        };
        group.into_iter().flat_map(|g| g.stores.iter().map(|s| s.dst)).chain(values.iter().copied())
    }
}

/// Why a value cannot be computed in a group.
enum Stop {
    /// Something that it reads is made later, or at another place of the same nest.
    NotHere,
    /// This value must be in memory first.
    Cut(Id),
}

/// What is to be done at each point of a domain.
#[derive(Clone, Copy)]
enum Root {
    Store(Id),
    Reduce(Id),
    Piece { dst: Id, k: usize, after: u32 },
}

pub(crate) struct Schedule<'a> {
    pub flow: &'a Flow,
    pub steps: Vec<Planned>,
    /// The step that completes a value in memory.
    pub stored: Vec<Option<u32>>,
    /// The first nest that computes a value, and where.
    home: Vec<Option<(u32, IndexId, Expr)>>,
    /// The last step on which a value depends.
    last: Vec<u32>,
    cost: Vec<u32>,
    /// How many operands of others a value is.
    readers: Vec<u32>,
    /// Whether it is an operand of a comparison.
    compared: Vec<bool>,
    /// Whether no pass of a nest computes it again.
    pub once: Vec<bool>,
    region: Vec<usize>,
    regions: Vec<Region>,
    /// The last nests by number of points, and by number of kept points.
    full: FxHashMap<usize, SmallVec<[u32; 3]>>,
    rows: FxHashMap<usize, u32>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Region {
    parent: usize,
    count: u32,
    leaves: Vec<Id>,
}

/// The schedule of `flow`, with the memory of each result.
pub(crate) fn schedule(flow: &Flow) -> (Schedule<'_>, Vec<Id>) {
    let n = flow.values.len();
    let mut s = Schedule {
        flow,
        steps: Vec::new(),
        stored: vec![None; n],
        home: vec![None; n],
        last: vec![0; n],
        cost: vec![0; n],
        readers: vec![0; n],
        compared: compared::compared(flow),
        once: vec![false; n],
        region: vec![usize::MAX; n],
        regions: Vec::new(),
        full: FxHashMap::default(),
        rows: FxHashMap::default(),
    };
    for x in flow.values.iter().flat_map(|value| &value.args) {
        s.readers[*x] += 1;
    }
    for v in 0..n {
        s.visit(v);
    }
    let results = flow.results.iter().map(|v| s.dense(*v)).collect();
    (s, results)
}

impl Schedule<'_> {
    fn visit(&mut self, v: Id) {
        let flow = self.flow;
        let value = &flow.values[v];
        self.last[v] = value.args.iter().map(|a| self.last[*a]).max().unwrap_or(0);
        if value.numel() == 0 && !matches!(value.kind, Kind::Output(_)) {
            // Memory without elements needs no step.
            self.set_stored(v, 0);
            return;
        }
        match &value.kind {
            Kind::Param | Kind::Stored(_) => self.set_stored(v, 0),
            Kind::Fill(_) | Kind::Iota | Kind::Eye => {
                // Generators belong to no region: they are made where they are used.
                self.cost[v] = 1;
            }
            Kind::Point(p) => {
                self.join_regions(v, 1);
                let args: u32 = value.args.iter().fold(0, |c, a| c.saturating_add(self.cost[*a]));
                self.cost[v] = cost_of(*p).saturating_add(args).min(1 << 20);
            }
            Kind::View(_) | Kind::Pick(_) => {
                if !self.is_generated(value.args[0]) {
                    self.join_regions(v, 1);
                }
                // What is broadcast is computed once for each row, or stored.
                let x = value.args[0];
                self.cost[v] = if flow.values[x].numel() * 2 <= value.numel() { 1 } else { self.cost[x] };
            }
            Kind::Lookup(..) => {
                self.viewed(value.args[0]);
                if flow.is_of_slices(v) {
                    // One index for all lanes moves an access, and is in memory.
                    self.viewed(value.args[1]);
                }
                self.join_regions(v, 1);
                self.cost[v] = self.cost[value.args[1]].saturating_add(LOOKUP).min(1 << 20);
            }
            Kind::Unrolled(dims, monoid) => {
                let x = value.args[0];
                self.settle(x, *monoid);
                let n: usize = dims.iter().map(|d| flow.values[x].sizes[*d]).product();
                if self.stored[x].is_none() && self.region_count(x) * n as u32 > MAX_REGION / 2 {
                    self.materialise(x);
                }
                let inside = if self.stored[x].is_none() { self.region_count(x) } else { 1 };
                self.join_regions(v, inside * n as u32);
                self.cost[v] = (self.cost[x] + 1).saturating_mul(n as u32).min(1 << 20);
            }
            Kind::Reduce(_, monoid) => {
                self.settle(value.args[0], *monoid);
                self.place(Root::Reduce(v));
                self.cost[v] = LOAD;
            }
            Kind::Pieces(pieces) => {
                let mut step = 0;
                for (k, p) in pieces.iter().enumerate() {
                    let after = if p.over { step } else { 0 };
                    step = step.max(self.place(Root::Piece { dst: v, k, after }));
                }
                self.set_stored(v, step);
            }
            Kind::Product => self.product(v),
            Kind::Output(call) => {
                let call_data = &flow.calls[*call];
                if call_data.results[0] != v {
                    return;
                }
                if call_data.results.iter().all(|r| flow.values[*r].numel() == 0) {
                    call_data.results.iter().for_each(|r| self.set_stored(*r, 0));
                    return;
                }
                let args = call_data.args.iter().map(|a| self.dense(*a)).collect();
                self.steps.push(Planned::Call { call: *call, args });
                let step = self.steps.len() as u32;
                call_data.results.iter().for_each(|r| self.set_stored(*r, step));
            }
        }
    }

    fn set_stored(&mut self, v: Id, step: u32) {
        self.stored[v] = Some(step);
        self.last[v] = step;
        self.cost[v] = LOAD;
    }
}

/// One variable for each dim that has more than one element.
pub(super) fn dims_of(sizes: &[usize]) -> Index {
    (0..sizes.len()).map(|d| if sizes[d] == 1 { Affine::default() } else { Affine::var(d) }).collect()
}

pub(super) fn picked(pick: &[Option<usize>], index: &[Affine]) -> Index {
    pick.iter().map(|p| p.map_or_else(Affine::default, |d| index[d].clone())).collect()
}
