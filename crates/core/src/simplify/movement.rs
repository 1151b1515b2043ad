//! Expansions, views, permutations, slices, paddings: merged with each other, and moved towards the results.
//!
//! The order in which they are left is: permutations and views first, expansions last, so that elementwise functions
//! work on what is small.

use super::edit::{Editor, NodeId};
use super::pattern::{aligned, groups};
use super::{Apply, Class, Rule};
use crate::ir::{Dim, Shape, Value};
use crate::ops::{Binary, Cat, Expand, Flip, Op, Pad, Permute, Slice, View};
use crate::tensor::broadcast_shapes;

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(
        move_nothing,
        "move-nothing",
        Exact,
        "expand, reshape, permute, slice, pad, flip, cat that leave x as it is -> x"
    ),
    rule!(expand_expand, "expand-expand", Exact, "expand(expand(x)) -> expand(x)"),
    rule!(view_view, "view-view", Exact, "reshape(reshape(x)) -> reshape(x)"),
    rule!(permute_permute, "permute-permute", Exact, "permute(permute(x)) -> permute(x)"),
    rule!(permute_view, "permute-view", Exact, "permute(x) -> reshape(x), if only dims of size 1 move"),
    rule!(
        permute_of_view,
        "permute-of-view",
        Exact,
        "permute(reshape(x)) -> reshape(permute(x)), if dims that the reshape splits move together"
    ),
    rule!(view_expand, "view-expand", Exact, "reshape(expand(x)) -> expand(reshape(x)), if broadcast dims stay whole"),
    rule!(permute_expand, "permute-expand", Exact, "permute(expand(x)) -> expand(permute(x))"),
    rule!(expand_view, "expand-view", Exact, "expand(reshape(x)) -> expand(x), if the reshape only adds leading dims"),
    rule!(expand_ones, "expand-ones", Exact, "expand(x) -> reshape(x), if it only adds dims of size 1"),
    rule!(sink_expand, "sink-expand", Exact, "f(expand(x), expand(y)) -> expand(f(x, y)) for elementwise f"),
    rule!(sink_view, "sink-view", Exact, "f(reshape(x), reshape(y)) -> reshape(f(x, y)) for elementwise f"),
    rule!(sink_permute, "sink-permute", Exact, "f(permute(x), permute(y)) -> permute(f(x, y)) for elementwise f"),
    rule!(lift_permute, "lift-permute", Exact, "permute(f(permute(x), y)) -> f(x, permute(y)) for elementwise f"),
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
    rule!(add_pads, "add-pads", Finite, "pad(x) + pad(y) with zeros, side by side -> cat(x, y)"),
];

fn move_nothing(e: &mut Editor, id: NodeId) -> Option<Value> {
    let x = *e.args(id).first()?;
    let same_shape = *e.shape(x) == e.out(id).shape;
    let nothing = match e.op(id) {
        Op::Expand(_) | Op::View(_) | Op::Slice(_) => same_shape,
        Op::Pad(p) => p.pad.iter().all(|n| *n == 0),
        Op::Permute(p) => p.dims.iter().copied().eq(0..p.dims.len()),
        Op::Flip(f) => f.dims.is_empty(),
        Op::Cat(_) => e.args(id).len() == 1,
        _ => false,
    };
    nothing.then_some(x)
}

fn expand_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Expand(Expand { size }) = e.op(id) else { return None };
    let size = size.clone();
    let x = e.as_expand(e.arg(id, 0))?;
    e.expand(x, &size)
}

fn view_view(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::View(View { shape }) = e.op(id) else { return None };
    let shape = shape.clone();
    let x = e.as_view(e.arg(id, 0))?;
    e.view(x, &shape)
}

fn permute_permute(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let dims = dims.clone();
    let (inner, x) = e.as_permute(e.arg(id, 0))?;
    let dims: Vec<usize> = dims.iter().map(|d| inner[*d]).collect();
    e.permute(x, &dims)
}

/// Whether the dims of `shape` that are not of size 1 keep their order.
fn keeps_order(dims: &[usize], shape: &Shape) -> bool {
    dims.iter().filter(|d| shape[**d] != 1).is_sorted()
}

fn permute_view(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    if !keeps_order(dims, e.shape(x)) {
        return None;
    }
    let shape = e.out(id).shape;
    e.view(x, &shape)
}

fn view_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::View(View { shape }) = e.op(id) else { return None };
    let (shape, big) = (shape.clone(), e.arg(id, 0));
    let x = e.as_expand(big)?;
    let from = aligned(e.shape(x), e.shape(big));
    let mut small: Vec<Dim> = vec![Dim::new(1); shape.rank()];
    for (old, new) in groups(e.shape(big), &shape)? {
        if old.iter().all(|d| from[*d] == 1) {
            continue;
        }
        if old.iter().any(|d| from[*d] != e.shape(big)[*d]) {
            return None;
        }
        for d in new {
            small[d] = shape[d];
        }
    }
    let x = e.view(x, &small.into_iter().collect())?;
    e.expand(x, &shape)
}

fn permute_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let (dims, big) = (dims.clone(), e.arg(id, 0));
    let x = e.as_expand(big)?;
    let from = aligned(e.shape(x), e.shape(big));
    let out = e.out(id).shape;
    let small: Shape = dims.iter().map(|d| from[*d]).collect();
    let x = if keeps_order(&dims, &from) {
        // Leading ones need no view: expansion makes them.
        let lead = small.dims().iter().take_while(|d| **d == 1).count().min(small.rank() - e.shape(x).rank());
        e.view(x, &small.slice(lead, small.rank()))?
    } else {
        let x = e.view(x, &from)?;
        e.permute(x, &dims)?
    };
    e.expand(x, &out)
}

fn expand_view(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Expand(Expand { size }) = e.op(id) else { return None };
    let (size, small) = (size.clone(), e.arg(id, 0));
    let x = e.as_view(small)?;
    // Also a view that removes or adds leading ones may be left out, if the rest stays as it is.
    let core = |s: &Shape| {
        let ones = s.dims().iter().take_while(|d| **d == 1).count();
        s.slice(ones, s.rank())
    };
    if core(e.shape(x)) != core(e.shape(small)) || !Expand::fits(e.shape(x), &size) {
        return None;
    }
    e.expand(x, &size)
}

fn permute_of_view(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let (dims, y) = (dims.clone(), e.arg(id, 0));
    let x = e.as_view(y)?;
    let groups = groups(e.shape(x), e.shape(y))?;
    let moved: Vec<usize> = dims.iter().copied().filter(|d| e.shape(y)[*d] != 1).collect();
    // Each group must stand in one piece, in its order.
    let mut order: Vec<usize> = (0..e.shape(x).rank()).filter(|d| e.shape(x)[*d] == 1).collect();
    let mut rest = moved.as_slice();
    while let Some(first) = rest.first() {
        let (old, new) = groups.iter().find(|(_, new)| new[0] == *first)?;
        rest = rest.strip_prefix(new.as_slice())?;
        order.extend(old);
    }
    let out = e.out(id).shape;
    let x = if keeps_order(&order, e.shape(x)) { x } else { e.permute(x, &order)? };
    e.view(x, &out)
}

fn expand_ones(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Expand(Expand { size }) = e.op(id) else { return None };
    let (size, x) = (size.clone(), e.arg(id, 0));
    if size.rank() == e.shape(x).rank() || aligned(e.shape(x), &size) != size {
        return None;
    }
    e.view(x, &size)
}

/// Whether the op works element by element, each result element from those at its place.
fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Where(_) | Op::Convert(_))
}

fn sink_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    if !is_elementwise(e.op(id)) {
        return None;
    }
    let out = e.out(id).shape;
    let mut common = Shape::scalar();
    let mut moved = false;
    for v in e.args(id) {
        if e.as_full(*v).is_some() {
            continue;
        }
        let x = e.as_expand(*v)?;
        common = broadcast_shapes(&common, e.shape(x))?;
        moved = true;
    }
    if !moved || common.numel() >= out.numel() {
        return None;
    }
    let args = e.args(id).to_vec();
    let mut small = Vec::with_capacity(args.len());
    for v in args {
        let x = e.as_expand(v).unwrap_or(v);
        let x = if let Some(c) = e.as_full(v) {
            let aval = e.aval(v).with_shape(&common);
            e.full(&aval, c)?
        } else {
            e.expand(x, &common)?
        };
        small.push(x);
    }
    let op = e.op(id).clone();
    let y = e.emit(op, &small)?;
    e.expand(y, &out)
}

fn sink_view(e: &mut Editor, id: NodeId) -> Option<Value> {
    if !is_elementwise(e.op(id)) {
        return None;
    }
    let mut source: Option<Shape> = None;
    for v in e.args(id) {
        if e.as_full(*v).is_none() {
            let shape = e.shape(e.as_view(*v)?);
            source.get_or_insert_with(|| shape.clone());
        }
    }
    let source = source?;
    let out = e.out(id).shape;
    let mut args = Vec::with_capacity(3);
    for v in e.args(id).to_vec() {
        args.push(match e.as_full(v) {
            Some(c) => {
                let aval = e.aval(v).with_shape(&source);
                e.full(&aval, c)?
            }
            None => e.view(v, &source)?,
        });
    }
    let op = e.op(id).clone();
    let y = e.emit(op, &args)?;
    e.view(y, &out)
}

fn sink_permute(e: &mut Editor, id: NodeId) -> Option<Value> {
    if !is_elementwise(e.op(id)) {
        return None;
    }
    let mut order: Option<Vec<usize>> = None;
    for v in e.args(id) {
        if e.as_full(*v).is_some() {
            continue;
        }
        let (dims, _) = e.as_permute(*v)?;
        if order.as_ref().is_some_and(|o| *o != dims) {
            return None;
        }
        order = Some(dims);
    }
    let permute = Permute { dims: order? };
    let back = permute.inverse();
    let out = e.out(id).shape;
    let source: Shape = back.iter().map(|d| out[*d]).collect();
    let mut args = Vec::with_capacity(3);
    for v in e.args(id).to_vec() {
        args.push(match (e.as_full(v), e.as_permute(v)) {
            (Some(c), _) => {
                let aval = e.aval(v).with_shape(&source);
                e.full(&aval, c)?
            }
            (None, x) => x?.1,
        });
    }
    let op = e.op(id).clone();
    let y = e.emit(op, &args)?;
    e.emit(permute, &[y])
}

/// Moves a permutation towards the parameters where another one cancels it.
fn lift_permute(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(outer) = e.op(id) else { return None };
    let dims = outer.dims.clone();
    let back = outer.inverse();
    let (op, def) = e.def_op(e.arg(id, 0))?;
    if !is_elementwise(op) {
        return None;
    }
    let op = op.clone();
    let args = e.args(def).to_vec();
    if !args.iter().any(|v| e.as_permute(*v).is_some_and(|(d, _)| d == back)) {
        return None;
    }
    let out = e.out(id).shape;
    let mut moved = Vec::with_capacity(3);
    for v in args {
        moved.push(match e.as_full(v) {
            Some(c) => {
                let aval = e.aval(v).with_shape(&out);
                e.full(&aval, c)?
            }
            None => e.permute(v, &dims)?,
        });
    }
    e.emit(op, &moved)
}

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
    let rank = e.shape(x).rank();
    let (p, q) = (p.amounts(rank), q.amounts(rank));
    let dim = (0..rank).find(|d| p[*d] != (0, 0))?;
    if (0..rank).any(|d| d != dim && (p[d] != (0, 0) || q[d] != (0, 0))) {
        return None;
    }
    let (n, m) = (e.shape(x)[dim].get() as i64, e.shape(y)[dim].get() as i64);
    if p[dim] == (0, m) && q[dim] == (n, 0) {
        return e.emit(Cat { dim }, &[x, y]);
    }
    if p[dim] == (m, 0) && q[dim] == (0, n) {
        return e.emit(Cat { dim }, &[y, x]);
    }
    None
}
