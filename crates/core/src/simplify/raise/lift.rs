//! Dims of size 1 after a reduction, not after what is made of it: `keepdim=True` says them without a statement.
//!
//! Simplification moves views towards the results; PyTorch's reductions keep their dims where they are. A view that only adds
//! those dims back goes up through elementwise functions of which nothing else is needed.

use super::super::edit::Editor;
use super::reduce::{called_spread, kept_shape};
use super::upward::viewed;
use crate::ir::{Shape, Value};
use crate::ops::{Amax, Amin, Op, View};

/// The most functions between reductions and the view of what is made of them.
const MAX_TREE: usize = 8;

/// Moves every view that keeps reduced dims up to its reductions.
pub(super) fn lift(e: &mut Editor) {
    for id in (0..e.num_nodes()).rev() {
        if !e.is_alive(id) || !matches!(e.op(id), Op::View(_)) {
            continue;
        }
        let (v, shape) = (e.results(id)[0], e.out(id).shape);
        let mut tree = Tree { functions: 0, more: 0, fewer: 0, shape: &shape };
        if !tree.grow(e, e.arg(id, 0)) || tree.functions == 0 || tree.more > tree.fewer {
            continue;
        }
        e.begin(id);
        // A reduction that is kept and one that is not are a statement each, as are a reduction and its view.
        match viewed(e, e.arg(id, 0), &shape) {
            Some(new) if new != v => {
                e.commit(new, tree.more + tree.fewer);
            }
            Some(_) | None => e.rollback(),
        }
    }
}

/// What elementwise functions make of reductions and numbers.
struct Tree<'a> {
    functions: usize,
    /// Reductions that are needed without their dims, too, and not yet with them: these are more statements.
    more: usize,
    /// Reductions of which nothing else is needed, or that are there with their dims: the view is one statement less.
    fewer: usize,
    /// The shape with the dims kept.
    shape: &'a Shape,
}

impl Tree<'_> {
    /// Takes `v` in; whether it may be.
    fn grow(&mut self, e: &Editor, v: Value) -> bool {
        if e.as_full(v).is_some() {
            return true;
        }
        let Some((op, id)) = e.def_op(v) else { return false };
        let dims = match op {
            Op::Sum(_) => e.as_sum(v).map(|(dims, _)| dims),
            Op::Amax(Amax { dim }) | Op::Amin(Amin { dim }) => Some(dim.clone()),
            Op::Unary(_) | Op::Binary(_) => {
                self.functions += 1;
                let args = e.args(id);
                return e.count(v) == 1 && self.functions <= MAX_TREE && args.iter().all(|a| self.grow(e, *a));
            }
            _ => called_spread(e, v).map(|(_, dims, _)| dims),
        };
        let kept = |dims: &Vec<usize>| !dims.is_empty() && kept_shape(e.shape(e.arg(id, 0)), dims) == *self.shape;
        let there = e.equal_node(&View { shape: self.shape.clone() }.into(), &[v]).is_some();
        self.more += usize::from(e.count(v) > 1 && !there);
        self.fewer += usize::from(e.count(v) == 1 || there);
        dims.as_ref().is_some_and(kept)
    }
}
