//! Reads through an index in a nest.

use cotangent_core::ops::Indexing;

use super::{Schedule, Stop};
use crate::affine::{Affine, Index};
use crate::lower::flow::{Id, LONG_SLICE, Point};
use crate::lower::group::{Expr, ExprOp, Group, IndexId, Lookup, cost_of};

/// A nest of more work than this for each read through an index, on numbers of 32 bits, has no such read: places have 64 bits, and vectors then have half as
/// many lanes.
const MOST_WORK: u32 = 8;

/// How many elements lie side by side at `at`, along loops of the nest.
fn side_by_side(at: &Affine, g: &Group) -> usize {
    let mut n = 1;
    while let Some((v, _)) = at.terms().find(|(v, c)| *c == n as i64 && g.extents[*v] > 1) {
        n *= g.extents[v];
    }
    n
}

impl Schedule<'_> {
    /// The element of `v`, a gather along `dim`, at `index`.
    pub(super) fn lookup(
        &self,
        g: &mut Group,
        v: Id,
        dim: usize,
        form: Indexing,
        index: IndexId,
        escapes: &mut Vec<Id>,
    ) -> Result<Expr, Stop> {
        let value = &self.flow.values[v];
        let (x, places) = (value.args[0], value.args[1]);
        let Some((memory, map)) = self.view_of_memory(x) else { return Err(Stop::Cut(x)) };
        if self.stored[memory].is_none_or(|step| step >= g.step) {
            return Err(Stop::NotHere);
        }
        let of_places: Index = match form {
            Indexing::Vector => [g.indices[index as usize][dim].clone()].into_iter().collect(),
            Indexing::Elementwise => g.indices[index as usize].clone(),
        };
        let of_places = g.intern(of_places);
        let place = self.emit(g, places, of_places, escapes)?;
        // The place of index 0: the dims of `x` are those of the result, but for the one that is indexed. Read only here, because the index may have
        // split a loop.
        let here = &g.indices[index as usize];
        let mut at = Affine::constant(map.base);
        for d in (0..here.len()).filter(|d| *d != dim) {
            at.add_scaled(&here[d], map.coef(d));
        }
        let slice = match form {
            Indexing::Vector => side_by_side(&at, g),
            Indexing::Elementwise => 1,
        };
        // Rows of a reduction are computed in as many lanes as there are.
        if g.reduced.contains(&true) && slice < LONG_SLICE {
            return Err(Stop::Cut(v));
        }
        if slice > 1 && !matches!(g.exprs[place as usize].op, ExprOp::Load(..)) {
            return Err(Stop::Cut(places));
        }
        let step = map.coef(dim);
        let lookup = Lookup { memory, at, step, index: place, of: v, slice };
        Ok(g.expr(ExprOp::Lookup(Box::new(lookup)), value.dtype))
    }

    /// A read through an index for which a nest, in which `root` is computed, does too much else.
    pub(super) fn lookup_among_work(&self, g: &Group, root: Id) -> Option<Id> {
        let (mut read, mut reads) = (None, 0u32);
        let mut work = 0u32;
        for e in &g.exprs {
            match &e.op {
                ExprOp::Lookup(l) if l.slice >= LONG_SLICE => {}
                ExprOp::Lookup(l) => {
                    read = read.or(Some(l.of).filter(|v| *v != root));
                    reads += 1;
                }
                ExprOp::Point(p, _) if e.dtype.size_bytes() < 8 && *p != Point::Convert => {
                    work = work.saturating_add(cost_of(*p));
                }
                ExprOp::Point(..) | ExprOp::Load(..) | ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Reduced(_) => {}
            }
        }
        read.filter(|_| work > MOST_WORK * reads)
    }
}
