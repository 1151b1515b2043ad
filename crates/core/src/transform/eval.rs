//! The reference evaluator: applies each node's `eval` to host arrays, in order.
//!
//! It is written to be read; compiled programs are judged by it.

use std::borrow::{Borrow, Cow};

use crate::array::Array;
use crate::error::{Error, EvalError, TransformError};
use crate::ir::{Graph, Loc};

/// The results of `graph` at `args`.
///
/// *Errors*: arguments that are not of the parameters' avals; data that an op cannot compute with (an index out of
/// bounds, an integer division by zero, a singular matrix), with the op and its source line.
pub fn eval<A: Borrow<Array>>(graph: &Graph, args: &[A]) -> Result<Vec<Array>, Error> {
    let params = graph.param_avals();
    if params.len() != args.len() {
        return Err(TransformError::Unlike {
            transform: "eval",
            what: "number of arguments",
            index: params.len(),
            expected: params.len().to_string(),
            found: args.len().to_string(),
        }
        .into());
    }
    for (index, (p, a)) in params.iter().zip(args).enumerate() {
        let a = a.borrow();
        if *p != a.aval() {
            return Err(TransformError::Unlike {
                transform: "eval",
                what: "argument",
                index,
                expected: p.to_string(),
                found: a.aval().to_string(),
            }
            .into());
        }
    }
    let refs: Vec<&Array> = args.iter().map(Borrow::borrow).collect();
    run(graph, &refs).map_err(|(op, loc, source)| Error::Eval { op, loc, source })
}

/// As [`eval`] for arguments whose avals are known to fit, without location: for the bodies of calls.
pub(crate) fn eval_arrays(graph: &Graph, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
    run(graph, args).map_err(|(_, _, e)| e)
}

fn run(graph: &Graph, args: &[&Array]) -> Result<Vec<Array>, (String, Loc, EvalError)> {
    let mut env: Vec<Option<Cow<Array>>> = vec![None; graph.num_values()];
    let mut uses = graph.use_counts();
    for (p, a) in graph.params().iter().zip(args) {
        env[p.index()] = Some(Cow::Borrowed(*a));
    }
    for n in graph.nodes() {
        let results = {
            let args: Vec<&Array> =
                n.args.iter().map(|v| env[v.index()].as_deref().expect("I1: defined before use")).collect();
            n.op.prim().eval(&args).map_err(|e| (n.op.name().to_owned(), graph.loc(n).clone(), e))?
        };
        for (v, r) in n.results.iter().zip(results) {
            debug_assert_eq!(r.aval(), *graph.aval(*v), "I3: `{}` evaluates to its aval", n.op.name());
            env[v.index()] = Some(Cow::Owned(r));
        }
        for v in &n.args {
            uses[v.index()] -= 1;
            if uses[v.index()] == 0 {
                env[v.index()] = None;
            }
        }
        for v in &n.results {
            if uses[v.index()] == 0 {
                env[v.index()] = None;
            }
        }
    }
    let result = |v: &crate::ir::Value| {
        uses[v.index()] -= 1;
        let slot = &mut env[v.index()];
        let x = if uses[v.index()] == 0 { slot.take() } else { slot.clone() };
        x.expect("I1: defined before use").into_owned()
    };
    Ok(graph.results().iter().map(result).collect())
}
