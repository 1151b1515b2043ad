//! Values that a call in the graph has already.
//!
//! A derivative looks into a composite and computes again what the call of the composite beside it computes. Where
//! the nodes of the call's body stand in the graph, at the call's operands, the call's result stands for theirs.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::edit::{Editor, NodeId};
use super::super::simplify;
use crate::ir::{Graph, Value};
use crate::ops::{Call, Op};
use crate::transform::inline::inline_composites;

/// Lets results of calls stand for equal values outside; whether there were any.
pub(super) fn share(e: &mut Editor) -> bool {
    let mut bodies: FxHashMap<*const Graph, Option<Graph>> = FxHashMap::default();
    let mut shared = false;
    for id in 0..e.num_nodes() {
        let Op::Call(call) = e.op(id) else { continue };
        if !e.is_alive(id) || !call.is_transparent() {
            continue;
        }
        let body = bodies.entry(Arc::as_ptr(&call.body)).or_insert_with(|| spelled_out(call));
        let Some(body) = body else { continue };
        let found = outside(e, id, body);
        for (result, other) in e.results(id).to_vec().into_iter().zip(found) {
            // Nothing that the call needs comes after it.
            let Some(other) = other.filter(|v| e.def(*v) > Some(id)) else { continue };
            e.begin(id);
            let Some(seen) = e.view(result, &e.shape(other).clone()) else { continue };
            e.stand_in(other, seen);
            shared = true;
        }
    }
    shared
}

/// The body without calls, as it stands where a transform has looked inside.
pub(super) fn spelled_out(call: &Call) -> Option<Graph> {
    inline_composites(&call.body).ok().map(|g| simplify(&g))
}

/// For each result of the call `id`, the value of the graph that is computed as in `body`, perhaps seen in another shape.
fn outside(e: &Editor, id: NodeId, body: &Graph) -> Vec<Option<Value>> {
    let mut env: Vec<Option<Value>> = vec![None; body.num_values()];
    for (p, v) in body.params().iter().zip(e.args(id)) {
        env[p.index()] = Some(*v);
    }
    for n in body.nodes() {
        let args: Option<Vec<Value>> = n.args.iter().map(|v| env[v.index()]).collect();
        let Some(twin) = args.and_then(|args| e.equal_node(&n.op, &args)) else { continue };
        for (r, v) in n.results.iter().zip(e.results(twin)) {
            env[r.index()] = Some(*v);
        }
    }
    // What is computed from nothing is shorter than an item of a call.
    let computed = |v: Value| env[v.index()].filter(|v| e.def(*v).is_some_and(|d| !e.args(d).is_empty()));
    let inner = |v: Value| body.nodes().iter().find(|n| n.results[0] == v).filter(|n| matches!(n.op, Op::View(_)));
    let result = |v: &Value| {
        let own = if body.params().contains(v) { None } else { computed(*v) };
        // Others may take the operand of the last view as well.
        inner(*v).and_then(|n| computed(n.args[0])).or(own)
    };
    body.results().iter().map(result).collect()
}
