//! Transposition: the adjoint of a linear map, by one backward sweep.

use super::inline::composite;
use super::linearize::LinearGraph;
use super::replay::Env;
use crate::error::Error;
use crate::ir::{Derivation, Graph};
use crate::ops::{Cotangent, LinArg};
use crate::tensor::trace::{at, build, derived};
use crate::tensor::{Tensor, emit_all};

/// `(residual…, y_bar…) → x_bar…` of a linear graph `(residual…, x_dot…) → y_dot…`.
pub fn transpose(linear: &LinearGraph) -> Result<Graph, Error> {
    let g = linear.graph();
    build("transpose", |t| {
        let (residuals, tangents) = g.params().split_at(linear.residuals());
        let mut args: Vec<LinArg> = residuals.iter().map(|v| LinArg::Residual(t.param(g.aval(*v)))).collect();
        args.extend(tangents.iter().map(|v| LinArg::Linear(g.aval(*v).clone())));
        let y_bar: Vec<Cotangent> = g.results().iter().map(|v| Cotangent::Is(t.param(g.aval(*v)))).collect();
        let x_bar = transpose_body(g, &y_bar, &args).into_iter().skip(linear.residuals());
        let zeros = |(c, v): (Cotangent, &crate::ir::Value)| match c {
            Cotangent::Is(t) => t,
            Cotangent::Zero => Tensor::zeros_of(g.aval(*v), None),
        };
        Ok(x_bar.zip(tangents).map(zeros).collect())
    })
}

/// The cotangents of the parameters of `graph`, which is linear in those that `args` says are.
///
/// First a forward sweep over what depends on residuals only, then a backward sweep over the rest.
pub(crate) fn transpose_body(graph: &Graph, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
    let mut known = Env::empty(graph);
    for (v, a) in graph.params().iter().zip(args) {
        if let LinArg::Residual(t) = a {
            known.set(*v, t.clone());
        }
    }
    let mut linear_nodes = Vec::new();
    for (i, n) in graph.nodes().iter().enumerate() {
        let args: Option<Vec<&Tensor>> = n.args.iter().map(|v| known.find(*v)).collect();
        match args {
            Some(args) => {
                let results = at(graph.loc(n).clone(), || emit_all(n.op.clone(), &args));
                known.write(&n.results, results);
            }
            None => linear_nodes.push(i),
        }
    }
    let mut bars: Env<Tensor> = Env::empty(graph);
    let add = |bars: &mut Env<Tensor>, v: crate::ir::Value, c: Cotangent| {
        if let Cotangent::Is(c) = c {
            let sum = match bars.take(v) {
                Some(b) => b + c,
                None => c,
            };
            bars.set(v, sum);
        }
    };
    for (v, c) in graph.results().iter().zip(y_bar) {
        add(&mut bars, *v, c.clone());
    }
    for i in linear_nodes.into_iter().rev() {
        let n = &graph.nodes()[i];
        let y_bar: Vec<Cotangent> =
            n.results.iter().map(|v| bars.take(*v).map_or(Cotangent::Zero, Cotangent::Is)).collect();
        if y_bar.iter().all(|c| matches!(c, Cotangent::Zero)) {
            continue;
        }
        let args: Vec<LinArg> = n
            .args
            .iter()
            .map(|v| match known.find(*v) {
                Some(t) => LinArg::Residual(t.clone()),
                None => LinArg::Linear(graph.aval(*v).clone()),
            })
            .collect();
        derived(graph.loc(n), Derivation::Cotangent, || {
            let x_bar = match composite(&n.op) {
                Some(call) => transpose_body(&call.body, &y_bar, &args),
                None => n.op.prim().transpose(&y_bar, &args),
            };
            for ((v, c), a) in n.args.iter().zip(x_bar).zip(&args) {
                match a {
                    LinArg::Linear(_) => add(&mut bars, *v, c),
                    LinArg::Residual(_) => {}
                }
            }
        });
    }
    graph.params().iter().map(|v| bars.take(*v).map_or(Cotangent::Zero, Cotangent::Is)).collect()
}
