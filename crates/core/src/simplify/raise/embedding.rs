//! The rows of a table: those at an index in any shape, and what derivatives add up of them.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::smaller;
use super::index::{INDEX, at, unwrapped};
use super::{Found, Made, Raising, number};
use crate::ir::Value;
use crate::ops::{Binary, IndexAdd, IndexSelect, Op};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: sums },
    Raising { class: Class::Exact, find: places },
    Raising { class: Class::Exact, find: rows },
    Raising { class: Class::Exact, find: taken },
    Raising { class: Class::Rounding, find: taken_back },
];

const BACKWARD: &str = "aten::embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor";

/// Rows for indices in any shape added to zeros; those of one index may be left out. Of a vector of indices it is as well what people write as an addition.
fn sums(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::IndexAdd(IndexAdd { dim: 0 }) = e.op(id) else { return None };
    let (zeros, places, source) = (e.arg(id, 0), e.arg(id, 1), e.arg(id, 2));
    let shape = e.shape(zeros);
    let wrapped = |v: Value| unwrapped(e, v, shape[0].get()).is_some();
    // Indices that count from the end are those of an index.
    if shape.rank() != 2 || !e.is_zero(zeros) || wrapped(places) || e.as_view(places).is_some_and(wrapped) {
        return None;
    }
    let width = shape.slice(1, 2);
    let found = |indices: Value| {
        let expected = e.shape(indices).concat(&width);
        let rows = [Some(source), e.as_view(source)].into_iter().flatten().find(|g| *e.shape(*g) == expected)?;
        let whole = || (indices != places).then_some((rows, -1));
        left_out(e, rows, indices).or_else(whole).map(|(g, padding)| (g, indices, padding))
    };
    let (g, indices, padding) = found(places).or_else(|| found(e.as_view(places)?))?;
    let params = [("num_weights", number(shape[0].get() as i64)), ("padding_idx", number(padding))];
    let params = params.into_iter().chain([("scale_grad_by_freq", number(false))]);
    Found::new(BACKWARD, params, [g, indices])
}

/// Slices at an index in any shape that counts from the end.
fn places(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (Op::IndexSelect(IndexSelect { dim }), from) = e.def_op(e.as_view(v)?)? else { return None };
    let (x, wrapped) = (e.arg(from, 0), e.as_view(e.arg(from, 1))?);
    let whole = e.shape(x);
    let i = unwrapped(e, wrapped, whole[*dim].get())?;
    let shape = whole.slice(0, *dim).concat(e.shape(i)).concat(&whole.slice(dim + 1, whole.rank()));
    if shape == *e.shape(v) { Found::new(INDEX, [("indices", at(*dim))], [x, i]) } else { None }
}

/// Elements by their numbers, row by row.
fn taken(e: &Editor, id: NodeId) -> Option<Found> {
    let flat = *e.args(id).first()?;
    let x = e.as_view(flat).filter(|x| e.shape(*x).rank() > 1 && e.shape(flat).rank() == 1)?;
    let i = match e.op(id) {
        Op::IndexSelect(IndexSelect { dim: 0 }) => unwrapped(e, e.arg(id, 1), e.shape(x).numel())?,
        Op::Call(op) if op.function() == "index.Tensor" && op.param("indices") == Some(&at(0)) => e.arg(id, 1),
        _ => return None,
    };
    Found::new("aten::take(Tensor self, Tensor index) -> Tensor", [], [x, i])
}

/// Elements added to zeros by their numbers, row by row.
fn taken_back(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (Op::IndexAdd(IndexAdd { dim: 0 }), from) = e.def_op(e.as_view(v)?)? else { return None };
    let (zeros, source) = (e.arg(from, 0), e.arg(from, 2));
    if e.shape(zeros).rank() != 1 || e.shape(v).rank() < 2 || !e.is_zero(zeros) {
        return None;
    }
    let i = unwrapped(e, e.arg(from, 1), e.shape(zeros).numel())?;
    let schema = "aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor";
    let made = vec![(0, Made::Uniform(e.aval(v).clone(), 0.0))];
    Some(Found { made, ..Found::new(schema, [("accumulate", number(true))], [i, source])? })
}

/// The rows of a matrix at places in any shape.
fn rows(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (Op::IndexSelect(IndexSelect { dim: 0 }), at) = e.def_op(e.as_view(v)?)? else { return None };
    let (x, i) = (e.arg(at, 0), e.as_view(e.arg(at, 1))?);
    let of_rows = e.shape(x).rank() == 2 && *e.shape(v) == e.shape(i).concat(&e.shape(x).slice(1, 2));
    let schema = "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor";
    if of_rows { Found::new(schema, [], [x, i]) } else { None }
}

/// The rows of which those of one index are zeros, and the index.
fn left_out(e: &Editor, rows: Value, indices: Value) -> Option<(Value, i64)> {
    let (mask, zero, g) = e.as_where(rows)?;
    let column = smaller(e, mask);
    let (i, padding) = e.as_binary(e.as_view(column).unwrap_or(column), Binary::Eq)?;
    let padding = e.as_full(padding)?.to_i64();
    // One truth value for each row.
    let of_rows = e.shape(column).numel() == e.shape(indices).numel() && e.shape(column).dims().last()?.get() == 1;
    (i == indices && of_rows && e.is_zero(zero) && padding >= 0).then_some((g, padding))
}
