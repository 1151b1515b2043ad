//! Sorts of which only some places are read, as of the largest elements or a median: the others need no order.

use std::ops::Range;

use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::ops::{Op, Slice, Sort};
use rustc_hash::FxHashMap;

use super::{Flow, Id, Kind, ViewForm};
use crate::ir::RoutineKind;

/// The sorts in `graph` of whose results nobody reads more than slices along the sorted dim, and these slices, each with the places from
/// the first to the last that are read.
pub(super) fn read_places(graph: &Graph) -> FxHashMap<usize, Range<usize>> {
    let mut read: FxHashMap<usize, Range<usize>> = FxHashMap::default();
    if !graph.nodes().iter().any(|n| matches!(n.op, Op::Sort(_))) {
        return read;
    }
    let (definitions, mut unread) = (graph.definitions(), graph.use_counts());
    let mut slices: Vec<(usize, usize)> = Vec::new();
    for (i, n) in graph.nodes().iter().enumerate() {
        let Op::Slice(Slice { dim, start, end, .. }) = n.op else { continue };
        let Some((sort, _)) = definitions[n.args[0].index()] else { continue };
        if start < end && matches!(&graph.nodes()[sort].op, Op::Sort(s) if s.dim == dim) {
            unread[n.args[0].index()] -= 1;
            slices.push((i, sort));
            let places = read.entry(sort).or_insert(start..end);
            *places = places.start.min(start)..places.end.max(end);
        }
    }
    read.retain(|sort, _| graph.nodes()[*sort].results.iter().all(|v| unread[v.index()] == 0));
    for (slice, sort) in slices {
        if let Some(places) = read.get(&sort).cloned() {
            read.insert(slice, places);
        }
    }
    read
}

impl Flow {
    /// The places `read` of a sort of `x`.
    pub(super) fn sorted(&mut self, x: Id, sort: &Sort, aval: &Aval, read: &Range<usize>, i: usize) -> Vec<Id> {
        let values = aval.with_shape(aval.shape.with(sort.dim, read.len()));
        let results = [values.clone(), values.with_dtype(DType::I64)];
        let kind = RoutineKind::Places { sort: sort.clone(), x: aval.clone(), places: read.clone() };
        self.routine(kind, &[x], &results, i)
    }

    /// A slice of all places of a sort, of which `x` has those from `begin` on.
    pub(super) fn part(&mut self, x: Id, slice: &Slice, begin: usize, y: &Aval, i: usize) -> Id {
        let Slice { dim, start, step, .. } = *slice;
        let start = start - begin;
        if start == 0 && step == 1 && self.values[x].sizes[dim] == y.shape[dim].get() {
            return x;
        }
        self.push(Kind::View(ViewForm::Slice { dim, start, step }), &[x], y, Some(i))
    }
}
