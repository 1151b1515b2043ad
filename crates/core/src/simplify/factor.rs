//! Uniform factors and terms merged, common factors taken out.

use super::algebra::{DEEP, float_result, operands};
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
    rule!(
        merge_factors,
        "merge-factors",
        Rounding,
        "(x * c) * d -> x * (c * d), and so with quotients, and through products, sums and moves"
    ),
    rule!(scale_product, "scale-product", Rounding, "(a * c) * (b * d) -> (a * b) * (c * d)"),
    rule!(merge_terms, "merge-terms", Rounding, "(x + c) + d -> x + (c + d), and so with differences"),
    rule!(
        mul_reciprocal,
        "mul-reciprocal",
        Rounding,
        "a * reciprocal(b) -> a / b, if nothing else uses it; a / reciprocal(b) -> a * b"
    ),
    rule!(factor, "factor", Rounding, "a * c + b * c -> (a + b) * c, and so with differences and quotients"),
    rule!(add_twice, "add-twice", Rounding, "x * c + x * c -> x * 2c; a + x * c + x * c -> a + x * 2c"),
    rule!(factor_scale, "factor-scale", Rounding, "x + x * c -> x * (1 + c)"),
];

/// `v * c` where `v` has a uniform factor that can take `c` in, perhaps behind ops that move elements or are linear.
fn rescaled(e: &mut Editor, v: Value, c: f64, deep: usize) -> Option<Value> {
    if let Some((x, num, den)) = as_factor(e, v) {
        return with_factor(e, x, num * c, den);
    }
    let deep = deep.checked_sub(1)?;
    let (op, id) = e.def_op(v)?;
    let op = op.clone();
    match op {
        Op::Expand(_) | Op::View(_) | Op::Permute(_) | Op::DiagEmbed(_) | Op::Sum(_) | Op::Unary(Unary::Neg) => {
            let x = e.arg(id, 0);
            let x = rescaled(e, x, c, deep)?;
            e.emit(op, &[x])
        }
        Op::Binary(Binary::Mul) | Op::Mm(_) | Op::Bmm(_) => {
            let (a, b) = (e.arg(id, 0), e.arg(id, 1));
            if let Some(a) = rescaled(e, a, c, deep) {
                return e.emit(op, &[a, b]);
            }
            let b = rescaled(e, b, c, deep)?;
            e.emit(op, &[a, b])
        }
        Op::Binary(Binary::Div) => {
            let (a, b) = (e.arg(id, 0), e.arg(id, 1));
            let a = rescaled(e, a, c, deep)?;
            e.emit(op, &[a, b])
        }
        _ => None,
    }
}

/// `v = x · c` with a factor, from a product or a quotient by a uniform tensor, as numerator and denominator.
fn as_factor(e: &Editor, v: Value) -> Option<(Value, f64, f64)> {
    if !e.dtype(v).is_float() {
        return None;
    }
    if let Some((x, c)) = e.as_scaled(v) {
        return Some((x, c.to_f64(), 1.0));
    }
    let (x, c) = e.as_binary(v, Binary::Div)?;
    e.as_full(c).map(|c| (x, 1.0, c.to_f64()))
}

/// Whether a merged constant is as good as the ones it came from: no overflow, no underflow.
fn is_normal(c: f64, dtype: DType) -> bool {
    match Scalar::Float(c).cast(dtype) {
        Scalar::Float(x) => {
            let least = match dtype {
                DType::F64 => f64::MIN_POSITIVE,
                DType::F16 => 6.2e-5,
                _ => f64::from(f32::MIN_POSITIVE),
            };
            x.is_finite() && x.abs() >= least
        }
        Scalar::Int(_) | Scalar::Bool(_) => false,
    }
}

/// `x · num / den` with one op.
fn with_factor(e: &mut Editor, x: Value, num: f64, den: f64) -> Option<Value> {
    let aval = e.aval(x).clone();
    let (op, c) = if num == 1.0 { (Binary::Div, den) } else { (Binary::Mul, num / den) };
    if !is_normal(c, aval.dtype) {
        return None;
    }
    if c == 1.0 {
        return Some(x);
    }
    let c = e.full(&aval, c)?;
    e.binary(op, x, c)
}

fn merge_factors(e: &mut Editor, id: NodeId) -> Option<Value> {
    let out = e.results(id)[0];
    if let Some((y, c, d)) = as_factor(e, out) {
        if let Some((x, c2, d2)) = as_factor(e, y) {
            return with_factor(e, x, c * c2, d * d2);
        }
        return rescaled(e, y, c / d, DEEP);
    }
    // Integers wrap in both forms alike.
    let (y, c) = e.as_scaled(out)?;
    let (x, d) = e.as_scaled(y)?;
    let (Scalar::Int(c), Scalar::Int(d)) = (c, d) else { return None };
    let aval = e.out(id);
    let product = e.full(&aval, c.wrapping_mul(d))?;
    e.binary(Binary::Mul, x, product)
}

fn scale_product(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Mul)?;
    let ((x, c, d), (y, c2, d2)) = (as_factor(e, a)?, as_factor(e, b)?);
    let product = e.binary(Binary::Mul, x, y)?;
    with_factor(e, product, c * c2, d * d2)
}

/// `v = x + c`, from a sum or difference with a uniform tensor.
fn as_shifted(e: &Editor, v: Value) -> Option<(Value, Scalar)> {
    let minus = |c: Scalar| match c {
        Scalar::Float(x) => Scalar::Float(-x),
        Scalar::Int(i) => Scalar::Int(i.wrapping_neg()),
        Scalar::Bool(b) => Scalar::Bool(b),
    };
    if let Some((a, b)) = e.as_binary(v, Binary::Add) {
        return e.as_full(b).map(|c| (a, c)).or_else(|| e.as_full(a).map(|c| (b, c)));
    }
    let (a, b) = e.as_binary(v, Binary::Sub)?;
    e.as_full(b).map(|c| (a, minus(c)))
}

fn merge_terms(e: &mut Editor, id: NodeId) -> Option<Value> {
    let aval = e.out(id);
    if aval.dtype == DType::Bool {
        return None;
    }
    let (y, c) = as_shifted(e, e.results(id)[0])?;
    let (x, d) = as_shifted(e, y)?;
    let sum = match (c, d) {
        (Scalar::Int(c), Scalar::Int(d)) => Scalar::Int(c.wrapping_add(d)),
        (c, d) => Scalar::Float(c.to_f64() + d.to_f64()),
    };
    if !sum.cast(aval.dtype).to_f64().is_finite() {
        return None;
    }
    let sum = e.full(&aval, sum)?;
    e.binary(Binary::Add, x, sum)
}

/// A reciprocal that is used again stays: to multiply by it is cheaper than to divide once more.
fn mul_reciprocal(e: &mut Editor, id: NodeId) -> Option<Value> {
    if let Some((a, b)) = operands(e, id, Binary::Mul) {
        let once = |v: Value| e.as_unary(v, Unary::Reciprocal).filter(|_| e.count(v) == 1);
        if let Some(d) = once(b) {
            return e.binary(Binary::Div, a, d);
        }
        let d = once(a)?;
        return e.binary(Binary::Div, b, d);
    }
    let (a, b) = operands(e, id, Binary::Div)?;
    let x = e.as_unary(b, Unary::Reciprocal)?;
    e.binary(Binary::Mul, a, x)
}

fn factor(e: &mut Editor, id: NodeId) -> Option<Value> {
    let op = [Binary::Add, Binary::Sub].into_iter().find(|op| operands(e, id, *op).is_some())?;
    let (l, r) = operands(e, id, op)?;
    if !float_result(e, id) || l == r {
        return None;
    }
    if let (Some((a, c)), Some((b, d))) = (e.as_binary(l, Binary::Div), e.as_binary(r, Binary::Div)) {
        if c != d {
            return None;
        }
        let sum = e.binary(op, a, b)?;
        return e.binary(Binary::Div, sum, c);
    }
    let ((a, c), (b, d)) = (e.as_binary(l, Binary::Mul)?, e.as_binary(r, Binary::Mul)?);
    let (x, y, common) = match () {
        () if c == d => (a, b, c),
        () if a == b => (c, d, a),
        () if a == d => (c, b, a),
        () if c == b => (a, d, c),
        () => return None,
    };
    let sum = e.binary(op, x, y)?;
    e.binary(Binary::Mul, sum, common)
}

fn factor_scale(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (l, r) = operands(e, id, Binary::Add)?;
    if !float_result(e, id) {
        return None;
    }
    let of = |e: &Editor, x: Value, y: Value| e.as_scaled(y).filter(|(z, _)| *z == x).map(|(_, c)| (x, c));
    let (x, c) = of(e, l, r).or_else(|| of(e, r, l))?;
    e.scale(x, 1.0 + c.to_f64())
}

fn add_twice(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (l, r) = operands(e, id, Binary::Add)?;
    if !float_result(e, id) {
        return None;
    }
    if l == r {
        return rescaled(e, l, 2.0, DEEP);
    }
    for (sum, x) in [(l, r), (r, l)] {
        let Some((a, b)) = e.as_binary(sum, Binary::Add) else { continue };
        if a != x && b != x {
            continue;
        }
        let twice = rescaled(e, x, 2.0, DEEP)?;
        return e.binary(Binary::Add, if a == x { b } else { a }, twice);
    }
    None
}
