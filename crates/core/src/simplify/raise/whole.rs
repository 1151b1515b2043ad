//! Operators that exported programs and derivatives have taken apart entirely: activations, losses, triangles.

use std::sync::LazyLock;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::{slim, smaller};
use super::norm::row_sum;
use super::reduce::{LOGSUMEXP, keeping, unkept};
use super::term::{Bindings, Term, uniform};
use super::{Found, Raising, number, sizes};
use crate::ir::{Attr, Value};
use crate::ops::{Amax, Arange, Binary, Op, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: loss },
    Raising { class: Class::Rounding, find: squares },
    Raising { class: Class::Rounding, find: bce_with_logits },
    Raising { class: Class::Rounding, find: terms },
    Raising { class: Class::Rounding, find: logsumexp },
    Raising { class: Class::Exact, find: triangle },
];

/// The operand of a comparison with a number, and that.
fn against(e: &Editor, v: Value, op: Binary) -> Option<(Value, f64)> {
    let (x, c) = e.as_binary(v, op)?;
    e.as_full(c).map(|c| (x, c.to_f64()))
}

/// The operand of `min(x, 0) - log1p(exp(-abs(x)))`.
fn as_log_sigmoid(e: &Editor, v: Value) -> Option<Value> {
    let (least, l) = e.as_binary(v, Binary::Sub)?;
    let (a, b) = e.as_binary(least, Binary::Minimum)?;
    let zero = |v: Value| uniform(e, v).is_some_and(|c| c.to_f64() == 0.0);
    let x = if zero(b) { a } else { zero(a).then_some(b)? };
    let exponent = e.as_unary(e.as_unary(l, Unary::Log1p)?, Unary::Exp)?;
    let y = e.as_unary(e.as_unary(exponent, Unary::Neg)?, Unary::Abs)?;
    (x == y).then_some(x)
}

/// The weight of the true class in `(weight - 1) * t + 1`.
fn positive_weight(e: &Editor, v: Value, t: Value) -> Option<Value> {
    let one = |v: Value| uniform(e, v).is_some_and(|c| c.to_f64() == 1.0);
    let (a, b) = e.as_binary(v, Binary::Add)?;
    let rest = if one(b) { a } else { one(a).then_some(b)? };
    let (a, b) = e.as_binary(rest, Binary::Mul)?;
    let less = if b == t { a } else { (a == t).then_some(b)? };
    let less = smaller(e, less);
    let (weight, c) = e.as_binary(less, Binary::Sub)?;
    one(c).then_some(weight)
}

/// `(1 - t) * x - log_sigmoid(x)`, and with the last term by a weight.
fn bce_with_logits(e: &Editor, id: NodeId) -> Option<Found> {
    let (reduction, v) = reduced(e, e.results(id)[0])?;
    let (product, l) = e.as_binary(v, Binary::Sub)?;
    let (x, by) = match as_log_sigmoid(e, l) {
        Some(x) => (x, None),
        None => {
            let (a, b) = e.as_binary(l, Binary::Mul)?;
            match (as_log_sigmoid(e, a), as_log_sigmoid(e, b)) {
                (Some(x), _) => (x, Some(b)),
                (None, x) => (x?, Some(a)),
            }
        }
    };
    let (a, b) = e.as_binary(product, Binary::Mul)?;
    let rest = if a == x { b } else { (b == x).then_some(a)? };
    let (one, t) = e.as_binary(rest, Binary::Sub)?;
    if uniform(e, one).is_none_or(|c| c.to_f64() != 1.0) {
        return None;
    }
    let weight = match by {
        Some(by) => Some(positive_weight(e, by, t)?),
        None => None,
    };
    let none = ["weight", "pos_weight"].into_iter().filter(|name| weight.is_none() || *name == "weight");
    let params = none.map(|name| (name, Attr::None)).chain([("reduction", number(reduction))]);
    Found::new(
        "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=Mean) -> Tensor",
        params,
        [x, t].into_iter().chain(weight),
    )
}

const BINARY_CROSS_ENTROPY: &str =
    "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean) -> Tensor";

/// Losses of two operands by the terms of one element.
static LOSSES: LazyLock<[(Term, &str); 3]> = LazyLock::new(|| {
    [
        ("sub(mul(sub(y, 1), maximum(log1p(neg(x)), -100)), mul(y, maximum(log(x), -100)))", BINARY_CROSS_ENTROPY),
        // A line near 0 and 1, for its derivative.
        (
            "where(lt(mul(detach(x), sub(1, detach(x))), 1e-12), \
             sub(mul(sub(x, detach(x)), div(sub(detach(x), y), 1e-12)), \
             add(mul(y, maximum(log(detach(x)), -100)), mul(sub(1, y), maximum(log1p(neg(detach(x))), -100)))), \
             neg(add(mul(y, log(where(lt(mul(detach(x), sub(1, detach(x))), 1e-12), 0.5, x))), \
             mul(sub(1, y), log1p(neg(where(lt(mul(detach(x), sub(1, detach(x))), 1e-12), 0.5, x)))))))",
            BINARY_CROSS_ENTROPY,
        ),
        (
            "log1p(exp(neg(mul(x, y))))",
            "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=Mean) -> Tensor",
        ),
    ]
    .map(|(term, schema)| (Term::parse(term), schema))
});

/// A loss that [`LOSSES`] has.
fn terms(e: &Editor, id: NodeId) -> Option<Found> {
    let (reduction, v) = reduced(e, e.results(id)[0])?;
    LOSSES.iter().find_map(|(term, schema)| {
        let mut found = Bindings::default();
        if !term.matches(e, v, &mut found) {
            return None;
        }
        let (x, y) = (found.operand("x")?, found.operand("y")?);
        let alike = e.shape(x) == e.shape(y) && e.dtype(x) == e.dtype(y);
        let weight = schema.contains("weight").then_some(("weight", Attr::None));
        let params = weight.into_iter().chain([("reduction", number(reduction))]);
        if alike { Found::new(schema, params, [x, y]) } else { None }
    })
}

/// `log(sum(exp(x - m))) + m` with the largest element `m` of each row, or 0 where that is infinite.
fn logsumexp(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(v, Binary::Add)?;
    let found = |log: Value, m: Value| {
        let (dims, exp, ()) = row_sum(e, e.as_unary(unkept(e, log), Unary::Log)?)?;
        let (x, shift) = e.as_binary(e.as_unary(exp, Unary::Exp)?, Binary::Sub)?;
        let inner = |v: Value| {
            let v = e.as_expand(v).unwrap_or(v);
            unkept(e, v)
        };
        let undetached = |v: Value| e.as_unary(v, Unary::Detach).unwrap_or(v);
        let m = inner(m);
        (inner(shift) == m || e.as_view(m) == e.as_view(shift)).then_some(())?;
        let (p, zero, largest) = e.as_where(m)?;
        let (abs, infinity) = against(e, p, Binary::Eq)?;
        let (Op::Amax(Amax { dim }), at) = e.def_op(unkept(e, undetached(unkept(e, largest))))? else { return None };
        let same = e.as_unary(abs, Unary::Abs) == Some(largest)
            && infinity == f64::INFINITY
            && uniform(e, zero).is_some_and(|z| z.to_f64() == 0.0);
        (same && *dim == dims && e.arg(at, 0) == x).then_some((dims, x))
    };
    let (dims, x) = found(a, b).or_else(|| found(b, a))?;
    let keep = keeping(e, v, x, &dims)?;
    let params = [("dim", sizes(&dims)), ("keepdim", number(keep))];
    Found::new(LOGSUMEXP, params, [x])
}

/// The operand of a mean (1) or sum (2) of all elements, else of nothing (0), as losses number them.
fn reduced(e: &Editor, v: Value) -> Option<(i64, Value)> {
    if let (Op::Call(call), at) = e.def_op(v)?
        && (call.target.starts_with("aten::mean.dim(") || call.target.starts_with("aten::mean("))
        && e.shape(v).rank() == 0
    {
        return Some((1, e.arg(at, 0)));
    }
    if e.shape(v).rank() == 0 {
        if let Some((_, x)) = super::reduce::as_mean(e, v) {
            return Some((1, x));
        }
        if let Some((_, x)) = e.as_sum(v) {
            return Some((2, x));
        }
    }
    Some((0, v))
}

/// The mean or sum of `(x - y) ** 2`.
fn squares(e: &Editor, id: NodeId) -> Option<Found> {
    let (reduction, v) = reduced(e, e.results(id)[0]).filter(|(reduction, _)| *reduction != 0)?;
    let (d, _) = e.as_binary(v, Binary::Mul).filter(|(a, b)| a == b && e.dtype(*a).is_float())?;
    let (x, y) = e.as_binary(d, Binary::Sub)?;
    // Operands that are broadcast would have to be made.
    let made = |v: Value| e.as_expand(v).is_some() || e.as_full(v).is_some();
    let schema = "aten::mse_loss(Tensor self, Tensor target, int reduction=Mean) -> Tensor";
    if made(x) || made(y) { None } else { Found::new(schema, [("reduction", number(reduction))], [x, y]) }
}

/// The number `c` of `v = c * x ** 2`, by whichever of `bases` the square is.
fn square_scale(e: &Editor, v: Value, bases: [Value; 2]) -> Option<f64> {
    let (v, divisor) = match e.as_binary(v, Binary::Div) {
        Some((a, c)) => (a, e.as_full(c)?.to_f64()),
        None => (v, 1.0),
    };
    let (scale, rest) = super::activation::factors(e, v);
    let base = match rest.as_slice() {
        [a, b] if a == b => *a,
        [p] => e.as_binary(*p, Binary::Pow).filter(|(_, two)| e.is_full(*two, 2.0))?.0,
        _ => return None,
    };
    bases.contains(&base).then_some(scale / divisor)
}

/// `where(abs(x - y) < d, (x - y) ** 2 / 2, (abs(x - y) - d / 2) * d)`, and that divided by `d`: the losses of Huber and of
/// the smooth absolute difference. At `d` both branches are equal.
fn loss(e: &Editor, id: NodeId) -> Option<Found> {
    let (reduction, v) = reduced(e, e.results(id)[0])?;
    let (p, square, linear) = e.as_where(v)?;
    let (abs, d) = against(e, p, Binary::Lt).or_else(|| against(e, p, Binary::Le))?;
    let difference = e.as_unary(abs, Unary::Abs)?;
    let (x, y) = e.as_binary(difference, Binary::Sub)?;
    let scale = square_scale(e, square, [abs, difference])?;
    let (outer, shifted) = e.as_scaled(linear).map_or((1.0, linear), |(s, c)| (c.to_f64(), s));
    let half = match (e.as_binary(shifted, Binary::Sub), e.as_binary(shifted, Binary::Add)) {
        (Some((a, h)), _) if a == abs => e.as_full(h)?.to_f64(),
        (None, Some((a, h))) if a == abs => -e.as_full(h)?.to_f64(),
        (Some(_) | None, _) => return None,
    };
    if half != 0.5 * d || d <= 0.0 {
        return None;
    }
    let (schema, name) = if scale == 0.5 && outer == d && d != 1.0 {
        ("aten::huber_loss(Tensor self, Tensor target, int reduction=Mean, float delta=1.) -> Tensor", "delta")
    } else if outer == 1.0 && (scale - 0.5 / d).abs() <= 0.5 / d * f64::EPSILON {
        ("aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=Mean, float beta=1.) -> Tensor", "beta")
    } else {
        return None;
    };
    let operands = [x, y].into_iter().collect();
    // Where nothing is reduced, the operands are broadcast by the loss.
    let operands = if reduction == 0 { slim(e, e.shape(v), &[x, y]) } else { operands };
    Found::new(schema, [("reduction", number(reduction)), (name, number(d))], operands)
}

/// `where(column - row <= d, x, 0)` or `where(column <= row + d, x, 0)`, or `>=`, of matrices.
fn triangle(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, x, zero) = e.as_where(e.results(id)[0])?;
    let p = e.as_expand(p).unwrap_or(p);
    let shape = e.shape(x).sizes();
    let lead = shape.len().checked_sub(2).filter(|_| e.is_full(zero, 0.0))?;
    let matrix = [shape[lead], shape[lead + 1]];
    let (below, above) =
        ("aten::tril(Tensor self, int diagonal=0) -> Tensor", "aten::triu(Tensor self, int diagonal=0) -> Tensor");
    let (diagonal, schema) = match (beside_diagonal(e, p, Binary::Le), beside_diagonal(e, p, Binary::Ge)) {
        (Some(d), _) => (d, below),
        (None, d) => (d?, above),
    };
    (e.shape(p).sizes().as_slice() == matrix).then(|| Found::new(schema, [("diagonal", number(diagonal))], [x]))?
}

/// The diagonal at and below which (`<=`), or at and above which (`>=`), a matrix of truth values is true.
pub(super) fn beside_diagonal(e: &Editor, p: Value, side: Binary) -> Option<i64> {
    let (a, b) = e.as_binary(p, side)?;
    let &[rows, columns] = e.shape(p).sizes().as_slice() else { return None };
    let (column, row, d) = match (e.as_binary(a, Binary::Sub), e.as_full(b)) {
        (Some((column, row)), Some(d)) => (column, row, d.to_f64() as i64),
        (Some(_) | None, _) => (a, b, 0),
    };
    Some(d + counted(e, row, 0, [rows, columns])? - counted(e, column, 1, [rows, columns])?)
}

/// `n` if `v` is, at each place of a matrix of this shape, the row (0) or column (1) plus `n`.
fn counted(e: &Editor, v: Value, dim: usize, matrix: [usize; 2]) -> Option<i64> {
    let (mut v, mut offset, mut placed) = (v, 0, false);
    for _ in 0..MAX_STEPS {
        let own = e.shape(v).sizes();
        placed |= if dim == 0 { own.ends_with(&[matrix[0], 1]) } else { own.as_slice() == [matrix[1]] };
        let moved = e.as_binary(v, Binary::Add).and_then(|(a, b)| Some((a, e.as_full(b)?)));
        v = match (e.as_expand(v).or_else(|| e.as_view(v)), moved) {
            (Some(inner), _) => inner,
            (None, Some((inner, c))) => {
                offset += c.to_f64() as i64;
                inner
            }
            (None, None) => break,
        };
    }
    let range = matches!(e.def_op(v), Some((Op::Arange(Arange { .. }), _)));
    (range && placed && e.shape(v)[0].get() == matrix[dim]).then_some(offset)
}

/// The most broadcasts, views and sums between a range and the places that it counts.
const MAX_STEPS: usize = 6;
