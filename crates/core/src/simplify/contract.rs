//! Matrix products.

use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::ir::{Dim, Shape, Value};
use crate::ops::{Binary, Bmm, Mm, Op, Permute, Unary};

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(permute_mm, "permute-mm", Exact, "transpose(a.T @ b) -> b.T @ a"),
    rule!(permute_outer, "permute-outer", Exact, "transpose(a @ b) -> b.T @ a.T over one inner element"),
    rule!(mm_eye, "mm-eye", Finite, "eye @ x, x @ eye -> x, also in batches"),
    rule!(mm_zero, "mm-zero", Finite, "0 @ x, x @ 0 -> 0; a product over no element -> 0"),
    rule!(mm_one, "mm-one", Rounding, "a @ full(c) -> a * c over one inner element"),
    rule!(mm_neg, "mm-neg", Finite, "-a @ b -> -(a @ b), if the result is not larger than a"),
    rule!(bmm_expand, "bmm-expand", Exact, "bmm(expand(a), expand(b)) -> expand(a @ b)"),
    rule!(bmm_shared_right, "bmm-shared-right", Exact, "bmm(a, expand(b)) -> reshape(reshape(a) @ b)"),
    rule!(view_bmm_left, "bmm-shared-left", Rounding, "reshape(bmm(expand(a), b)) -> b @ a.T for a batch b of vectors"),
    rule!(mm_outer, "mm-outer", Rounding, "(a x b) @ (c x d).T -> (a @ c.T) * (b @ d.T) for rows of outer products"),
    rule!(
        bmm_outer,
        "bmm-outer",
        Rounding,
        "x @ (a x b) -> (x @ a) @ b; (a x b) @ y -> a @ (b @ y) for outer products"
    ),
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

/// An outer product has no order of its own: of both ways, the one whose rows a permutation leaves before its columns.
fn permute_outer(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let (row, column) = (dims.len().checked_sub(2)?, dims.len() - 1);
    let turned = dims.iter().position(|d| *d == column) < dims.iter().position(|d| *d == row);
    let exchanged = |d: usize| {
        if d == row {
            column
        } else if d == column {
            row
        } else {
            d
        }
    };
    let dims: Vec<usize> = dims.iter().map(|d| exchanged(*d)).collect();
    let (a, b) = product(e, e.arg(id, 0))?;
    if !turned || e.shape(a)[column] != 1 {
        return None;
    }
    let (mut left, mut right) = (e.shape(b).clone(), e.shape(a).clone());
    for shape in [&mut left, &mut right] {
        *shape = (0..dims.len()).map(|d| shape[exchanged(d)]).collect();
    }
    let (b, a) = (e.view(b, &left)?, e.view(a, &right)?);
    let y = times(e, b, a)?;
    e.permute(y, &dims)
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

/// The factors `[p, m, 1]` and `[p, 1, n]` of a batch of outer products `[p, m, n]`.
fn outer(e: &Editor, v: Value) -> Option<(Value, Value)> {
    let (a, b) = product(e, v)?;
    (e.shape(a).rank() == 3 && e.shape(a)[2] == 1).then_some((a, b))
}

/// As [`outer`], also where the batch is repeated or arranged in other dims.
fn repeated_outer(e: &mut Editor, v: Value) -> Option<(Value, Value)> {
    let mut inner = v;
    let mut steps = Vec::new();
    while let Some(x) = e.as_view(inner).or_else(|| e.as_expand(inner)) {
        steps.push(e.shape(inner).clone());
        inner = x;
    }
    let (a, b) = outer(e, inner)?;
    let matrix = e.shape(inner).slice(1, 3);
    let lead = |s: &Shape| s.rank().checked_sub(2).filter(|r| s.slice(*r, s.rank()) == matrix).map(|r| s.slice(0, r));
    let leads: Vec<Shape> = steps.iter().rev().map(lead).collect::<Option<_>>()?;
    let (mut left, mut right) = (a, b);
    for lead in leads {
        for (x, m, n) in [(&mut left, matrix[0], Dim::new(1)), (&mut right, Dim::new(1), matrix[1])] {
            let shape: Shape = lead.dims().iter().copied().chain([m, n]).collect();
            *x = if shape.numel() == e.shape(*x).numel() { e.view(*x, &shape)? } else { e.expand(*x, &shape)? };
        }
    }
    Some((left, right))
}

/// By associativity, without the outer products.
fn bmm_outer(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Bmm(_) = e.op(id) else { return None };
    let (x, y) = operands(e, id)?;
    let ones = [e.shape(x)[2], e.shape(y)[1]].contains(&Dim::new(1));
    if ones || !e.out_dtype(id).is_float() {
        return None;
    }
    if let Some((a, b)) = repeated_outer(e, y) {
        let x = e.emit(Bmm {}, &[x, a])?;
        return e.emit(Bmm {}, &[x, b]);
    }
    let (a, b) = repeated_outer(e, x)?;
    let y = e.emit(Bmm {}, &[b, y])?;
    e.emit(Bmm {}, &[a, y])
}

/// The factors of the outer products that are the columns of the matrix `v`.
fn outer_columns(e: &Editor, v: Value) -> Option<(Value, Value)> {
    if let Some((dims, rows)) = e.as_permute(v) {
        return if dims == [1, 0] { outer(e, e.as_view(rows)?) } else { None };
    }
    let (dims, x) = e.as_permute(e.as_view(v)?)?;
    if dims == [1, 2, 0] { outer(e, x) } else { None }
}

/// `sum_ij (a_i b_j) (c_i d_j)` is `(sum_i a_i c_i) (sum_j b_j d_j)`: `m + n` products in place of `m n`.
fn mm_outer(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Mm(_) = e.op(id) else { return None };
    let (x, y) = operands(e, id)?;
    let rows = outer(e, e.as_view(x)?)?;
    let columns = outer_columns(e, y)?;
    let fit = |a: Value, b: Value| e.shape(a)[1] == e.shape(b)[1] && e.shape(a)[2] == e.shape(b)[2];
    let whole = e.shape(rows.0)[0] == e.shape(x)[0] && e.shape(columns.0)[0] == e.shape(y)[1];
    if !whole || !fit(rows.0, columns.0) || !fit(rows.1, columns.1) || !e.out_dtype(id).is_float() {
        return None;
    }
    let mut dots = [rows.0, rows.1];
    for (a, c) in dots.iter_mut().zip([columns.0, columns.1]) {
        let n = e.shape(*a)[1].checked_mul(e.shape(*a)[2])?;
        let (p, q) = (e.shape(*a)[0], e.shape(c)[0]);
        let left = e.view(*a, &[p, n].into_iter().collect())?;
        let right = e.view(c, &[q, n].into_iter().collect())?;
        let right = e.permute(right, &[1, 0])?;
        *a = e.emit(Mm {}, &[left, right])?;
    }
    e.binary(Binary::Mul, dots[0], dots[1])
}
