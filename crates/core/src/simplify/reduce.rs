//! Sums: of sums, of what is broadcast, of what only changes shape or scale.

use super::edit::{Editor, NodeId};
use super::pattern::{aligned, groups};
use super::{Apply, Class, Rule};
use crate::ir::{Dim, Shape, Value};
use crate::ops::{Amax, Amin, Binary, Op, ScatterAdd, Unary};

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(sum_nothing, "sum-nothing", Finite, "sum(x) over no dim -> x (of a scalar)"),
    rule!(sum_empty, "sum-empty", Exact, "sum(x) over a dim of size 0 -> 0"),
    rule!(sum_ones, "sum-ones", Finite, "sum(x) over dims of size 1 -> reshape(x)"),
    rule!(sum_full, "sum-full", Rounding, "sum(full(c)) over n elements -> full(c * n)"),
    rule!(sum_sum, "sum-sum", Rounding, "sum(sum(x)) -> sum(x)"),
    rule!(sum_neg, "sum-neg", Finite, "sum(-x) -> -sum(x)"),
    rule!(sum_scale, "sum-scale", Rounding, "sum(x * c) -> sum(x) * c; sum(x / c) -> sum(x) / c"),
    rule!(sum_expand, "sum-expand", Rounding, "sum(expand(x)) -> sum(x) * n over n repetitions"),
    rule!(sum_mul_expand, "sum-mul-expand", Rounding, "sum(x * expand(y)) -> sum(x) * y over the repetitions"),
    rule!(sum_view, "sum-view", Rounding, "sum(reshape(x)) -> sum(x)"),
    rule!(sum_permute, "sum-permute", Rounding, "sum(permute(x)) -> sum(x)"),
    rule!(sum_scatter, "sum-scatter", Rounding, "sum(scatter_add(0, index, x)) -> sum(x) over the indexed dim"),
    rule!(extreme_ones, "extreme-ones", Exact, "amax, amin over dims of size 1 -> reshape(x)"),
    rule!(extreme_expand, "extreme-expand", Exact, "amax, amin over the repetitions of expand(x) -> x"),
    rule!(extreme_extreme, "extreme-extreme", Exact, "amax(amax(x)) -> amax(x); amin(amin(x)) -> amin(x)"),
    rule!(scan_one, "scan-one", Exact, "cumprod over a dim of size 1 -> x; prod over it -> reshape(x)"),
    rule!(scan_sum_one, "cumsum-one", Finite, "cumsum over a dim of size 1 -> x"),
];

/// The operand and dims of the sum `id`.
fn parts(e: &Editor, id: NodeId) -> Option<(Vec<usize>, Value)> {
    match e.op(id) {
        Op::Sum(_) => e.as_sum(e.results(id)[0]),
        _ => None,
    }
}

fn sum_nothing(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, x) = parts(e, id)?;
    dims.is_empty().then_some(x)
}

fn sum_empty(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, x) = parts(e, id)?;
    if !dims.iter().any(|d| e.shape(x)[*d] == 0) {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, 0i64)
}

fn sum_ones(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, x) = parts(e, id)?;
    if dims.iter().any(|d| e.shape(x)[*d] != 1) {
        return None;
    }
    let shape = e.out(id).shape;
    e.view(x, &shape)
}

fn sum_full(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, x) = parts(e, id)?;
    let c = e.as_full(x)?;
    let n: usize = dims.iter().map(|d| e.shape(x)[*d].get()).product();
    let aval = e.out(id);
    if aval.dtype.is_float() {
        e.full(&aval, c.to_f64() * n as f64)
    } else {
        e.full(&aval, c.to_i64().wrapping_mul(n as i64))
    }
}

fn sum_sum(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (outer, y) = parts(e, id)?;
    let (mut dims, x) = e.as_sum(y)?;
    let kept: Vec<usize> = (0..e.shape(x).rank()).filter(|d| !dims.contains(d)).collect();
    dims.extend(outer.iter().map(|d| kept[*d]));
    dims.sort_unstable();
    e.sum(x, &dims)
}

fn sum_neg(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, y) = parts(e, id)?;
    let x = e.as_unary(y, Unary::Neg)?;
    let sum = e.sum(x, &dims)?;
    e.unary(Unary::Neg, sum)
}

fn sum_scale(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, y) = parts(e, id)?;
    let (op, x, c) = match (e.as_scaled(y), e.as_binary(y, Binary::Div)) {
        (Some((x, c)), _) => (Binary::Mul, x, c),
        (None, Some((x, c))) => (Binary::Div, x, e.as_full(c)?),
        (None, None) => return None,
    };
    let aval = e.out(id);
    let sum = e.sum(x, &dims)?;
    let c = e.full(&aval, c)?;
    e.binary(op, sum, c)
}

/// Splits summed `dims` of `big`, an expansion of `small`, into those that are repeated and the others.
fn split(e: &Editor, dims: &[usize], small: Value, big: Value) -> (Vec<usize>, Vec<usize>) {
    let from = aligned(e.shape(small), e.shape(big));
    dims.iter().partition(|d| from[**d] == 1 && e.shape(big)[**d] != 1)
}

fn product(shape: &Shape, dims: &[usize]) -> f64 {
    dims.iter().map(|d| shape[*d].get() as f64).product()
}

/// The sum over `dims` of `x` seen with the rank of `big`, shaped so that it broadcasts to the sum of `big`.
fn sum_small(e: &mut Editor, x: Value, big: &Shape, repeated: &[usize], other: &[usize]) -> Option<Value> {
    let lead = big.rank() - e.shape(x).rank();
    // Other dims that are only aligned are of size 1 in both and go away with the view.
    let dims: Vec<usize> = other.iter().filter(|d| **d >= lead).map(|d| d - lead).collect();
    let sum = e.sum(x, &dims)?;
    let from = aligned(e.shape(x), big);
    let kept = (0..big.rank()).filter(|d| !other.contains(d) && !repeated.contains(d));
    let shape: Shape = kept.skip_while(|d| *d < lead).map(|d| from[d]).collect();
    e.view(sum, &shape)
}

fn sum_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, big) = parts(e, id)?;
    let x = e.as_expand(big)?;
    let (repeated, other) = split(e, &dims, x, big);
    let (shape, out) = (e.shape(big).clone(), e.out(id).shape);
    if shape.numel() == 0 || (repeated.is_empty() && other.is_empty()) {
        return None;
    }
    let n = product(&shape, &repeated);
    let sum = sum_small(e, x, &shape, &repeated, &other)?;
    let sum = e.scale(sum, n)?;
    e.expand(sum, &out)
}

fn sum_mul_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, product) = parts(e, id)?;
    let (op, pairs) = match (e.as_binary(product, Binary::Mul), e.as_binary(product, Binary::Div)) {
        (Some((a, b)), _) => (Binary::Mul, vec![(a, b), (b, a)]),
        (None, Some((a, b))) => (Binary::Div, vec![(a, b)]),
        (None, None) => return None,
    };
    if !e.dtype(product).is_float() {
        return None;
    }
    for (x, big) in pairs {
        let Some(y) = e.as_expand(big) else { continue };
        let (repeated, other) = split(e, &dims, y, big);
        if repeated.is_empty() || !other.is_empty() {
            continue;
        }
        let (shape, out) = (e.shape(big).clone(), e.out(id).shape);
        let sum = e.sum(x, &dims)?;
        let y = sum_small(e, y, &shape, &repeated, &other)?;
        let y = e.expand(y, &out)?;
        return e.binary(op, sum, y);
    }
    None
}

fn sum_view(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, y) = parts(e, id)?;
    let x = e.as_view(y)?;
    let summed = |d: &usize| dims.contains(d);
    let mut source: Vec<usize> = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    for (old, new) in groups(e.shape(x), e.shape(y))? {
        if new.iter().all(summed) {
            source.extend(old);
        } else if new.iter().any(summed) {
            return None;
        } else {
            kept.extend(old);
        }
    }
    if source.is_empty() {
        return None;
    }
    // Dims of size 1 go into the sum where that gives the result's shape without a view.
    let out = e.out(id).shape;
    let ones: Vec<usize> = (0..e.shape(x).rank()).filter(|d| e.shape(x)[*d] == 1).collect();
    let without = |dims: &[usize]| {
        (0..e.shape(x).rank()).filter(|d| !dims.contains(d)).map(|d| e.shape(x)[d]).collect::<Vec<Dim>>()
    };
    let mut all = source.clone();
    all.extend(&ones);
    if without(&source) != out.dims() && without(&all) == out.dims() {
        source = all;
    }
    source.sort_unstable();
    let sum = e.sum(x, &source)?;
    e.view(sum, &out)
}

fn sum_permute(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, y) = parts(e, id)?;
    let (order, x) = e.as_permute(y)?;
    let mut source: Vec<usize> = dims.iter().map(|d| order[*d]).collect();
    source.sort_unstable();
    let sum = e.sum(x, &source)?;
    // The kept dims, in the order of the result, as positions among the kept dims of `x`.
    let kept: Vec<usize> = (0..order.len()).filter(|d| !source.contains(d)).collect();
    let place = |d: &usize| kept.iter().position(|k| k == d).expect("a kept dim");
    let rest: Vec<usize> = order.iter().filter(|d| !source.contains(d)).map(place).collect();
    e.permute(sum, &rest)
}

fn sum_scatter(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (dims, y) = parts(e, id)?;
    let (Op::ScatterAdd(ScatterAdd { dim }), def) = e.def_op(y)? else { return None };
    let dim = *dim;
    let (zero, source) = (e.arg(def, 0), e.arg(def, 2));
    if e.shape(zero).rank() == 0 || !dims.contains(&dim) || !e.is_zero(zero) {
        return None;
    }
    // On the other dims the source must cover the operand, so that sums of both have one shape.
    if e.shape(zero).removed(dim) != e.shape(source).removed(dim) {
        return None;
    }
    e.sum(source, &dims)
}

/// An op over dims.
type OverDims = fn(Vec<usize>) -> Op;

/// The operand, the dims and the maker of an `amax` or `amin`.
fn extreme(e: &Editor, v: Value) -> Option<(Value, Vec<usize>, OverDims)> {
    match e.def_op(v)? {
        (Op::Amax(a), id) => Some((e.arg(id, 0), a.dim.clone(), |dim| Amax { dim }.into())),
        (Op::Amin(a), id) => Some((e.arg(id, 0), a.dim.clone(), |dim| Amin { dim }.into())),
        _ => None,
    }
}

fn extreme_ones(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (x, dims, _) = extreme(e, *e.results(id).first()?)?;
    if dims.iter().any(|d| e.shape(x)[*d] != 1) {
        return None;
    }
    let out = e.out(id).shape;
    e.view(x, &out)
}

fn extreme_expand(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (big, dims, _) = extreme(e, *e.results(id).first()?)?;
    let x = e.as_expand(big)?;
    let (repeated, other) = split(e, &dims, x, big);
    let (shape, out) = (e.shape(big).clone(), e.out(id).shape);
    if shape.numel() == 0 || !other.is_empty() {
        return None;
    }
    let from = aligned(e.shape(x), &shape);
    let lead = shape.rank() - e.shape(x).rank();
    let kept = (lead..shape.rank()).filter(|d| !repeated.contains(d));
    let small: Shape = kept.map(|d| from[d]).collect();
    let x = e.view(x, &small)?;
    e.expand(x, &out)
}

fn extreme_extreme(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (y, outer, make) = extreme(e, *e.results(id).first()?)?;
    let (x, mut dims, inner) = extreme(e, y)?;
    if make(Vec::new()) != inner(Vec::new()) {
        return None;
    }
    let kept: Vec<usize> = (0..e.shape(x).rank()).filter(|d| !dims.contains(d)).collect();
    dims.extend(outer.iter().map(|d| kept[*d]));
    dims.sort_unstable();
    e.emit(make(dims), &[x])
}

fn scan_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let dim = match e.op(id) {
        Op::Cumprod(c) => c.dim,
        Op::Prod(p) => p.dim,
        _ => return None,
    };
    let x = e.arg(id, 0);
    if e.shape(x).dims().get(dim).is_none_or(|n| *n != 1) {
        return None;
    }
    let out = e.out(id).shape;
    e.view(x, &out)
}

fn scan_sum_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Cumsum(c) = e.op(id) else { return None };
    let (dim, x) = (c.dim, e.arg(id, 0));
    e.shape(x).dims().get(dim).is_some_and(|n| *n == 1).then_some(x)
}
