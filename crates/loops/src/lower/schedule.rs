//! Which values share a nest: one walk over the flow, in order.
//!
//! Steps are made in order and read only what earlier steps wrote, so a value may join any nest that is not before its
//! operands. Values that are not stored are expressions; they become memory when somebody needs them there. The cost model stands in
//! `ir-spec/loops.md`.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, ViewForm};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::flow::{Flow, Id, Kind, Point, through};
use super::group::{Expr, ExprOp, Group, IndexId, LOAD, cost_of};
use crate::affine::{Affine, Extents, Index, NotAffine, flatten};
use crate::ir::Matrix;

/// An expression at least this dear is stored, when a second nest needs it, or when it would be repeated by a broadcast.
const DEAR: u32 = 8;

/// Nests of at most this many points are joined even if they share nothing.
const SMALL: usize = 4096;

/// The most nodes in a connected piece of expressions, and the most memory that it reads.
const MAX_REGION: u32 = 256;
const MAX_LEAVES: usize = 24;

/// A step of the program in the making.
#[derive(Debug)]
pub(crate) enum Planned {
    Group(Box<Group>),
    Product { value: Id, args: [Id; 2], mats: [Matrix; 2], batch: usize, mkn: [usize; 3] },
    Call { call: usize, args: Vec<Id> },
}

/// Why a value cannot be computed in a group.
enum Stop {
    /// Something that it reads is made later, or at another place of the same nest.
    NotHere,
    /// This value must be in memory first.
    Cut(Id),
}

/// What is to be done at each point of a domain.
#[derive(Clone, Copy)]
enum Root {
    Store(Id),
    Reduce(Id),
    Piece { dst: Id, k: usize, after: u32 },
}

pub(crate) struct Schedule<'a> {
    pub flow: &'a Flow,
    pub steps: Vec<Planned>,
    /// The step that completes a value in memory.
    pub stored: Vec<Option<u32>>,
    /// The first nest that computes a value, and where.
    home: Vec<Option<(u32, IndexId, Expr)>>,
    /// The last step on which a value depends.
    last: Vec<u32>,
    cost: Vec<u32>,
    region: Vec<usize>,
    regions: Vec<Region>,
    /// The last nests by number of points, and by number of kept points.
    full: FxHashMap<usize, SmallVec<[u32; 3]>>,
    rows: FxHashMap<usize, u32>,
}

#[derive(Clone, Debug, Default)]
struct Region {
    parent: usize,
    count: u32,
    leaves: Vec<Id>,
}

/// The schedule of `flow`, with the memory of each result.
pub(crate) fn schedule(flow: &Flow) -> (Schedule<'_>, Vec<Id>) {
    let n = flow.values.len();
    let mut s = Schedule {
        flow,
        steps: Vec::new(),
        stored: vec![None; n],
        home: vec![None; n],
        last: vec![0; n],
        cost: vec![0; n],
        region: vec![usize::MAX; n],
        regions: Vec::new(),
        full: FxHashMap::default(),
        rows: FxHashMap::default(),
    };
    for v in 0..n {
        s.visit(v);
    }
    let results = flow.results.iter().map(|v| s.dense(*v)).collect();
    (s, results)
}

impl Schedule<'_> {
    fn visit(&mut self, v: Id) {
        let flow = self.flow;
        let value = &flow.values[v];
        self.last[v] = value.args.iter().map(|a| self.last[*a]).max().unwrap_or(0);
        if value.numel() == 0 && !matches!(value.kind, Kind::Output(_)) {
            // Memory without elements needs no step.
            self.set_stored(v, 0);
            return;
        }
        match &value.kind {
            Kind::Param | Kind::Stored(_) => self.set_stored(v, 0),
            Kind::Fill(_) | Kind::Iota | Kind::Eye => {
                self.cost[v] = 1;
                self.join_regions(v, 1);
            }
            Kind::Point(p) => {
                self.join_regions(v, 1);
                let args: u32 = value.args.iter().fold(0, |c, a| c.saturating_add(self.cost[*a]));
                self.cost[v] = cost_of(*p).saturating_add(args).min(1 << 20);
            }
            Kind::View(_) | Kind::Pick(_) => {
                self.join_regions(v, 1);
                self.cost[v] = self.cost[value.args[0]];
            }
            Kind::Unrolled(dims, _) => {
                let x = value.args[0];
                let n: usize = dims.iter().map(|d| flow.values[x].sizes[*d]).product();
                if self.stored[x].is_none() && self.region_count(x) * n as u32 > MAX_REGION / 2 {
                    self.materialise(x);
                }
                let inside = if self.stored[x].is_none() { self.region_count(x) } else { 1 };
                self.join_regions(v, inside * n as u32);
                self.cost[v] = (self.cost[x] + 1).saturating_mul(n as u32).min(1 << 20);
            }
            Kind::Reduce(..) => {
                self.place(Root::Reduce(v));
                self.cost[v] = LOAD;
            }
            Kind::Pieces(pieces) => {
                let mut step = 0;
                for (k, p) in pieces.iter().enumerate() {
                    let after = if p.over { step } else { 0 };
                    step = step.max(self.place(Root::Piece { dst: v, k, after }));
                }
                self.set_stored(v, step);
            }
            Kind::Product => self.product(v),
            Kind::Output(call) => {
                let call_data = &flow.calls[*call];
                if call_data.results[0] != v {
                    return;
                }
                if call_data.results.iter().all(|r| flow.values[*r].numel() == 0) {
                    call_data.results.iter().for_each(|r| self.set_stored(*r, 0));
                    return;
                }
                let args = call_data.args.iter().map(|a| self.dense(*a)).collect();
                self.steps.push(Planned::Call { call: *call, args });
                let step = self.steps.len() as u32;
                call_data.results.iter().for_each(|r| self.set_stored(*r, step));
            }
        }
    }

    fn set_stored(&mut self, v: Id, step: u32) {
        self.stored[v] = Some(step);
        self.last[v] = step;
        self.cost[v] = LOAD;
    }

    // ---- regions: connected expressions are kept small

    fn root_of(&mut self, mut r: usize) -> usize {
        while self.regions[r].parent != r {
            let up = self.regions[self.regions[r].parent].parent;
            self.regions[r].parent = up;
            r = up;
        }
        r
    }

    fn region_count(&mut self, v: Id) -> u32 {
        if self.region[v] == usize::MAX {
            return 1;
        }
        let r = self.root_of(self.region[v]);
        self.regions[r].count
    }

    fn is_inline(&self, v: Id) -> bool {
        self.stored[v].is_none() && !matches!(self.flow.values[v].kind, Kind::Reduce(..))
    }

    /// Puts `v` into one region with its operands, of which the largest are stored if that would grow too large.
    fn join_regions(&mut self, v: Id, own: u32) {
        let flow = self.flow;
        let args = &flow.values[v].args;
        loop {
            let mut parts: SmallVec<[usize; 3]> = SmallVec::new();
            let mut leaves: Vec<Id> = Vec::new();
            let mut largest: Option<(u32, Id)> = None;
            for a in args {
                if !self.is_inline(*a) {
                    leaves.push(*a);
                    continue;
                }
                let r = self.root_of(self.region[*a]);
                if !parts.contains(&r) {
                    parts.push(r);
                    leaves.extend(&self.regions[r].leaves);
                    let weight = self.regions[r].count + self.regions[r].leaves.len() as u32 * 8;
                    if largest.is_none_or(|l| l.0 < weight) {
                        largest = Some((weight, *a));
                    }
                }
            }
            leaves.sort_unstable();
            leaves.dedup();
            let count = own + parts.iter().map(|r| self.regions[*r].count).sum::<u32>();
            match largest {
                Some((_, a)) if count > MAX_REGION || leaves.len() > MAX_LEAVES => self.materialise(a),
                Some(_) | None => {
                    let id = self.regions.len();
                    self.regions.push(Region { parent: id, count, leaves });
                    for r in parts {
                        self.regions[r] = Region { parent: id, count: 0, leaves: Vec::new() };
                    }
                    self.region[v] = id;
                    return;
                }
            }
        }
    }

    // ---- memory

    /// Makes `v` memory, dense and row-major.
    fn materialise(&mut self, v: Id) {
        if self.stored[v].is_some() {
            return;
        }
        if let Some((step, index, _)) = self.home[v] {
            if self.group(step).is_storable(index, &self.flow.values[v].sizes) {
                self.escape(v);
                return;
            }
        }
        let step = self.place(Root::Store(v));
        self.set_stored(v, step);
    }

    /// Stores a value in the nest that computes it anyway.
    fn escape(&mut self, v: Id) {
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

    fn group(&self, step: u32) -> &Group {
        match &self.steps[step as usize - 1] {
            Planned::Group(g) => g,
            Planned::Product { .. } | Planned::Call { .. } => unreachable!("homes are nests"),
        }
    }

    fn group_mut(&mut self, step: u32) -> &mut Group {
        match &mut self.steps[step as usize - 1] {
            Planned::Group(g) => g,
            Planned::Product { .. } | Planned::Call { .. } => unreachable!("homes are nests"),
        }
    }

    /// The place in memory of the elements of `v`, over one variable for each of its dims; `None` if they are no view of memory.
    fn view_of_memory(&self, v: Id) -> Option<(Id, Affine)> {
        let mut x = v;
        let sizes = &self.flow.values[v].sizes;
        let extents: Extents = sizes.to_vec();
        let mut index: Index =
            (0..sizes.len()).map(|d| if sizes[d] == 1 { Affine::default() } else { Affine::var(d) }).collect();
        loop {
            let value = &self.flow.values[x];
            if self.stored[x].is_some() {
                return Some((x, flatten(&index, &value.sizes)));
            }
            let arg = *value.args.first()?;
            let from = &self.flow.values[arg].sizes;
            index = match &value.kind {
                Kind::View(ViewForm::Reshape) if self.stored[arg].is_some() => {
                    return Some((arg, flatten(&index, &value.sizes)));
                }
                Kind::View(f) => through(f, &index, &value.sizes, from, &extents).ok()?,
                Kind::Pick(pick) => picked(pick, &index),
                Kind::Param
                | Kind::Stored(_)
                | Kind::Fill(_)
                | Kind::Iota
                | Kind::Eye
                | Kind::Point(_)
                | Kind::Unrolled(..)
                | Kind::Reduce(..)
                | Kind::Pieces(_)
                | Kind::Product
                | Kind::Output(_) => return None,
            };
            x = arg;
        }
    }

    /// As [`Self::view_of_memory`], making memory where there is none.
    fn viewed(&mut self, v: Id) -> (Id, Affine) {
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
        let index: Index = (0..sizes.len()).map(Affine::var).collect();
        (v, flatten(&index, sizes))
    }

    /// A value in memory with the elements of `v` in row-major order and no others.
    fn dense(&mut self, v: Id) -> Id {
        if self.stored[v].is_some() {
            return v;
        }
        let sizes = &self.flow.values[v].sizes;
        let (base, at) = self.viewed(v);
        let index: Index =
            (0..sizes.len()).map(|d| if sizes[d] == 1 { Affine::default() } else { Affine::var(d) }).collect();
        if at == flatten(&index, sizes) && self.flow.values[base].numel() == self.flow.values[v].numel() {
            return base;
        }
        self.materialise(v);
        v
    }

    fn product(&mut self, v: Id) {
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

    // ---- nests

    /// Puts a root into a nest, a new one if need be; returns its step.
    fn place(&mut self, root: Root) -> u32 {
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
            if self.attempt(root, *step, sizes, false).is_ok() {
                return *step;
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
    fn last_needed(&self, v: Id) -> u32 {
        if self.is_inline(v) { 0 } else { self.stored[v].unwrap_or(0) }
    }

    fn attempt(&mut self, root: Root, step: u32, sizes: &[usize], fresh: bool) -> Result<(), Stop> {
        let Planned::Group(slot) = &mut self.steps[step as usize - 1] else { return Err(Stop::NotHere) };
        let mut g = std::mem::take(slot);
        let mark = g.mark();
        let mut escapes = Vec::new();
        let result = self.try_root(root, &mut g, sizes, fresh, &mut escapes);
        if result.is_err() {
            g.roll_back(mark);
        } else {
            for (v, index) in g.since(mark).to_vec() {
                if self.home[v].is_none() && matches!(self.flow.values[v].kind, Kind::Point(_) | Kind::Unrolled(..)) {
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

    fn try_root(
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
        if !fresh && (g.is_too_big() || (g.hits == 0 && total > SMALL)) {
            return Err(Stop::NotHere);
        }
        if fresh && g.is_too_big() {
            if let Some(x) = self.something_inline(source) {
                return Err(Stop::Cut(x));
            }
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
                g.reduces.push(super::group::Reduction { expr: e, monoid: *monoid, dtype: values[v].dtype, level });
                let r = g.expr(ExprOp::Reduced(g.reduces.len() as u32 - 1), values[v].dtype);
                let kept: Index = (0..full.len()).filter(|d| !dims.contains(d)).map(|d| full[d].clone()).collect();
                let kept = g.intern(kept);
                g.remember(v, kept, r);
                Ok(Some((v, kept, r)))
            }
        }
    }

    /// An operand below `v` that could be stored to make a nest smaller.
    fn something_inline(&self, v: Id) -> Option<Id> {
        let mut x = v;
        loop {
            let args = &self.flow.values[x].args;
            let next = args.iter().copied().filter(|a| self.is_inline(*a)).max_by_key(|a| self.cost[*a])?;
            if matches!(self.flow.values[next].kind, Kind::Point(_) | Kind::Unrolled(..)) {
                return Some(next);
            }
            x = next;
        }
    }

    /// The expression of `v` at `index` in `g`. Regions bound the depth of this recursion.
    fn emit(&self, g: &mut Group, v: Id, index: IndexId, escapes: &mut Vec<Id>) -> Result<Expr, Stop> {
        if let Some(e) = g.known(v, index) {
            return Ok(e);
        }
        let value = &self.flow.values[v];
        let at = |g: &Group| g.indices[index as usize].clone();
        if let Some(step) = self.stored[v] {
            if step >= g.step {
                return Err(Stop::NotHere);
            }
            let place = flatten(&at(g), &value.sizes);
            return Ok(g.expr(ExprOp::Load(v, place), value.dtype));
        }
        let e = match &value.kind {
            Kind::Reduce(..) => {
                let home = self.home[v].map_or(0, |h| h.0);
                if home >= g.step {
                    return Err(Stop::NotHere);
                }
                escapes.push(v);
                let place = flatten(&at(g), &value.sizes);
                return Ok(g.expr(ExprOp::Load(v, place), value.dtype));
            }
            Kind::Fill(s) => g.expr(ExprOp::Const(s.cast(value.dtype)), value.dtype),
            Kind::Iota => g.expr(ExprOp::Index(at(g)[0].clone()), value.dtype),
            Kind::Eye => {
                let index = at(g);
                let row = g.expr(ExprOp::Index(index[0].clone()), DType::I64);
                let col = g.expr(ExprOp::Index(index[1].clone()), DType::I64);
                let same = g.expr(ExprOp::Point(Point::Binary(Binary::Eq), smallvec![row, col]), DType::Bool);
                if value.dtype == DType::Bool {
                    same
                } else {
                    g.expr(ExprOp::Point(Point::Convert, smallvec![same]), value.dtype)
                }
            }
            Kind::Point(p) => {
                if let Some((home, there, _)) = self.home[v] {
                    if home < g.step && self.cost[v] >= DEAR && self.group(home).is_storable(there, &value.sizes) {
                        escapes.push(v);
                        let place = flatten(&at(g), &value.sizes);
                        return Ok(g.expr(ExprOp::Load(v, place), value.dtype));
                    }
                }
                let mut args: SmallVec<[Expr; 3]> = SmallVec::new();
                for a in &value.args {
                    args.push(self.emit(g, *a, index, escapes)?);
                }
                folded(g, *p, &args, value.dtype)
            }
            Kind::Pick(pick) => {
                let inner = picked(pick, &at(g));
                let inner = g.intern(inner);
                self.repeated(g, value.args[0], v)?;
                self.emit(g, value.args[0], inner, escapes)?
            }
            Kind::View(form) => {
                let arg = value.args[0];
                let from = &self.flow.values[arg].sizes;
                if *form == ViewForm::Reshape && self.stored[arg].is_some_and(|s| s < g.step) {
                    let place = flatten(&at(g), &value.sizes);
                    return Ok(g.expr(ExprOp::Load(arg, place), value.dtype));
                }
                self.repeated(g, arg, v)?;
                let inner = loop {
                    match through(form, &at(g), &value.sizes, from, &g.extents) {
                        Ok(inner) => break inner,
                        Err(NotAffine::Split { var, factor }) => g.split(var, factor),
                        Err(NotAffine::Never) if self.stored[arg].is_some() => return Err(Stop::NotHere),
                        Err(NotAffine::Never) => return Err(Stop::Cut(arg)),
                    }
                };
                let inner = g.intern(inner);
                self.emit(g, arg, inner, escapes)?
            }
            Kind::Unrolled(dims, monoid) => {
                if let Some((home, there, _)) = self.home[v] {
                    if home < g.step && self.cost[v] >= DEAR && self.group(home).is_storable(there, &value.sizes) {
                        escapes.push(v);
                        let place = flatten(&at(g), &value.sizes);
                        return Ok(g.expr(ExprOp::Load(v, place), value.dtype));
                    }
                }
                self.unrolled(g, v, dims, *monoid, index, escapes)?
            }
            Kind::Param | Kind::Stored(_) | Kind::Pieces(_) | Kind::Product | Kind::Output(_) => {
                unreachable!("memory is stored before it is read")
            }
        };
        g.remember(v, index, e);
        Ok(e)
    }

    /// A dear operand of a view that repeats its elements is stored first, unless the nest computes it once for each row anyway.
    fn repeated(&self, g: &Group, arg: Id, view: Id) -> Result<(), Stop> {
        let (few, many) = (self.flow.values[arg].numel(), self.flow.values[view].numel());
        let in_rows = g.has_reduces() && self.last[arg] >= g.step;
        if self.is_inline(arg) && few * 4 <= many && self.cost[arg] >= DEAR && !in_rows {
            return Err(Stop::Cut(arg));
        }
        Ok(())
    }

    fn unrolled(
        &self,
        g: &mut Group,
        v: Id,
        dims: &[usize],
        monoid: Monoid,
        index: IndexId,
        escapes: &mut Vec<Id>,
    ) -> Result<Expr, Stop> {
        let x = self.flow.values[v].args[0];
        let sizes = &self.flow.values[x].sizes;
        let n: usize = dims.iter().map(|d| sizes[*d]).product();
        let combine = match monoid {
            Monoid::Sum => Binary::Add,
            Monoid::Prod => Binary::Mul,
            Monoid::Max => Binary::Maximum,
            Monoid::Min => Binary::Minimum,
            Monoid::LogAddExp => unreachable!("only scans combine so"),
        };
        let mut total: Option<Expr> = None;
        for i in 0..n {
            let outer = g.indices[index as usize].clone();
            let mut rest = i;
            let mut inner: Index = smallvec![Affine::default(); sizes.len()];
            for d in dims.iter().rev() {
                inner[*d] = Affine::constant((rest % sizes[*d]) as i64);
                rest /= sizes[*d];
            }
            for (k, d) in (0..sizes.len()).filter(|d| !dims.contains(d)).enumerate() {
                inner[d] = outer[k].clone();
            }
            let inner = g.intern(inner);
            let e = self.emit(g, x, inner, escapes)?;
            total = Some(match total {
                None => e,
                Some(t) => {
                    let p = Point::Binary(combine);
                    g.expr(ExprOp::Point(p, smallvec![t, e]), self.flow.values[v].dtype)
                }
            });
        }
        Ok(total.expect("no empty reductions"))
    }
}

fn picked(pick: &[Option<usize>], index: &[Affine]) -> Index {
    pick.iter().map(|p| p.map_or_else(Affine::default, |d| index[d].clone())).collect()
}

/// The expression, with casts of numbers done at once.
fn folded(g: &mut Group, p: Point, args: &[Expr], dtype: DType) -> Expr {
    let data = &g.exprs[args[0] as usize];
    match (p, &data.op) {
        (Point::Convert, ExprOp::Const(s)) => {
            let s: Scalar = s.cast(dtype);
            g.expr(ExprOp::Const(s), dtype)
        }
        (Point::Convert, _) if data.dtype == dtype => args[0],
        (Point::Convert | Point::Select | Point::Unary(_) | Point::Binary(_), _) => {
            g.expr(ExprOp::Point(p, args.into()), dtype)
        }
    }
}
