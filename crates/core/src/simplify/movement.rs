//! Expansions, views, permutations, slices, paddings: merged with each other, and moved towards the results.
//!
//! The order in which they are left is: permutations and views first, expansions last, so that elementwise functions
//! work on what is small.

use super::edit::{Editor, NodeId};
use super::pattern::{aligned, groups};
use super::{Apply, Class, Rule};
use crate::ir::{Dim, Shape, Value};
use crate::ops::{Binary, Expand, Op, Permute, View};
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
    rule!(
        permute_symmetric,
        "permute-symmetric",
        Exact,
        "transpose(a + a.T) -> a + a.T, and so for products with itself and by a number"
    ),
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
    rule!(
        sink_view,
        "sink-view",
        Exact,
        "f(reshape(x), reshape(y)) -> reshape(f(x, y)) for elementwise f, and so with operands that are broadcast along the dims that change"
    ),
    rule!(sink_permute, "sink-permute", Exact, "f(permute(x), permute(y)) -> permute(f(x, y)) for elementwise f"),
    rule!(lift_permute, "lift-permute", Exact, "permute(f(permute(x), y)) -> f(x, permute(y)) for elementwise f"),
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

/// Whether `v` stays as it is if its dims are exchanged by `dims`, of which each goes where the other comes from.
fn is_symmetric(e: &Editor, v: Value, dims: &[usize]) -> bool {
    if let Some((x, _)) = e.as_scaled(v) {
        return is_symmetric_sum(e, x, dims);
    }
    is_symmetric_sum(e, v, dims)
}

fn is_symmetric_sum(e: &Editor, v: Value, dims: &[usize]) -> bool {
    let turned = |(a, b): (Value, Value)| {
        [(a, b), (b, a)].into_iter().any(|(a, b)| e.as_permute(b).is_some_and(|(d, x)| x == a && d == dims))
    };
    [Binary::Add, Binary::Mul].into_iter().any(|op| e.as_binary(v, op).is_some_and(turned))
}

fn permute_symmetric(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    let exchanges = dims.iter().enumerate().all(|(to, from)| dims[*from] == to);
    (exchanges && *e.shape(x) == e.out(id).shape && is_symmetric(e, x, dims)).then_some(x)
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
pub(super) fn is_elementwise(op: &Op) -> bool {
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
        small.push(e.expand(v, &common)?);
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
        if e.as_full(*v).is_some() {
            continue;
        }
        match (e.as_view(*v), e.as_expand(*v)) {
            (Some(x), _) => {
                source.get_or_insert_with(|| e.shape(x).clone());
            }
            (None, x) => {
                x?;
            }
        }
    }
    let source = source?;
    let out = e.out(id).shape;
    // The last dims, which the reshape leaves as they are.
    let kept = source.dims().iter().rev().zip(out.dims().iter().rev()).take_while(|(a, b)| a == b).count();
    let mut args = Vec::with_capacity(3);
    for v in e.args(id).to_vec() {
        args.push(match (e.as_full(v), e.as_view(v)) {
            (Some(_), _) => e.expand(v, &source)?,
            (None, Some(_)) => e.view(v, &source)?,
            (None, None) => {
                let x = e.as_expand(v)?;
                let rank = e.shape(x).rank();
                (rank <= kept && rank < source.rank()).then_some(())?;
                e.expand(x, &source)?
            }
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
            (Some(_), _) => e.expand(v, &source)?,
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
            Some(_) => e.expand(v, &out)?,
            None => e.permute(v, &dims)?,
        });
    }
    e.emit(op, &moved)
}
