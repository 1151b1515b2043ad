//! A tensor with one place of a dim from another one, as a choice by that dim's numbers has it.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::elementwise::smaller;
use super::index::known;
use super::{Found, Made, Raising, number};
use crate::ir::{Attr, DType, Value};
use crate::ops::Op;

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Exact, find: put },
    Raising { class: Class::Finite, find: taken },
    Raising { class: Class::Exact, find: filled },
];

const SELECT_SCATTER: &str = "aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor";
const SLICE_SCATTER: &str = "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor";

/// The most nodes that say which place it is.
const MAX_NODES: usize = 16;

/// The dim and the one place of it at which `mask` is true.
fn place(e: &Editor, mask: Value) -> Option<(usize, usize)> {
    let whole = e.shape(mask);
    let small = smaller(e, mask);
    let shape = aligned(e.shape(small), whole);
    let chosen: Vec<bool> = known(e, small, MAX_NODES)?.to_f64_vec().into_iter().map(|x| x != 0.0).collect();
    let first = chosen.iter().position(|x| *x)?;
    (0..shape.rank()).filter(|d| shape[*d] == whole[*d] && shape[*d] != 1).find_map(|dim| {
        let behind: usize = shape.sizes()[dim + 1..].iter().product();
        let at = |i: usize| (i / behind) % shape[dim].get();
        let all = chosen.iter().enumerate().all(|(i, x)| *x == (at(i) == at(first)));
        all.then_some((dim, at(first)))
    })
}

fn put(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (mask, source, x) = e.as_where(v)?;
    let (dim, at) = place(e, mask)?;
    let whole = e.shape(v);
    let select = [("dim", number(dim as i64)), ("index", number(at as i64))];
    if let Some(c) = e.as_full(source) {
        let made = vec![(1, Made::Uniform(e.aval(v).with_shape(whole.removed(dim)), c.to_f64()))];
        return Some(Found { made, ..Found::new(SELECT_SCATTER, select, [x])? });
    }
    let row = e.as_expand(source).filter(|row| aligned(e.shape(*row), whole) == whole.with(dim, 1))?;
    let short = [Some(row), e.as_view(row)].into_iter().flatten().find(|s| *e.shape(*s) == whole.removed(dim));
    if let Some(short) = short {
        return Found::new(SELECT_SCATTER, select, [x, short]);
    }
    if e.shape(row).rank() != whole.rank() {
        return None;
    }
    let ends = [("dim", dim), ("start", at), ("end", at + 1), ("step", 1)].map(|(name, n)| (name, number(n as i64)));
    Found::new(SLICE_SCATTER, ends, [x, row])
}

/// The sum over a dim of which all but one place count as zero: that place.
fn taken(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, chosen) = e.as_sum(v)?;
    let (mask, x, zero) = e.as_where(chosen).filter(|_| e.count(chosen) == 1)?;
    let (dim, at) = place(e, mask)?;
    let params = [("dim", number(dim as i64)), ("index", number(at as i64))];
    let schema = "aten::select.int(Tensor self, int dim, SymInt index) -> Tensor";
    if dims == [dim] && e.is_zero(zero) { Found::new(schema, params, [x]) } else { None }
}

/// One number put at the places of an index along a dim.
fn filled(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Call(op) = e.op(id) else { return None };
    let ("index_put", &[x, i, source]) = (op.function(), e.args(id)) else { return None };
    let Attr::List(indices) = op.param("indices")? else { return None };
    let (none, [_]) = indices.split_at_checked(indices.len().checked_sub(1)?)? else { return None };
    let once = op.param("accumulate").is_none_or(|a| *a == number(false));
    let c = e.as_full(source).filter(|_| once && none.iter().all(|a| *a == Attr::None) && e.shape(i).rank() == 1)?;
    if e.dtype(i) != DType::I64 || c.to_f64().is_nan() {
        return None;
    }
    let params = [("dim", number(none.len() as i64)), ("value", number(c))];
    Found::new(
        "aten::index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
        params,
        [x, i],
    )
}
