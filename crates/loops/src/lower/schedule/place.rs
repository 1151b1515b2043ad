//! Putting roots into nests.

use smallvec::SmallVec;

use super::{DEAR_END, LANES, MANY_ROWS, Planned, Root, SMALL, Schedule, Stop};
use crate::affine::{Affine, Index, flatten};
use crate::lower::flow::{Id, Kind};
use crate::lower::group::{Expr, ExprOp, Group, IndexId, Reduction};

impl Schedule<'_> {
    /// Puts a root into a nest, a new one if need be; returns its step.
    pub(super) fn place(&mut self, root: Root) -> u32 {
        let flow = self.flow;
        let (v, sizes) = match root {
            Root::Store(v) => (v, &flow.values[v].sizes),
            Root::Reduce(v) => (v, &flow.values[flow.values[v].args[0]].sizes),
            Root::Piece { dst, k, .. } => (flow.values[dst].args[k], &flow.values[flow.values[dst].args[k]].sizes),
        };
        let total: usize = sizes.iter().product();
        let mut candidates: SmallVec<[u32; 5]> = SmallVec::new();
        candidates.extend(self.full.get(&total).into_iter().flatten().rev().copied());
        candidates.extend(self.rows.get(&total).copied());
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        candidates.insert(0, self.last[v]);
        for (i, step) in candidates.iter().enumerate() {
            if *step < self.last_needed(v) || candidates[..i].contains(step) || *step == 0 {
                continue;
            }
            if !matches!(self.steps[*step as usize - 1], Planned::Group(_)) {
                continue;
            }
            match self.attempt(root, *step, sizes, false) {
                Ok(()) => return *step,
                // What must be in memory anyway may find its place before this nest. A nest that computes the root itself at other places
                // cannot store it.
                Err(Stop::Cut(x)) if self.last[x] < *step && !matches!(root, Root::Store(v) if v == x) => {
                    self.materialise(x);
                    if self.attempt(root, *step, sizes, false).is_ok() {
                        return *step;
                    }
                }
                Err(Stop::Cut(_) | Stop::NotHere) => {}
            }
        }
        loop {
            self.steps.push(Planned::Group(Box::new(Group::new(self.steps.len() as u32 + 1))));
            let step = self.steps.len() as u32;
            match self.attempt(root, step, sizes, true) {
                Ok(()) => {
                    let list = self.full.entry(total).or_default();
                    if list.len() == 3 {
                        list.remove(0);
                    }
                    list.push(step);
                    return step;
                }
                Err(Stop::Cut(x)) => {
                    self.steps.pop();
                    self.materialise(x);
                }
                Err(Stop::NotHere) => unreachable!("a new nest is after everything"),
            }
        }
    }

    /// The first step in which a root over `v` may be: that of the memory on which it depends directly.
    pub(super) fn last_needed(&self, v: Id) -> u32 {
        if self.is_inline(v) { 0 } else { self.stored[v].unwrap_or(0) }
    }

    pub(super) fn attempt(&mut self, root: Root, step: u32, sizes: &[usize], fresh: bool) -> Result<(), Stop> {
        let Planned::Group(slot) = &mut self.steps[step as usize - 1] else { return Err(Stop::NotHere) };
        let mut g = std::mem::take(slot);
        let mark = g.mark();
        let mut escapes = Vec::new();
        let result = self.try_root(root, &mut g, sizes, fresh, &mut escapes);
        if result.is_err() {
            g.roll_back(mark);
        } else {
            for (v, index) in g.since(mark).to_vec() {
                if matches!(self.flow.values[v].kind, Kind::Point(_) | Kind::Lookup(..) | Kind::Unrolled(..))
                    && self.is_better_home(&g, v, index)
                {
                    let e = g.known(v, index).expect("just remembered");
                    self.home[v] = Some((step, index, e));
                }
            }
        }
        let reduced = result.as_ref().ok().copied().flatten();
        if let Some((v, index, e)) = reduced {
            self.home[v] = Some((step, index, e));
            self.last[v] = step;
            self.rows.insert(g.kept(), step);
        }
        self.steps[step as usize - 1] = Planned::Group(g);
        if result.is_ok() {
            escapes.into_iter().for_each(|v| self.escape(v));
        }
        result.map(|_| ())
    }

    /// Whether `g` computes `v` and no nest before it does, or computes more of it than one that could not store it.
    fn is_better_home(&self, g: &Group, v: Id, index: IndexId) -> bool {
        match self.home[v] {
            None => true,
            Some((home, ..)) if home >= g.step => false,
            Some((home, there, _)) => {
                let earlier = self.group(home);
                !earlier.is_storable(there, &self.flow.values[v].sizes) && earlier.covered(there) < g.covered(index)
            }
        }
    }

    pub(super) fn try_root(
        &self,
        root: Root,
        g: &mut Group,
        sizes: &[usize],
        fresh: bool,
        escapes: &mut Vec<Id>,
    ) -> Result<Option<(Id, IndexId, Expr)>, Stop> {
        let values = &self.flow.values;
        let dims: &[usize] = match root {
            Root::Reduce(v) => match &values[v].kind {
                Kind::Reduce(dims, _) => dims,
                _ => unreachable!("a reduction"),
            },
            Root::Store(_) | Root::Piece { .. } => &[],
        };
        let total: usize = sizes.iter().product();
        let index = if fresh {
            g.open(sizes, |d| dims.contains(&d))
        } else if g.total() == total {
            g.over(sizes, false).ok_or(Stop::NotHere)?
        } else if g.has_reduces() && dims.is_empty() && g.kept() == total {
            if self.is_better_apart(root, g) {
                return Err(Stop::NotHere);
            }
            g.over(sizes, true).ok_or(Stop::NotHere)?
        } else {
            return Err(Stop::NotHere);
        };
        if let (Root::Reduce(_), true) = (root, g.has_reduces()) {
            for (d, a) in g.indices[index as usize].iter().enumerate() {
                if a.terms().any(|(v, _)| g.reduced[v] != dims.contains(&d)) {
                    return Err(Stop::NotHere);
                }
            }
        }
        let source = match root {
            Root::Store(v) => v,
            Root::Reduce(v) => values[v].args[0],
            Root::Piece { dst, k, after } => {
                if g.step <= after {
                    return Err(Stop::NotHere);
                }
                values[dst].args[k]
            }
        };
        let e = self.emit(g, source, index, escapes)?;
        if let Some(x) = self.lookup_among_work(g, source) {
            return Err(if fresh { Stop::Cut(x) } else { Stop::NotHere });
        }
        if !fresh && (g.is_too_big() || (g.hits == 0 && total > SMALL)) {
            return Err(Stop::NotHere);
        }
        if fresh
            && g.is_too_big()
            && let Some(x) = self.something_inline(source)
        {
            return Err(Stop::Cut(x));
        }
        match root {
            Root::Store(v) => {
                let at = flatten(&g.indices[index as usize], &values[v].sizes);
                g.store(e, v, at);
                Ok(None)
            }
            Root::Piece { dst, k, .. } => {
                let Kind::Pieces(pieces) = &values[dst].kind else { unreachable!("pieces") };
                let local = g.indices[index as usize].clone();
                let placed = |a: &Affine| {
                    let mut out = Affine::constant(a.base);
                    a.terms().for_each(|(d, c)| out.add_scaled(&local[d], c));
                    out
                };
                let place: Index = pieces[k].at.iter().map(placed).collect();
                g.store(e, dst, flatten(&place, &values[dst].sizes));
                Ok(None)
            }
            Root::Reduce(v) => {
                let Kind::Reduce(_, monoid) = &values[v].kind else { unreachable!("a reduction") };
                let full = g.indices[index as usize].clone();
                if !g.has_reduces() {
                    for (d, a) in full.iter().enumerate() {
                        a.terms().for_each(|(x, _)| g.reduced[x] = dims.contains(&d));
                    }
                }
                let level = g.exprs[e as usize].level;
                g.reduces.push(Reduction { expr: e, monoid: *monoid, dtype: values[v].dtype, level });
                let r = g.expr(ExprOp::Reduced(g.reduces.len() as u32 - 1), values[v].dtype);
                let kept: Index = (0..full.len()).filter(|d| !dims.contains(d)).map(|d| full[d].clone()).collect();
                let kept = g.intern(kept);
                g.remember(v, kept, r);
                Ok(Some((v, kept, r)))
            }
        }
    }

    /// Whether what is done once for each row of reductions is so dear beside the row that lanes of its own are worth more than the memory of
    /// the reductions.
    fn is_better_apart(&self, root: Root, g: &Group) -> bool {
        let v = match root {
            Root::Store(v) | Root::Reduce(v) => v,
            Root::Piece { dst, k, .. } => self.flow.values[dst].args[k],
        };
        let is_across = g.order.last().is_some_and(|v| g.reduced[*v]);
        let (rows, cost) = (g.kept(), self.cost[v] as usize);
        is_across && rows >= MANY_ROWS && self.cost[v] >= DEAR_END && g.total() / rows <= cost * LANES
    }

    /// An operand below `v` that could be stored to make a nest smaller.
    pub(super) fn something_inline(&self, v: Id) -> Option<Id> {
        let mut x = v;
        loop {
            let args = &self.flow.values[x].args;
            let next = args.iter().copied().filter(|a| self.is_inline(*a)).max_by_key(|a| self.cost[*a])?;
            if matches!(self.flow.values[next].kind, Kind::Point(_) | Kind::Lookup(..) | Kind::Unrolled(..)) {
                return Some(next);
            }
            x = next;
        }
    }
}
