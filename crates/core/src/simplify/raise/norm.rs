//! Functions of whole rows: softmax, variances, normalisation.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::smaller;
use super::reduce::{STD, VAR, as_mean, keeping, repeated, unkept};
use super::{Found, Raising, number, sizes};
use crate::ir::{Attr, Value};
use crate::ops::{Amax, Binary, Op, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: layer_norm },
    Raising { class: Class::Rounding, find: softmax },
    Raising { class: Class::Rounding, find: softmax_backward },
    Raising { class: Class::Rounding, find: log_softmax_backward },
    Raising { class: Class::Rounding, find: log_softmax },
    Raising { class: Class::Rounding, find: standard_deviation },
    Raising { class: Class::Rounding, find: variance },
];

/// `x - max(x)` along one dim: the dim and `x`.
fn shifted(e: &Editor, v: Value) -> Option<(usize, Value)> {
    let (x, m) = e.as_binary(v, Binary::Sub)?;
    let (dims, y, ()) = repeated(e, m, |e, r| match e.def_op(unkept(e, r))? {
        (Op::Amax(Amax { dim }), at) => Some((dim.clone(), e.arg(at, 0), ())),
        _ => None,
    })?;
    match dims.as_slice() {
        [d] if x == y => Some((*d, x)),
        _ => None,
    }
}

pub(super) fn row_sum(e: &Editor, r: Value) -> Option<(Vec<usize>, Value, ())> {
    e.as_sum(unkept(e, r)).map(|(dims, x)| (dims, x, ()))
}

/// `exp(x - max(x)) / sum(exp(x - max(x)))`.
fn softmax(e: &Editor, id: NodeId) -> Option<Found> {
    let (exp, s) = e.as_binary(e.results(id)[0], Binary::Div)?;
    let (dim, x) = shifted(e, e.as_unary(exp, Unary::Exp)?)?;
    let (dims, y, ()) = repeated(e, s, row_sum)?;
    (dims == [dim] && y == exp).then(|| {
        let params = [("dim", number(dim as i64)), ("half_to_float", number(false))];
        Found::new("aten::_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", params, [x])
    })?
}

/// `x - max(x) - log(sum(exp(x - max(x))))`.
fn log_softmax(e: &Editor, id: NodeId) -> Option<Found> {
    let (z, l) = e.as_binary(e.results(id)[0], Binary::Sub)?;
    let (dim, x) = shifted(e, z)?;
    let (dims, y, ()) = repeated(e, l, |e, r| row_sum(e, e.as_unary(unkept(e, r), Unary::Log)?))?;
    (dims == [dim] && e.as_unary(y, Unary::Exp) == Some(z)).then(|| {
        let params = [("dim", number(dim as i64)), ("half_to_float", number(false))];
        Found::new("aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", params, [x])
    })?
}

/// The operands of a product in both orders.
fn both_orders(e: &Editor, v: Value) -> impl Iterator<Item = (Value, Value)> {
    e.as_binary(v, Binary::Mul).into_iter().flat_map(|(a, b)| [(a, b), (b, a)])
}

fn backward(schema: &'static str, e: &Editor, g: Value, y: Value, dims: &[usize]) -> Option<Found> {
    let [dim] = dims else { return None };
    Found::new(schema, [("dim", number(*dim as i64)), ("input_dtype", Attr::DType(e.dtype(y)))], [g, y])
}

/// `(g - sum(g * y)) * y`.
fn softmax_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let schema =
        "aten::_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor";
    both_orders(e, e.results(id)[0]).find_map(|(difference, y)| {
        let (g, s) = e.as_binary(difference, Binary::Sub)?;
        let (dims, product, ()) = repeated(e, s, row_sum)?;
        both_orders(e, product).find(|p| *p == (g, y))?;
        backward(schema, e, g, y, &dims)
    })
}

/// `g - sum(g) * exp(y)`.
fn log_softmax_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let schema = "aten::_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor";
    let (g, product) = e.as_binary(e.results(id)[0], Binary::Sub)?;
    both_orders(e, product).find_map(|(s, exp)| {
        let y = e.as_unary(exp, Unary::Exp)?;
        let (dims, h, ()) = repeated(e, s, row_sum)?;
        if g != h { None } else { backward(schema, e, g, y, &dims) }
    })
}

/// `x - mean(x)`: the dims and `x`.
fn centred(e: &Editor, v: Value) -> Option<(Vec<usize>, Value)> {
    let (x, m) = e.as_binary(v, Binary::Sub)?;
    let mean = |e: &Editor, r| as_mean(e, r).or_else(|| as_mean(e, unkept(e, r))).map(|(dims, x)| (dims, x, ()));
    let (dims, y, ()) = repeated(e, m, mean)?;
    (x == y).then_some((dims, x))
}

/// The sum of squared differences from the mean, divided by the number of terms less the last result.
fn as_variance(e: &Editor, v: Value) -> Option<(Vec<usize>, Value, f64)> {
    let (sum, n) = match (e.as_binary(v, Binary::Div), e.as_scaled(v)) {
        (Some((s, n)), _) => (s, e.as_full(n)?.to_f64()),
        (None, Some((s, c))) => (s, c.to_f64().recip()),
        (None, None) => return None,
    };
    let (dims, product) = e.as_sum(unkept(e, sum))?;
    let (c, d) = e.as_binary(product, Binary::Mul)?;
    let (over, x) = centred(e, c)?;
    let count: f64 = dims.iter().map(|d| e.shape(x)[*d].get() as f64).product();
    let correction = (count - n).round();
    let exact = (count - correction - n).abs() <= count * f64::EPSILON;
    (c == d && over == dims && exact && count - correction > 0.0).then_some((dims, x, correction))
}

fn of_variance(
    e: &Editor,
    id: NodeId,
    schema: &'static str,
    find: impl Fn(Value) -> Option<(Vec<usize>, Value, f64)>,
) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, x, correction) = find(v).or_else(|| find(unkept(e, v)))?;
    let keep = keeping(e, v, x, &dims)?;
    let params = [("dim", sizes(&dims)), ("correction", number(correction)), ("keepdim", number(keep))];
    Found::new(schema, params, [x])
}

fn variance(e: &Editor, id: NodeId) -> Option<Found> {
    of_variance(e, id, VAR, |v| as_variance(e, v))
}

/// The arguments of a variance that is a call already.
fn called_variance(e: &Editor, v: Value) -> Option<(Vec<(&'static str, Attr)>, Value)> {
    let (Op::Call(call), at) = e.def_op(v)? else { return None };
    if !call.target.starts_with("aten::var.correction(") {
        return None;
    }
    let named = |name: &'static str| Some((name, call.param(name)?.clone()));
    Some((["dim", "correction", "keepdim"].into_iter().map(named).collect::<Option<_>>()?, e.arg(at, 0)))
}

fn standard_deviation(e: &Editor, id: NodeId) -> Option<Found> {
    if let Some((params, x)) = e.as_unary(e.results(id)[0], Unary::Sqrt).and_then(|v| called_variance(e, v)) {
        return Found::new(STD, params, [x]);
    }
    of_variance(e, id, STD, |v| as_variance(e, unkept(e, e.as_unary(v, Unary::Sqrt)?)))
}

/// `(x - mean(x)) * rsqrt(var(x) + eps)` over the last dims: these, `x` and `eps`.
fn normalised(e: &Editor, v: Value) -> Option<(Vec<usize>, Value, f64)> {
    let (a, b) = e.as_binary(v, Binary::Mul)?;
    let with = |c: Value, r: Value| {
        let (dims, x) = centred(e, c)?;
        let (over, y, eps) = repeated(e, r, |e, r| {
            let (variance, eps) = e.as_binary(unkept(e, e.as_unary(unkept(e, r), Unary::Rsqrt)?), Binary::Add)?;
            let eps = e.as_full(eps)?.to_f64();
            let (dims, x, correction) = as_variance(e, variance).or_else(|| as_variance(e, unkept(e, variance)))?;
            (correction == 0.0).then_some((dims, x, eps))
        })?;
        let rank = e.shape(x).rank();
        let last = dims.iter().copied().eq(rank - dims.len()..rank);
        (x == y && over == dims && last).then_some((dims, x, eps))
    };
    with(a, b).or_else(|| with(b, a))
}

/// A normalisation of the last dims with weight and bias, or without.
fn layer_norm(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (scaled, bias) = e.as_binary(v, Binary::Add).map_or((v, None), |(a, b)| (a, Some(b)));
    let found = |scaled: Value| {
        let (a, b) = e.as_binary(scaled, Binary::Mul)?;
        normalised(e, a).map(|n| (n, b)).or_else(|| normalised(e, b).map(|n| (n, a)))
    };
    let ((dims, x, eps), weight) = match (found(scaled), bias) {
        (Some((n, w)), _) => (n, Some(w)),
        (None, None) => (normalised(e, v)?, None),
        (None, Some(_)) => return None,
    };
    let shape = e.shape(x).dims()[dims[0]..].to_vec();
    let operands = weight.into_iter().chain(bias).map(|w| {
        let w = smaller(e, w);
        (e.shape(w).dims() == shape).then_some(w)
    });
    let operands: Vec<Value> = operands.collect::<Option<_>>()?;
    let normal: Vec<usize> = shape.iter().map(|n| n.get()).collect();
    Found::new(
        "aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor",
        [("normalized_shape", sizes(&normal)), ("eps", number(eps))],
        [x].into_iter().chain(operands),
    )
}
