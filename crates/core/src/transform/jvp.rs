//! Forward mode: `(x, x_dot) → (f(x), J_f(x) x_dot)`.
//!
//! The walk of [`push_forward`] is also that of linearize: where primals and tangents live in nested traces, what a
//! tangent's rule uses of the primal is captured, and the captures are the residuals.

use super::inline::composite;
use super::replay::Env;
use crate::error::{Error, TransformError};
use crate::ir::{Derivation, Graph, Loc};
use crate::ops::{Op, Rule, Tangent};
use crate::tensor::trace::{at, build, derived};
use crate::tensor::{Tensor, emit_all};

/// The results of `graph` at `x` and their tangents along `x_dot`.
pub fn push_forward(graph: &Graph, x: &[Tensor], x_dot: &[Tangent]) -> (Vec<Tensor>, Vec<Tangent>) {
    let mut env = Env::new(graph, x.iter().cloned().zip(x_dot.iter().cloned()));
    for n in graph.nodes() {
        let (x, x_dot): (Vec<Tensor>, Vec<Tangent>) = env.read(&n.args).into_iter().unzip();
        let loc = graph.loc(n);
        let moving = x_dot.iter().any(|t| matches!(t, Tangent::Is(_)));
        let (y, y_dot) = match composite(&n.op) {
            Some(call) if moving => push_forward(&call.body, &x, &x_dot),
            Some(_) | None => push_node(&n.op, loc, &x, &x_dot, moving),
        };
        env.write(&n.results, y.into_iter().zip(y_dot));
    }
    env.read(graph.results()).into_iter().unzip()
}

fn push_node(op: &Op, loc: &Loc, x: &[Tensor], x_dot: &[Tangent], moving: bool) -> (Vec<Tensor>, Vec<Tangent>) {
    let y = at(loc.clone(), || emit_all(op.clone(), &x.iter().collect::<Vec<_>>()));
    let mut y_dot = if moving {
        derived(loc, Derivation::Tangent, || op.prim().jvp(x, &y, x_dot))
    } else {
        vec![Tangent::Zero; y.len()]
    };
    // Integers and truth values have no tangent, whatever a rule that treats all dtypes alike returns.
    for (y, t) in y.iter().zip(&mut y_dot) {
        if !y.dtype().is_float() {
            *t = Tangent::Zero;
        } else if let Tangent::Is(t) = t {
            debug_assert!(
                t.error().is_some() || t.aval() == y.aval(),
                "jvp of `{}`: {} for {}",
                op.name(),
                t.aval(),
                y.aval()
            );
        }
    }
    (y, y_dot)
}

/// The graph `(x…, x_dot of the params in wrt…) → (y…, y_dot of the float results…)`.
///
/// *Errors*: a parameter in `wrt` that is not of floats; a function that has only a reverse rule.
pub fn jvp(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    let avals = graph.param_avals();
    super::grad::check_float("jvp", &avals, wrt)?;
    let out = build("jvp", |t| {
        let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        let mut x_dot = vec![Tangent::Zero; x.len()];
        for i in wrt {
            x_dot[*i] = Tangent::Is(t.param(&avals[*i]));
        }
        let (mut y, y_dot) = push_forward(graph, &x, &x_dot);
        let float = y.iter().zip(y_dot).filter(|(y, _)| y.dtype().is_float());
        let dots: Vec<Tensor> = float.map(|(y, t)| t.or_zeros(y)).collect();
        y.extend(dots);
        Ok(y)
    })?;
    check_forward("jvp", &out)?;
    Ok(out)
}

/// Checks that no tangent is known only by its transpose.
///
/// *Errors*: the custom vjp function whose forward derivative was asked for.
pub fn check_forward(transform: &'static str, graph: &Graph) -> Result<(), Error> {
    for n in graph.nodes() {
        if let Op::Call(call) = &n.op
            && let Rule::VjpTangent { .. } = &call.rule
        {
            let name = call.function().trim_end_matches("_tangent").to_owned();
            return Err(TransformError::ForwardOfVjp { transform, name }.into());
        }
    }
    Ok(())
}
