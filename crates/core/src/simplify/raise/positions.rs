//! Reads and additions at positions in several dims, which composites number through and wrap themselves.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::index::{INDEX, INDEX_PUT, unwrapped};
use super::{Found, Made, Raising, number};
use crate::ir::{Attr, Dim, Shape, Value};
use crate::ops::{Binary, Gather, IndexAdd, IndexSelect, Op, Scatter};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Exact, find: read },
    Raising { class: Class::Exact, find: read_in_rows },
    Raising { class: Class::Rounding, find: added_apart },
    Raising { class: Class::Rounding, find: added },
    Raising { class: Class::Exact, find: put },
];

/// The sizes of the dims of `whole` that are one dim `dim` of `merged`.
fn joined(whole: &Shape, merged: &Shape, dim: usize) -> Option<Vec<usize>> {
    let (whole, merged) = (whole.sizes(), merged.sizes());
    let k = (whole.len() + 1).checked_sub(merged.len()).filter(|k| *k > 1)?;
    let same = whole[..dim] == merged[..dim]
        && whole[dim + k..] == merged[dim + 1..]
        && whole[dim..dim + k].iter().product::<usize>() == merged[dim];
    same.then(|| whole[dim..dim + k].to_vec())
}

/// The indices, one for each of dims of `sizes`, by which elements are numbered through; `None` for another number.
fn indices(e: &Editor, v: Value, sizes: &[usize]) -> Option<Vec<Value>> {
    let (outside, beyond, mut rest) = e.as_where(v)?;
    let mut wrapped = Vec::new();
    for n in sizes[1..].iter().rev() {
        let (a, b) = e.as_binary(rest, Binary::Add)?;
        let scaled = |v: Value| e.as_scaled(v).filter(|(_, c)| c.to_i64() == *n as i64).map(|(x, _)| x);
        let (before, last) = scaled(a).map(|x| (x, b)).or_else(|| scaled(b).map(|x| (x, a)))?;
        wrapped.push(last);
        rest = before;
    }
    wrapped.push(rest);
    wrapped.reverse();
    let found: Option<Vec<Value>> = wrapped.iter().zip(sizes).map(|(i, n)| unwrapped(e, inner(e, *i), *n)).collect();
    let total = sizes.iter().product::<usize>();
    found.filter(|_| e.is_full(beyond, total as f64) && is_outside(e, outside, &wrapped, sizes, MAX_DIMS))
}

/// What `v` is a broadcast of.
fn inner(e: &Editor, v: Value) -> Value {
    super::elementwise::smaller(e, v)
}

/// The most dims with an index each.
const MAX_DIMS: usize = 8;

/// Whether `v` says of nothing but the indices that they are out of range.
fn is_outside(e: &Editor, v: Value, wrapped: &[Value], sizes: &[usize], depth: usize) -> bool {
    let v = inner(e, v);
    if let Some((a, b)) = e.as_binary(v, Binary::BitwiseOr).filter(|_| depth > 0) {
        return is_outside(e, a, wrapped, sizes, depth - 1) && is_outside(e, b, wrapped, sizes, depth - 1);
    }
    let bound = |op: Binary, at: fn(usize) -> f64| {
        e.as_binary(v, op).is_some_and(|(i, limit)| {
            let of = |(w, n): (&Value, &usize)| inner(e, *w) == inner(e, i) && e.is_full(limit, at(*n));
            wrapped.iter().zip(sizes).any(of)
        })
    };
    bound(Binary::Lt, |_| 0.0) || bound(Binary::Ge, |n| n as f64)
}

/// No index at `before` dims, then one at each of `n`.
fn places(before: usize, n: usize) -> Attr {
    Attr::List(std::iter::repeat_n(Attr::None, before).chain(std::iter::repeat_n(number(true), n)).collect())
}

/// What is selected, the dim, and the indices with the shape to which they broadcast.
fn selection(e: &Editor, at: NodeId, dim: usize, index: Value) -> Option<(Value, Vec<Value>, Shape)> {
    let merged = e.arg(at, 0);
    let x = e.as_view(merged)?;
    let index = e.as_view(index).filter(|_| e.as_where(index).is_none()).unwrap_or(index);
    let sizes = joined(e.shape(x), e.shape(merged), dim)?;
    Some((x, indices(e, index, &sizes)?, e.shape(index).clone()))
}

/// Elements at positions in several dims that follow each other, in any shape.
fn read(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (at, viewed) = match e.op(id) {
        Op::View(_) => (e.def(e.arg(id, 0))?, true),
        _ => (id, false),
    };
    let Op::IndexSelect(IndexSelect { dim }) = e.op(at) else { return None };
    let (x, found, positions) = selection(e, at, *dim, e.arg(at, 1))?;
    let whole = e.shape(x);
    let behind = whole.slice(dim + found.len(), whole.rank());
    let shape = whole.slice(0, *dim).concat(&positions).concat(&behind);
    if shape != *e.shape(v) || viewed == (positions.rank() == 1) {
        return None;
    }
    let moved = e.as_permute(x).filter(|_| *dim == 0);
    let (x, places) = match moved.and_then(|(dims, y)| Some((y, apart(&dims, found.len())?))) {
        Some(found) => found,
        None => (x, places(*dim, found.len())),
    };
    Found::new(INDEX, [("indices", places)], std::iter::once(x).chain(found))
}

/// One index for each of the first `n` of `dims` at the place that it names, if others stand between them: PyTorch has these behind
/// the indices, too.
fn apart(dims: &[usize], n: usize) -> Option<Attr> {
    let (front, rest) = dims.split_at_checked(n)?;
    let together = front.windows(2).all(|w| w[1] == w[0] + 1);
    let place = |d| if front.contains(&d) { number(true) } else { Attr::None };
    let last = *front.last()?;
    (front.is_sorted() && rest.is_sorted() && !together).then(|| Attr::List((0..=last).map(place).collect()))
}

/// As [`added`], with the dims between the indices put back in their places.
fn added_apart(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, whole) = e.as_permute(v).filter(|(_, whole)| e.count(*whole) == 1)?;
    let (Op::IndexAdd(IndexAdd { dim: 0 }), at) = e.def_op(e.as_view(whole)?)? else { return None };
    let c = e.as_full(e.arg(at, 0))?;
    let found = written(e, e.def(whole)?, at, 0, true)?;
    // Where each dim of the sums goes.
    let mut to = vec![0; dims.len()];
    dims.iter().enumerate().for_each(|(place, d)| to[*d] = place);
    let indices = apart(&to, found.args.len() - 1)?;
    let made = vec![(0, Made::Uniform(e.aval(v).clone(), c.to_f64()))];
    let params = [("indices", indices), ("accumulate", number(true))];
    Some(Found { made, ..Found::new(INDEX_PUT, params, found.args)? })
}

/// Slices of each row of a batch, at positions of its own.
fn read_in_rows(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Gather(Gather { dim: 1 }) = e.op(id) else { return None };
    let at = e.arg(id, 1);
    let wide = e.as_expand(at).unwrap_or(at);
    let (x, found, positions) = selection(e, id, 1, wide)?;
    let (n, behind) = (e.shape(x)[0], e.shape(x).slice(1 + found.len(), e.shape(x).rank()));
    let column: Shape = positions.dims().iter().copied().chain(behind.dims().iter().map(|_| Dim::new(1))).collect();
    let batched = found.iter().all(|i| e.shape(*i).rank() == 2 && e.shape(*i)[0] == n)
        && positions.rank() == 2
        && positions[0] == n
        && *e.shape(wide) == column
        && *e.shape(e.results(id)[0]) == positions.concat(&behind);
    if !batched {
        return None;
    }
    let made = vec![(1, Made::Rows(n.get()))];
    let moved = e.as_permute(x).and_then(|(dims, y)| Some((y, apart(&dims, 1 + found.len())?)));
    let (x, indices) = moved.unwrap_or_else(|| (x, places(0, 1 + found.len())));
    Some(Found { made, ..Found::new(INDEX, [("indices", indices)], std::iter::once(x).chain(found))? })
}

/// Values put or added at positions in several dims, in the shape that these dims have.
fn written(e: &Editor, id: NodeId, at: NodeId, dim: usize, accumulate: bool) -> Option<Found> {
    let v = e.results(id)[0];
    let (base, index, source) = (e.arg(at, 0), e.arg(at, 1), e.arg(at, 2));
    let sizes = joined(e.shape(v), e.shape(base), dim)?;
    let found = indices(e, index, &sizes).filter(|_| e.shape(index).rank() == 1)?;
    let params = [("indices", places(dim, found.len())), ("accumulate", number(accumulate))];
    let args = found.into_iter().chain([source]);
    match (e.as_full(base), e.as_view(base)) {
        (Some(c), _) => {
            let made = vec![(0, Made::Uniform(e.aval(v).clone(), c.to_f64()))];
            Some(Found { made, ..Found::new(INDEX_PUT, params, args)? })
        }
        (None, Some(x)) if e.shape(x) == e.shape(v) => Found::new(INDEX_PUT, params, std::iter::once(x).chain(args)),
        (None, Some(_) | None) => None,
    }
}

fn added(e: &Editor, id: NodeId) -> Option<Found> {
    let (Op::IndexAdd(IndexAdd { dim }), at) = e.def_op(e.as_view(e.results(id)[0])?)? else { return None };
    written(e, id, at, *dim, true)
}

fn put(e: &Editor, id: NodeId) -> Option<Found> {
    let (Op::Scatter(Scatter { dim: 0 }), at) = e.def_op(e.as_view(e.results(id)[0])?)? else { return None };
    if e.shape(e.arg(at, 0)).rank() != 1 { None } else { written(e, id, at, 0, false) }
}
