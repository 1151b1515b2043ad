//! Sorts of which only some places are read, as of the largest elements, or through an index, as of a median: the others need no order.

use std::ops::Range;

use cotangent_core::ir::{Aval, DType, Graph, Value};
use cotangent_core::ops::{Op, Slice, Sort};
use rustc_hash::FxHashMap;

use super::{Flow, Id, Kind, ViewForm};
use crate::ir::RoutineKind;

/// The most ranks of a line that are found one by one.
const FEW_RANKS: usize = 8;

/// What is read of a sort.
#[derive(Clone)]
pub(super) enum Read {
    /// Slices, with the places from the first to the last that are read.
    Places(Range<usize>),
    /// A few elements of each line, whose ranks are data: nothing of the sort itself, …
    Ranks,
    /// … and for a gather those of one index, of the values or positions that node `sort` gives.
    Ranked { sort: usize, result: usize },
}

/// The sorts in `graph` of whose results nobody reads more than slices along the sorted dim, or a few elements through an index along it,
/// and these slices and gathers, each with what is read of its sort.
pub(super) fn read_places(graph: &Graph) -> FxHashMap<usize, Read> {
    let mut read: FxHashMap<usize, Read> = FxHashMap::default();
    if !graph.nodes().iter().any(|n| matches!(n.op, Op::Sort(_))) {
        return read;
    }
    let (definitions, mut unread) = (graph.definitions(), graph.use_counts());
    let (mut readers, mut places) = (Vec::new(), FxHashMap::default());
    let mut ranks: FxHashMap<usize, Vec<Value>> = FxHashMap::default();
    for (i, n) in graph.nodes().iter().enumerate() {
        let Some((sort, result)) = n.args.first().and_then(|x| definitions[x.index()]) else { continue };
        let Op::Sort(Sort { dim: along, .. }) = graph.nodes()[sort].op else { continue };
        match &n.op {
            Op::Slice(Slice { dim, start, end, .. }) if *dim == along && start < end => {
                let all: &mut Range<usize> = places.entry(sort).or_insert(*start..*end);
                *all = all.start.min(*start)..all.end.max(*end);
            }
            Op::Gather(g) if g.dim == along => {
                let [x, index] = [n.args[0], n.args[1]].map(|v| &graph.aval(v).shape);
                if x.with(along, 0) != index.with(along, 0) || 2 * index[along].get() > x[along].get() {
                    continue;
                }
                let own = ranks.entry(sort).or_default();
                if !own.contains(&n.args[1]) {
                    own.push(n.args[1]);
                }
            }
            _ => continue,
        }
        // Whoever reads it as an index too reads all of it.
        unread[n.args[0].index()] -= 1;
        readers.push((i, sort, result));
    }
    let is_read = |sort: usize| graph.nodes()[sort].results.iter().all(|v| unread[v.index()] == 0);
    let few = |ranks: &[Value], sort: usize| {
        let Op::Sort(s) = &graph.nodes()[sort].op else { return false };
        ranks.iter().map(|v| graph.aval(*v).shape[s.dim].get()).sum::<usize>() <= FEW_RANKS
    };
    for (sort, places) in &places {
        if is_read(*sort) && !ranks.contains_key(sort) {
            read.insert(*sort, Read::Places(places.clone()));
        }
    }
    for (sort, ranks) in &ranks {
        if is_read(*sort) && !places.contains_key(sort) && few(ranks, *sort) {
            read.insert(*sort, Read::Ranks);
        }
    }
    for (reader, sort, result) in readers {
        let of = match read.get(&sort) {
            Some(Read::Ranks) => Read::Ranked { sort, result },
            Some(of) => of.clone(),
            None => continue,
        };
        read.insert(reader, of);
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

    /// The elements of node `sort` at the ranks `index`, and where they stood, for the gather that is node `i`; those that are `known` already
    /// are not sought again.
    pub(super) fn ranked(
        &mut self,
        graph: &Graph,
        env: &[Option<Id>],
        sort: usize,
        index: Value,
        known: &mut FxHashMap<(usize, Value), Vec<Id>>,
        i: usize,
    ) -> Vec<Id> {
        let x = graph.nodes()[sort].args[0];
        if let (Op::Sort(of), None) = (&graph.nodes()[sort].op, known.get(&(sort, index))) {
            let args = [x, index].map(|v| env[v.index()].expect("I1: defined before use"));
            let [x, index_aval] = [x, index].map(|v| graph.aval(v).clone());
            let values = x.with_shape(index_aval.shape.clone());
            let results = [values.clone(), values.with_dtype(DType::I64)];
            let kind = RoutineKind::Ranked { sort: of.clone(), x, index: index_aval };
            known.insert((sort, index), self.routine(kind, &args, &results, i));
        }
        known[&(sort, index)].clone()
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
