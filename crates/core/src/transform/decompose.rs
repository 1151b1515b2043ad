//! Decomposition: operations that another system does not have are replaced by ones that it has.

use super::replay::Env;
use crate::error::Error;
use crate::ir::Graph;
use crate::ops::Op;
use crate::tensor::trace::{at, build};
use crate::tensor::{Tensor, emit_all};

/// The graph in which every node for whose operation `which` holds is replaced by what `how` makes of its arguments, until there
/// is none. Signature and locations stay.
///
/// `how` must not make an operation that leads back to itself.
pub fn decompose(
    graph: &Graph,
    which: impl Fn(&Op) -> bool,
    how: impl Fn(&Op, &[Tensor]) -> Vec<Tensor>,
) -> Result<Graph, Error> {
    let mut graph = graph.clone();
    while graph.nodes().iter().any(|n| which(&n.op)) {
        let out = build(graph.name(), |t| {
            let params: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
            let mut env = Env::new(&graph, params);
            for n in graph.nodes() {
                let args: Vec<Tensor> = env.read(&n.args);
                let results = at(graph.loc(n).clone(), || {
                    if which(&n.op) {
                        how(&n.op, &args)
                    } else {
                        emit_all(n.op.clone(), &args.iter().collect::<Vec<_>>())
                    }
                });
                env.write(&n.results, results);
            }
            Ok(env.read(graph.results()))
        })?;
        graph = out.with_signature(graph.signature().clone());
    }
    Ok(graph)
}
