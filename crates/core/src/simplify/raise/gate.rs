//! Gates: one half of a tensor by the logistic function of the other, and rectifiers whose slope is an operand.

use std::sync::LazyLock;

use smallvec::SmallVec;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::activation::{compared, complement, factors, product};
use super::elementwise::smaller;
use super::term::{Bindings, Term};
use super::{Found, Raising, Slot, number};
use crate::ir::Value;
use crate::ops::{Binary, Cat, Op, Slice, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: glu_backward },
    Raising { class: Class::Rounding, find: glu_jvp },
    Raising { class: Class::Rounding, find: glu },
    Raising { class: Class::Exact, find: prelu },
    Raising { class: Class::Finite, find: prelu_backward },
];

/// The dim along which `a` is the first half of a tensor and `b` the second, and that tensor.
fn halves(e: &Editor, a: Value, b: Value) -> Option<(usize, Value)> {
    let piece = |v: Value| match e.def_op(v)? {
        (Op::Slice(s @ Slice { step: 1, .. }), at) => Some((s, e.arg(at, 0))),
        _ => None,
    };
    let ((first, x), (second, y)) = (piece(a)?, piece(b)?);
    let n = e.shape(x)[first.dim].get();
    let split = first.start == 0 && first.end == second.start && second.end == n && 2 * first.end == n;
    (x == y && first.dim == second.dim && split).then_some((first.dim, x))
}

/// `a * sigmoid(b)` of the halves of a tensor.
fn glu(e: &Editor, id: NodeId) -> Option<Found> {
    let (a, (_, b)) = product(e, e.results(id)[0], |v| Some((v, e.as_unary(v, Unary::Sigmoid)?)))?;
    let (dim, x) = halves(e, a, b)?;
    Found::new("aten::glu(Tensor self, int dim=-1) -> Tensor", [("dim", number(dim as i64))], [x])
}

/// `g * s` beside `g * a * (1 - s) * s`, where `s` is the logistic function of the second half and `a` the first.
fn glu_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let (Op::Cat(Cat { dim }), [first, second]) = (e.op(id), e.args(id)) else { return None };
    let sigmoid = |v: Value| Some((v, e.as_unary(v, Unary::Sigmoid)?));
    let (g, (s, b)) = match product(e, *first, sigmoid) {
        Some((g, found)) => (Some(g), found),
        None => (None, sigmoid(*first)?),
    };
    let (scale, mut rest) = factors(e, *second);
    let at = rest.iter().position(|v| complement(e, *v) == Some(s))?;
    rest.remove(at);
    rest.remove(rest.iter().position(|v| *v == s)?);
    let (expected, mut others) = g.map_or((1.0, SmallVec::new()), |g| factors(e, g));
    // What is left beside the factors of the cotangent is the first half.
    let a = rest.iter().copied().find(|v| halves(e, *v, b).is_some())?;
    others.push(a);
    others.sort_unstable();
    rest.sort_unstable();
    let (along, x) = halves(e, a, b)?;
    if scale != expected || rest != others || along != *dim {
        return None;
    }
    let schema = "aten::glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor";
    Found::along(schema, [("dim", number(*dim as i64))], g, e.aval(s), x)
}

/// `da * s + a * (db * (1 - s) * s)` beside `a * s`, where `s` is the logistic function of the second half `b` and `a` the first.
fn glu_jvp(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, q) = e.as_binary(e.results(id)[0], Binary::Add)?;
    [(p, q), (q, p)].into_iter().find_map(|(first, second)| {
        let (da, (s, b)) = product(e, first, |v| Some((v, e.as_unary(v, Unary::Sigmoid)?)))?;
        let (scale, mut rest) = factors(e, second);
        rest.remove(rest.iter().position(|v| complement(e, *v) == Some(s))?);
        rest.remove(rest.iter().position(|v| *v == s)?);
        let &[one, other] = rest.as_slice() else { return None };
        let (a, db) = if halves(e, one, b).is_some() { (one, other) } else { (other, one) };
        let ((dim, x), (along, dx)) = (halves(e, a, b)?, halves(e, da, db)?);
        let named = |user: &NodeId| matches!(e.op(*user), Op::Call(op) if op.function() == "glu");
        let y = e.equal_node(&Binary::Mul.into(), &[a, s]).or_else(|| e.users(x).find(named))?;
        if scale != 1.0 || dim != along || *e.shape(e.results(y)[0]) != *e.shape(a) {
            return None;
        }
        let schema = "aten::glu_jvp(Tensor glu, Tensor x, Tensor dx, int dim) -> Tensor";
        Found::new(schema, [("dim", number(dim as i64))], [e.results(y)[0], x, dx])
    })
}

/// `where(x > 0, x, w * x)`.
fn prelu(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, x, below) = e.as_where(e.results(id)[0])?;
    let (y, zero) = compared(e, p, Binary::Gt)?;
    let (w, _) = product(e, below, |v| (v == x).then_some(()))?;
    if x != y || zero != 0.0 || e.as_full(w).is_some() || !e.dtype(x).is_float() {
        return None;
    }
    Found::new("aten::_prelu_kernel(Tensor self, Tensor weight) -> Tensor", [], [x, smaller(e, w)])
}

/// The cotangent of `x` in `where(x > 0, x, w * x)`, with that of `w` before it is summed.
static PRELU_BACKWARD: LazyLock<Term> =
    LazyLock::new(|| Term::parse("add(where(gt(x, 0), g, 0), mul(where(gt(x, 0), 0, g), w))"));

fn prelu_backward(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let mut found = Bindings::default();
    if !e.dtype(v).is_float() || !PRELU_BACKWARD.matches(e, v, &mut found) {
        return None;
    }
    let [x, g, w] = [found.operand("x")?, found.operand("g")?, found.operand("w")?];
    if e.as_full(w).is_some() {
        return None;
    }
    // Where the slope has a cotangent, that is what the choice below zero is multiplied by `x` for.
    let (a, b) = e.as_binary(v, Binary::Add)?;
    let below = [a, b].into_iter().find_map(|v| {
        let (p, q) = e.as_binary(v, Binary::Mul)?;
        [p, q].into_iter().find(|v| e.as_where(*v).is_some_and(|(_, above, _)| e.is_zero(above)))
    })?;
    let w_bar = e.results(e.equal_node(&Binary::Mul.into(), &[below, x])?)[0];
    let operands = [g, x, w].map(|v| e.def(v));
    if operands.iter().any(|def| *def >= e.def(w_bar)) {
        return None;
    }
    let schema = "aten::_prelu_kernel_backward(Tensor grad_output, Tensor self, Tensor weight) -> (Tensor, Tensor)";
    let op = Found::new(schema, [], [g, x, smaller(e, w)])?;
    Some(Found { results: vec![Slot::Root, Slot::Value(w_bar)], ..op })
}
