//! Tracing a user's function for a transform.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::{Aval, Graph, TreeSpec};
use cotangent_core::tensor::trace::{Level, Trace};

use crate::function::{Arguments, Function};
use crate::tree::{Tree, assemble, checked_leaves};

/// A function traced at arguments of certain avals.
pub(crate) struct Captured {
    /// The graph; its parameters are the leaves of the arguments, then `extra` hidden ones, then the captures.
    pub graph: Graph,
    /// The leaves of the arguments, as given.
    pub leaves: Vec<Tensor>,
    /// The tensors of enclosing traces that the function uses.
    pub captures: Vec<Tensor>,
    /// The structure of each argument.
    pub arg_specs: Vec<TreeSpec>,
    /// The structure of the result.
    pub out_spec: TreeSpec,
}

impl Captured {
    /// What the graph is applied to: the leaves, then the captures.
    pub fn inputs(&self) -> Vec<Tensor> {
        self.leaves.iter().chain(&self.captures).cloned().collect()
    }

    /// The error of a function that uses other traced tensors than its arguments, for transforms that need a closed
    /// graph.
    pub fn closed(self, transform: &'static str) -> Result<Self, Error> {
        match self.captures.first() {
            None => Ok(self),
            Some(c) => {
                let function = self.graph.name().to_owned();
                Err(TransformError::Captures { transform, function, found: c.aval() }.into())
            }
        }
    }
}

/// Traces `f` at arguments like `args`.
pub(crate) fn capture<Args: Arguments, F: Function<Args>>(
    transform: &str,
    level: Level,
    f: &F,
    args: &Args,
) -> Result<Captured, Error> {
    let (leaves, spec) = checked_leaves(args)?;
    let avals: Vec<Aval> = leaves.iter().map(Tensor::aval).collect();
    capture_leaves(transform, level, f, leaves, &spec, &avals, &[])
}

/// Traces `f` at parameters of `avals`, which stand for `leaves`, and hidden parameters `extra`.
pub(crate) fn capture_leaves<Args: Arguments, F: Function<Args>>(
    transform: &str,
    level: Level,
    f: &F,
    leaves: Vec<Tensor>,
    spec: &TreeSpec,
    avals: &[Aval],
    extra: &[Aval],
) -> Result<Captured, Error> {
    let name = f.name();
    let trace = Trace::of_function(transform, &name, level);
    let params: Vec<Tensor> = avals.iter().zip(&leaves).map(|(a, x)| trace.param_for(a, x)).collect();
    for a in extra {
        trace.param(a);
    }
    let out = run(&trace, || f.call(assemble(spec, params)))?;
    let (results, out_spec) = out.to_leaves();
    let traced = trace.finish(name, &results)?;
    let arg_specs = match spec {
        TreeSpec::Tuple(items) => items.clone(),
        _ => Vec::new(),
    };
    Ok(Captured { graph: traced.graph, leaves, captures: traced.captures, arg_specs, out_spec })
}

/// Runs the user's function inside `trace`, which ends if that fails.
///
/// A panic that follows from a mistake which the trace has recorded (indexing a shape that is not as expected, say) is
/// replaced by that mistake; any other goes on.
fn run<T>(trace: &Arc<Trace>, f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(|| trace.enter(f))) {
        Ok(Ok(out)) => Ok(out),
        Ok(Err(e)) => Err(trace.abandon().unwrap_or(e)),
        Err(panic) => match trace.abandon() {
            Some(e) => Err(e),
            None => resume_unwind(panic),
        },
    }
}
