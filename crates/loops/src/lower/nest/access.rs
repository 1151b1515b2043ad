//! Places in the memory of a nest, and numbers made of its loops.

use cotangent_core::ir::DType;
use rustc_hash::FxHashMap;

use super::super::flow::Id;
use super::super::group::{ExprOp, Group, Lookup as Read};
use super::super::loops::Loops;
use super::{Builder, Part};
use crate::affine::Affine;
use crate::ir::{Access, Aim, BodyOp, BodyValue, Lookup, Loop, Memory};

/// Where in memory the index of `read` stands, if it is the same in all lanes: then it moves the whole access.
pub(super) fn aims<'a>(g: &'a Group, loops: &Loops, read: &Read) -> Option<(Id, &'a Affine)> {
    match &g.exprs[read.index as usize].op {
        ExprOp::Load(v, at) if loops.lane.is_none_or(|l| l.stride(at) == 0) => Some((*v, at)),
        ExprOp::Load(..)
        | ExprOp::Const(_)
        | ExprOp::Index(_)
        | ExprOp::Point(..)
        | ExprOp::Reduced(_)
        | ExprOp::Lookup(_) => None,
    }
}

/// The accesses of a stage, each once.
#[derive(Default)]
pub(super) struct Accesses {
    pub list: Vec<Access>,
    ids: FxHashMap<Access, u32>,
}

impl Accesses {
    pub fn id(&mut self, a: Access) -> u32 {
        let next = self.list.len() as u32;
        let id = *self.ids.entry(a.clone()).or_insert(next);
        if id == next {
            self.list.push(a);
        }
        id
    }
}

impl Builder<'_> {
    pub(super) fn access(&self, memory: Memory, a: &Affine, part: Part) -> Access {
        let outer = self.loops.outer.iter().map(|l| l.stride(a)).collect();
        let lane = self.loops.lane.filter(|_| part == Part::Points || self.loops.columns).map_or(0, |l| l.stride(a));
        let serial = match part {
            Part::Points => self.loops.serial.iter().map(|l| l.stride(a)).collect(),
            Part::Rows => Vec::new(),
        };
        Access { memory, offset: a.base, outer, serial, lane, aim: None }
    }

    /// An access to scratch `s`, which has one element for each row (or column) or for each point.
    pub(super) fn scratch_access(&self, s: u32, per_point: bool, part: Part) -> Access {
        let outer = vec![0; self.loops.outer.len()];
        let mut serial = vec![0; if part == Part::Points { self.loops.serial.len() } else { 0 }];
        if per_point {
            let mut stride = self.loops.lanes() as i64;
            for (slot, l) in serial.iter_mut().zip(&self.loops.serial).rev() {
                *slot = stride;
                stride *= l.extent as i64;
            }
        }
        let lane = i64::from(per_point || self.loops.columns);
        Access { memory: Memory::Scratch(s), offset: 0, outer, serial, lane, aim: None }
    }

    /// The access of a read through an index that is the same in all lanes; `None` if it is not.
    pub(super) fn aimed(&mut self, read: &Read, level: usize, part: Part) -> Option<Access> {
        let (v, at) = aims(self.g, self.loops, read)?;
        let index = self.access(Memory::Buffer((self.buffer)(v)), at, part);
        let index = self.access_id(level, part, index);
        let access = self.access(Memory::Buffer((self.buffer)(read.memory)), &read.at, part);
        let of = self.lookup_id((self.lookup)(read));
        Some(Access { aim: Some(Aim { of, index }), ..access })
    }

    pub(super) fn lookup_id(&mut self, lookup: Lookup) -> u32 {
        let known = self.lookups.iter().position(|l| *l == lookup);
        let id = known.unwrap_or(self.lookups.len());
        if known.is_none() {
            self.lookups.push(lookup);
        }
        id as u32
    }

    pub(super) fn index(&mut self, at: &Affine, dtype: DType, level: usize, part: Part) -> BodyValue {
        let mut terms: Vec<(Loop, i64)> = Vec::new();
        let loops = self.loops;
        let outer = loops.outer.iter().enumerate().map(|(i, l)| (Loop::Outer(i as u32), l.stride(at)));
        let serial = loops.serial.iter().enumerate().map(|(i, l)| (Loop::Serial(i as u32), l.stride(at)));
        let lane = loops.lane.iter().map(|l| (Loop::Lane, l.stride(at)));
        terms.extend(outer.chain(serial).chain(lane).filter(|t| t.1 != 0));
        let draft = self.draft(level, part);
        let Some(((of, scale), rest)) = terms.split_first() else {
            let s = cotangent_core::ir::Scalar::Int(at.base).cast(dtype);
            return draft.push(BodyOp::Const(s), dtype);
        };
        let first = BodyOp::Index { of: *of, scale: *scale, offset: at.base };
        if rest.is_empty() {
            return draft.push(first, dtype);
        }
        // Sums of indices are made of integers, so that no float rounds on the way; those of 32 bits wrap as their sum does.
        let whole = if dtype == DType::I32 { DType::I32 } else { DType::I64 };
        let mut sum = draft.push(first, whole);
        for (of, scale) in rest {
            let term = draft.push(BodyOp::Index { of: *of, scale: *scale, offset: 0 }, whole);
            sum = draft.push(BodyOp::Binary(cotangent_core::ops::Binary::Add, sum, term), whole);
        }
        if dtype == whole { sum } else { draft.push(BodyOp::Convert(sum), dtype) }
    }
}
