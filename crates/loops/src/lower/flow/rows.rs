//! Reads and writes through an index that is the same for all elements of a row, as where sums over the edges of a graph expand the index
//! of an edge to its features: whole rows are read and written. And reads through one that is the same for many lines, as those of the channels of
//! an image that is sampled: it is read, and made, once for all.

use cotangent_core::ir::{Aval, Shape};
use cotangent_core::ops::{Access, Indexing, LoopForm, Op, ViewForm};
use smallvec::SmallVec;

use super::{Flow, Id, Kind};
use crate::ir::RoutineKind;

impl Flow {
    /// The results of an op with an index for each element, which has the operand's sizes on all dims but the indexed one and was expanded along the
    /// dims behind it; `None` for others.
    pub(super) fn rows(
        &mut self,
        op: &Op,
        form: &LoopForm,
        args: &[Id],
        avals: &[&Aval],
        results: &[Aval],
        i: usize,
    ) -> Option<Vec<Id>> {
        let LoopForm::Access(
            Access::Gather { dim, index: Indexing::Elementwise }
            | Access::Scatter { dim, index: Indexing::Elementwise, combine: _ },
        ) = *form
        else {
            return None;
        };
        let (x, index) = (&avals[0].shape, &avals[1].shape);
        let expanded = &self.values[args[1]];
        let Kind::View(ViewForm::Broadcast) = expanded.kind else { return None };
        let (source, lead) = (expanded.args[0], index.rank() - self.values[expanded.args[0]].sizes.len());
        let mut own: SmallVec<[usize; 4]> = expanded.sizes.clone();
        let is_row = self.values[source].sizes.iter().enumerate().all(|(d, n)| lead + d <= dim || *n == 1);
        let is_long = own.iter().skip(dim + 1).product::<usize>() > 1;
        if !is_row || !is_long || x.with(dim, 0) != index.with(dim, 0) {
            return self.lines(op, args, avals, results, i);
        }
        own[dim + 1..].fill(1);
        let rows = if self.values[source].sizes == own {
            source
        } else {
            let aval = avals[1].with_shape(own.into_iter().collect::<Shape>());
            self.push(Kind::View(ViewForm::Broadcast), &[source], &aval, Some(i))
        };
        let mut args = args.to_vec();
        args[1] = rows;
        let avals = avals.iter().map(|a| (*a).clone()).collect();
        let kind = RoutineKind::Rows { op: op.clone(), args: avals, results: results.to_vec(), dim };
        Some(self.routine(kind, &args, results, i))
    }
    /// The results of a gather with an index for each element, which has the operand's sizes on all dims but the indexed one and was expanded along some right
    /// before it; `None` for others.
    fn lines(&mut self, op: &Op, args: &[Id], avals: &[&Aval], results: &[Aval], i: usize) -> Option<Vec<Id>> {
        let Op::Gather(gather) = op else { return None };
        let (x, index, dim) = (avals[0], avals[1], gather.dim);
        let expanded = &self.values[args[1]];
        let Kind::View(ViewForm::Broadcast) = expanded.kind else { return None };
        let mut own: SmallVec<[usize; 4]> = SmallVec::from_elem(1, index.rank());
        let from = &self.values[expanded.args[0]].sizes;
        own[index.rank() - from.len()..].copy_from_slice(from);
        let first = own[..dim].iter().rposition(|n| *n != 1).map_or(0, |d| d + 1);
        let sizes = index.shape.sizes();
        // What was expanded elsewhere too has an index for each element there.
        own[..first].copy_from_slice(&sizes[..first]);
        own[dim..].copy_from_slice(&sizes[dim..]);
        let times: usize = sizes[first..dim].iter().product();
        if times < 2 || x.shape.with(dim, 0) != index.shape.with(dim, 0) {
            return None;
        }
        let source = if own.iter().product::<usize>() == from.iter().product::<usize>() {
            expanded.args[0]
        } else {
            let aval = index.with_shape(own.into_iter().collect::<Shape>());
            self.push(Kind::View(ViewForm::Broadcast), &[expanded.args[0]], &aval, Some(i))
        };
        let kind = RoutineKind::Lines { gather: gather.clone(), x: x.clone(), index: index.clone(), first };
        Some(self.routine(kind, &[args[0], source], results, i))
    }
}
