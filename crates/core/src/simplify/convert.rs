//! Conversions of dtype that do nothing or lose nothing.

use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::ir::{DType, Value};
use crate::ops::{Binary, Op, Unary};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "convert-same",
        class: Class::Exact,
        law: "convert(x, dtype of x) -> x",
        apply: Apply::Node(convert_same),
    },
    Rule {
        name: "convert-convert",
        class: Class::Exact,
        law: "convert(convert(x, wide), d) -> convert(x, d), if `wide` holds every value of x",
        apply: Apply::Node(convert_convert),
    },
    Rule {
        name: "convert-truth",
        class: Class::Exact,
        law: "convert(p) != 0 -> p, convert(p) == 0 -> not p, for truth values p",
        apply: Apply::Node(convert_truth),
    },
    Rule {
        name: "convert-choice",
        class: Class::Exact,
        law: "convert(where(p, c, d)) -> where(p, convert(c), convert(d)), and so for scatter(c, index, d), of integers or an infinity",
        apply: Apply::Node(convert_choice),
    },
];

/// Whether `wide` has every value of `narrow`.
fn holds(wide: DType, narrow: DType) -> bool {
    use DType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8};
    match narrow {
        Bool => true,
        // Both half formats have the 8 bits of significand that these need.
        U8 => !matches!(wide, Bool | I8),
        I8 => !matches!(wide, Bool | U8),
        I16 => matches!(wide, I16 | I32 | I64 | F32 | F64),
        I32 => matches!(wide, I32 | I64 | F64),
        I64 => wide == I64,
        F16 => matches!(wide, F16 | F32 | F64),
        BF16 => matches!(wide, BF16 | F32 | F64),
        F32 => matches!(wide, F32 | F64),
        F64 => wide == F64,
    }
}

fn convert_same(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Convert(c) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    (e.dtype(x) == c.dtype).then_some(x)
}

fn convert_convert(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Convert(c) = e.op(id) else { return None };
    let (to, wide) = (c.dtype, e.arg(id, 0));
    let x = e.as_convert(wide)?;
    if !holds(e.dtype(wide), e.dtype(x)) {
        return None;
    }
    e.convert(x, to)
}

fn convert_truth(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Binary(op @ (Binary::Eq | Binary::Ne)) = *e.op(id) else { return None };
    let (a, b) = (e.arg(id, 0), e.arg(id, 1));
    let number = if e.is_zero(b) { a } else { e.is_zero(a).then_some(b)? };
    let p = e.as_convert(number).filter(|p| e.dtype(*p) == DType::Bool)?;
    if op == Binary::Ne { Some(p) } else { e.unary(Unary::BitwiseNot, p) }
}

/// Of two numbers each element is one, and they are converted instead of the elements.
fn convert_choice(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Convert(c) = e.op(id) else { return None };
    let to = c.dtype;
    let (op, def) = e.def_op(e.arg(id, 0))?;
    let (Op::Where(_) | Op::Scatter(_)) = op else { return None };
    let op = op.clone();
    let mut args = e.args(def).to_vec();
    let numbers = if matches!(op, Op::Where(_)) { [1, 2] } else { [0, 2] };
    // Choices of floats may be a slope, which is raised as a whole. No slope is infinite.
    let is_infinite = |v: &Value| e.as_full(*v).is_some_and(|c| c.to_f64().is_infinite());
    if e.dtype(e.arg(id, 0)).is_float() && !numbers.iter().any(|i| is_infinite(&args[*i])) {
        return None;
    }
    for i in numbers {
        let (number, aval) = (e.as_full(args[i])?, e.aval(args[i]).with_dtype(to));
        args[i] = e.full(&aval, number)?;
    }
    e.emit(op, &args)
}
