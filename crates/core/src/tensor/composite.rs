//! Composites: functions over tensors that a trace records as one call node under their ATen name.

use std::panic::Location;
use std::sync::Arc;

use super::trace::{Level, Trace, at_site, build, in_rule, is_in_rule};
use super::{Tensor, emit_all};
use crate::error::Error;
use crate::ir::{Attr, Aval, Graph};
use crate::ops::{Call, Cotangent, LinArg, Rule, Tangent};
use crate::transform::grad::vjp;
use crate::transform::jvp::push_forward;
use crate::transform::replay::replay;
use crate::transform::transpose::transpose_body;

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

/// An operator of PyTorch's that pulls cotangents back: its schema, and values of the schema's arguments that are no operands.
pub type Backward<'a> = (&'a str, &'a [(&'a str, Attr)]);

/// As [`composite_one`] for a function that is linear in its one operand: its derivative along a tangent is itself, and
/// `backward(y_bar)` is named as its transpose.
#[track_caller]
pub fn composite_linear(
    schema: &str,
    params: &[(&str, Attr)],
    x: &Tensor,
    body: impl FnOnce(&Tensor) -> Tensor,
    backward: Backward,
) -> Tensor {
    let rule = |body: &Graph| {
        let ([x], [y]) = (&body.param_avals()[..], &body.result_avals()[..]) else { return Ok(Rule::Inline) };
        if !x.dtype.is_float() || !y.dtype.is_float() {
            return Ok(Rule::Inline);
        }
        // The transpose of the transpose is the function again, from there on known by its body.
        let forward = build("forward", |t| {
            let x = t.param(x);
            let y = recorded(schema, params, &[&x], |a| replay(body, a), |_| Ok(Rule::Inline));
            y.into_iter().map(Tensor::ok).collect()
        })?;
        let transpose = build("transpose", |t| {
            let y_bar = t.param(y);
            let pulled = |y_bar: &[Tensor]| {
                let bars = [Cotangent::Is(y_bar[0].clone())];
                let x_bar = transpose_body(body, &bars, &[LinArg::Linear(x.clone())]).swap_remove(0);
                vec![match x_bar {
                    Cotangent::Is(x_bar) => x_bar,
                    Cotangent::Zero => Tensor::zeros_of(x, y_bar.first()),
                }]
            };
            let again = |_: &Graph| Ok(Rule::Linear { transpose: Arc::new(forward), residuals: 0 });
            recorded(backward.0, backward.1, &[&y_bar], pulled, again).into_iter().map(Tensor::ok).collect()
        })?;
        Ok(Rule::Linear { transpose: Arc::new(transpose), residuals: 0 })
    };
    recorded(schema, params, &[x], |a| vec![body(&a[0])], rule).swap_remove(0)
}

/// As [`composite`] for a function of floats to one result, with `backward` named as what gives the cotangents of all its operands.
///
/// Further results are what `backward` wants to know beside them, and are constants to derivatives: it takes `(y_bar, x…)`, and
/// then all results if there are several. Tangents, and derivatives of `backward`, are those of the bodies.
#[track_caller]
pub fn composite_with_backward(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    backward: Backward,
) -> Vec<Tensor> {
    let rule = |body: &Graph| {
        let (x, y) = (body.param_avals(), body.result_avals());
        if x.len() != args.len() {
            return Ok(Rule::Inline);
        }
        let given = |t: &Arc<Trace>, avals: &[Aval]| avals.iter().map(|a| t.param(a)).collect::<Vec<Tensor>>();
        let all = |x: Vec<Tensor>| x.into_iter().map(Tensor::ok).collect();
        let forward = build("forward", |t| Ok(vec![replay(body, &given(t, &x)).swap_remove(0)]))?;
        let pullback = vjp(&forward, &(0..x.len()).collect::<Vec<_>>())?;
        let saved = if y.len() > 1 { y.as_slice() } else { &[] };
        let residuals = x.len() + saved.len();
        let transpose = build("transpose", |t| {
            let (residuals, y_bar) = (given(t, &[&x, saved].concat()), given(t, &y));
            let operands: Vec<&Tensor> = y_bar[..1].iter().chain(&residuals).collect();
            let pulled = |a: &[Tensor]| {
                let args: Vec<Tensor> = a[1..=x.len()].iter().chain(&a[..1]).cloned().collect();
                replay(&pullback, &args).split_off(1)
            };
            all(recorded(backward.0, backward.1, &operands, pulled, |_| Ok(Rule::Inline)))
        })?;
        let tangent = build("tangent", |t| {
            let (x_given, y_given, x_dot) = (given(t, &x), given(t, &y), given(t, &x));
            let saved = y_given[..saved.len()].iter();
            let operands: Vec<&Tensor> = x_given.iter().chain(saved).chain(&x_dot).collect();
            let pushed = |a: &[Tensor]| {
                let x_dot: Vec<Tangent> = a[residuals..].iter().cloned().map(Tangent::Is).collect();
                let (value, y_dot) = push_forward(&forward, &a[..x.len()], &x_dot);
                let constant = y_given[1..].iter().map(|y| Tensor::zeros_of(&y.aval(), Some(&a[0])));
                std::iter::once(y_dot[0].or_zeros(&value[0])).chain(constant).collect()
            };
            let itself = |_: &Graph| Ok(Rule::Linear { transpose: Arc::new(transpose), residuals });
            let name = Call::named(schema).function().replace('.', "_");
            all(recorded(&format!("cotangent::{name}_tangent(...)"), &[], &operands, pushed, itself))
        })?;
        Ok(Rule::ByResult(Arc::new(tangent)))
    };
    recorded(schema, params, args, body, rule)
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
