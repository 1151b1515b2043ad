//! Functions of whole rows: softmax, variances, normalisation.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::elementwise::smaller;
use super::reduce::{STD, VAR, as_mean, keeping, kept_shape, repeated, unkept};
use super::{Found, Given, Made, Raising, Slot, number, sizes};
use crate::ir::{Attr, Value};
use crate::ops::{Amax, Binary, Call, Op, ScatterAdd, Unary};

/// Rows that may be forbidden entirely, as exporters take them apart.
pub(super) static DECOMPOSED_ROWS: &[Raising] = &[Raising { class: Class::Rounding, find: safe_softmax }];

/// Normalisations whose deviation something else needs, with mean and deviation.
pub(super) static STATISTICS: &[Raising] = &[Raising { class: Class::Rounding, find: native_layer_norm }];

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

/// The operand of a call of `function`.
pub(super) fn called<'e>(e: &'e Editor, v: Value, function: &str) -> Option<(&'e Call, Value)> {
    match e.def_op(v)? {
        (Op::Call(call), at) if call.function() == function => Some((call, e.arg(at, 0))),
        _ => None,
    }
}

/// 0 where no element of the row differs from -inf, and the softmax elsewhere.
fn safe_softmax(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, zero, y) = e.as_where(e.results(id)[0])?;
    let (softmax, x) = called(e, y, "_softmax")?;
    let dim = softmax.param("dim")?.clone();
    let opposite = |v: Value| e.as_unary(v, Unary::BitwiseNot).or_else(|| called(e, v, "logical_not").map(|(_, x)| x));
    let found = opposite(e.as_expand(p).unwrap_or(p))?;
    let (any, differ) = called(e, found, "any.dims").or_else(|| called(e, found, "any.dim"))?;
    let along = any.param("dim")?;
    let same = *along == dim || *along == Attr::List(vec![dim.clone()]);
    let (of, infinity) = e.as_binary(opposite(differ)?, Binary::Eq)?;
    let whole = same && of == x && e.is_full(infinity, f64::NEG_INFINITY) && e.is_zero(zero);
    let schema = "aten::_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor";
    whole.then(|| Found::new(schema, [("dim", dim), ("dtype", Attr::None)], [x]))?
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

/// Values of the graph that are the opposite of `x`.
fn opposites(e: &Editor, x: Value) -> impl Iterator<Item = Value> {
    let swapped = e.as_binary(x, Binary::Sub).and_then(|(a, b)| e.equal_node(&Binary::Sub.into(), &[b, a]));
    let negated = e.equal_node(&Unary::Neg.into(), &[x]);
    let made = [swapped, negated].into_iter().flatten().map(|id| e.results(id)[0]);
    e.as_unary(x, Unary::Neg).into_iter().chain(made)
}

/// The sums of a cotangent over a dim.
struct Total {
    dim: usize,
    /// The repeated sums, if they do not stand as sums of it.
    value: Option<Value>,
}

/// A cotangent less its sums over a dim.
struct LessTotal {
    dim: usize,
    /// The cotangent; `None` where only its opposite is in the graph.
    g: Option<Value>,
    given: Option<(Value, Given)>,
}

/// `g - total(g)`, in which `total(s, g)` says over which dim `s` is that.
fn less_total(e: &Editor, v: Value, total: impl Fn(Value, Value) -> Option<Total>) -> Option<LessTotal> {
    let opposite = |x: Value| Some((x, Given::Opposite(0)));
    if let Some((a, b)) = e.as_binary(v, Binary::Sub) {
        if let Some(Total { dim, value }) = total(b, a) {
            let given = value.map(|s| (s, Given::Total(0, dim)));
            return Some(LessTotal { dim, g: Some(a), given });
        }
        let Total { dim, .. } = total(a, b).filter(|t| t.value.is_none())?;
        return Some(LessTotal { dim, g: None, given: opposite(b) });
    }
    let (a, b) = e.as_binary(v, Binary::Add)?;
    [(a, b), (b, a)].into_iter().find_map(|(g, s)| {
        let found = |x: Value| Some((x, total(s, x).filter(|t| t.value.is_none())?));
        let (x, Total { dim, .. }) = opposites(e, g).find_map(found)?;
        Some(LessTotal { dim, g: Some(g), given: opposite(x) })
    })
}

/// The dim over which `s` is the sum of `x`, repeated.
fn row_total(e: &Editor, s: Value, x: Value) -> Option<Total> {
    let sum = repeated(e, s, row_sum).filter(|(_, y, ())| *y == x);
    match sum.as_ref().map(|(dims, ..)| dims.as_slice()) {
        Some([dim]) => Some(Total { dim: *dim, value: None }),
        Some(_) => None,
        None => scattered_total(e, s, x),
    }
}

/// As [`row_total`], where `x` has one element of each row and zeros elsewhere: `s` repeats that element.
fn scattered_total(e: &Editor, s: Value, x: Value) -> Option<Total> {
    let (Op::ScatterAdd(ScatterAdd { dim }), at) = e.def_op(x)? else { return None };
    let (zeros, places, element) = (e.arg(at, 0), e.arg(at, 1), e.arg(at, 2));
    let one = e.is_zero(zeros) && *e.shape(places) == kept_shape(e.shape(x), &[*dim]);
    let repeated = e.as_expand(s)?;
    let same = repeated == element || e.as_expand(element) == Some(repeated);
    let along = aligned(e.shape(repeated), e.shape(s))[*dim] == 1;
    (one && same && along).then_some(Total { dim: *dim, value: Some(s) })
}

fn backward(schema: &'static str, e: &Editor, along: LessTotal, y: Value) -> Option<Found> {
    let LessTotal { dim, g, given } = along;
    let made = match (g, &given) {
        (None, Some((x, Given::Opposite(_)))) => vec![(0, Made::Opposite(*x))],
        (None | Some(_), _) => Vec::new(),
    };
    let params = [("dim", number(dim as i64)), ("input_dtype", Attr::DType(e.dtype(y)))];
    Some(Found { made, given, ..Found::new(schema, params, g.into_iter().chain([y]))? })
}

/// `(g - sum(g * y)) * y`.
fn softmax_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let schema =
        "aten::_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor";
    both_orders(e, e.results(id)[0]).find_map(|(difference, y)| {
        let total = |s: Value, g: Value| {
            let (dims, product, ()) = repeated(e, s, row_sum)?;
            both_orders(e, product).find(|p| *p == (g, y))?;
            <[usize; 1]>::try_from(dims).ok().map(|[dim]| Total { dim, value: None })
        };
        backward(schema, e, less_total(e, difference, total)?, y)
    })
}

/// `g - sum(g) * exp(y)`.
fn log_softmax_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let schema = "aten::_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor";
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(v, Binary::Sub).or_else(|| e.as_binary(v, Binary::Add))?;
    let products = [a, b].into_iter().flat_map(|p| both_orders(e, p));
    products.filter_map(|(_, exp)| e.as_unary(exp, Unary::Exp)).find_map(|y| {
        let total = |t: Value, g: Value| {
            let mut sums = both_orders(e, t).filter(|(_, exp)| e.as_unary(*exp, Unary::Exp) == Some(y));
            sums.find_map(|(s, _)| row_total(e, s, g))
        };
        backward(schema, e, less_total(e, v, total)?, y)
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

/// The normalisation of [`layer_norm`] without weight and bias where its reciprocal deviation has other uses: derivatives take
/// that, and the mean, from one operator.
fn native_layer_norm(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, x, eps) = normalised(e, v)?;
    let (a, b) = e.as_binary(v, Binary::Mul)?;
    let (difference, deviation) = if e.as_binary(a, Binary::Sub).is_some() { (a, b) } else { (b, a) };
    let (_, mean) = e.as_binary(difference, Binary::Sub)?;
    let kept = kept_shape(e.shape(x), &dims);
    let [mean, rstd] = [mean, deviation].map(|v| e.as_expand(v).filter(|r| *e.shape(*r) == kept));
    let (mean, rstd) = (mean?, rstd?);
    if e.users(deviation).all(|u| u == id) && e.users(rstd).all(|u| e.results(u)[0] == deviation) {
        return None;
    }
    let normal: Vec<usize> = dims.iter().map(|d| e.shape(x)[*d].get()).collect();
    let params =
        [("normalized_shape", sizes(&normal)), ("weight", Attr::None), ("bias", Attr::None), ("eps", number(eps))];
    let found = Found::new(
        "aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)",
        params,
        [x],
    )?;
    Some(Found { results: vec![Slot::Root, Slot::Value(mean), Slot::Value(rstd)], ..found })
}
