//! Sums whose last product PyTorch takes into the same operator.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::{slim, smaller};
use super::{Found, Raising, number, sizes};
use crate::ir::{Attr, Scalar, Value};
use crate::ops::{Binary, Convolution, Op};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: biased },
    Raising { class: Class::Rounding, find: lerp },
    Raising { class: Class::Rounding, find: quotient },
    Raising { class: Class::Rounding, find: product },
    Raising { class: Class::Rounding, find: scaled },
    Raising { class: Class::Rounding, find: cube },
];

/// How a convolution goes, as PyTorch's operators take it.
pub(super) fn settings(op: &Convolution) -> [(&'static str, Attr); 6] {
    [
        ("stride", sizes(&op.stride)),
        ("padding", sizes(&op.padding)),
        ("dilation", sizes(&op.dilation)),
        ("transposed", number(op.transposed)),
        ("output_padding", sizes(&op.output_padding)),
        ("groups", number(op.groups as i64)),
    ]
}

/// A convolution and a number for each of its channels.
fn biased(e: &Editor, id: NodeId) -> Option<Found> {
    let (a, b) = e.as_binary(e.results(id)[0], Binary::Add)?;
    let found = |y: Value, bias: Value| {
        let (Op::Convolution(op), at) = e.def_op(y).filter(|_| e.count(y) == 1)? else { return None };
        let column = e.as_expand(bias)?;
        let (all, own) = (e.shape(y).sizes(), e.shape(column).sizes());
        // The dims of the column are the last ones of all.
        let of_channels =
            own.iter().rev().zip(all.iter().enumerate().rev()).all(|(n, (d, l))| *n == if d == 1 { *l } else { 1 });
        let bias = e.as_view(column).filter(|b| of_channels && e.shape(*b).sizes().as_slice() == [all[1]])?;
        Found::new(
            "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor",
            settings(op),
            [e.arg(at, 0), e.arg(at, 1), bias],
        )
    };
    found(a, b).or_else(|| found(b, a))
}

/// The operands of a sum or difference, of which the second is a [`plain`] product.
fn last_product(e: &Editor, id: NodeId) -> Option<(Binary, Value, Value)> {
    let v = e.results(id)[0];
    if !e.dtype(v).is_float() {
        return None;
    }
    let usable = |p: Value| {
        let p = alone(e, p);
        plain(e, p).then_some(p)
    };
    match (e.as_binary(v, Binary::Add), e.as_binary(v, Binary::Sub)) {
        (Some((a, b)), _) => match (usable(b), usable(a)) {
            (Some(p), _) => Some((Binary::Add, a, p)),
            (None, Some(p)) => Some((Binary::Add, b, p)),
            (None, None) => None,
        },
        (None, Some((a, b))) => usable(b).map(|p| (Binary::Sub, a, p)),
        (None, None) => None,
    }
}

/// What `v` is a broadcast of, if nothing else needs that.
fn alone(e: &Editor, v: Value) -> Value {
    if e.count(v) == 1 { smaller(e, v) } else { v }
}

/// Whether `v` is a product that nothing else needs, and that is no operator of its own.
fn plain(e: &Editor, v: Value) -> bool {
    let own = |id| super::MIDDLE.iter().copied().flatten().any(|r| (r.find)(e, id).is_some());
    e.as_binary(v, Binary::Mul).is_some() && e.count(v) == 1 && e.def(v).is_some_and(|id| !own(id))
}

fn beside(x: Scalar) -> Option<f64> {
    Some(x.to_f64()).filter(|c| c.is_finite())
}

/// `x + (y - x) * c`.
fn lerp(e: &Editor, id: NodeId) -> Option<Found> {
    let (Binary::Add, x, p) = last_product(e, id)? else { return None };
    let (difference, c) = e.as_scaled(p)?;
    let (y, z) = e.as_binary(difference, Binary::Sub)?;
    if x != z || e.as_expand(x).is_some() || e.as_expand(y).is_some() || e.as_full(y).is_some() {
        return None;
    }
    Found::new(
        "aten::lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor",
        [("weight", number(beside(c)?))],
        [x, y],
    )
}

/// `x + y * c` and `x - y * c`.
fn scaled(e: &Editor, id: NodeId) -> Option<Found> {
    let (op, x, p) = last_product(e, id)?;
    let (y, c) = e.as_scaled(p)?;
    // Two numbers are none of PyTorch's sums of tensors.
    if e.as_full(x).is_some() {
        return None;
    }
    let schema = match op {
        Binary::Add => "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        _ => "aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    };
    Found::new(schema, [("alpha", number(beside(c)?))], slim(e, &e.out(id).shape, &[x, y]))
}

/// `x + y * z` and `x - y * z`, perhaps by a number.
fn product(e: &Editor, id: NodeId) -> Option<Found> {
    let (op, x, p) = last_product(e, id)?;
    let (inner, scale) = match e.as_scaled(p) {
        Some((inner, c)) if plain(e, inner) => (inner, beside(c)?),
        Some(_) | None => (p, 1.0),
    };
    let (y, z) = e.as_binary(inner, Binary::Mul)?;
    if [x, y, z].iter().any(|v| e.as_full(*v).is_some()) {
        return None;
    }
    let single = |v: Value| e.as_scaled(v).filter(|_| e.count(v) == 1);
    let (y, z, c) = match (single(y), single(z)) {
        (Some((y, c)), _) => (y, z, beside(c)?),
        (None, Some((z, c))) => (y, z, beside(c)?),
        (None, None) => (y, z, 1.0),
    };
    let value = if op == Binary::Add { scale * c } else { -scale * c };
    let schema = "aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor";
    Found::new(schema, [("value", number(value))], slim(e, &e.out(id).shape, &[x, y, z]))
}

/// `x + y / z` and `x - y / z`, perhaps by a number.
fn quotient(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let divided = |q: Value| {
        let (q, outer) = single(e, alone(e, q));
        let (y, z) = e.as_binary(q, Binary::Div).filter(|_| e.count(q) == 1)?;
        let (y, inner) = single(e, y);
        (e.as_full(y).is_none() && e.as_full(z).is_none()).then_some((y, z, outer * inner))
    };
    let (x, q, sign) = match (e.as_binary(v, Binary::Add), e.as_binary(v, Binary::Sub)) {
        (Some((a, b)), _) => divided(b).map(|q| (a, q, 1.0)).or_else(|| divided(a).map(|q| (b, q, 1.0)))?,
        (None, Some((a, b))) => (a, divided(b)?, -1.0),
        (None, None) => return None,
    };
    let ((y, z, c), float) = (q, e.dtype(v).is_float());
    if !float || !c.is_finite() || e.as_full(x).is_some() {
        return None;
    }
    let schema = "aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor";
    Found::new(schema, [("value", number(sign * c))], slim(e, e.shape(v), &[x, y, z]))
}

/// `v` without a number that it is multiplied by, if nothing else needs it.
fn single(e: &Editor, v: Value) -> (Value, f64) {
    match e.as_scaled(v).filter(|_| e.count(v) == 1) {
        Some((x, c)) => (x, c.to_f64()),
        None => (v, 1.0),
    }
}

/// `x * x * x`.
fn cube(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(v, Binary::Mul).filter(|_| e.dtype(v).is_float())?;
    let square = |s: Value, x: Value| e.count(s) == 1 && e.as_binary(s, Binary::Mul) == Some((x, x));
    let x = if square(a, b) { b } else { square(b, a).then_some(a)? };
    Found::new("aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", [("exponent", number(3i64))], [x])
}
