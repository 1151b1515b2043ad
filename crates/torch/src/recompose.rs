//! Operators that the exporter has taken apart, whole again.
//!
//! `torch.export` decomposes what is no core operator of ATen: `softplus` comes as a choice between the operand and a
//! logarithm. As the composite that it was, it has the composite's derivative, and prints as PyTorch's operator.

use std::collections::HashSet;
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, Graph, Scalar};
use cotangent_core::ops::{Call as Composite, Op};
use cotangent_core::simplify::recompose;
use cotangent_core::tensor::emit_all;
use cotangent_core::text::{Application, Said};
use cotangent_core::transform::replay::rebuild;

use crate::args::{Arg, Call, Value};
use crate::error::TorchError;
use crate::overloads;

/// `graph` with composites where their decompositions stood.
///
/// *Errors*: none of its own.
pub(crate) fn recomposed(graph: &Graph) -> Result<Graph, TorchError> {
    let whole = recompose(graph);
    let bodies = |g: &Graph| -> HashSet<*const Graph> {
        let body = |op: &Op| if let Op::Call(c) = op { Some(Arc::as_ptr(&c.body)) } else { None };
        g.nodes().iter().filter_map(|n| body(&n.op)).collect()
    };
    let before = bodies(graph);
    if bodies(&whole).is_subset(&before) {
        return Ok(graph.clone());
    }
    let found = |call: &Composite| !before.contains(&Arc::as_ptr(&call.body));
    let rebuilt = rebuild(&whole, |n, args| match &n.op {
        Op::Call(call) if found(call) => composite(call, args).unwrap_or_else(|| emit_all(n.op.clone(), args)),
        op => emit_all(op.clone(), args),
    });
    Ok(rebuilt?)
}

/// The result of the overload that `call` names; `None` if that has another aval, or is none of ours.
fn composite(call: &Composite, args: &[&Tensor]) -> Option<Vec<Tensor>> {
    let operands: Vec<usize> = (0..args.len()).collect();
    let Application { schema, said, .. } = Application::of_call(call, &operands)?;
    let target = format!("{}.{}.{}", schema.namespace, schema.name, schema.overload);
    let arg = |said: &Said| match said {
        Said::Nothing => Some(Arg::None),
        Said::Operand(i) => Some(Arg::Tensor(args[*i].clone())),
        Said::Operands(_) => None,
        Said::Attr(a) => attribute(a),
    };
    let named = schema.args.iter().zip(&said).filter(|(_, s)| **s != Said::Nothing);
    let args = named.map(|(a, s)| Some((a.name, arg(s)?))).collect::<Option<Vec<_>>>()?;
    let outs = overloads::call(&Call { target: &target, node: call.function(), args }).ok()?;
    match outs.as_slice() {
        [Value::Tensor(y)] if y.error().is_none() && [y.aval()] == call.body.result_avals()[..] => {
            Some(vec![y.clone()])
        }
        _ => None,
    }
}

fn attribute(a: &Attr) -> Option<Arg> {
    match a {
        Attr::None => Some(Arg::None),
        Attr::Scalar(Scalar::Bool(b)) => Some(Arg::Bool(*b)),
        Attr::Scalar(Scalar::Int(i)) => Some(Arg::Int(*i)),
        Attr::Scalar(Scalar::Float(x)) => Some(Arg::Float(*x)),
        Attr::DType(d) => Some(Arg::DType(*d)),
        Attr::Str(s) => Some(Arg::Str(s.clone())),
        Attr::List(items) => {
            let int = |a: &Attr| if let Attr::Scalar(Scalar::Int(i)) = a { Some(*i) } else { None };
            items.iter().map(int).collect::<Option<_>>().map(Arg::Ints)
        }
        Attr::Array(_) | Attr::Graph(_) => None,
    }
}
