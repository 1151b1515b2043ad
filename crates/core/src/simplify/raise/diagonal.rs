//! Diagonals, which exporters and derivatives choose by a mask of places.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::smaller;
use super::index::known;
use super::{Found, Raising, number};
use crate::ir::{Shape, Value};
use crate::ops::{Cat, Op, Slice};

pub(super) static RULES: &[Raising] =
    &[Raising { class: Class::Exact, find: embedded }, Raising { class: Class::Finite, find: read }];

const DIAG_EMBED: &str = "aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor";
const DIAGONAL: &str = "aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)";

/// The most nodes that compute a mask.
const MASK: usize = 32;

/// What stands on a diagonal of the last two dims of `v`, which has zeros elsewhere, and how far the diagonal is to the right.
fn on_diagonal(e: &Editor, v: Value) -> Option<(Value, i64)> {
    let (mask, x, zero) = e.as_where(v)?;
    let n = e.shape(v).dims().last()?.get();
    let mask = smaller(e, mask);
    let square: Shape = [n, n].into_iter().collect();
    let rank = e.shape(v).rank();
    if !e.is_zero(zero) || n == 0 || *e.shape(mask) != square || e.shape(v).slice(rank - 2, rank) != square {
        return None;
    }
    let places = known(e, mask, MASK)?.to_i64_vec();
    let first = places.iter().position(|p| *p != 0)?;
    let offset = (first % n) as i64 - (first / n) as i64;
    let is_on = |i: usize| (i % n) as i64 - (i / n) as i64 == offset;
    places.iter().enumerate().all(|(i, p)| (*p != 0) == is_on(i)).then_some((x, offset))
}

/// A vector along the columns, after or before as many zeros as its diagonal is beside the main one.
fn embedded(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (wide, offset) = on_diagonal(e, v)?;
    let (repeated, whole) = (e.as_expand(wide)?, e.shape(v));
    let rank = whole.rank();
    // One vector may be repeated as it is; those of a batch have one row each.
    let row = if e.shape(repeated).rank() == 1 { repeated } else { e.as_view(repeated)? };
    let is_row = *e.shape(row) == whole.removed(rank - 2) && (repeated == row || e.shape(repeated)[rank - 2] == 1);
    if !is_row {
        return None;
    }
    let x = if offset == 0 {
        row
    } else {
        let (Op::Cat(Cat { dim }), at) = e.def_op(row)? else { return None };
        let [before, after] = *e.args(at) else { return None };
        let (zeros, x) = if offset > 0 { (before, after) } else { (after, before) };
        let beside = e.shape(zeros)[rank - 2].get() as u64 == offset.unsigned_abs();
        (*dim == rank - 2 && e.is_zero(zeros) && beside).then_some(x)?
    };
    Found::new(DIAG_EMBED, [("offset", number(offset))], [x])
}

/// The elements on a diagonal, as sums over the rows of nothing else.
fn read(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    // Beside the main diagonal the first or the last columns have none.
    let (sum, part) = match e.op(id) {
        Op::Slice(Slice { dim, start, end, step: 1 }) => (e.arg(id, 0), Some((*dim, *start, *end))),
        Op::Sum(_) => (v, None),
        _ => return None,
    };
    let (dims, chosen) = e.as_sum(sum)?;
    let rank = e.shape(chosen).rank();
    if rank < 2 || dims != [rank - 2] || e.shape(sum).rank() + 1 != rank {
        return None;
    }
    let (g, offset) = on_diagonal(e, chosen)?;
    let (n, beside) = (e.shape(chosen)[rank - 1].get(), offset.unsigned_abs() as usize);
    let expected = match offset {
        0 => None,
        1.. => Some((rank - 2, beside, n)),
        ..0 => Some((rank - 2, 0, n - beside)),
    };
    if part != expected {
        return None;
    }
    let dims = [("dim1", number(-2)), ("dim2", number(-1))];
    Found::new(DIAGONAL, [("offset", number(offset))].into_iter().chain(dims), [g])
}
