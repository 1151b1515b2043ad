//! Matrix products.

use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::ir::Value;
use crate::ops::{Bmm, Mm, Op, Permute, Unary};

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(permute_mm, "permute-mm", Exact, "transpose(a.T @ b) -> b.T @ a"),
    rule!(mm_eye, "mm-eye", Finite, "eye @ x, x @ eye -> x, also in batches"),
    rule!(mm_zero, "mm-zero", Finite, "0 @ x, x @ 0 -> 0; a product over no element -> 0"),
    rule!(mm_one, "mm-one", Rounding, "a @ full(c) -> a * c over one inner element"),
    rule!(mm_neg, "mm-neg", Finite, "-a @ b -> -(a @ b), if the result is not larger than a"),
    rule!(bmm_expand, "bmm-expand", Exact, "bmm(expand(a), expand(b)) -> expand(a @ b)"),
    rule!(bmm_shared_right, "bmm-shared-right", Exact, "bmm(a, expand(b)) -> reshape(reshape(a) @ b)"),
    rule!(view_bmm_left, "bmm-shared-left", Rounding, "reshape(bmm(expand(a), b)) -> b @ a.T for a batch b of vectors"),
];

fn product(e: &Editor, v: Value) -> Option<(Value, Value)> {
    match e.def_op(v)? {
        (Op::Mm(_) | Op::Bmm(_), id) => Some((e.arg(id, 0), e.arg(id, 1))),
        _ => None,
    }
}

fn operands(e: &Editor, id: NodeId) -> Option<(Value, Value)> {
    match e.op(id) {
        Op::Mm(_) | Op::Bmm(_) => Some((e.arg(id, 0), e.arg(id, 1))),
        _ => None,
    }
}

/// The permutation that exchanges the last two of `rank` dims.
fn swap(rank: usize) -> Vec<usize> {
    let mut dims: Vec<usize> = (0..rank).collect();
    dims.swap(rank - 1, rank - 2);
    dims
}

/// What multiplies, for this rank.
fn times(e: &mut Editor, a: Value, b: Value) -> Option<Value> {
    if e.shape(a).rank() == 2 { e.emit(Mm {}, &[a, b]) } else { e.emit(Bmm {}, &[a, b]) }
}

fn permute_mm(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let rank = dims.len();
    if rank < 2 || *dims != swap(rank) {
        return None;
    }
    let (a, b) = product(e, e.arg(id, 0))?;
    let is_transposed = |v: Value| e.as_permute(v).is_some_and(|(d, _)| d == swap(rank));
    if !is_transposed(a) && !is_transposed(b) {
        return None;
    }
    let a = e.permute(a, &swap(rank))?;
    let b = e.permute(b, &swap(rank))?;
    times(e, b, a)
}

/// Whether `v` is an identity matrix, or a batch of them.
fn is_eye(e: &Editor, v: Value) -> bool {
    e.as_eye(v).is_some() || e.as_expand(v).is_some_and(|x| e.as_eye(x).is_some())
}

fn mm_eye(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id)?;
    if is_eye(e, a) {
        return Some(b);
    }
    is_eye(e, b).then_some(a)
}

fn mm_zero(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id)?;
    let inner = e.shape(a).dims().last().is_some_and(|k| *k == 0);
    if !e.is_zero(a) && !e.is_zero(b) && !inner {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, 0i64)
}

fn mm_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id)?;
    if e.shape(a).dims().last().is_none_or(|k| *k != 1) || !e.dtype(a).is_float() {
        return None;
    }
    let (x, c) = match (e.as_full(a), e.as_full(b)) {
        (_, Some(c)) => (a, c),
        (Some(c), None) => (b, c),
        (None, None) => return None,
    };
    let out = e.out(id).shape;
    let x = e.scale(x, c.to_f64())?;
    e.expand(x, &out)
}

fn mm_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = operands(e, id)?;
    let out = e.out(id).shape.numel();
    let (x, y, size) = match (e.as_unary(a, Unary::Neg), e.as_unary(b, Unary::Neg)) {
        (Some(x), Some(y)) => (x, y, usize::MAX),
        (Some(x), None) => (x, b, e.shape(x).numel()),
        (None, Some(y)) => (a, y, e.shape(y).numel()),
        (None, None) => return None,
    };
    if out > size {
        return None;
    }
    let y = times(e, x, y)?;
    if size == usize::MAX { Some(y) } else { e.unary(Unary::Neg, y) }
}

/// The matrix of which every member of the batch `v` is a copy.
fn shared(e: &mut Editor, v: Value) -> Option<Value> {
    let x = e.as_expand(v)?;
    let (s, full) = (e.shape(x).clone(), e.shape(v).slice(1, 3));
    match s.rank() {
        2 if s == full => Some(x),
        3 if s[0] == 1 && s.slice(1, 3) == full => e.view(x, &full),
        _ => None,
    }
}

fn bmm_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Bmm(_) = e.op(id) else { return None };
    let (a, b) = operands(e, id)?;
    let (a, b) = (shared(e, a)?, shared(e, b)?);
    let y = e.emit(Mm {}, &[a, b])?;
    let out = e.out(id).shape;
    e.expand(y, &out)
}

fn bmm_shared_right(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Bmm(_) = e.op(id) else { return None };
    let (a, b) = operands(e, id)?;
    let b = shared(e, b)?;
    let (s, out) = (e.shape(a).clone(), e.out(id).shape);
    let rows = s[0].checked_mul(s[1])?;
    let a = e.view(a, &[rows, s[2]].into_iter().collect())?;
    let y = e.emit(Mm {}, &[a, b])?;
    e.view(y, &out)
}

/// `bmm(expand(a[m,k]), b[n,k,1])` holds in row `i` the product of `a` with vector `i`, which is row `i` of `b @ a.T`.
fn view_bmm_left(e: &mut Editor, id: NodeId) -> Option<Value> {
    let root = match e.op(id) {
        Op::View(_) => e.arg(id, 0),
        Op::Bmm(_) => e.results(id)[0],
        _ => return None,
    };
    let (Op::Bmm(_), def) = e.def_op(root)? else { return None };
    let (a, b) = operands(e, def)?;
    if e.shape(b)[2] != 1 {
        return None;
    }
    let a = shared(e, a)?;
    let (s, out) = (e.shape(b).clone(), e.out(id).shape);
    let rows = e.view(b, &s.slice(0, 2))?;
    let a = e.permute(a, &[1, 0])?;
    let y = e.emit(Mm {}, &[rows, a])?;
    e.view(y, &out)
}
