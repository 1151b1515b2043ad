//! Negations: they move towards the results, where they meet sums, differences and each other.

use super::algebra::{DEEP, beside, operand, operands};
use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::ir::{DType, Scalar, Value};
use crate::ops::{Binary, Op, Unary};

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(mul_minus_one, "mul-minus-one", Exact, "x * -1 -> -x; x / -1 -> -x"),
    rule!(neg_neg, "neg-neg", Exact, "-(-x) -> x, also through moves and products"),
    rule!(add_neg, "add-neg", Exact, "a + -b -> a - b; -a + b -> b - a, also through moves and products"),
    rule!(sub_neg, "sub-neg", Exact, "a - -b -> a + b, also through moves and products"),
    rule!(neg_sub, "neg-sub", Finite, "-(a - b) -> b - a"),
    rule!(mul_neg_neg, "mul-neg-neg", Exact, "-a * -b -> a * b; -a / -b -> a / b"),
    rule!(neg_scale, "neg-scale", Exact, "-(x * c) -> x * -c; -x * c -> x * -c; -x / c -> x / -c"),
    rule!(neg_out, "neg-out", Exact, "-a * b -> -(a * b); -a / b -> -(a / b); a / -b -> -(a / b)"),
    rule!(even_neg, "even-neg", Exact, "abs(-x) -> abs(x); cos(-x) -> cos(x); cosh(-x) -> cosh(x)"),
];

/// `-v` where `v` is a negation, perhaps behind ops that move elements or are linear.
fn without_neg(e: &mut Editor, v: Value, deep: usize) -> Option<Value> {
    if let Some(x) = e.as_unary(v, Unary::Neg) {
        return Some(x);
    }
    let deep = deep.checked_sub(1)?;
    let (op, id) = e.def_op(v)?;
    match op.clone() {
        op @ (Op::Expand(_) | Op::View(_) | Op::Permute(_)) => {
            let x = e.arg(id, 0);
            let x = without_neg(e, x, deep)?;
            e.emit(op, &[x])
        }
        op @ Op::Binary(Binary::Mul | Binary::Div) => {
            let (a, b) = (e.arg(id, 0), e.arg(id, 1));
            if let Some(a) = without_neg(e, a, deep) {
                return e.emit(op, &[a, b]);
            }
            let b = without_neg(e, b, deep)?;
            e.emit(op, &[a, b])
        }
        _ => None,
    }
}

fn mul_minus_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let signed = !matches!(e.out_dtype(id), DType::Bool | DType::U8);
    let minus_one = |e: &Editor, v: Value| signed && e.is_full(v, -1.0);
    let x = beside(e, id, Binary::Mul, minus_one)
        .or_else(|| operands(e, id, Binary::Div).filter(|(_, b)| minus_one(e, *b)).map(|(a, _)| a))?;
    e.unary(Unary::Neg, x)
}

fn neg_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let x = operand(e, id, Unary::Neg)?;
    without_neg(e, x, DEEP)
}

fn add_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Add)?;
    if let Some(b) = without_neg(e, b, DEEP) {
        return e.binary(Binary::Sub, a, b);
    }
    let a = without_neg(e, a, DEEP)?;
    e.binary(Binary::Sub, b, a)
}

fn sub_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Sub)?;
    let b = without_neg(e, b, DEEP)?;
    e.binary(Binary::Add, a, b)
}

fn neg_sub(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = e.as_binary(operand(e, id, Unary::Neg)?, Binary::Sub)?;
    e.binary(Binary::Sub, b, a)
}

fn mul_neg_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let op = [Binary::Mul, Binary::Div].into_iter().find(|op| operands(e, id, *op).is_some())?;
    let (a, b) = operands(e, id, op)?;
    let (a, b) = (without_neg(e, a, DEEP)?, without_neg(e, b, DEEP)?);
    e.binary(op, a, b)
}

/// The tensor `-c` like `v`, which is uniformly `c`.
fn negated(e: &mut Editor, v: Value, c: Scalar) -> Option<Value> {
    let minus = match c {
        Scalar::Float(x) => Scalar::Float(-x),
        Scalar::Int(i) => Scalar::Int(i.wrapping_neg()),
        Scalar::Bool(_) => return None,
    };
    let aval = e.aval(v).clone();
    e.full(&aval, minus)
}

fn neg_scale(e: &mut Editor, id: NodeId) -> Option<Value> {
    if let Some(y) = operand(e, id, Unary::Neg) {
        if let Some((x, c)) = e.as_scaled(y) {
            let c = negated(e, y, c)?;
            return e.binary(Binary::Mul, x, c);
        }
        let (x, c) = e.as_binary(y, Binary::Div)?;
        let c = e.as_full(c)?;
        let c = negated(e, y, c)?;
        return e.binary(Binary::Div, x, c);
    }
    let out = e.results(id)[0];
    if let Some((x, c)) = e.as_scaled(out) {
        let x = e.as_unary(x, Unary::Neg)?;
        let c = negated(e, out, c)?;
        return e.binary(Binary::Mul, x, c);
    }
    let (x, c) = operands(e, id, Binary::Div)?;
    let (x, c) = (e.as_unary(x, Unary::Neg)?, e.as_full(c)?);
    let c = negated(e, out, c)?;
    e.binary(Binary::Div, x, c)
}

fn neg_out(e: &mut Editor, id: NodeId) -> Option<Value> {
    let op = [Binary::Mul, Binary::Div].into_iter().find(|op| operands(e, id, *op).is_some())?;
    let (a, b) = operands(e, id, op)?;
    let (x, y) = match (e.as_unary(a, Unary::Neg), e.as_unary(b, Unary::Neg)) {
        (Some(a), None) => (a, b),
        (None, Some(b)) => (a, b),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let product = e.binary(op, x, y)?;
    e.unary(Unary::Neg, product)
}

fn even_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Unary(u @ (Unary::Abs | Unary::Cos | Unary::Cosh)) = e.op(id) else { return None };
    let u = *u;
    let x = e.as_unary(e.arg(id, 0), Unary::Neg)?;
    e.unary(u, x)
}
