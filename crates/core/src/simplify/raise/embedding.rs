//! What derivatives add up of the rows of a table.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::smaller;
use super::{Found, Raising, number};
use crate::ir::Value;
use crate::ops::{Binary, IndexAdd, Op};

pub(super) static RULES: &[Raising] = &[Raising { class: Class::Rounding, find: sums }];

const BACKWARD: &str = "aten::embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, bool scale_grad_by_freq) -> Tensor";

/// Rows for indices in any shape added to zeros; those of one index may be left out. Of a vector of indices it is as well what people write as an addition.
fn sums(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::IndexAdd(IndexAdd { dim: 0 }) = e.op(id) else { return None };
    let (zeros, at, source) = (e.arg(id, 0), e.arg(id, 1), e.arg(id, 2));
    let shape = e.shape(zeros);
    if shape.rank() != 2 || !e.is_zero(zeros) {
        return None;
    }
    let width = shape.slice(1, 2);
    let found = |indices: Value| {
        let expected = e.shape(indices).concat(&width);
        let rows = [Some(source), e.as_view(source)].into_iter().flatten().find(|g| *e.shape(*g) == expected)?;
        let whole = || (indices != at).then_some((rows, -1));
        left_out(e, rows, indices).or_else(whole).map(|(g, padding)| (g, indices, padding))
    };
    let (g, indices, padding) = found(at).or_else(|| found(e.as_view(at)?))?;
    let params = [("num_weights", number(shape[0].get() as i64)), ("padding_idx", number(padding))];
    let params = params.into_iter().chain([("scale_grad_by_freq", number(false))]);
    Found::new(BACKWARD, params, [g, indices])
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
