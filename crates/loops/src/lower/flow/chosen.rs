//! Extremes that are read at their own positions: as maxima over windows are, whose positions nobody else needs, they are reductions; where positions
//! are results too, both are found at once.

use cotangent_core::ir::{Aval, Graph, Shape, Value};
use cotangent_core::ops::{Extreme, Monoid, Op};
use rustc_hash::FxHashMap;

use super::{Flow, Id, Kind, ViewForm};
use crate::ir::RoutineKind;

/// What a node is of an extreme that is read at its own position.
#[derive(Clone, Copy)]
pub(super) enum Chosen {
    /// `gather(x, reshape(argmax(x)))`, or with `argmin`, whose positions nobody else needs, with the dim and the extreme.
    Alone(usize, Monoid),
    /// Such a node whose positions, of a node, somebody else needs.
    With(usize),
    /// These positions.
    Positions(usize, Extreme),
}

/// The nodes that are such extremes, and the positions of those that have some.
pub(super) fn chosen(graph: &Graph) -> FxHashMap<usize, Chosen> {
    let gathers = || graph.nodes().iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Gather(_)));
    let mut found = FxHashMap::default();
    if gathers().next().is_none() {
        return found;
    }
    let (definitions, uses) = (graph.definitions(), graph.use_counts());
    for (i, n) in gathers() {
        let (Op::Gather(g), x, index) = (&n.op, n.args[0], n.args[1]) else { continue };
        let mut is_alone = true;
        let mut definition = |v: Value| {
            is_alone &= uses[v.index()] == 1;
            definitions[v.index()].map(|(node, _)| node)
        };
        let Some(mut node) = definition(index) else { continue };
        while let Op::View(_) = graph.nodes()[node].op
            && let Some(before) = definition(graph.nodes()[node].args[0])
        {
            node = before;
        }
        let (dim, which) = if let Op::Argmax(a) = &graph.nodes()[node].op {
            (a.dim, Extreme::Max)
        } else if let Op::Argmin(a) = &graph.nodes()[node].op {
            (a.dim, Extreme::Min)
        } else {
            continue;
        };
        let is_own = graph.nodes()[node].args[0] == x && dim == g.dim;
        if !is_own || graph.aval(index).shape != graph.aval(x).shape.with(dim, 1usize) {
            continue;
        }
        if is_alone {
            found.insert(i, Chosen::Alone(dim, which.monoid()));
        } else {
            found.insert(i, Chosen::With(node));
            found.insert(node, Chosen::Positions(dim, which));
        }
    }
    found
}

impl Flow {
    /// The extremes of `x` along `dim`, which stays with size 1.
    pub(super) fn extreme(&mut self, x: Id, dim: usize, monoid: Monoid, y: &Aval, i: usize) -> Id {
        let kept: Shape = y.shape.dims().iter().enumerate().filter(|(d, _)| *d != dim).map(|(_, n)| *n).collect();
        let extremes = self.reduce(x, &[dim], monoid, &y.with_shape(kept), i);
        self.push(Kind::View(ViewForm::Reshape), &[extremes], y, Some(i))
    }

    /// The extremes of `x` along `dim`, and where they stand.
    pub(super) fn extremes(
        &mut self,
        x: Id,
        dim: usize,
        which: Extreme,
        [aval, positions]: [&Aval; 2],
        i: usize,
    ) -> [Id; 2] {
        let results = [positions.with_dtype(aval.dtype), positions.clone()];
        let ids = self.routine(RoutineKind::Extremes { dim, which, x: aval.clone() }, &[x], &results, i);
        [ids[0], ids[1]]
    }
}

/// The nodes on which a result depends; extremes do not on positions that nobody else needs.
pub(super) fn live(graph: &Graph, chosen: &FxHashMap<usize, Chosen>) -> Vec<bool> {
    let mut used = vec![false; graph.num_values()];
    for v in graph.results() {
        used[v.index()] = true;
    }
    let mut live = vec![false; graph.len()];
    for (i, n) in graph.nodes().iter().enumerate().rev() {
        live[i] = n.results.iter().any(|v| used[v.index()]);
        if live[i] {
            let is_alone = matches!(chosen.get(&i), Some(Chosen::Alone(..)));
            let args = if is_alone { &n.args[..1] } else { &n.args[..] };
            for v in args {
                used[v.index()] = true;
            }
        }
    }
    live
}
