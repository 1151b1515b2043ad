//! Inlining: calls of composites are replaced by their bodies.

use super::replay::{Env, rebuild};
use super::systems::factor_systems;
use crate::error::Error;
use crate::ir::{Graph, Node};
use crate::ops::{Call, Op, Unary};
use crate::tensor::trace::{at, build};
use crate::tensor::{Tensor, emit_all};

/// The composite that a node calls, if its rule is to be inlined.
pub(crate) fn composite(op: &Op) -> Option<&Call> {
    match op {
        Op::Call(call) if call.is_inline() => Some(call),
        _ => None,
    }
}

/// The graph without calls for which `which` holds; bodies are inlined to any depth.
pub fn inline(graph: &Graph, which: fn(&Call) -> bool) -> Result<Graph, Error> {
    if !graph.nodes().iter().any(|n| matches!(&n.op, Op::Call(c) if which(c))) {
        return Ok(graph.clone());
    }
    let out = build(graph.name(), |t| {
        let args: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        Ok(walk(graph, &args, which))
    })?;
    Ok(out.with_signature(graph.signature().clone()))
}

/// The graph without calls of composites, as it is read; calls with rules of a user's stay.
pub fn inline_composites(graph: &Graph) -> Result<Graph, Error> {
    inline(graph, Call::is_shown)
}

/// The graph without any call and any `detach`, which means nothing once no derivative is taken any more, and with systems of equations solved by
/// factors: what lowering starts from.
///
/// *Errors*: none of its own; a call that is known only by its transpose stays (its evaluation reports it).
pub fn inline_all(graph: &Graph) -> Result<Graph, Error> {
    factor_systems(&undetached(&inline(graph, Call::has_forward)?)?)
}

/// The graph where each detached value is the value itself, so that equal nodes on both sides are equal.
fn undetached(graph: &Graph) -> Result<Graph, Error> {
    let detaches = |n: &Node| matches!(n.op, Op::Unary(Unary::Detach));
    if !graph.nodes().iter().any(detaches) {
        return Ok(graph.clone());
    }
    rebuild(graph, |n, args| if detaches(n) { vec![args[0].clone()] } else { emit_all(n.op.clone(), args) })
}

fn walk(graph: &Graph, args: &[Tensor], which: fn(&Call) -> bool) -> Vec<Tensor> {
    let mut env = Env::new(graph, args.iter().cloned());
    for n in graph.nodes() {
        let args: Vec<Tensor> = env.read(&n.args);
        let results = match &n.op {
            Op::Call(call) if which(call) => walk(&call.body, &args, which),
            op => at(graph.loc(n).clone(), || emit_all(op.clone(), &args.iter().collect::<Vec<_>>())),
        };
        env.write(&n.results, results);
    }
    env.read(graph.results())
}
