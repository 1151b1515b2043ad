//! Applying a transformed graph: computed where all arguments have values, replayed where one is traced.

use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::error::Error;
use cotangent_core::ir::Graph;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::lazy::replay_results_first;
use cotangent_core::transform::replay::try_replay;

use crate::native;

/// The results of `graph` at tensors of its parameters' avals.
pub(crate) fn apply(graph: &Graph, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    if args.iter().any(Tensor::is_traced) {
        return try_replay(graph, args);
    }
    if args.iter().any(|x| x.as_array().is_none()) {
        // Some are abstract, and so are all results, also those that depend on no argument.
        return Ok(graph.result_avals().iter().map(|a| Tensor::abstract_(a.dtype, &a.shape)).collect());
    }
    if native::pays(graph) {
        return native::run(graph, args);
    }
    let arrays: Vec<Arc<Array>> = args.iter().filter_map(|a| a.as_array().cloned()).collect();
    Ok(eval(&simplify(graph), &arrays)?.into_iter().map(Tensor::from_array).collect())
}

/// As [`apply`] for the primal graph of a linearized function: what its first `results` results need is computed
/// before what only residuals need.
pub(crate) fn apply_primal(graph: &Graph, results: usize, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    if !args.iter().any(Tensor::is_traced) {
        return apply(graph, args);
    }
    replay_results_first(graph, results, args).into_iter().map(Tensor::ok).collect()
}
