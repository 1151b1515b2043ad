//! Identities of elementwise functions.
//!
//! `0`, `1` and `c` stand for uniform tensors.

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
    rule!(add_neg_zero, "add-neg-zero", Exact, "x + -0.0 -> x; on integers and bool x + 0 -> x"),
    rule!(add_zero, "add-zero", Finite, "x + 0.0 -> x"),
    rule!(sub_zero, "sub-zero", Exact, "x - 0 -> x"),
    rule!(zero_sub, "zero-sub", Finite, "0 - x -> -x"),
    rule!(mul_one, "mul-one", Exact, "x * 1 -> x"),
    rule!(div_one, "div-one", Exact, "x / 1 -> x"),
    rule!(mul_zero_int, "mul-zero-int", Exact, "x * 0 -> 0 on integers; x and false -> false"),
    rule!(mul_zero, "mul-zero", Finite, "x * 0.0 -> 0; 0 / x -> 0"),
    rule!(not_not, "not-not", Exact, "not not x -> x"),
    rule!(not_compare, "not-compare", Exact, "not (a == b) -> a != b; on integers not (a < b) -> a >= b"),
    rule!(idempotent, "idempotent", Exact, "f(f(x)) -> f(x) for abs, sign, floor, ceil, trunc, round, detach"),
    rule!(round_int, "round-int", Exact, "floor, ceil, trunc, round of integers -> x"),
    rule!(
        same_operands,
        "same-operands",
        Exact,
        "max(x, x), min(x, x), x and x, x or x -> x; x == x -> true on integers"
    ),
    rule!(
        bool_identity,
        "bool-identity",
        Exact,
        "x and true -> x; x or false -> x; x or true -> true; x xor false -> x"
    ),
    rule!(extreme_identity, "extreme-identity", Exact, "max(x, -inf) -> x; min(x, inf) -> x"),
    rule!(pow_zero, "pow-zero", Exact, "x ** 0 -> 1"),
    rule!(pow_one, "pow-one", Exact, "x ** 1 -> x"),
    rule!(one_div, "one-div", Exact, "1 / x -> reciprocal(x)"),
    rule!(sub_self, "sub-self", Finite, "x - x -> 0"),
    rule!(pow_small, "pow-small", Rounding, "x ** 2 -> x * x; x ** 3 -> x * x * x; x ** -1 -> reciprocal(x)"),
    rule!(inverse_functions, "inverse-functions", FastMath, "log(exp(x)), exp(log(x)), reciprocal(reciprocal(x)) -> x"),
    rule!(reciprocal_sqrt, "reciprocal-sqrt", FastMath, "reciprocal(sqrt(x)) -> rsqrt(x); a / sqrt(x) -> a * rsqrt(x)"),
    rule!(sqrt_square, "sqrt-square", FastMath, "sqrt(x) * sqrt(x) -> x; x ** 0.5 -> sqrt(x)"),
    rule!(div_self, "div-self", FastMath, "x / x -> 1"),
];

/// The operands of `id`, if it is this binary function.
pub(super) fn operands(e: &Editor, id: NodeId, op: Binary) -> Option<(Value, Value)> {
    match e.op(id) {
        Op::Binary(b) if *b == op => Some((e.arg(id, 0), e.arg(id, 1))),
        _ => None,
    }
}

/// The operand of `id`, if it is this unary function.
pub(super) fn operand(e: &Editor, id: NodeId, op: Unary) -> Option<Value> {
    match e.op(id) {
        Op::Unary(u) if *u == op => Some(e.arg(id, 0)),
        _ => None,
    }
}

/// The other operand of a commutative `op`, if one is a uniform tensor for which `which` holds.
pub(super) fn beside(e: &Editor, id: NodeId, op: Binary, which: impl Fn(&Editor, Value) -> bool) -> Option<Value> {
    let (a, b) = operands(e, id, op)?;
    if which(e, b) {
        return Some(a);
    }
    which(e, a).then_some(b)
}

/// How many ops that only move elements a rule looks through.
pub(super) const DEEP: usize = 4;

pub(super) fn float_result(e: &Editor, id: NodeId) -> bool {
    e.out_dtype(id).is_float()
}

fn add_neg_zero(e: &mut Editor, id: NodeId) -> Option<Value> {
    let zero = if float_result(e, id) { -0.0 } else { 0.0 };
    beside(e, id, Binary::Add, |e, v| e.is_full(v, zero))
}

fn add_zero(e: &mut Editor, id: NodeId) -> Option<Value> {
    beside(e, id, Binary::Add, |e, v| e.is_zero(v))
}

fn sub_zero(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Sub)?;
    e.is_full(b, 0.0).then_some(a)
}

fn zero_sub(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Sub)?;
    if e.is_zero(a) { e.unary(Unary::Neg, b) } else { None }
}

fn mul_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    beside(e, id, Binary::Mul, |e, v| e.is_full(v, 1.0))
}

fn div_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Div)?;
    e.is_full(b, 1.0).then_some(a)
}

fn mul_zero_int(e: &mut Editor, id: NodeId) -> Option<Value> {
    if float_result(e, id) {
        return None;
    }
    beside(e, id, Binary::Mul, |e, v| e.is_zero(v))
        .or_else(|| beside(e, id, Binary::BitwiseAnd, |e, v| e.is_zero(v)))?;
    let aval = e.out(id);
    e.full(&aval, 0i64)
}

fn mul_zero(e: &mut Editor, id: NodeId) -> Option<Value> {
    beside(e, id, Binary::Mul, |e, v| e.is_zero(v))
        .or_else(|| operands(e, id, Binary::Div).filter(|(a, _)| e.is_zero(*a)).map(|(_, b)| b))?;
    let aval = e.out(id);
    e.full(&aval, 0i64)
}

fn not_not(e: &mut Editor, id: NodeId) -> Option<Value> {
    e.as_unary(operand(e, id, Unary::BitwiseNot)?, Unary::BitwiseNot)
}

fn not_compare(e: &mut Editor, id: NodeId) -> Option<Value> {
    use Binary::{Eq, Ge, Gt, Le, Lt, Ne};
    let x = operand(e, id, Unary::BitwiseNot)?;
    let (Op::Binary(b), def) = e.def_op(x)? else { return None };
    // A comparison with NaN and its opposite are both false.
    let total = !e.dtype(e.arg(def, 0)).is_float();
    let opposite = match b {
        Eq => Ne,
        Ne => Eq,
        Lt if total => Ge,
        Ge if total => Lt,
        Gt if total => Le,
        Le if total => Gt,
        _ => return None,
    };
    let (a, b) = (e.arg(def, 0), e.arg(def, 1));
    e.binary(opposite, a, b)
}

fn idempotent(e: &mut Editor, id: NodeId) -> Option<Value> {
    use Unary::{Abs, Ceil, Detach, Floor, Round, Sign, Trunc};
    let Op::Unary(u @ (Abs | Sign | Floor | Ceil | Trunc | Round | Detach)) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    e.as_unary(x, *u).map(|_| x)
}

fn round_int(e: &mut Editor, id: NodeId) -> Option<Value> {
    use Unary::{Ceil, Floor, Round, Trunc};
    let Op::Unary(Ceil | Floor | Round | Trunc) = e.op(id) else { return None };
    (!float_result(e, id)).then(|| e.arg(id, 0))
}

fn same_operands(e: &mut Editor, id: NodeId) -> Option<Value> {
    use Binary::{BitwiseAnd, BitwiseOr, Eq, Ge, Gt, Le, Lt, Maximum, Minimum, Ne};
    let Op::Binary(op) = e.op(id) else { return None };
    let (a, b) = (e.arg(id, 0), e.arg(id, 1));
    let total = !e.dtype(a).is_float();
    let truth = match op {
        _ if a != b => return None,
        Maximum | Minimum | BitwiseAnd | BitwiseOr => return Some(a),
        Eq | Le | Ge if total => true,
        Ne | Lt | Gt if total => false,
        _ => return None,
    };
    let aval = e.out(id);
    e.full(&aval, truth)
}

fn bool_identity(e: &mut Editor, id: NodeId) -> Option<Value> {
    if e.dtype(*e.args(id).first()?) != DType::Bool {
        return None;
    }
    let is = |x: bool| move |e: &Editor, v: Value| e.as_full(v) == Some(Scalar::Bool(x));
    if beside(e, id, Binary::BitwiseOr, is(true)).is_some() {
        let aval = e.out(id);
        return e.full(&aval, true);
    }
    beside(e, id, Binary::BitwiseAnd, is(true))
        .or_else(|| beside(e, id, Binary::BitwiseOr, is(false)))
        .or_else(|| beside(e, id, Binary::BitwiseXor, is(false)))
}

fn extreme_identity(e: &mut Editor, id: NodeId) -> Option<Value> {
    if !float_result(e, id) {
        return None;
    }
    beside(e, id, Binary::Maximum, |e, v| e.is_full(v, f64::NEG_INFINITY))
        .or_else(|| beside(e, id, Binary::Minimum, |e, v| e.is_full(v, f64::INFINITY)))
}

fn pow_zero(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (_, n) = operands(e, id, Binary::Pow)?;
    if !e.is_zero(n) {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, 1.0)
}

fn pow_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (x, n) = operands(e, id, Binary::Pow)?;
    e.is_full(n, 1.0).then_some(x)
}

fn one_div(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (one, x) = operands(e, id, Binary::Div)?;
    if e.is_full(one, 1.0) { e.unary(Unary::Reciprocal, x) } else { None }
}

fn sub_self(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Sub)?;
    if a != b {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, 0i64)
}

fn pow_small(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (x, n) = operands(e, id, Binary::Pow)?;
    let n = e.as_full(n)?.to_f64();
    if n == 2.0 {
        return e.binary(Binary::Mul, x, x);
    }
    if n == 3.0 {
        let square = e.binary(Binary::Mul, x, x)?;
        return e.binary(Binary::Mul, square, x);
    }
    if n == -1.0 && float_result(e, id) { e.unary(Unary::Reciprocal, x) } else { None }
}

fn inverse_functions(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Unary(u) = e.op(id) else { return None };
    let inverse = match u {
        Unary::Log => Unary::Exp,
        Unary::Exp => Unary::Log,
        Unary::Log2 => Unary::Exp2,
        Unary::Exp2 => Unary::Log2,
        Unary::Expm1 => Unary::Log1p,
        Unary::Log1p => Unary::Expm1,
        Unary::Reciprocal => Unary::Reciprocal,
        _ => return None,
    };
    e.as_unary(e.arg(id, 0), inverse)
}

fn reciprocal_sqrt(e: &mut Editor, id: NodeId) -> Option<Value> {
    if let Some(y) = operand(e, id, Unary::Reciprocal) {
        let x = e.as_unary(y, Unary::Sqrt)?;
        return e.unary(Unary::Rsqrt, x);
    }
    let (a, b) = operands(e, id, Binary::Div)?;
    let x = e.as_unary(b, Unary::Sqrt)?;
    let r = e.unary(Unary::Rsqrt, x)?;
    e.binary(Binary::Mul, a, r)
}

fn sqrt_square(e: &mut Editor, id: NodeId) -> Option<Value> {
    if let Some((a, b)) = operands(e, id, Binary::Mul) {
        return if a == b { e.as_unary(a, Unary::Sqrt) } else { None };
    }
    let (x, n) = operands(e, id, Binary::Pow)?;
    if float_result(e, id) && e.is_full(n, 0.5) { e.unary(Unary::Sqrt, x) } else { None }
}

fn div_self(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id, Binary::Div)?;
    if a != b {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, 1.0)
}
