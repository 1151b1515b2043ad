//! Extremes that are read at their own positions, as maxima over windows are: reductions, of which positions need not be known.

use cotangent_core::ir::{Aval, Graph, Shape, Value};
use cotangent_core::ops::{Monoid, Op};
use rustc_hash::FxHashMap;

use super::{Flow, Id, Kind, ViewForm};

/// The nodes `gather(x, reshape(argmax(x)))`, or with `argmin`, whose positions nobody else needs, with the dim and the extreme.
pub(super) fn chosen(graph: &Graph) -> FxHashMap<usize, (usize, Monoid)> {
    let gathers = || graph.nodes().iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Gather(_)));
    if gathers().next().is_none() {
        return FxHashMap::default();
    }
    let (definitions, uses) = (graph.definitions(), graph.use_counts());
    let only_user = |v: Value| {
        let (node, _) = definitions[v.index()]?;
        (uses[v.index()] == 1).then(|| &graph.nodes()[node])
    };
    let extreme = |x: Value, index: Value| {
        let mut node = only_user(index)?;
        while let Op::View(_) = node.op {
            node = only_user(node.args[0])?;
        }
        let (dim, monoid) = if let Op::Argmax(a) = &node.op {
            (a.dim, Monoid::Max)
        } else if let Op::Argmin(a) = &node.op {
            (a.dim, Monoid::Min)
        } else {
            return None;
        };
        let one = graph.aval(x).shape.with(dim, 1usize);
        (node.args[0] == x && graph.aval(index).shape == one).then_some((dim, monoid))
    };
    let found = gathers().filter_map(|(i, n)| {
        let Op::Gather(g) = &n.op else { return None };
        extreme(n.args[0], n.args[1]).filter(|(dim, _)| *dim == g.dim).map(|e| (i, e))
    });
    found.collect()
}

impl Flow {
    /// The extremes of `x` along `dim`, which stays with size 1.
    pub(super) fn extreme(&mut self, x: Id, (dim, monoid): (usize, Monoid), y: &Aval, i: usize) -> Id {
        let kept: Shape = y.shape.dims().iter().enumerate().filter(|(d, _)| *d != dim).map(|(_, n)| *n).collect();
        let extremes = self.reduce(x, &[dim], monoid, &y.with_shape(kept), i);
        self.push(Kind::View(ViewForm::Reshape), &[extremes], y, Some(i))
    }
}
