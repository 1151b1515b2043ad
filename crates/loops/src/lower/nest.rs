//! From a group to a nest: which variables are outer loops, serial loops and lanes, and what each pass computes.

mod access;

use cotangent_core::ir::{DType, Loc};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::flow::{Id, Point};
use super::group::{self, Expr, ExprOp, Group, LOAD, LOOKUP, cost_of};
use super::loops::{Level, Loops, arrange};
use super::narrow::narrow;
use crate::affine::Affine;
use crate::ir::{Access, Aim, Body, BodyOp, BodyValue, BufferId, Lookup, Memory, Nest, Stage};
use access::{Accesses, aims};

/// An expression at least this dear is kept in a scratch row for later passes; cheaper ones are computed again.
const KEEP: u32 = 10;

/// Rows of at least so many lanes are worth a pass of their own for what is the same in all of them, if lanes are narrower then.
const LONG_ROW: usize = 256;

/// The longest scratch row, in elements.
const MAX_ROW: usize = 1 << 15;

/// The nest of `group`, without stores to what nobody reads. Of a value that is computed `once` later passes read what the first one has.
pub(crate) fn nest(
    mut group: Group,
    once: impl Fn(Id) -> bool,
    is_read: impl Fn(Id) -> bool,
    buffer: impl Fn(Id) -> BufferId,
    lookup: impl Fn(&group::Lookup) -> Lookup,
    locs: Vec<Loc>,
) -> Nest {
    let once: Vec<Expr> = group.stores.iter().filter(|s| once(s.dst)).map(|s| s.expr).collect();
    group.stores.retain(|s| is_read(s.dst));
    narrow(&mut group);
    let loops = arrange(&group);
    let mut b = Builder::new(&group, &loops, &buffer, &lookup);
    b.once.extend(once);
    b.run();
    b.finish(locs)
}

/// A body in the making, and the accesses of its stage.
#[derive(Default)]
struct Draft {
    body: Body,
    memo: FxHashMap<Expr, BodyValue>,
}

impl Draft {
    fn push(&mut self, op: BodyOp, dtype: DType) -> BodyValue {
        self.body.ops.push((op, dtype));
        BodyValue(self.body.ops.len() as u32 - 1)
    }
}

/// The passes of level `i`: what is computed once for each row, then the points of the row.
#[derive(Default)]
struct Pass {
    rows: Draft,
    points: Draft,
    row_accesses: Accesses,
    accesses: Accesses,
    columns: Vec<u32>,
}

struct Builder<'a> {
    g: &'a Group,
    loops: &'a Loops,
    buffer: &'a dyn Fn(Id) -> BufferId,
    /// What errors say of a read through an index.
    lookup: &'a dyn Fn(&group::Lookup) -> Lookup,
    /// Whether an expression differs within a row: depends on a reduced variable. In a nest without reductions all count as such, unless lanes are
    /// narrower if those do not that are the same in all lanes.
    varies: Vec<bool>,
    /// What an expression costs at a point; what is the same for a whole row is a read.
    cost: Vec<u32>,
    passes: Vec<Pass>,
    scratch: Vec<(DType, usize)>,
    /// The scratch of values that are kept: per row or column, and per point.
    kept: FxHashMap<Expr, u32>,
    /// What is kept, however cheap it is.
    once: FxHashSet<Expr>,
    /// The pass in which the points of an expression were first computed.
    first: FxHashMap<Expr, usize>,
    /// What is read through an index, each once.
    lookups: Vec<Lookup>,
}

/// Which draft of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Rows,
    Points,
}

/// Whether lanes have 32 bits once what is the same for a whole row, of which `varies` is false, is computed elsewhere, but 64 before: vectors have half as
/// many of these.
fn narrows(g: &Group, loops: &Loops, varies: &[bool]) -> bool {
    let is_wide = |e: Expr| matches!(g.exprs[e as usize].dtype, DType::F64 | DType::I64);
    let works_wide = |i: usize| match &g.exprs[i].op {
        ExprOp::Point(_, args) => is_wide(i as Expr) || args.iter().any(|a| is_wide(*a)),
        ExprOp::Load(..) | ExprOp::Index(_) => varies[i] && is_wide(i as Expr),
        ExprOp::Lookup(l) => aims(g, loops, l).is_none(),
        ExprOp::Const(_) | ExprOp::Reduced(_) => false,
    };
    let (mut wide_rows, mut wide_lanes) = (false, false);
    for i in (0..g.exprs.len()).filter(|i| works_wide(*i)) {
        *(if varies[i] { &mut wide_lanes } else { &mut wide_rows }) = true;
    }
    let wide_store = g.stores.iter().any(|s| is_wide(s.expr));
    loops.lanes() >= LONG_ROW && wide_rows && !wide_lanes && !wide_store
}

impl<'a> Builder<'a> {
    fn new(
        g: &'a Group,
        loops: &'a Loops,
        buffer: &'a dyn Fn(Id) -> BufferId,
        lookup: &'a dyn Fn(&group::Lookup) -> Lookup,
    ) -> Self {
        let differing = |moves: &dyn Fn(&Affine) -> bool| {
            let mut varies: Vec<bool> = Vec::with_capacity(g.exprs.len());
            for e in &g.exprs {
                varies.push(match &e.op {
                    ExprOp::Load(_, a) | ExprOp::Index(a) => moves(a),
                    ExprOp::Const(_) | ExprOp::Reduced(_) => false,
                    ExprOp::Point(_, args) => args.iter().any(|a| varies[*a as usize]),
                    ExprOp::Lookup(l) => moves(&l.at) || varies[l.index as usize],
                });
            }
            varies
        };
        let varies = if g.has_reduces() {
            differing(&|a| a.terms().any(|(v, _)| g.reduced[v]))
        } else {
            let along_lanes = differing(&|a| loops.lane.is_some_and(|l| l.stride(a) != 0));
            if narrows(g, loops, &along_lanes) { along_lanes } else { vec![true; g.exprs.len()] }
        };
        let mut cost: Vec<u32> = Vec::with_capacity(g.exprs.len());
        for (e, varies) in g.exprs.iter().zip(&varies) {
            cost.push(match &e.op {
                ExprOp::Point(p, args) if *varies => {
                    args.iter().fold(cost_of(*p), |c, a| c.saturating_add(cost[*a as usize])).min(1 << 20)
                }
                ExprOp::Point(..) | ExprOp::Const(_) | ExprOp::Reduced(_) | ExprOp::Index(_) => 0,
                ExprOp::Load(..) => LOAD,
                ExprOp::Lookup(l) if *varies => cost[l.index as usize].saturating_add(LOOKUP).min(1 << 20),
                ExprOp::Lookup(_) => 0,
            });
        }
        Builder {
            g,
            loops,
            buffer,
            lookup,
            varies,
            cost,
            passes: Vec::new(),
            scratch: Vec::new(),
            kept: FxHashMap::default(),
            once: FxHashSet::default(),
            first: FxHashMap::default(),
            lookups: Vec::new(),
        }
    }

    fn run(&mut self) {
        let g = self.g;
        let levels = g.reduces.iter().map(|r| r.level + 2).max().unwrap_or(1);
        self.passes.resize_with(levels as usize, Pass::default);
        let mut by_level: Vec<(Vec<usize>, Vec<usize>)> = vec![Default::default(); levels as usize];
        for (i, s) in g.stores.iter().enumerate() {
            by_level[g.exprs[s.expr as usize].level as usize].0.push(i);
        }
        for (i, r) in g.reduces.iter().enumerate() {
            by_level[r.level as usize].1.push(i);
        }
        for (level, (stores, reduces)) in by_level.into_iter().enumerate() {
            for i in stores {
                let s = &g.stores[i];
                // What is stored at every point may be the same for a whole row, and the other way round never.
                let at_points = !g.has_reduces() || s.at.terms().any(|(v, _)| g.reduced[v]);
                let part = if at_points { Part::Points } else { Part::Rows };
                let v = self.value(s.expr, level, part);
                let access = self.access(Memory::Buffer((self.buffer)(s.dst)), &s.at, part);
                self.store(level, part, access, v, g.exprs[s.expr as usize].dtype);
            }
            for i in reduces {
                let r = &g.reduces[i];
                let v = self.value(r.expr, level, Part::Points);
                let pass = &mut self.passes[level];
                if self.loops.columns {
                    pass.columns.push(i as u32);
                    pass.points.push(BodyOp::ReduceSerial(pass.columns.len() as u32 - 1, v), r.dtype);
                } else {
                    pass.points.push(BodyOp::ReduceLanes(i as u32, r.monoid, v), r.dtype);
                }
            }
        }
    }

    /// The pass that holds the accesses and the draft of a part: rows of columns are computed after the pass before.
    fn draft(&mut self, level: usize, part: Part) -> &mut Draft {
        match part {
            Part::Rows => &mut self.passes[level].rows,
            Part::Points => &mut self.passes[level].points,
        }
    }

    fn access_id(&mut self, level: usize, part: Part, access: Access) -> u32 {
        match part {
            Part::Rows => self.passes[level].row_accesses.id(access),
            Part::Points => self.passes[level].accesses.id(access),
        }
    }

    fn store(&mut self, level: usize, part: Part, access: Access, v: BodyValue, dtype: DType) {
        let id = self.access_id(level, part, access);
        self.draft(level, part).push(BodyOp::Store(id, v), dtype);
    }

    fn load(&mut self, level: usize, part: Part, access: Access, dtype: DType) -> BodyValue {
        let id = self.access_id(level, part, access);
        self.draft(level, part).push(BodyOp::Load(id), dtype)
    }

    /// The value of `e` in a part of a pass.
    fn value(&mut self, e: Expr, level: usize, part: Part) -> BodyValue {
        if let Some(v) = self.draft(level, part).memo.get(&e) {
            return *v;
        }
        let v = self.compute(e, level, part);
        self.draft(level, part).memo.insert(e, v);
        v
    }

    fn compute(&mut self, e: Expr, level: usize, part: Part) -> BodyValue {
        let g = self.g;
        let data = &g.exprs[e as usize];
        let varies = self.varies[e as usize];
        if let Some(s) = self.kept.get(&e).copied() {
            let access = self.scratch_access(s, varies, part);
            return self.load(level, part, access, data.dtype);
        }
        match &data.op {
            ExprOp::Const(s) => self.draft(level, part).push(BodyOp::Const(*s), data.dtype),
            ExprOp::Load(v, at) => {
                let access = self.access(Memory::Buffer((self.buffer)(*v)), at, part);
                if part == Part::Points && !varies && self.loops.columns && access.lane.abs() > 1 {
                    return self.kept_row(e, level);
                }
                self.load(level, part, access, data.dtype)
            }
            ExprOp::Reduced(r) => self.reduced(*r, e, level, part),
            ExprOp::Index(at) => self.index(at, data.dtype, level, part),
            ExprOp::Lookup(_) if part == Part::Points && !varies => self.kept_row(e, level),
            ExprOp::Lookup(l) => {
                if let Some(access) = self.aimed(l, level, part) {
                    return self.load(level, part, access, data.dtype);
                }
                let (offset, index) = (self.index(&l.at, DType::I64, level, part), self.value(l.index, level, part));
                let nothing = Affine::default();
                let access = self.access(Memory::Buffer((self.buffer)(l.memory)), &nothing, part);
                let (access, of) = (self.access_id(level, part, access), self.lookup_id((self.lookup)(l)));
                self.draft(level, part).push(BodyOp::Lookup { of, access, offset, index }, data.dtype)
            }
            ExprOp::Point(p, args) => {
                if part == Part::Points && !varies {
                    return self.kept_row(e, level);
                }
                let is_dear = self.cost[e as usize] >= KEEP && self.loops.row() <= MAX_ROW;
                if part == Part::Points && (is_dear || self.once.contains(&e)) {
                    if let Some(before) = self.first.get(&e).copied().filter(|b| *b < level) {
                        let v = self.passes[before].points.memo[&e];
                        let s = self.keep(e, self.loops.row());
                        let access = self.scratch_access(s, true, Part::Points);
                        self.store(before, Part::Points, access.clone(), v, data.dtype);
                        return self.load(level, Part::Points, access, data.dtype);
                    }
                    self.first.entry(e).or_insert(level);
                }
                let args: SmallVec<[BodyValue; 3]> = args.iter().map(|a| self.value(*a, level, part)).collect();
                let op = match p {
                    Point::Unary(f) => BodyOp::Unary(*f, args[0]),
                    Point::Binary(f) => BodyOp::Binary(*f, args[0], args[1]),
                    Point::Select => BodyOp::Select(args[0], args[1], args[2]),
                    Point::Convert => BodyOp::Convert(args[0]),
                };
                self.draft(level, part).push(op, data.dtype)
            }
        }
    }

    /// The value of `e` at the points of a row, or column, for all of which it is the same: computed, or gathered, once before them.
    fn kept_row(&mut self, e: Expr, level: usize) -> BodyValue {
        let dtype = self.g.exprs[e as usize].dtype;
        let v = self.value(e, level, Part::Rows);
        let s = self.keep(e, self.row_len());
        let access = self.scratch_access(s, false, Part::Rows);
        self.store(level, Part::Rows, access, v, dtype);
        let access = self.scratch_access(s, false, Part::Points);
        self.load(level, Part::Points, access, dtype)
    }

    fn row_len(&self) -> usize {
        if self.loops.columns { self.loops.lanes() } else { 1 }
    }

    fn keep(&mut self, e: Expr, len: usize) -> u32 {
        let s = self.scratch.len() as u32;
        self.scratch.push((self.g.exprs[e as usize].dtype, len));
        self.kept.insert(e, s);
        s
    }

    /// The result of a reduction: a row scalar; or a column accumulator just after its pass and a scratch row later.
    fn reduced(&mut self, r: u32, e: Expr, level: usize, part: Part) -> BodyValue {
        let reduction = &self.g.reduces[r as usize];
        if !self.loops.columns {
            return self.draft(level, part).push(BodyOp::RowScalar(r), reduction.dtype);
        }
        let pass = reduction.level as usize;
        let column = self.passes[pass].columns.iter().position(|c| *c == r).expect("reduced before it is used") as u32;
        if part == Part::Rows && level == pass + 1 {
            return self.draft(level, part).push(BodyOp::Column(column), reduction.dtype);
        }
        let v = self.value(e, pass + 1, Part::Rows);
        let s = self.keep(e, self.row_len());
        let access = self.scratch_access(s, false, Part::Rows);
        self.store(pass + 1, Part::Rows, access, v, reduction.dtype);
        let access = self.scratch_access(s, false, part);
        self.load(level, part, access, reduction.dtype)
    }

    fn finish(self, locs: Vec<Loc>) -> Nest {
        let loops = self.loops;
        let extents = |l: &[Level]| l.iter().map(|l| l.extent).collect::<Vec<_>>();
        let mut stages: Vec<Stage> = Vec::new();
        let serial_len = loops.serial.len();
        let mut after_of: Option<usize> = None;
        for pass in self.passes {
            if !pass.rows.body.ops.is_empty() {
                match after_of {
                    // Columns: what is computed once for each of them follows the serial loops.
                    Some(stage) if loops.columns => {
                        let shift = stages[stage].accesses.len() as u32;
                        let padded = pass.row_accesses.list.into_iter().map(|a| Access {
                            serial: vec![0; serial_len],
                            aim: a.aim.map(|aim| Aim { index: aim.index + shift, ..aim }),
                            ..a
                        });
                        stages[stage].accesses.extend(padded);
                        let mut body = pass.rows.body;
                        for (op, _) in &mut body.ops {
                            if let BodyOp::Load(i) | BodyOp::Store(i, _) | BodyOp::Lookup { access: i, .. } = op {
                                *i += shift;
                            }
                        }
                        stages[stage].after = body;
                    }
                    Some(_) | None => stages.push(Stage {
                        serial: Vec::new(),
                        lanes: if loops.columns { loops.lanes() } else { 1 },
                        columns: Vec::new(),
                        accesses: pass.row_accesses.list,
                        body: pass.rows.body,
                        after: Body::default(),
                    }),
                }
            }
            after_of = None;
            if !pass.points.body.ops.is_empty() {
                let reductions = pass.columns.iter().map(|r| &self.g.reduces[*r as usize]);
                after_of = Some(stages.len());
                stages.push(Stage {
                    serial: extents(&loops.serial),
                    lanes: loops.lanes(),
                    columns: reductions.map(|r| (r.monoid, r.dtype)).collect(),
                    accesses: pass.accesses.list,
                    body: pass.points.body,
                    after: Body::default(),
                });
            }
        }
        let scalars = if loops.columns { Vec::new() } else { self.g.reduces.iter().map(|r| r.dtype).collect() };
        Nest { outer: extents(&loops.outer), scratch: self.scratch, scalars, stages, lookups: self.lookups, locs }
    }
}
