//! Identities of elementwise functions.
//!
//! `0`, `1` and `c` stand for uniform tensors. Negations move towards the results, where they meet sums, differences
//! and each other.

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
    rule!(mul_minus_one, "mul-minus-one", Exact, "x * -1 -> -x; x / -1 -> -x"),
    rule!(mul_zero_int, "mul-zero-int", Exact, "x * 0 -> 0 on integers; x and false -> false"),
    rule!(mul_zero, "mul-zero", Finite, "x * 0.0 -> 0; 0 / x -> 0"),
    rule!(neg_neg, "neg-neg", Exact, "-(-x) -> x, also through moves and products"),
    rule!(not_not, "not-not", Exact, "not not x -> x"),
    rule!(not_compare, "not-compare", Exact, "not (a == b) -> a != b; on integers not (a < b) -> a >= b"),
    rule!(add_neg, "add-neg", Exact, "a + -b -> a - b; -a + b -> b - a, also through moves and products"),
    rule!(sub_neg, "sub-neg", Exact, "a - -b -> a + b, also through moves and products"),
    rule!(neg_sub, "neg-sub", Finite, "-(a - b) -> b - a"),
    rule!(mul_neg_neg, "mul-neg-neg", Exact, "-a * -b -> a * b; -a / -b -> a / b"),
    rule!(neg_scale, "neg-scale", Exact, "-(x * c) -> x * -c; -x * c -> x * -c; -x / c -> x / -c"),
    rule!(neg_out, "neg-out", Exact, "-a * b -> -(a * b); -a / b -> -(a / b); a / -b -> -(a / b)"),
    rule!(even_neg, "even-neg", Exact, "abs(-x) -> abs(x); cos(-x) -> cos(x); cosh(-x) -> cosh(x)"),
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
    rule!(
        merge_factors,
        "merge-factors",
        Rounding,
        "(x * c) * d -> x * (c * d), and so with quotients, and through products, sums and moves"
    ),
    rule!(scale_product, "scale-product", Rounding, "(a * c) * (b * d) -> (a * b) * (c * d)"),
    rule!(merge_terms, "merge-terms", Rounding, "(x + c) + d -> x + (c + d), and so with differences"),
    rule!(mul_reciprocal, "mul-reciprocal", Rounding, "a * reciprocal(b) -> a / b; a / reciprocal(b) -> a * b"),
    rule!(factor, "factor", Rounding, "a * c + b * c -> (a + b) * c, and so with differences and quotients"),
    rule!(add_twice, "add-twice", Rounding, "x * c + x * c -> x * 2c; a + x * c + x * c -> a + x * 2c"),
    rule!(factor_scale, "factor-scale", Rounding, "x + x * c -> x * (1 + c)"),
    rule!(inverse_functions, "inverse-functions", FastMath, "log(exp(x)), exp(log(x)), reciprocal(reciprocal(x)) -> x"),
    rule!(reciprocal_sqrt, "reciprocal-sqrt", FastMath, "reciprocal(sqrt(x)) -> rsqrt(x); a / sqrt(x) -> a * rsqrt(x)"),
    rule!(sqrt_square, "sqrt-square", FastMath, "sqrt(x) * sqrt(x) -> x; x ** 0.5 -> sqrt(x)"),
    rule!(div_self, "div-self", FastMath, "x / x -> 1"),
];

/// The operands of `id`, if it is this binary function.
fn operands(e: &Editor, id: NodeId, op: Binary) -> Option<(Value, Value)> {
    match e.op(id) {
        Op::Binary(b) if *b == op => Some((e.arg(id, 0), e.arg(id, 1))),
        _ => None,
    }
}

/// The operand of `id`, if it is this unary function.
fn operand(e: &Editor, id: NodeId, op: Unary) -> Option<Value> {
    match e.op(id) {
        Op::Unary(u) if *u == op => Some(e.arg(id, 0)),
        _ => None,
    }
}

/// The other operand of a commutative `op`, if one is a uniform tensor for which `which` holds.
fn beside(e: &Editor, id: NodeId, op: Binary, which: impl Fn(&Editor, Value) -> bool) -> Option<Value> {
    let (a, b) = operands(e, id, op)?;
    if which(e, b) {
        return Some(a);
    }
    which(e, a).then_some(b)
}

/// How many ops that only move elements a rule looks through.
const DEEP: usize = 4;

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

fn float_result(e: &Editor, id: NodeId) -> bool {
    e.out(id).dtype.is_float()
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

fn mul_minus_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let signed = !matches!(e.out(id).dtype, DType::Bool | DType::U8);
    let minus_one = |e: &Editor, v: Value| signed && e.is_full(v, -1.0);
    let x = beside(e, id, Binary::Mul, minus_one)
        .or_else(|| operands(e, id, Binary::Div).filter(|(_, b)| minus_one(e, *b)).map(|(a, _)| a))?;
    e.unary(Unary::Neg, x)
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

fn neg_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let x = operand(e, id, Unary::Neg)?;
    without_neg(e, x, DEEP)
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

fn mul_reciprocal(e: &mut Editor, id: NodeId) -> Option<Value> {
    if let Some((a, b)) = operands(e, id, Binary::Mul) {
        if let Some(d) = e.as_unary(b, Unary::Reciprocal) {
            return e.binary(Binary::Div, a, d);
        }
        let d = e.as_unary(a, Unary::Reciprocal)?;
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
