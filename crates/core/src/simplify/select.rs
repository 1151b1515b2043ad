//! Choices.

use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::ir::{DType, Scalar, Value};
use crate::ops::{Binary, Op, Unary};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "where-constant",
        class: Class::Exact,
        law: "where(true, a, b) -> a; where(false, a, b) -> b",
        apply: Apply::Node(where_constant),
    },
    Rule { name: "where-same", class: Class::Exact, law: "where(p, a, a) -> a", apply: Apply::Node(where_same) },
    Rule {
        name: "where-not",
        class: Class::Exact,
        law: "where(not p, a, b) -> where(p, b, a)",
        apply: Apply::Node(where_not),
    },
    Rule {
        name: "where-where",
        class: Class::Exact,
        law: "where(p, where(p, a, b), c) -> where(p, a, c), and so in the other branch",
        apply: Apply::Node(where_where),
    },
    Rule {
        name: "where-bool",
        class: Class::Exact,
        law: "where(p, true, false) -> p; where(p, false, true) -> not p",
        apply: Apply::Node(where_bool),
    },
    Rule {
        name: "where-zero-add",
        class: Class::Finite,
        law: "where(p, a, 0) + where(p, 0, b) -> where(p, a, b), and so where one is multiplied by a number",
        apply: Apply::Node(where_zero_add),
    },
    Rule {
        name: "where-tied-halves",
        class: Class::Finite,
        law: "where(x < y, 0, where(x = y, a / 2, a)) + where(x > y, 0, where(x = y, b / 2, b)) -> where(x = y, (a + b) / 2, where(x > y, a, b)), and so with the signs turned",
        apply: Apply::Node(where_tied_halves),
    },
    Rule {
        name: "where-unit-mul",
        class: Class::Finite,
        law: "where(p, 1, 0) * x -> where(p, x, 0)",
        apply: Apply::Node(where_unit_mul),
    },
];

fn parts(e: &Editor, id: NodeId) -> Option<(Value, Value, Value)> {
    match e.op(id) {
        Op::Where(_) => e.as_where(e.results(id)[0]),
        _ => None,
    }
}

fn where_constant(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (p, a, b) = parts(e, id)?;
    e.as_full(p).map(|p| if p.to_bool() { a } else { b })
}

fn where_same(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (_, a, b) = parts(e, id)?;
    (a == b).then_some(a)
}

fn where_not(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (p, a, b) = parts(e, id)?;
    let q = e.as_unary(p, Unary::BitwiseNot)?;
    e.select(q, b, a)
}

fn where_where(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (p, a, b) = parts(e, id)?;
    let first = e.as_where(a).filter(|(q, _, _)| *q == p).map(|(_, x, _)| x);
    let second = e.as_where(b).filter(|(q, _, _)| *q == p).map(|(_, _, x)| x);
    if first.is_none() && second.is_none() {
        return None;
    }
    e.select(p, first.unwrap_or(a), second.unwrap_or(b))
}

fn where_bool(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (p, a, b) = parts(e, id)?;
    if e.dtype(a) != DType::Bool {
        return None;
    }
    match (e.as_full(a)?, e.as_full(b)?) {
        (Scalar::Bool(true), Scalar::Bool(false)) => Some(p),
        (Scalar::Bool(false), Scalar::Bool(true)) => e.unary(Unary::BitwiseNot, p),
        _ => None,
    }
}

fn where_zero_add(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (l, r) = e.as_binary(e.results(id)[0], Binary::Add)?;
    // One of both may be multiplied by a number.
    let scaled = |v: Value| match e.as_scaled(v) {
        Some((x, c)) => (x, Some(c)),
        None => (v, None),
    };
    let ((l, by), (r, other)) = (scaled(l), scaled(r));
    let ((p, a, z), (q, y, b)) = (e.as_where(l)?, e.as_where(r)?);
    if p != q {
        return None;
    }
    if let Some(c) = by.or(other) {
        let c = c.to_f64();
        if by.is_some() && other.is_some() || !c.is_finite() {
            return None;
        }
        let [left, right] = [by, other].map(|by| if by.is_some() { c } else { 1.0 });
        if e.is_zero(z) && e.is_zero(y) {
            let (a, b) = (e.scale(a, left)?, e.scale(b, right)?);
            return e.select(p, a, b);
        }
        if e.is_zero(a) && e.is_zero(b) {
            let (y, z) = (e.scale(y, right)?, e.scale(z, left)?);
            return e.select(p, y, z);
        }
        return None;
    }
    if e.is_zero(z) && e.is_zero(y) {
        return e.select(p, a, b);
    }
    if e.is_zero(a) && e.is_zero(b) {
        return e.select(p, y, z);
    }
    None
}

/// The tangent of a larger (or smaller) operand, of which equal operands have half each.
fn where_tied_halves(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (l, r) = e.as_binary(e.results(id)[0], Binary::Add)?;
    let ((a_behind, a_none, a_part), (b_behind, b_none, b_part)) = (e.as_where(l)?, e.as_where(r)?);
    let ((a_tie, a_half, a), (b_tie, b_half, b)) = (e.as_where(a_part)?, e.as_where(b_part)?);
    let (x, y) = e.as_binary(a_tie, Binary::Eq)?;
    let opposite = [(Binary::Lt, Binary::Gt), (Binary::Gt, Binary::Lt)]
        .into_iter()
        .any(|(f, g)| e.as_binary(a_behind, f) == Some((x, y)) && e.as_binary(b_behind, g) == Some((x, y)));
    let half = |h: Value, of: Value| e.as_scaled(h).is_some_and(|(v, c)| v == of && c.to_f64() == 0.5);
    if a_tie != b_tie || !opposite || !e.is_zero(a_none) || !e.is_zero(b_none) || !half(a_half, a) || !half(b_half, b) {
        return None;
    }
    let factor = e.as_binary(a_half, Binary::Mul).map(|(p, q)| if e.as_full(q).is_some() { q } else { p })?;
    let both = e.binary(Binary::Add, a, b)?;
    let shared = e.binary(Binary::Mul, both, factor)?;
    let ahead = e.select(b_behind, a, b)?;
    e.select(a_tie, shared, ahead)
}

fn where_unit_mul(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (l, r) = e.as_binary(e.results(id)[0], Binary::Mul)?;
    for (mask, x) in [(l, r), (r, l)] {
        let Some((p, a, b)) = e.as_where(mask) else { continue };
        if e.is_full(a, 1.0) && e.is_zero(b) {
            return e.select(p, x, b);
        }
        if e.is_zero(a) && e.is_full(b, 1.0) {
            return e.select(p, a, x);
        }
    }
    None
}
