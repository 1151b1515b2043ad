//! Functions that a trace records as one call node: those with rules of their own, and checkpoints.

use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::{Aval, Graph, TreeSpec};
use cotangent_core::ops::{Call, Rule};
use cotangent_core::tensor::emit_all;
use cotangent_core::tensor::trace::{Level, in_rule};

use crate::capture::{Captured, capture_leaves};
use crate::function::{Arguments, Function};
use crate::tree::{Tree, assemble};

/// A function traced for a call node.
pub(crate) struct Body {
    /// What it computes.
    pub closed: Graph,
    /// The structure of its result.
    pub out_spec: TreeSpec,
}

impl Body {
    /// The structure and avals of the result, for messages.
    pub fn result(&self) -> String {
        show(&self.out_spec, &self.closed.result_avals())
    }
}

/// A structure with avals, for messages: `(*, *) of f32[2], f32[3]`.
pub(crate) fn show(spec: &TreeSpec, avals: &[Aval]) -> String {
    let list: Vec<String> = avals.iter().map(Aval::to_string).collect();
    match spec {
        TreeSpec::Leaf => list.join(", "),
        spec => format!("{spec} of {}", list.join(", ")),
    }
}

/// The function as a body, or `None` if no argument is traced and it can simply be called.
///
/// *Errors*: those of the function; one that uses traced tensors which are not its arguments.
pub(crate) fn trace_body<Args: Arguments, F: Function<Args>>(
    f: &F,
    leaves: &[Tensor],
    spec: &TreeSpec,
) -> Result<Option<Body>, Error> {
    match trace_with_captures(f, leaves, spec)? {
        None => Ok(None),
        Some((body, captures)) => match captures.first() {
            None => Ok(Some(body)),
            Some(c) => Err(captured(f.name(), c)),
        },
    }
}

/// As [`trace_body`], with the traced tensors that the function uses beside its arguments.
pub(crate) fn trace_with_captures<Args: Arguments, F: Function<Args>>(
    f: &F,
    leaves: &[Tensor],
    spec: &TreeSpec,
) -> Result<Option<(Body, Vec<Tensor>)>, Error> {
    if !leaves.iter().any(Tensor::is_traced) {
        return Ok(None);
    }
    let avals: Vec<Aval> = leaves.iter().map(Tensor::aval).collect();
    let Captured { graph, captures, out_spec, .. } =
        capture_leaves(&f.name(), Level::Composite, f, leaves.to_vec(), spec, &avals, &[])?;
    Ok(Some((Body { closed: graph, out_spec }, captures)))
}

/// A rule traced at arguments of these structures and avals: its graph and the structure of its result.
///
/// *Errors*: rules inside one another without end, as of a rule that calls `function`.
pub(crate) fn trace_rule<Args: Arguments, R: Function<Args>>(
    function: &str,
    rule: &R,
    specs: &[&TreeSpec],
    avals: &[Aval],
) -> Result<(Graph, TreeSpec), Error> {
    let like: Vec<Tensor> = avals.iter().map(|a| Tensor::abstract_(a.dtype, &a.shape)).collect();
    let spec = TreeSpec::Tuple(specs.iter().map(|s| (*s).clone()).collect());
    let traced = in_rule(function, rule.name(), || {
        capture_leaves(&rule.name(), Level::Composite, rule, like, &spec, avals, &[])
    })?;
    match traced.captures.first() {
        None => Ok((traced.graph, traced.out_spec)),
        Some(c) => Err(captured(rule.name(), c)),
    }
}

fn captured(function: String, c: &Tensor) -> Error {
    TransformError::Captures { transform: "custom rule", function, found: c.aval() }.into()
}

/// Records the call and puts its result together.
pub(crate) fn emit_call<T: Tree>(body: Body, rule: Rule, operands: &[Tensor]) -> Result<T, Error> {
    let name = body.closed.name().replace('.', "_");
    let params: Vec<String> = (0..operands.len()).map(|i| format!("Tensor arg{i}")).collect();
    let results = match body.closed.results().len() {
        1 => "Tensor".to_owned(),
        n => format!("({})", vec!["Tensor"; n].join(", ")),
    };
    let call = Call {
        target: format!("cotangent::{name}({}) -> {results}", params.join(", ")),
        params: Vec::new(),
        body: Arc::new(body.closed),
        rule,
    };
    let operands: Vec<&Tensor> = operands.iter().collect();
    let results = emit_all(call.into(), &operands).into_iter().map(Tensor::ok).collect::<Result<Vec<_>, _>>()?;
    Ok(assemble(&body.out_spec, results))
}
