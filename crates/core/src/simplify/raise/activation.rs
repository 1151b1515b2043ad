//! Activations and their derivatives by the result or by the operand.

use smallvec::SmallVec;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::term::close;
use super::{Found, Raising, number};
use crate::ir::{Attr, Scalar, Value};
use crate::ops::{Binary, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: gelu },
    Raising { class: Class::Rounding, find: gelu_backward },
    Raising { class: Class::Rounding, find: sigmoid_backward },
    Raising { class: Class::Rounding, find: tanh_backward },
    Raising { class: Class::Exact, find: leaky_relu },
    Raising { class: Class::Rounding, find: leaky_relu_backward },
    Raising { class: Class::Rounding, find: elu_backward },
    Raising { class: Class::Exact, find: threshold_backward },
    Raising { class: Class::Finite, find: clamp },
    // Of a zero of either sign.
    Raising { class: Class::Finite, find: relu },
    Raising { class: Class::Rounding, find: elu },
    Raising { class: Class::Rounding, find: silu },
];

/// What is left when no activation of its own matches.
pub(super) static CHOICES: &[Raising] = &[Raising { class: Class::Exact, find: threshold }];

/// The most factors of a product that are looked at.
const MAX_FACTORS: usize = 6;

/// The factors of a product, in order: numbers as one, and the others.
pub(super) fn factors(e: &Editor, v: Value) -> (f64, SmallVec<[Value; 6]>) {
    let (mut scale, mut rest) = (1.0, SmallVec::new());
    let mut stack: SmallVec<[Value; 6]> = SmallVec::from_iter([v]);
    while let Some(v) = stack.pop() {
        match (e.as_full(v), e.as_binary(v, Binary::Mul)) {
            (Some(c), _) => scale *= c.to_f64(),
            (None, Some((a, b))) if stack.len() + rest.len() < MAX_FACTORS => stack.extend([b, a]),
            (None, Some(_) | None) => rest.push(v),
        }
    }
    (scale, rest)
}

/// Both orders of a product, of which one operand is found by `find`.
pub(super) fn product<T>(e: &Editor, v: Value, find: impl Fn(Value) -> Option<T>) -> Option<(Value, T)> {
    let (a, b) = e.as_binary(v, Binary::Mul)?;
    find(b).map(|t| (a, t)).or_else(|| find(a).map(|t| (b, t)))
}

/// `1 - x`.
pub(super) fn complement(e: &Editor, v: Value) -> Option<Value> {
    let (one, x) = e.as_binary(v, Binary::Sub)?;
    e.is_full(one, 1.0).then_some(x)
}

/// `g * (1 - y * y)`.
fn tanh_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let square = |v: Value| {
        let (a, b) = e.as_binary(complement(e, v)?, Binary::Mul)?;
        (a == b && e.as_unary(a, Unary::Tanh).is_some()).then_some(a)
    };
    let (g, y) = product(e, e.results(id)[0], square)?;
    Found::new("aten::tanh_backward(Tensor grad_output, Tensor output) -> Tensor", [], [g, y])
}

/// `g * ((1 - y) * y)`.
fn sigmoid_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let slope = |v: Value| {
        let (y, z) = product(e, v, |v| complement(e, v))?;
        (y == z && e.as_unary(y, Unary::Sigmoid).is_some()).then_some(y)
    };
    let (g, y) = product(e, e.results(id)[0], slope)?;
    Found::new("aten::sigmoid_backward(Tensor grad_output, Tensor output) -> Tensor", [], [g, y])
}

/// The operand and bound of a comparison with a number.
pub(super) fn compared(e: &Editor, v: Value, op: Binary) -> Option<(Value, f64)> {
    let (x, c) = e.as_binary(v, op)?;
    e.as_full(c).map(|c| (x, c.to_f64()))
}

/// `where(x <= c, 0, g)`.
fn threshold_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, zero, g) = e.as_where(e.results(id)[0])?;
    let (x, c) = compared(e, p, Binary::Le)?;
    // A negative zero would be another one there.
    if x == g || !e.is_full(zero, 0.0) || e.dtype(x) != e.dtype(g) || e.shape(x) != e.shape(g) || !e.dtype(g).is_float()
    {
        return None;
    }
    Found::new(
        "aten::threshold_backward(Tensor grad_output, Tensor self, Scalar threshold) -> Tensor",
        [("threshold", number(c))],
        [g, x],
    )
}

/// `where(x <= c, value, x)`.
fn threshold(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, value, x) = e.as_where(e.results(id)[0])?;
    let (y, c) = compared(e, p, Binary::Le)?;
    let value = e.as_full(value)?;
    (x == y && e.dtype(x).is_float()).then(|| {
        Found::new(
            "aten::threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor",
            [("threshold", number(c)), ("value", number(value))],
            [x],
        )
    })?
}

fn relu(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, zero, x) = e.as_where(e.results(id)[0])?;
    let (y, c) = compared(e, p, Binary::Le)?;
    (x == y && c == 0.0 && e.is_full(zero, 0.0)).then(|| Found::new("aten::relu(Tensor self) -> Tensor", [], [x]))?
}

/// `min(max(x, a), b)`, or as it has its derivative: `where((x > a) & (x < b), x, min(max(detach(x), a), b))`.
fn clamp(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (v, inside) = match e.as_where(v) {
        Some((p, x, value)) => (value, Some((p, x))),
        None => (v, None),
    };
    let (inner, high) = e.as_binary(v, Binary::Minimum)?;
    let (x, low) = e.as_binary(inner, Binary::Maximum)?;
    let x = match inside {
        None => x,
        Some((p, y)) => {
            let (above, below) = e.as_binary(p, Binary::BitwiseAnd)?;
            let within =
                e.as_binary(above, Binary::Gt) == Some((y, low)) && e.as_binary(below, Binary::Lt) == Some((y, high));
            (within && e.as_unary(x, Unary::Detach).unwrap_or(x) == y).then_some(y)?
        }
    };
    let (low, high) = (e.as_full(low)?, e.as_full(high)?);
    let usual = |s: Scalar| !s.to_f64().is_nan();
    if !usual(low) || !usual(high) {
        return None;
    }
    Found::new(
        "aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
        [("min", number(low)), ("max", number(high))],
        [x],
    )
}

/// `x * sigmoid(x)`.
fn silu(e: &Editor, id: NodeId) -> Option<Found> {
    let (x, y) = product(e, e.results(id)[0], |v| e.as_unary(v, Unary::Sigmoid))?;
    (x == y && e.dtype(x).is_float()).then(|| Found::new("aten::silu(Tensor self) -> Tensor", [], [x]))?
}

/// `erf(x / sqrt(2)) + 1`: the operand.
fn normal(e: &Editor, v: Value) -> Option<Value> {
    let (a, b) = e.as_binary(v, Binary::Add)?;
    let erf = if e.is_full(b, 1.0) { a } else { e.is_full(a, 1.0).then_some(b)? };
    let (x, c) = e.as_scaled(e.as_unary(erf, Unary::Erf)?)?;
    close(c.to_f64(), std::f64::consts::FRAC_1_SQRT_2).then_some(x)
}

/// `x * 0.5 * (erf(x / sqrt(2)) + 1)`.
fn gelu(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    e.as_binary(v, Binary::Mul)?;
    let (scale, rest) = factors(e, v);
    let [a, b] = rest.as_slice() else { return None };
    let x = if normal(e, *b) == Some(*a) { *a } else { (normal(e, *a) == Some(*b)).then_some(*b)? };
    (scale == 0.5).then(|| Found::new("aten::gelu(Tensor self, *, str approximate='none') -> Tensor", [], [x]))?
}

/// `g * (0.5 * (erf(x / sqrt(2)) + 1) + x * exp(-x * x / 2) / sqrt(2 * pi))`, or multiplied out.
fn gelu_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let sum = |v: Value| {
        let (a, b) = e.as_binary(v, Binary::Add)?;
        cumulative(e, a, b).or_else(|| cumulative(e, b, a))
    };
    let slope = |v: Value| sum(v).and_then(|(g, x)| g.is_none().then_some(x));
    let (g, x) = along_slope(e, v, slope).or_else(|| sum(v))?;
    let schema = "aten::gelu_backward(Tensor grad_output, Tensor self, *, str approximate='none') -> Tensor";
    Found::along(schema, [], g, e.aval(x), x)
}

/// The two terms of the derivative of gelu: along what, and where.
fn cumulative(e: &Editor, cumulative: Value, density: Value) -> Option<(Option<Value>, Value)> {
    let (half, rest) = factors(e, cumulative);
    let (g, x) = match rest.as_slice() {
        [a, b] => normal(e, *b).map(|x| (Some(*a), x)).or_else(|| normal(e, *a).map(|x| (Some(*b), x)))?,
        [a] => (None, normal(e, *a)?),
        _ => return None,
    };
    let (scale, mut rest) = factors(e, density);
    let at = rest.iter().position(|v| bell(e, *v) == Some(x))?;
    rest.remove(at);
    let mut others: SmallVec<[Value; 6]> = g.into_iter().chain([x]).collect();
    others.sort_unstable();
    rest.sort_unstable();
    let exact = half == 0.5 && rest == others && close(scale, 1.0 / (2.0 * std::f64::consts::PI).sqrt());
    exact.then_some((g, x))
}

/// `exp(-(x / sqrt(2)) ** 2)` or `exp(x * x * -0.5)`: the operand.
fn bell(e: &Editor, v: Value) -> Option<Value> {
    let exponent = e.as_unary(v, Unary::Exp)?;
    let (sign, square) = match e.as_unary(exponent, Unary::Neg) {
        Some(s) => (-1.0, s),
        None => (1.0, exponent),
    };
    let (scale, rest) = factors(e, square);
    match rest.as_slice() {
        [a, b] if a == b && close(sign * scale, -0.5) => Some(*a),
        _ => None,
    }
}

/// `where(x > 0, x, x * slope)`.
fn leaky_relu(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, x, below) = e.as_where(e.results(id)[0])?;
    let (y, zero) = compared(e, p, Binary::Gt)?;
    let (z, slope) = e.as_scaled(below)?;
    (x == y && x == z && zero == 0.0 && e.dtype(x).is_float()).then(|| {
        Found::new(
            "aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor",
            [("negative_slope", number(slope))],
            [x],
        )
    })?
}

/// Both orders of a product with a slope that `find` knows, or the slope alone, as the derivative along ones.
fn along_slope<T>(e: &Editor, v: Value, find: impl Fn(Value) -> Option<T>) -> Option<(Option<Value>, T)> {
    product(e, v, &find).map(|(g, t)| (Some(g), t)).or_else(|| find(v).map(|t| (None, t)))
}

/// `g * where(x > 0, 1, slope)`, or `where(x > 0, g, g * slope)`.
fn leaky_relu_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let slope = |v: Value| {
        let (p, one, below) = e.as_where(v)?;
        let (x, zero) = compared(e, p, Binary::Gt)?;
        (zero == 0.0 && e.is_full(one, 1.0) && e.dtype(one) == e.dtype(x)).then_some((x, e.as_full(below)?))
    };
    let chosen = || {
        let (p, g, below) = e.as_where(v)?;
        let (x, zero) = compared(e, p, Binary::Gt)?;
        let (h, slope) = e.as_scaled(below)?;
        (g == h && zero == 0.0 && e.dtype(g).is_float()).then_some((Some(g), (x, slope)))
    };
    let (g, (x, slope)) = along_slope(e, v, slope).or_else(chosen)?;
    let schema = "aten::leaky_relu_backward(Tensor grad_output, Tensor self, Scalar negative_slope, bool self_is_result) -> Tensor";
    let params = [("negative_slope", number(slope)), ("self_is_result", number(false))];
    Found::along(schema, params, g, e.aval(x), x)
}

/// `where(x <= 0, x, 0)` under `expm1` or `exp`: the operand.
fn not_above(e: &Editor, v: Value) -> Option<Value> {
    let (p, x, zero) = e.as_where(v)?;
    let (y, bound) = compared(e, p, Binary::Le).or_else(|| compared(e, p, Binary::Lt))?;
    (x == y && bound == 0.0 && e.is_zero(zero)).then_some(x)
}

/// `where(x <= 0, alpha * expm1(x), x)`.
fn elu(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, below, x) = e.as_where(e.results(id)[0])?;
    let (y, zero) = compared(e, p, Binary::Le)?;
    let (alpha, rest) = factors(e, below);
    let [exp] = rest.as_slice() else { return None };
    let inner = e.as_unary(*exp, Unary::Expm1)?;
    (x == y && zero == 0.0 && (inner == x || not_above(e, inner) == Some(x))).then(|| {
        Found::new(
            "aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor",
            slopes(alpha),
            [x],
        )
    })?
}

fn slopes(alpha: f64) -> [(&'static str, Attr); 3] {
    [("alpha", number(alpha)), ("scale", number(1i64)), ("input_scale", number(1i64))]
}

/// `exp(x)` or `expm1(x) + 1` of an operand that is not above 0.
fn decaying(e: &Editor, v: Value, x: Value) -> Option<()> {
    let inner = match (e.as_unary(v, Unary::Exp), e.as_binary(v, Binary::Add)) {
        (Some(inner), _) => inner,
        (None, Some((a, b))) => {
            let exp = if e.is_full(b, 1.0) { a } else { e.is_full(a, 1.0).then_some(b)? };
            e.as_unary(exp, Unary::Expm1)?
        }
        (None, None) => return None,
    };
    (inner == x || not_above(e, inner) == Some(x)).then_some(())
}

/// `g * where(x <= 0, alpha * exp(x), 1)`, or `where(x <= 0, g * alpha * (expm1(x) + 1), g)`.
fn elu_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let slope = |v: Value| {
        let (p, below, one) = e.as_where(v)?;
        let (x, zero) = compared(e, p, Binary::Le)?;
        let (alpha, rest) = factors(e, below);
        let [exp] = rest.as_slice() else { return None };
        decaying(e, *exp, x)?;
        (zero == 0.0 && e.is_full(one, 1.0)).then_some((x, alpha))
    };
    let chosen = || {
        let (p, below, g) = e.as_where(v)?;
        let (x, zero) = compared(e, p, Binary::Le)?;
        let (alpha, rest) = factors(e, below);
        let [a, b] = rest.as_slice() else { return None };
        let h = if decaying(e, *b, x).is_some() { *a } else { decaying(e, *a, x).map(|()| *b)? };
        // Only where it counts.
        let same = h == g || e.as_where(h).is_some_and(|(q, h, z)| q == p && h == g && e.is_zero(z));
        (same && zero == 0.0).then_some((Some(g), (x, alpha)))
    };
    let (g, (x, alpha)) = along_slope(e, v, slope).or_else(chosen)?;
    let schema = "aten::elu_backward(Tensor grad_output, Scalar alpha, Scalar scale, Scalar input_scale, bool is_result, Tensor self_or_result) -> Tensor";
    let params = slopes(alpha).into_iter().chain([("is_result", number(false))]);
    Found::along(schema, params, g, e.aval(x), x)
}
