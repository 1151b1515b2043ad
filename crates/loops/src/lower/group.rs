//! A nest in the making: an iteration space, hash-consed expressions over it, and what is stored and reduced.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, Unary};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::flow::{Id, Point};
use crate::affine::{Affine, Extents, Index, NotAffine, delinearize};

/// An expression of a group.
pub(crate) type Expr = u32;

/// The number of an interned index.
pub(crate) type IndexId = u32;

/// The most expressions of a group: bodies stay cheap to compile.
pub(crate) const MAX_EXPRS: usize = 512;

/// The most different buffers that a group reads and writes.
pub(crate) const MAX_BUFFERS: usize = 40;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ExprOp {
    /// The element of a value's memory at a flat position.
    Load(Id, Affine),
    Const(Scalar),
    /// A number made of loop variables.
    Index(Affine),
    Point(Point, SmallVec<[Expr; 3]>),
    /// The result of a reduction of the group.
    Reduced(u32),
    /// An element that an index names.
    Lookup(Box<Lookup>),
}

/// An element of a value's memory that an index names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Lookup {
    pub memory: Id,
    /// The flat position for an index of 0.
    pub at: Affine,
    /// From an index to the next.
    pub step: i64,
    pub index: Expr,
    /// The value of the flow that it is an element of.
    pub of: Id,
    /// How many elements lie side by side that one index names, along which lanes go best; 1 if loops move the index with each.
    pub slice: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct ExprData {
    pub op: ExprOp,
    pub dtype: DType,
    /// The number of passes that end before this can be computed.
    pub level: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Reduction {
    pub expr: Expr,
    pub monoid: Monoid,
    pub dtype: DType,
    pub level: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct StoreTo {
    pub expr: Expr,
    pub dst: Id,
    pub at: Affine,
}

/// What a function costs, in additions.
pub(crate) fn cost_of(p: Point) -> u32 {
    match p {
        Point::Unary(
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
            | Unary::Floor
            | Unary::Ceil
            | Unary::Trunc
            | Unary::Round
            | Unary::BitwiseNot
            | Unary::Detach,
        ) => 1,
        Point::Unary(Unary::Sqrt | Unary::Rsqrt | Unary::Reciprocal) => 6,
        Point::Unary(_) => 10,
        Point::Binary(Binary::Div) => 5,
        Point::Binary(
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Maximum
            | Binary::Minimum
            | Binary::BitwiseAnd
            | Binary::BitwiseOr
            | Binary::BitwiseXor
            | Binary::Eq
            | Binary::Ne
            | Binary::Lt
            | Binary::Le
            | Binary::Gt
            | Binary::Ge,
        )
        | Point::Select
        | Point::Convert => 1,
        Point::Binary(_) => 12,
    }
}

/// The cost of a read.
pub(crate) const LOAD: u32 = 2;

/// The cost of a read through an index.
pub(crate) const LOOKUP: u32 = 8;

/// Where a group stood before an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    exprs: usize,
    log: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub step: u32,
    pub extents: Extents,
    /// Variables from the outermost of the row-major domain to the innermost.
    pub order: Vec<usize>,
    pub reduced: Vec<bool>,
    pub indices: Vec<Index>,
    index_ids: FxHashMap<Index, IndexId>,
    pub exprs: Vec<ExprData>,
    expr_ids: FxHashMap<(ExprOp, DType), Expr>,
    memo: FxHashMap<(Id, IndexId), Expr>,
    /// The keys of `memo` in the order of their making.
    pub log: Vec<(Id, IndexId)>,
    pub reduces: Vec<Reduction>,
    pub stores: Vec<StoreTo>,
    buffers: FxHashSet<Id>,
    /// How often an attempt found something there already.
    pub hits: u32,
}

impl Group {
    pub fn new(step: u32) -> Self {
        Group { step, ..Group::default() }
    }

    /// The values that it reads from memory.
    pub fn loads(&self) -> impl Iterator<Item = Id> + '_ {
        self.exprs.iter().filter_map(|e| match &e.op {
            ExprOp::Load(v, _) => Some(*v),
            ExprOp::Lookup(l) => Some(l.memory),
            ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Point(..) | ExprOp::Reduced(_) => None,
        })
    }

    pub fn has_reduces(&self) -> bool {
        !self.reduces.is_empty()
    }

    pub fn total(&self) -> usize {
        self.extents.iter().product()
    }

    /// The number of points of the dims that are not reduced.
    pub fn kept(&self) -> usize {
        self.order.iter().filter(|v| !self.reduced[**v]).map(|v| self.extents[*v]).product()
    }

    /// Makes the domain of an empty group; returns the index of an array of `sizes` over it.
    pub fn open(&mut self, sizes: &[usize], reduced: impl Fn(usize) -> bool) -> IndexId {
        let mut index = Index::new();
        for (d, n) in sizes.iter().enumerate() {
            if *n == 1 {
                index.push(Affine::default());
                continue;
            }
            let v = self.extents.len();
            self.extents.push(*n);
            self.order.push(v);
            self.reduced.push(reduced(d));
            index.push(Affine::var(v));
        }
        self.intern(index)
    }

    /// The index of an array of `sizes` over all variables, or over the kept ones; `None` if the domain is another.
    pub fn over(&mut self, sizes: &[usize], kept_only: bool) -> Option<IndexId> {
        loop {
            let mut flat = Affine::default();
            let mut stride = 1;
            for v in self.order.iter().rev().filter(|v| !(kept_only && self.reduced[**v])) {
                flat.add_to(*v, stride);
                stride *= self.extents[*v] as i64;
            }
            match delinearize(&flat, sizes, &self.extents) {
                Ok(index) => return Some(self.intern(index)),
                Err(NotAffine::Split { var, factor }) => self.split(var, factor),
                Err(NotAffine::Never) => return None,
            }
        }
    }

    pub fn intern(&mut self, index: Index) -> IndexId {
        let next = self.indices.len() as IndexId;
        let id = *self.index_ids.entry(index.clone()).or_insert(next);
        if id == next {
            self.indices.push(index);
        }
        id
    }

    /// Variable `v` becomes two: `v` counts in steps of `factor`, a new one inside.
    pub fn split(&mut self, v: usize, factor: usize) {
        let low = self.extents.len();
        self.extents[v] /= factor;
        self.extents.push(factor);
        self.reduced.push(self.reduced[v]);
        let at = self.order.iter().position(|w| *w == v).expect("every variable has a place");
        self.order.insert(at + 1, low);
        let f = factor as i64;
        self.indices.iter_mut().flatten().for_each(|a| a.split(v, low, f));
        self.index_ids = self.indices.iter().enumerate().map(|(i, x)| (x.clone(), i as IndexId)).collect();
        for e in &mut self.exprs {
            match &mut e.op {
                ExprOp::Load(_, a) | ExprOp::Index(a) => a.split(v, low, f),
                ExprOp::Lookup(l) => l.at.split(v, low, f),
                ExprOp::Const(_) | ExprOp::Point(..) | ExprOp::Reduced(_) => {}
            }
        }
        self.expr_ids = self.exprs.iter().enumerate().map(|(i, e)| ((e.op.clone(), e.dtype), i as Expr)).collect();
        self.stores.iter_mut().for_each(|s| s.at.split(v, low, f));
    }

    pub fn mark(&mut self) -> Mark {
        self.hits = 0;
        Mark { exprs: self.exprs.len(), log: self.log.len() }
    }

    /// Forgets what was made since `mark`; splittings stay, since they change nothing.
    pub fn roll_back(&mut self, mark: Mark) {
        for e in self.exprs.drain(mark.exprs..) {
            self.expr_ids.remove(&(e.op, e.dtype));
        }
        for key in self.log.drain(mark.log..) {
            self.memo.remove(&key);
        }
    }

    /// What was remembered since `mark`.
    pub fn since(&self, mark: Mark) -> &[(Id, IndexId)] {
        &self.log[mark.log..]
    }

    pub fn known(&mut self, v: Id, index: IndexId) -> Option<Expr> {
        let e = self.memo.get(&(v, index)).copied();
        if e.is_some_and(|e| !matches!(self.exprs[e as usize].op, ExprOp::Const(_))) {
            self.hits += 1;
        }
        e
    }

    pub fn remember(&mut self, v: Id, index: IndexId, e: Expr) {
        if self.memo.insert((v, index), e).is_none() {
            self.log.push((v, index));
        }
    }

    /// The expression, made once.
    pub fn expr(&mut self, op: ExprOp, dtype: DType) -> Expr {
        let key = (op, dtype);
        if let Some(e) = self.expr_ids.get(&key) {
            if matches!(key.0, ExprOp::Load(..)) {
                self.hits += 1;
            }
            return *e;
        }
        let level = match &key.0 {
            ExprOp::Load(..) | ExprOp::Const(_) | ExprOp::Index(_) => 0,
            ExprOp::Point(_, args) => args.iter().map(|a| self.exprs[*a as usize].level).max().unwrap_or(0),
            ExprOp::Reduced(r) => self.reduces[*r as usize].level + 1,
            ExprOp::Lookup(l) => self.exprs[l.index as usize].level,
        };
        let id = self.exprs.len() as Expr;
        self.exprs.push(ExprData { op: key.0.clone(), dtype, level });
        self.expr_ids.insert(key, id);
        id
    }

    /// Whether the group is larger than code generation likes.
    pub fn is_too_big(&mut self) -> bool {
        if self.exprs.len() > MAX_EXPRS {
            return true;
        }
        self.buffers.clear();
        self.buffers.extend(self.stores.iter().map(|s| s.dst));
        for e in &self.exprs {
            match &e.op {
                ExprOp::Load(v, _) => self.buffers.insert(*v),
                ExprOp::Lookup(l) => self.buffers.insert(l.memory),
                ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Point(..) | ExprOp::Reduced(_) => false,
            };
        }
        self.buffers.len() > MAX_BUFFERS
    }

    /// The number of places that an index names.
    pub fn covered(&self, index: IndexId) -> usize {
        let moves = |v: &usize| self.indices[index as usize].iter().any(|a| a.coef(*v) != 0);
        (0..self.extents.len()).filter(moves).map(|v| self.extents[v]).product()
    }

    /// Whether each element of an array of `sizes` stands at exactly one point of all variables or of the kept ones, so
    /// that storing there writes the whole array once.
    pub fn is_storable(&self, index: IndexId, sizes: &[usize]) -> bool {
        let flat = crate::affine::flatten(&self.indices[index as usize], sizes);
        let mut terms: Vec<(usize, i64)> = flat.terms().collect();
        terms.sort_by_key(|t| t.1);
        let mut stride = 1;
        for (v, c) in &terms {
            if *c != stride {
                return false;
            }
            stride *= self.extents[*v] as i64;
        }
        let all = terms.len() == self.extents.len();
        let kept = terms.iter().all(|t| !self.reduced[t.0])
            && terms.len() == self.reduced.iter().filter(|r| !**r).count()
            && self.has_reduces();
        flat.base == 0 && stride == sizes.iter().product::<usize>() as i64 && (all || kept)
    }

    /// The values of which elements are read that an index names.
    pub fn looked_up(&self) -> impl Iterator<Item = Id> + '_ {
        self.exprs.iter().filter_map(|e| match &e.op {
            ExprOp::Lookup(l) => Some(l.memory),
            ExprOp::Load(..) | ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Point(..) | ExprOp::Reduced(_) => None,
        })
    }

    /// The values in memory that are read and written at places made of loop variables, and where.
    pub fn accesses(&self) -> impl Iterator<Item = (Id, &Affine)> {
        let loads = self.exprs.iter().filter_map(|e| match &e.op {
            ExprOp::Load(v, at) => Some((*v, at)),
            ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Point(..) | ExprOp::Reduced(_) | ExprOp::Lookup(_) => None,
        });
        loads.chain(self.stores.iter().map(|s| (s.dst, &s.at)))
    }

    /// Moves what is read and written to the places that `to` gives. No more is computed in the group afterwards.
    pub fn move_accesses(&mut self, to: impl Fn(Id, &Affine, &Extents) -> Option<Affine>) {
        for e in &mut self.exprs {
            if let ExprOp::Load(v, at) = &mut e.op
                && let Some(place) = to(*v, at, &self.extents)
            {
                *at = place;
            }
        }
        for s in &mut self.stores {
            if let Some(place) = to(s.dst, &s.at, &self.extents) {
                s.at = place;
            }
        }
    }

    /// Records a store.
    pub fn store(&mut self, expr: Expr, dst: Id, at: Affine) {
        self.stores.push(StoreTo { expr, dst, at });
    }
}
