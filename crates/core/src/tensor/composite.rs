//! Composites: functions over tensors that a trace records as one call node under their ATen name.

use std::panic::Location;
use std::sync::Arc;

use super::trace::{Level, Trace, at_site, build, in_rule, is_in_rule};
use super::{Tensor, emit_all};
use crate::error::Error;
use crate::ir::{Attr, Aval, Graph};
use crate::ops::{Call, Rule};

/// Applies the composite with PyTorch's `schema` to the tensors `args`.
///
/// `params` are the values of the schema's other arguments, in the schema's order; a tensor argument that is absent is
/// listed there as [`Attr::None`]. A list of optional tensors is an [`Attr::List`] of `true` (the next operand) and
/// [`Attr::None`].
///
/// Outside a trace the body runs at once. Inside, it is traced by itself and becomes the body of one call node, at the
/// line of the user who called the outermost composite.
#[track_caller]
pub fn composite(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Vec<Tensor> {
    recorded(schema, params, args, body, |_| Ok(Rule::Inline))
}

/// As [`composite`] for a function of one result.
#[track_caller]
pub fn composite_one(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Tensor,
) -> Tensor {
    composite(schema, params, args, |args| vec![body(args)]).swap_remove(0)
}

/// As [`composite`] for a function whose derivative is `rule(x, y, x_dot)`, which takes the results `y` and gives a
/// tangent for each result of floats: what was computed forward is not computed again.
///
/// The body has the same derivative: under `vmap`, the body alone is seen. `rule` is linear in `x_dot`; of results without floats it is not asked. Body and rule use no tensors but their operands.
/// Where `rule` calls its own function at what it was given, that inner call is differentiated by its body.
///
/// *Errors*: rules that call one another without end.
#[track_caller]
pub fn composite_by_result(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    rule: impl FnOnce(&[Tensor], &[Tensor], &[Tensor]) -> Vec<Tensor>,
) -> Vec<Tensor> {
    recorded(schema, params, args, body, |body| {
        let (x, y) = (body.param_avals(), body.result_avals());
        // Integers have no derivative.
        if !y.iter().any(|a| a.dtype.is_float()) {
            return Ok(Rule::Inline);
        }
        let key = format!("{schema} {params:?} {x:?}");
        if is_in_rule(&key) {
            return Ok(Rule::Inline);
        }
        let graph = in_rule(body.name(), key, || {
            build("tangent", |t| {
                let param = |avals: &[Aval]| avals.iter().map(|a| t.param(a)).collect::<Vec<Tensor>>();
                let (primals, results, tangents) = (param(&x), param(&y), param(&x));
                rule(&primals, &results, &tangents).into_iter().map(Tensor::ok).collect()
            })
        })?;
        Ok(Rule::ByResult(Arc::new(graph)))
    })
}

/// The map `body(residuals, x)`, which is linear in `x`, with `transpose(residuals, y_bar)` for its transpose.
///
/// Its derivative in `x` is itself, whatever `transpose` is; that in `residuals` of floats is the derivative of `body`. Neither uses tensors but its
/// operands. `name` is what it is called in the text of a graph.
#[track_caller]
pub fn linear_with_transpose(
    name: &str,
    residuals: &[&Tensor],
    x: &Tensor,
    body: impl FnOnce(&[Tensor], &Tensor) -> Tensor,
    transpose: impl FnOnce(&[Tensor], &Tensor) -> Tensor,
) -> Tensor {
    let args: Vec<&Tensor> = residuals.iter().copied().chain([x]).collect();
    let n = residuals.len();
    let rule = |body: &Graph| {
        let given = [&body.param_avals()[..n], &body.result_avals()].concat();
        let transpose = build("transpose", |t| {
            let given: Vec<Tensor> = given.iter().map(|a| t.param(a)).collect();
            Ok(vec![transpose(&given[..n], &given[n]).ok()?])
        })?;
        Ok(Rule::Linear { transpose: Arc::new(transpose), residuals: n })
    };
    let schema = format!("cotangent::{name}(...)");
    recorded(&schema, &[], &args, |a| vec![body(&a[..n], &a[n])], rule).swap_remove(0)
}

/// A composite whose rule is made from its body.
#[track_caller]
fn recorded(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    rule: impl FnOnce(&Graph) -> Result<Rule, Error>,
) -> Vec<Tensor> {
    let site = Location::caller();
    at_site(site, || {
        let owned: Vec<Tensor> = args.iter().map(|a| (*a).clone()).collect();
        if !args.iter().any(|a| a.is_traced()) || args.iter().any(|a| a.error().is_some()) {
            return body(&owned);
        }
        let mut call = Call::named(schema);
        let trace = Trace::new(call.function(), Level::Composite);
        let inner: Vec<Tensor> = args.iter().map(|a| trace.param_for(&a.aval(), a)).collect();
        let results = trace.enter(|| body(&inner));
        let traced = trace.finish(call.function(), &results).and_then(|t| Ok((rule(&t.graph)?, t)));
        let (rule, traced) = match traced {
            Ok(traced) => traced,
            Err(e) => return results.iter().map(|r| Tensor::poison_recorded(e.clone(), args, r.aval())).collect(),
        };
        // What the body uses of enclosing traces beside its operands becomes further operands.
        let operands: Vec<&Tensor> = args.iter().copied().chain(&traced.captures).collect();
        call.params = params.iter().map(|(k, v)| Attr::List(vec![Attr::Str((*k).to_owned()), v.clone()])).collect();
        call.body = Arc::new(traced.graph);
        call.rule = rule;
        emit_all(call.into(), &operands)
    })
}
