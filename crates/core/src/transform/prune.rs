//! Pruning: nodes that no result needs are left out.

use rustc_hash::FxHashMap;

use crate::ir::{Builder, Graph, Value};

/// The graph without the nodes that no result needs; parameters stay.
pub fn prune(graph: &Graph) -> Graph {
    let live = needed(graph, graph.results());
    if live.iter().all(|l| *l) {
        return graph.clone();
    }
    keep(graph, &live, &vec![true; graph.params().len()]).with_signature(graph.signature().clone())
}

/// For each node, whether `values` need it.
pub(crate) fn needed(graph: &Graph, values: &[Value]) -> Vec<bool> {
    let mut used = vec![false; graph.num_values()];
    for v in values {
        used[v.index()] = true;
    }
    let mut live = vec![false; graph.len()];
    for (i, n) in graph.nodes().iter().enumerate().rev() {
        live[i] = n.results.iter().any(|r| used[r.index()]);
        if live[i] {
            for a in &n.args {
                used[a.index()] = true;
            }
        }
    }
    live
}

/// The graph of the nodes and parameters that are chosen, which need no other.
pub(crate) fn keep(graph: &Graph, nodes: &[bool], params: &[bool]) -> Graph {
    let mut b = Builder::new();
    let mut new: FxHashMap<Value, Value> = FxHashMap::default();
    for (v, _) in graph.params().iter().zip(params).filter(|(_, keep)| **keep) {
        new.insert(*v, b.param(graph.aval(*v).clone()));
    }
    for (n, _) in graph.nodes().iter().zip(nodes).filter(|(_, keep)| **keep) {
        let args = n.args.iter().map(|a| new[a]).collect();
        let avals = n.results.iter().map(|r| graph.aval(*r).clone());
        let results = b.node(n.op.clone(), args, avals, graph.loc(n));
        new.extend(n.results.iter().copied().zip(results));
    }
    let results = graph.results().iter().map(|r| new[r]).collect();
    b.finish(graph.name(), results)
}
