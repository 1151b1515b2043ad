//! Lanes across rows: a part of the lanes of a nest goes through all of its rows before the next part begins.
//!
//! Where lanes lie apart and rows between them, as in a batch of small arrays, each row touches the cache lines of all others: it reads them
//! again from where they went meanwhile, and threads that have rows of their own take the lines from each other. Parts of
//! lanes stay in the first-level cache and have lines of their own. Measured on stores of `[1000, 5, 5]` with the batch in the lanes, on two threads:
//! 24 µs instead of 105.

use std::ops::Range;

use cotangent_loops::ir::{Access, BodyOp, Loop, Memory, Nest, Stage};

use crate::kernel::StageKernel;
use crate::place::Place;

/// The bytes that a part touches, about: half of a first-level cache.
const NEAR_BYTES: usize = 16 << 10;
/// The bytes of copies that all rows of a part read: a first-level cache has room for little else.
const COPY_BYTES: usize = 24 << 10;
/// The lanes of a part are whole multiples of so many, whole vectors of any path.
const MULTIPLE: usize = 64;
/// The most lanes of a part.
pub const MOST: usize = 1024;
/// A cache line.
const LINE: usize = 64;

/// The fewest lanes of which parts are worth it.
const FEW: usize = 128;

/// How the rows and lanes of a nest are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Across {
    /// The rows through which a part goes: those of the innermost outer loops, which lie between the lanes, or so many that copies for them are repaid.
    pub rows: usize,
    /// The lanes of all stages.
    pub lanes: usize,
    /// The lanes of a part, but for the last.
    pub chunk: usize,
}

/// Pieces that threads share, whatever each of them copies first.
pub const PIECES: usize = 4;

impl Across {
    /// Parts of `chunk` lanes with copies that serve many rows: at least `least`, which repay them, unless there were too few pieces.
    pub fn serving(least: usize, rows: usize, lanes: usize, chunk: usize) -> Across {
        let parts = lanes.div_ceil(chunk);
        let most = (rows * parts / PIECES).clamp(1, rows.max(1));
        Across { rows: least.clamp(1, most), lanes, chunk }
    }

    /// How many parts there are.
    pub fn parts(self) -> usize {
        self.lanes.div_ceil(self.chunk)
    }

    /// The lanes of a part.
    pub fn part(self, i: usize) -> Range<usize> {
        i * self.chunk..self.lanes.min((i + 1) * self.chunk)
    }
}

/// The lanes of which the copies of turned accesses, as stage, number and serial loop, stay in a first-level cache while they serve rows, if `stays`, or
/// stages; `None` where a nest has no such copies, or does something else than points and columns, or where more than one stage would have to share rows.
pub fn part(
    nest: &Nest,
    lying: &[(usize, usize, usize)],
    stays: bool,
    size: &dyn Fn(&Nest, &Memory) -> usize,
) -> Option<usize> {
    let lanes = nest.stages.first()?.lanes;
    if lying.is_empty() || !has_parts(nest) || (stays && !is_single(nest)) {
        return None;
    }
    let copied = |(s, i, d): &(usize, usize, usize)| {
        let stage = &nest.stages[*s];
        stage.serial[*d] * size(nest, &stage.accesses[*i].memory)
    };
    let bytes: usize = lying.iter().map(copied).fold(0, usize::saturating_add);
    let chunk = (COPY_BYTES / bytes.max(1)).clamp(MULTIPLE, MOST) / MULTIPLE * MULTIPLE;
    Some(chunk.min(lanes))
}

/// Whether a nest has no more than one stage, which shares nothing with others.
fn is_single(nest: &Nest) -> bool {
    nest.stages.len() == 1 && nest.scratch.is_empty()
}

/// Whether parts of the lanes can go through all stages.
fn has_parts(nest: &Nest) -> bool {
    let lanes = nest.stages.first().map_or(0, |s| s.lanes);
    nest.scalars.is_empty() && nest.stages.iter().all(|s| s.lanes == lanes) && lanes > MULTIPLE
}

/// The most lanes of a copy of an access that lies along a serial loop: those of a part, where [`part`] will find some.
pub fn most_copied(nest: &Nest, stage: &Stage, a: &Access) -> usize {
    let moves = || nest.outer.iter().zip(&a.outer).all(|(n, stride)| *n == 1 || *stride != 0);
    if has_parts(nest) && (is_single(nest) || moves()) { stage.lanes.min(MOST) } else { stage.lanes }
}

/// Makes the outer loops that lie between lanes the innermost ones, if parts of lanes may be better than rows: the stages have equally many lanes, of
/// which they reduce none. How many loops these are. Outer loops run in any order (P4), but if they have to `stay`.
pub fn between_innermost(nest: &mut Nest, stay: bool) -> usize {
    let lanes = nest.stages.first().map_or(0, |s| s.lanes);
    if lanes < FEW || !nest.scalars.is_empty() || nest.stages.iter().any(|s| s.lanes != lanes) {
        return 0;
    }
    let is_between = |d: &usize| {
        let inside = |a: &Access| a.outer[*d] != 0 && a.outer[*d].unsigned_abs() < a.lane.unsigned_abs();
        nest.outer[*d] > 1 && nest.stages.iter().any(|s| s.accesses.iter().any(inside))
    };
    let (inner, mut order): (Vec<usize>, Vec<usize>) = (0..nest.outer.len()).partition(is_between);
    order.extend(&inner);
    if stay && !order.is_sorted() {
        return 0;
    }
    reorder(nest, &order);
    inner.len()
}

/// Puts the outer loops in this order.
pub fn reorder(nest: &mut Nest, order: &[usize]) {
    if order.is_sorted() {
        return;
    }
    nest.outer = order.iter().map(|d| nest.outer[*d]).collect();
    for stage in &mut nest.stages {
        for a in &mut stage.accesses {
            a.outer = order.iter().map(|d| a.outer[*d]).collect();
        }
        for (op, _) in stage.body.ops.iter_mut().chain(&mut stage.after.ops) {
            if let BodyOp::Index { of: Loop::Outer(i), .. } = op {
                *i = order.iter().position(|d| *d == *i as usize).expect("every loop has a place") as u32;
            }
        }
    }
}

/// How a nest is cut whose `inner` innermost loops lie between lanes; `None` where there are none, or code walks whole rows.
pub fn across(outer: &[usize], inner: usize, stages: &[StageKernel]) -> Option<Across> {
    let lanes = stages.first()?.lanes;
    if inner == 0 || stages.iter().any(|s| s.columns_in_memory) {
        return None;
    }
    let first = outer.len() - inner;
    let places = stages.iter().flat_map(|s| &s.accesses);
    let bytes: usize = places.map(|a| bytes_of_lane(a, &outer[first..], first)).fold(0, usize::saturating_add);
    let chunk = (NEAR_BYTES / bytes.max(1)).clamp(MULTIPLE, MOST) / MULTIPLE * MULTIPLE;
    Some(Across { rows: outer[first..].iter().product(), lanes, chunk: chunk.min(lanes) })
}

/// What a lane touches in the rows of the loops from `first` on, about: the bytes between lanes, or lines.
fn bytes_of_lane(a: &Place, extents: &[usize], first: usize) -> usize {
    let reach = |(n, s): (&usize, &i64)| (*n - 1).saturating_mul(s.unsigned_abs() as usize);
    let reach = extents.iter().zip(&a.outer[first..]).map(reach).fold(0, usize::saturating_add);
    (a.lane.unsigned_abs() as usize).min(reach.saturating_add(LINE))
}
