//! Slices, concatenations, paddings and reversals: merged with each other where one undoes another.

use super::edit::{Editor, NodeId};
use super::pattern::aligned;
use super::{Apply, Class, Rule};
use crate::ir::Value;
use crate::ops::{Binary, Cat, Flip, Op, Pad, ScatterAdd, Slice};

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(flip_flip, "flip-flip", Exact, "flip(flip(x)) -> flip(x) on the dims of only one of them"),
    rule!(flip_expand, "flip-expand", Exact, "flip of broadcast or size-1 dims -> x"),
    rule!(slice_slice, "slice-slice", Exact, "slice(slice(x)) -> slice(x) of one dim"),
    rule!(slice_expand, "slice-expand", Exact, "slice(expand(x)) -> expand(x) of a broadcast dim"),
    rule!(slice_cat, "slice-cat", Exact, "slice(cat(x, y)) -> slice of the operand that it lies in"),
    rule!(
        slice_pad,
        "slice-pad",
        Exact,
        "slice(pad(x)) -> slice(x) where it lies inside x, full(border) where outside"
    ),
    rule!(pad_pad, "pad-pad", Exact, "pad(pad(x)) -> pad(x) of one border value, if neither crops"),
    rule!(cat_cat, "cat-cat", Exact, "cat(cat(x, y), z) -> cat(x, y, z)"),
    rule!(cat_slices, "cat-slices", Exact, "cat(x[a..b], x[b..c]) -> x[a..c]"),
    rule!(add_pads, "add-pads", Finite, "pad(x) + pad(y) with zeros, side by side -> pad(cat(x, y))"),
    rule!(slice_gather, "slice-gather", Exact, "slice(gather(x, index)) -> gather(x, slice(index)) of the indexed dim"),
    rule!(
        scatter_add_pad,
        "scatter-add-pad",
        Finite,
        "scatter_add(x, index, pad(y)) with zeros -> scatter_add(x, slice(index), y)"
    ),
];

fn flip_flip(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Flip(outer) = e.op(id) else { return None };
    let Some((Op::Flip(inner), def)) = e.def_op(e.arg(id, 0)) else { return None };
    let one = |a: &Flip, b: &Flip| a.dims.iter().copied().filter(|d| !b.dims.contains(d)).collect::<Vec<_>>();
    let mut dims = one(outer, inner);
    dims.extend(one(inner, outer));
    dims.sort_unstable();
    let x = e.arg(def, 0);
    if dims.is_empty() { Some(x) } else { e.emit(Flip { dims }, &[x]) }
}

fn flip_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Flip(Flip { dims }) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    let from = match e.as_expand(x) {
        Some(small) => aligned(e.shape(small), e.shape(x)),
        None => e.shape(x).clone(),
    };
    dims.iter().all(|d| from[*d] == 1).then_some(x)
}

fn slice_of(e: &Editor, v: Value) -> Option<(Slice, Value)> {
    match e.def_op(v) {
        Some((Op::Slice(s), id)) => Some((s.clone(), e.arg(id, 0))),
        _ => None,
    }
}

/// `x[start..end]` on `dim`, or `x` where that is all of it.
fn slice(e: &mut Editor, x: Value, s: Slice) -> Option<Value> {
    let whole = s.start == 0 && s.step == 1 && e.shape(x)[s.dim] == s.end;
    if whole { Some(x) } else { e.emit(s, &[x]) }
}

fn slice_slice(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Slice(outer) = e.op(id) else { return None };
    let outer = outer.clone();
    let (inner, x) = slice_of(e, e.arg(id, 0))?;
    if inner.dim != outer.dim {
        return None;
    }
    let start = inner.start.checked_add(outer.start.checked_mul(inner.step)?)?;
    let count = e.out(id).shape[outer.dim].get();
    let step = inner.step.checked_mul(outer.step)?;
    // The end behind the last element that is taken, so that it lies inside `x`.
    let end = match count.checked_sub(1) {
        None => start,
        Some(last) => start.checked_add(last.checked_mul(step)?)?.checked_add(1)?,
    };
    slice(e, x, Slice { dim: outer.dim, start, end, step })
}

fn slice_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Slice(s) = e.op(id) else { return None };
    let (dim, big) = (s.dim, e.arg(id, 0));
    let x = e.as_expand(big)?;
    if aligned(e.shape(x), e.shape(big))[dim] != 1 || e.shape(big)[dim] == 1 {
        return None;
    }
    let out = e.out(id).shape;
    e.expand(x, &out)
}

fn slice_cat(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Slice(s) = e.op(id) else { return None };
    let s = s.clone();
    let (Op::Cat(c), def) = e.def_op(e.arg(id, 0))? else { return None };
    if c.dim != s.dim || s.start >= s.end {
        return None;
    }
    let mut at = 0;
    for x in e.args(def).to_vec() {
        let n = e.shape(x)[s.dim].get();
        if s.start >= at && s.end <= at + n {
            return slice(e, x, Slice { start: s.start - at, end: s.end - at, ..s });
        }
        at += n;
    }
    None
}

fn slice_pad(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Slice(s) = e.op(id) else { return None };
    let s = s.clone();
    let (Op::Pad(p), def) = e.def_op(e.arg(id, 0))? else { return None };
    let (value, x) = (p.value, e.arg(def, 0));
    let amounts = p.amounts(e.shape(x).rank());
    let n = e.shape(x)[s.dim].get();
    let low = usize::try_from(amounts[s.dim].0).ok()?;
    if s.start < s.end && (s.end <= low || s.start >= low + n) {
        let aval = e.out(id);
        return e.full(&aval, value);
    }
    if amounts.iter().enumerate().any(|(d, a)| d != s.dim && *a != (0, 0)) || s.start < low || s.end > low + n {
        return None;
    }
    slice(e, x, Slice { start: s.start - low, end: s.end - low, ..s })
}

fn pad_of(e: &Editor, v: Value) -> Option<(Pad, Value)> {
    match e.def_op(v) {
        Some((Op::Pad(p), id)) => Some((p.clone(), e.arg(id, 0))),
        _ => None,
    }
}

fn pad_pad(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Pad(_) = e.op(id) else { return None };
    let (outer, y) = pad_of(e, e.results(id)[0])?;
    let (inner, x) = pad_of(e, y)?;
    if outer.value != inner.value || outer.pad.iter().chain(&inner.pad).any(|n| *n < 0) {
        return None;
    }
    let rank = e.shape(x).rank();
    let both = outer.amounts(rank).into_iter().zip(inner.amounts(rank));
    let sum: Vec<(i64, i64)> =
        both.map(|(a, b)| Some((a.0.checked_add(b.0)?, a.1.checked_add(b.1)?))).collect::<Option<_>>()?;
    e.emit(Pad::of_dims(&sum, outer.value), &[x])
}

fn cat_cat(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Cat(Cat { dim }) = e.op(id) else { return None };
    let dim = *dim;
    let inner = |v: &Value| match e.def_op(*v) {
        // Only one that nothing else uses, so that chains of `cat` with many users do not grow quadratically.
        Some((Op::Cat(c), def)) if c.dim == dim && e.count(*v) == 1 => Some(def),
        _ => None,
    };
    if !e.args(id).iter().any(|v| inner(v).is_some()) {
        return None;
    }
    let parts = e.args(id).iter().flat_map(|v| inner(v).map_or_else(|| vec![*v], |def| e.args(def).to_vec()));
    let parts: Vec<Value> = parts.collect();
    e.emit(Cat { dim }, &parts)
}

fn cat_slices(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Cat(Cat { dim }) = e.op(id) else { return None };
    let dim = *dim;
    let mut parts: Vec<Value> = Vec::with_capacity(e.args(id).len());
    let mut run: Option<(Slice, Value)> = None;
    let mut merged = false;
    for v in e.args(id).to_vec() {
        match (slice_of(e, v).filter(|(s, _)| s.dim == dim && s.step == 1), &mut run) {
            (Some((s, x)), Some((r, y))) if x == *y && s.start == r.end => {
                r.end = s.end;
                merged = true;
                parts.pop();
                let whole = slice(e, x, r.clone())?;
                parts.push(whole);
            }
            (found, run) => {
                *run = found;
                parts.push(v);
            }
        }
    }
    match (merged, parts.as_slice()) {
        (false, _) => None,
        (true, [x]) => Some(*x),
        (true, _) => e.emit(Cat { dim }, &parts),
    }
}

fn add_pads(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (a, b) = e.as_binary(e.results(id)[0], Binary::Add)?;
    let ((p, x), (q, y)) = (pad_of(e, a)?, pad_of(e, b)?);
    if p.value.to_f64() != 0.0 || q.value.to_f64() != 0.0 {
        return None;
    }
    let zero = p.value;
    let rank = e.shape(x).rank();
    let (p, q) = (p.amounts(rank), q.amounts(rank));
    let dim = (0..rank).find(|d| p[*d] != (0, 0))?;
    if (0..rank).any(|d| d != dim && (p[d] != (0, 0) || q[d] != (0, 0))) {
        return None;
    }
    let (p, q) = (p[dim], q[dim]);
    if [p.0, p.1, q.0, q.1].iter().any(|n| *n < 0) {
        return None;
    }
    let (n, m) = (e.shape(x)[dim].get() as i64, e.shape(y)[dim].get() as i64);
    let (parts, rest) = match () {
        () if p.0 + n == q.0 => ([x, y], (p.0, q.1)),
        () if q.0 + m == p.0 => ([y, x], (q.0, p.1)),
        () => return None,
    };
    let line = e.emit(Cat { dim }, &parts)?;
    let mut amounts = vec![(0, 0); rank];
    amounts[dim] = rest;
    if rest == (0, 0) { Some(line) } else { e.emit(Pad::of_dims(&amounts, zero), &[line]) }
}

fn slice_gather(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Slice(s) = e.op(id) else { return None };
    let s = s.clone();
    let (Op::Gather(g), def) = e.def_op(e.arg(id, 0))? else { return None };
    if g.dim != s.dim {
        return None;
    }
    let (g, x, index) = (g.clone(), e.arg(def, 0), e.arg(def, 1));
    let index = slice(e, index, s)?;
    e.emit(g, &[x, index])
}

fn scatter_add_pad(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::ScatterAdd(ScatterAdd { dim }) = *e.op(id) else { return None };
    let (x, index) = (e.arg(id, 0), e.arg(id, 1));
    let (pad, y) = pad_of(e, e.arg(id, 2))?;
    let rank = e.shape(y).rank();
    let amounts = pad.amounts(rank);
    let d = (0..rank).find(|d| amounts[*d] != (0, 0))?;
    // On the other dims an element of the source stands where it is added.
    let (low, high) = amounts[d];
    let moves = low != 0 && d != dim;
    if pad.value.to_f64() != 0.0 || moves || low < 0 || high < 0 || amounts.iter().skip(d + 1).any(|a| *a != (0, 0)) {
        return None;
    }
    let start = usize::try_from(low).ok()?;
    let index = slice(e, index, Slice { dim: d, start, end: start + e.shape(y)[d].get(), step: 1 })?;
    e.emit(ScatterAdd { dim }, &[x, index, y])
}
