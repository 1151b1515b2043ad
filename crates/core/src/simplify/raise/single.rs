//! Places of dims that go: `x[0] * x[1]` selects and multiplies.
//!
//! Simplification moves the view that removes a dim of size 1 towards the results; PyTorch selects, which is one statement
//! for the slice and the view. A view of what is made of slices goes up through elementwise functions of which nothing else
//! is needed, to all slices.

use super::super::edit::Editor;
use super::upward::viewed;
use crate::ir::{Dim, Shape, Value};
use crate::ops::{Op, Slice};

/// The most functions between slices and the view of what is made of them.
const MAX_TREE: usize = 16;

/// Moves every view that removes one dim up to the slices of which its operand is made.
pub(super) fn select(e: &mut Editor) {
    for id in (0..e.num_nodes()).rev() {
        if !e.is_alive(id) || !matches!(e.op(id), Op::View(_)) {
            continue;
        }
        let (root, shape) = (e.arg(id, 0), e.out(id).shape);
        let mut tree = Tree { inner: 0, slices: 0, shared: 0, shape: &shape };
        if !tree.grow(e, root) || tree.inner == 0 || tree.shared > 1 {
            continue;
        }
        // A slice and its view become one statement.
        let room = tree.slices;
        e.begin(id);
        match viewed(e, root, &shape) {
            Some(new) => {
                e.commit(new, room);
            }
            None => e.rollback(),
        }
    }
}

/// Whether a shape is `short` with one dim of size 1 more, and nothing else.
fn adds_one(long: &Shape, short: &Shape) -> bool {
    (0..long.rank()).any(|d| long[d] == 1 && long.removed(d) == *short)
}

/// What elementwise functions make of slices.
struct Tree<'a> {
    inner: usize,
    slices: usize,
    /// Slices that something else needs too.
    shared: usize,
    /// The shape without the dim.
    shape: &'a Shape,
}

impl Tree<'_> {
    /// Takes `v` in; whether it may be.
    fn grow(&mut self, e: &Editor, v: Value) -> bool {
        if e.as_full(v).is_some() {
            return true;
        }
        let Some((op, id)) = e.def_op(v) else { return false };
        match op {
            Op::Slice(Slice { dim, .. }) if adds_one(e.shape(v), self.shape) => {
                self.slices += 1;
                self.shared += usize::from(e.count(v) > 1);
                e.shape(v)[*dim] == Dim::new(1)
            }
            Op::View(_) => e.shape(e.arg(id, 0)) == self.shape,
            Op::Unary(_) | Op::Binary(_) => {
                self.inner += 1;
                let args = e.args(id);
                e.count(v) == 1 && self.inner <= MAX_TREE && args.iter().all(|a| self.grow(e, *a))
            }
            _ => false,
        }
    }
}
