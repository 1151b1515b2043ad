//! Selections moved towards the results, so that work is done before slices are repeated.

use super::edit::{Editor, NodeId};
use super::movement::is_elementwise;
use super::pattern::aligned;
use super::{Apply, Class, Rule};
use crate::ir::{Dim, Shape, Value};
use crate::ops::{IndexSelect, Op};

pub(super) static RULES: &[Rule] = &[Rule {
    name: "sink-index-select",
    class: Class::Exact,
    law: "f(x[i], g(y[i], z)) -> f(x, g(y, z))[i] for elementwise f, g of floats, if x has no more slices than i names and z is the same in all of them",
    apply: Apply::Cheaper(sink_index_select),
}];

/// How many ops in a row are moved at once: a product with weights, and selections of other dims, stand between a sum and the selections.
const DEEP: usize = 3;

/// A selection that is moved.
#[derive(Clone)]
struct Selection {
    dim: usize,
    index: Value,
    /// The number of slices before it.
    slices: Dim,
    /// How many tensors it was applied to.
    met: usize,
}

impl Selection {
    /// What makes `v`, if that is a selection, and its operand.
    fn of(e: &Editor, v: Value) -> Option<(Selection, Value)> {
        let (Op::IndexSelect(IndexSelect { dim }), id) = e.def_op(v)? else { return None };
        let (dim, x) = (*dim, e.arg(id, 0));
        Some((Selection { dim, index: e.arg(id, 1), slices: e.shape(x)[dim], met: 0 }, x))
    }

    fn is(&self, other: &Selection) -> bool {
        (self.dim, self.index, self.slices) == (other.dim, other.index, other.slices)
    }

    /// The shape before the selection of what has this one after it.
    fn before(&self, shape: &Shape) -> Shape {
        (0..shape.rank()).map(|d| if d == self.dim { self.slices } else { shape[d] }).collect()
    }
}

/// Interpolation computes the same of every slice that it then takes several times: rows of an image first along the columns, then four of them.
fn sink_index_select(e: &mut Editor, id: NodeId) -> Option<Value> {
    if !moves(e, id) {
        return None;
    }
    let mut found = Vec::new();
    // What moves is in front of the first operand that is not the same everywhere.
    for v in e.args(id) {
        candidates(e, *v, DEEP, &mut found);
        if !found.is_empty() {
            break;
        }
    }
    found.into_iter().find_map(|selection| moved(e, id, selection))
}

/// The node's value with a selection in front of its operands behind it.
fn moved(e: &mut Editor, id: NodeId, mut selection: Selection) -> Option<Value> {
    if selection.slices > e.out(id).shape[selection.dim] {
        return None;
    }
    let args = e.args(id).to_vec();
    let before = args.into_iter().map(|v| unselected(e, v, &mut selection, DEEP)).collect::<Option<Vec<_>>>()?;
    // One selection that others stay beside would cost a tensor more.
    if selection.met < 2 {
        return None;
    }
    let y = e.emit(e.op(id).clone(), &before)?;
    e.emit(IndexSelect { dim: selection.dim }, &[y, selection.index])
}

/// Whether the op may be computed of slices that nobody selects: one of floats fails at none.
fn moves(e: &Editor, id: NodeId) -> bool {
    is_elementwise(e.op(id)) && e.out_dtype(id).is_float()
}

/// The selections from which elementwise ops and other selections lead to `v`, of the first operand that has any.
fn candidates(e: &Editor, v: Value, deep: usize, found: &mut Vec<Selection>) {
    let Some(deep) = deep.checked_sub(1) else { return };
    if let Some((selection, x)) = Selection::of(e, v) {
        found.push(selection);
        return candidates(e, x, deep, found);
    }
    let Some(id) = e.def(v).filter(|id| moves(e, *id)) else { return };
    for v in e.args(id) {
        candidates(e, *v, deep, found);
        if !found.is_empty() {
            return;
        }
    }
}

/// What `v` is before the selection.
fn unselected(e: &mut Editor, v: Value, selection: &mut Selection, deep: usize) -> Option<Value> {
    let repeats = |x: Value| aligned(e.shape(x), e.shape(v))[selection.dim] == Dim::new(1);
    if e.as_full(v).is_some() || e.as_expand(v).is_some_and(repeats) {
        let size = selection.before(e.shape(v));
        return e.expand(v, &size);
    }
    let deep = deep.checked_sub(1)?;
    if let Some((other, x)) = Selection::of(e, v) {
        if other.is(selection) {
            selection.met += 1;
            return Some(x);
        }
        // Selections of two dims may change places.
        let x = if other.dim == selection.dim { None } else { unselected(e, x, selection, deep) }?;
        return e.emit(IndexSelect { dim: other.dim }, &[x, other.index]);
    }
    let id = e.def(v).filter(|id| moves(e, *id))?;
    let (op, args) = (e.op(id).clone(), e.args(id).to_vec());
    let before = args.into_iter().map(|v| unselected(e, v, selection, deep)).collect::<Option<Vec<_>>>()?;
    e.emit(op, &before)
}
