//! Which values are memory, and which are views of it.

use super::{Planned, Root, Schedule, dims_of, picked};
use crate::affine::{Affine, Extents, NotAffine, flatten};
use crate::ir::Matrix;
use crate::lower::flow::{Id, Kind, through};
use crate::lower::group::Group;
use cotangent_core::ops::ViewForm;

/// The most arrays of which an expression is computed again where it is repeated: each is read again, too.
const MOST_REPEATED: usize = 2;

impl Schedule<'_> {
    /// Makes `v` memory, dense and row-major.
    pub(super) fn materialise(&mut self, v: Id) {
        if self.stored[v].is_some() {
            return;
        }
        if let Some((step, index, _)) = self.home[v]
            && self.group(step).is_storable(index, &self.flow.values[v].sizes)
        {
            self.escape(v);
            return;
        }
        if matches!(self.flow.values[v].kind, Kind::Point(_) | Kind::Lookup(..) | Kind::Unrolled(..)) {
            // A nest is made that computes all of it.
            self.home[v] = None;
        }
        let step = self.place(Root::Store(v));
        self.set_stored(v, step);
    }

    /// Stores a value in the nest that computes it anyway.
    pub(super) fn escape(&mut self, v: Id) {
        if self.stored[v].is_some() {
            return;
        }
        let (step, index, expr) = self.home[v].expect("only values of a nest escape it");
        let sizes = &self.flow.values[v].sizes;
        let group = self.group_mut(step);
        let at = flatten(&group.indices[index as usize], sizes);
        group.store(expr, v, at);
        let last = self.last[v];
        self.set_stored(v, step);
        self.last[v] = last.max(step);
    }

    pub(super) fn group(&self, step: u32) -> &Group {
        match &self.steps[step as usize - 1] {
            Planned::Group(g) => g,
            Planned::Product { .. } | Planned::Call { .. } => unreachable!("homes are nests"),
        }
    }

    pub(super) fn group_mut(&mut self, step: u32) -> &mut Group {
        match &mut self.steps[step as usize - 1] {
            Planned::Group(g) => g,
            Planned::Product { .. } | Planned::Call { .. } => unreachable!("homes are nests"),
        }
    }

    /// The place in memory of the elements of `v`, over one variable for each of its dims; `None` if they are no view of
    /// memory with one stride for each dim.
    pub(super) fn view_of_memory(&self, v: Id) -> Option<(Id, Affine)> {
        let mut x = v;
        let mut index = dims_of(&self.flow.values[v].sizes);
        let mut extents: Extents = self.flow.values[v].sizes.to_vec();
        let mut splits: Vec<(usize, usize, i64)> = Vec::new();
        let (base, mut at) = loop {
            let value = &self.flow.values[x];
            if self.stored[x].is_some() {
                break (x, flatten(&index, &value.sizes));
            }
            let arg = *value.args.first()?;
            let from = &self.flow.values[arg].sizes;
            index = match &value.kind {
                Kind::View(ViewForm::Reshape) if self.stored[arg].is_some() => {
                    break (arg, flatten(&index, &value.sizes));
                }
                Kind::View(f) => match through(f, &index, &value.sizes, from, &extents) {
                    Ok(inner) => inner,
                    Err(NotAffine::Split { var, factor }) => {
                        let low = extents.len();
                        extents[var] /= factor;
                        extents.push(factor);
                        splits.push((var, low, factor as i64));
                        index.iter_mut().for_each(|a| a.split(var, low, factor as i64));
                        continue;
                    }
                    Err(NotAffine::Never) => return None,
                },
                Kind::Pick(pick) => picked(pick, &index),
                Kind::Param
                | Kind::Stored(_)
                | Kind::Fill(_)
                | Kind::Iota
                | Kind::Eye
                | Kind::Point(_)
                | Kind::Lookup(..)
                | Kind::Unrolled(..)
                | Kind::Reduce(..)
                | Kind::Pieces(_)
                | Kind::Product
                | Kind::Output(_) => return None,
            };
            x = arg;
        };
        // The parts of a dim that was split become one again, if one stride walks through both.
        for (var, low, factor) in splits.into_iter().rev() {
            let (outer, inner) = (at.coef(var), at.coef(low));
            if outer != inner * factor {
                return None;
            }
            at.add_to(low, -inner);
            at.add_to(var, inner - outer);
        }
        Some((base, at))
    }

    /// As [`Self::view_of_memory`], making memory where there is none.
    pub(super) fn viewed(&mut self, v: Id) -> (Id, Affine) {
        let mut base = v;
        while self.stored[base].is_none() && matches!(self.flow.values[base].kind, Kind::View(_) | Kind::Pick(_)) {
            base = self.flow.values[base].args[0];
        }
        if self.flow.values[base].numel() <= 2 * self.flow.values[v].numel() {
            self.materialise(base);
        }
        if let Some(found) = self.view_of_memory(v) {
            return found;
        }
        self.materialise(v);
        let sizes = &self.flow.values[v].sizes;
        (v, flatten(&dims_of(sizes), sizes))
    }

    /// A value in memory with the elements of `v` in row-major order and no others.
    pub(super) fn dense(&mut self, v: Id) -> Id {
        if self.stored[v].is_some() {
            return v;
        }
        let sizes = &self.flow.values[v].sizes;
        if self.is_made_here(v) {
            self.materialise(v);
            return v;
        }
        let (base, at) = self.viewed(v);
        if at == flatten(&dims_of(sizes), sizes) && self.flow.values[base].numel() == self.flow.values[v].numel() {
            return base;
        }
        self.materialise(v);
        v
    }

    /// Whether `v` repeats or moves elements that no nest computes yet, of few arrays: they are computed where they are written, if they are cheap to repeat, and
    /// stored nowhere before.
    fn is_made_here(&mut self, v: Id) -> bool {
        let mut base = v;
        while self.stored[base].is_none() {
            match &self.flow.values[base].kind {
                Kind::View(_) | Kind::Pick(_) => {}
                Kind::Point(_) => break,
                Kind::Param
                | Kind::Stored(_)
                | Kind::Fill(_)
                | Kind::Iota
                | Kind::Eye
                | Kind::Lookup(..)
                | Kind::Unrolled(..)
                | Kind::Reduce(..)
                | Kind::Pieces(_)
                | Kind::Product
                | Kind::Output(_) => return false,
            }
            base = self.flow.values[base].args[0];
        }
        let n = self.flow.values[base].numel();
        let repeats = n * 2 <= self.flow.values[v].numel();
        let is_moved = base != v && n == self.flow.values[v].numel();
        if !(repeats || is_moved) || self.stored[base].is_some() || self.readers[base] > 1 || self.home[base].is_some()
        {
            return false;
        }
        let region = self.root_of(self.region[base]);
        let whole = |leaf: &&Id| self.flow.values[**leaf].numel() * 2 > n;
        self.regions[region].leaves.iter().filter(whole).count() <= MOST_REPEATED
    }

    pub(super) fn product(&mut self, v: Id) {
        let value = &self.flow.values[v];
        let mut args = [0; 2];
        let mut mats = [Matrix { offset: 0, batch: 0, row: 0, col: 0 }; 2];
        let rank = value.sizes.len();
        for (i, a) in value.args.iter().enumerate() {
            let (base, at) = self.viewed(*a);
            args[i] = base;
            let batch = if rank == 3 { at.coef(0) } else { 0 };
            mats[i] = Matrix { offset: at.base, batch, row: at.coef(rank - 2), col: at.coef(rank - 1) };
        }
        let lhs = &self.flow.values[value.args[0]].sizes;
        let (mut batch, mut m) = (if rank == 3 { lhs[0] } else { 1 }, lhs[rank - 2]);
        let (k, n) = (lhs[rank - 1], value.sizes[rank - 1]);
        if batch > 1 && mats[1].batch == 0 && mats[0].batch == mats[0].row * m as i64 {
            // One matrix for the whole batch: more rows of one product.
            m *= batch;
            batch = 1;
            mats[0].batch = 0;
        }
        self.steps.push(Planned::Product { value: v, args, mats, batch, mkn: [m, k, n] });
        self.set_stored(v, self.steps.len() as u32);
    }
}
