//! Turned reads: operands that lie across the rows of a nest, copied block by block so that lanes read them as they lie.
//!
//! A transposed operand has its unit stride along the innermost outer loop and a long one along the lanes: each lane would read another
//! cache line, of which the next row needs the next element. A block of rows copies its part of the operand, transposed, to memory that stays in the
//! second-level cache; machine code then reads dense lanes. Measured on `a + bᵀ` of 2048²: 3.2 ms instead of 22, on two threads.
//!
//! An operand may lie along the serial loop of a stage instead, as in sums down the columns of a transposed one: then a block is what one row
//! reads.

use std::collections::HashSet;

use cotangent_core::ir::DType;
use cotangent_loops::ir::{Access, BodyOp, Loop, Memory, Nest, Stage};

use crate::matrices::Matrix;
use crate::routine::{Real, Vectors};

/// The fewest rows of a block: together they use whole cache lines of most dtypes.
const ROWS: usize = 16;
/// The most …
const MOST_ROWS: usize = 64;
/// … and those of cut lanes that throw each other out: each visit of a line of theirs serves that many.
const COLLIDING_ROWS: usize = 64;
/// The most rows of a block that is only copied, in whole cache lines.
const MOST_COPIED: usize = 256;
/// What a nest that only copies touches at most to be near.
const SMALL_BYTES: usize = 8 << 20;
/// What a nest touches at most whose lanes are cut, …
const CUT_BYTES: usize = 16 << 20;
/// … or where lanes throw each other out: `a − aᵀ` of 2048² takes 1.0 ms then and 1.8 in whole rows, but `a + bᵀ`, which no cache holds, 1.6 and 1.4;
const CUT_COLLIDING: usize = 32 << 20;
/// … and the most lanes of a part. Measured on two threads of Zen 5: `a · bᵀ + c` of 1200×800 in parts of 160 lanes and 16 rows 81 µs, in whole rows 96;
/// `a + bᵀ` of 2048² in parts of 256 lanes and 64 rows 829, and 128 rows, if of 128 lanes, 981.
const PART: usize = 256;
/// Blocks that threads share.
const PIECES: usize = 8;
/// The bytes of a block that are read again from the first-level cache, …
const NEAR_BYTES: usize = 24 << 10;
/// … of cut lanes so few that they are hardly more rows than a cache line has elements: more wait for more pages, in 1200×800 93 µs instead of 87 for 32.
const BAND_BYTES: usize = 12 << 10;
/// The most bytes of a block.
const MAX_BYTES: usize = 1 << 20;
/// Places so far apart, or a multiple of it, are in one set of a first-level cache.
const COLLIDING: usize = 4 << 10;
/// The bytes that a last-level cache holds.
const SHARED_BYTES: usize = 24 << 20;
/// A cache line.
const LINE: usize = 64;
/// The fewest rows and lanes that are worth it.
const FEW: usize = 8;

/// An access of a stage that is turned.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Turned {
    /// The offset of its block in the scratch memory of a piece.
    pub at: usize,
    /// The bytes between rows of the block.
    pub pitch: usize,
    /// The stride of the lanes in the operand, in bytes.
    pub stride: i64,
    /// The bytes of an element.
    pub size: usize,
    /// What it copies at once.
    pub rows: Rows,
    /// Whether an access before it has made the same copy.
    pub again: bool,
}

impl Turned {
    /// Whether a row of its copies has room for so many lanes; a matrix has its own size.
    pub fn has_room(&self, lanes: usize) -> bool {
        match self.rows {
            Rows::Block | Rows::Serial(_) => lanes.saturating_mul(self.size) <= self.pitch,
            Rows::Matrices(..) => true,
        }
    }
}

/// The rows of copies.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rows {
    /// Those of a block along the innermost outer loop.
    Block,
    /// Those of a serial loop of this extent.
    Serial(usize),
    /// Those of a matrix for each row of a block; in the operand the next one is so many bytes away.
    Matrices(Matrix, i64),
}

/// Whether access `i` of a stage is worth turning, and the outer loop along which it is contiguous. Lanes may be cut, unless loops `stay`.
pub fn along(nest: &Nest, stage: usize, i: usize, size: usize, stay: bool) -> Option<usize> {
    let (s, a) = (&nest.stages[stage], &nest.stages[stage].accesses[i]);
    let d = (0..nest.outer.len()).find(|d| a.outer[*d] == 1 && nest.outer[*d] >= FEW)?;
    let most = part(nest).filter(|_| !stay).map_or(s.lanes, |part| part.min(s.lanes));
    (a.serial.iter().all(|s| *s == 0) && is_strided(nest, s, a, [most, ROWS * size])).then_some(d)
}

/// As [`along`], for the serial loop along which it is contiguous.
pub fn along_serial(nest: &Nest, stage: usize, i: usize, size: usize) -> Option<usize> {
    let (s, a) = (&nest.stages[stage], &nest.stages[stage].accesses[i]);
    let d = a.serial.iter().position(|stride| *stride == 1)?;
    let others = a.serial.iter().enumerate().all(|(e, stride)| e == d || *stride == 0);
    let bytes = s.serial[d].checked_mul(size)?;
    let lanes = crate::across::most_copied(nest, s, a);
    (others && s.serial[d] >= FEW && is_strided(nest, s, a, [lanes, bytes])).then_some(d)
}

/// Whether the lanes of an access that nobody writes lie apart, and a block of so many lanes and bytes for each has room.
fn is_strided(nest: &Nest, s: &Stage, a: &Access, [lanes, bytes]: [usize; 2]) -> bool {
    let Memory::Buffer(buffer) = a.memory else { return false };
    let writes = |a: &Access| a.memory == Memory::Buffer(buffer);
    let written = nest.stages.iter().any(|s| {
        let stores = |(op, _): &(BodyOp, _)| matches!(op, BodyOp::Store(k, _) if writes(&s.accesses[*k as usize]));
        s.body.ops.iter().chain(&s.after.ops).any(stores)
    });
    !written
        && a.aim.is_none()
        && a.lane.abs() > 1
        && s.lanes >= FEW
        && lanes.checked_mul(bytes).is_some_and(|b| b <= MAX_BYTES)
}

/// The bytes between rows of a block, of which each has so many: whole cache lines, and an odd number of them, so that rows lie in different sets of a cache.
pub fn pitch(bytes: usize) -> usize {
    (bytes.div_ceil(LINE) | 1) * LINE
}

/// Equal parts into which the lanes of all stages can be cut, if they can.
fn part(nest: &Nest) -> Option<usize> {
    let lanes = nest.stages.first()?.lanes;
    let by_lane = |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Index { of: Loop::Lane, .. });
    let is_plain = |s: &Stage| s.lanes == lanes && !s.body.ops.iter().chain(&s.after.ops).any(by_lane);
    if lanes < 2 * PART || !nest.scalars.is_empty() || !nest.scratch.is_empty() || !nest.stages.iter().all(is_plain) {
        return None;
    }
    // Whole squares of a transposition cost less than what is left of them.
    let whole = |n: usize| [ROWS, ROWS / 2].map(|side| n.is_multiple_of(side));
    (PART / 2..=PART).filter(|n| lanes.is_multiple_of(*n)).max_by_key(|n| (whole(*n), *n))
}

/// How the lanes of a nest are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Not at all.
    Whole,
    /// Into parts.
    Parts,
    /// Into parts of lanes that throw each other out.
    Colliding,
}

/// Cuts the lanes of a nest with these turned accesses where a block of all of them has no room, or would leave the nearest caches before it is read, at
/// once where lanes throw each other out. Other arrays that are in no cache are better read in long runs.
pub fn cut_lanes(nest: &mut Nest, turned: &[(usize, usize)], size: &dyn Fn(&Nest, &Memory) -> usize) -> Cut {
    let Some(each) = part(nest) else { return Cut::Whole };
    let (lanes, rows) = (nest.stages[0].lanes, nest.outer.iter().product::<usize>());
    let accesses = || nest.stages.iter().flat_map(|s| &s.accesses);
    let bytes: usize = accesses().map(|a| size(nest, &a.memory)).sum();
    let memories: HashSet<Memory> = accesses().map(|a| a.memory).collect();
    let touched = rows.saturating_mul(lanes).saturating_mul(memories.iter().map(|m| size(nest, m)).sum());
    let is_small = rows.saturating_mul(lanes).saturating_mul(bytes) <= CUT_BYTES;
    let collides = |(s, i): &(usize, usize)| {
        let a = &nest.stages[*s].accesses[*i];
        (a.lane.unsigned_abs() as usize).saturating_mul(size(nest, &a.memory)).is_multiple_of(COLLIDING)
    };
    let collide = turned.iter().any(collides);
    let is_near = is_small || (collide && touched <= CUT_COLLIDING);
    if !is_near && lanes.saturating_mul(ROWS * bytes) <= MAX_BYTES {
        return Cut::Whole;
    }
    let last = nest.outer.len();
    nest.outer.push(lanes / each);
    for stage in &mut nest.stages {
        stage.lanes = each;
        stage.accesses.iter_mut().for_each(|a| a.outer.push(a.lane * each as i64));
    }
    // The rows of a block stay innermost.
    let order: Vec<usize> = (0..last - 1).chain([last, last - 1]).collect();
    crate::across::reorder(nest, &order);
    if collide { Cut::Colliding } else { Cut::Parts }
}

/// The rows of a block, of which each takes `bytes`: as many as stay in the first-level cache, but no fewer than fill cache lines.
pub fn rows(bytes: usize, cut: Cut) -> usize {
    let within = |room: usize| (room / bytes.max(1) / ROWS * ROWS).clamp(ROWS, MOST_ROWS);
    match cut {
        Cut::Whole => within(NEAR_BYTES),
        Cut::Parts => within(BAND_BYTES),
        Cut::Colliding => COLLIDING_ROWS,
    }
}

/// At most so many rows, in whole cache lines, of which each run along the innermost outer loop of a nest has blocks of about one size, and threads enough.
pub fn balanced(rows: usize, outer: &[usize]) -> usize {
    let run = outer.last().map_or(1, |n| (*n).max(1));
    let most = rows.min(outer.iter().product::<usize>() / PIECES).max(ROWS);
    run.div_ceil(run.div_ceil(most)).next_multiple_of(ROWS)
}

/// What a nest does that only copies what is turned: it needs no block, and is transposed straight to its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copied {
    /// The access that is turned.
    pub load: usize,
    /// The one that is written.
    pub store: usize,
    /// Whether squares are whole cache lines, each of which is written at once. What is near is transposed faster in smaller ones (measured up to 4 MB:
    /// by a tenth to a half; from 16 MB on it takes up to 2.5 times as long).
    pub is_wide: bool,
}

/// How a nest copies that does nothing else with its turned access `load`. `None` too where rows of the result would throw each other out of the first-level
/// cache before their lines are full, unless lines are written at once or memory is slower anyway.
pub fn copied(nest: &Nest, load: usize, size: &dyn Fn(&Nest, &Memory) -> usize) -> Option<Copied> {
    let [s] = &nest.stages[..] else { return None };
    let is_plain = nest.scalars.is_empty() && nest.scratch.is_empty() && s.columns.is_empty() && s.serial.is_empty();
    match s.body.ops[..] {
        [(BodyOp::Load(_), from), (BodyOp::Store(to, _), into)]
            if is_plain && s.after.ops.is_empty() && from == into =>
        {
            let a = &s.accesses[to as usize];
            let (step, size) = (*a.outer.last()?, size(nest, &a.memory));
            let bytes = nest.outer.iter().product::<usize>().saturating_mul(2 * s.lanes * size);
            let is_wide = Vectors::widest().has_lines(size)
                && bytes > SMALL_BYTES
                && s.lanes.min(*nest.outer.last()?) >= LINE / size;
            let collide = (step as usize).wrapping_mul(size).is_multiple_of(COLLIDING) && bytes <= SHARED_BYTES;
            let copied = Copied { load, store: to as usize, is_wide };
            (a.lane == 1 && step > 0 && (is_wide || !collide)).then_some(copied)
        }
        _ => None,
    }
}

impl Copied {
    /// The rows of a block: enough blocks for threads, and rows that use whole cache lines of both sides; of lines that are written at once as many as leave
    /// the operand's reads long.
    pub fn rows(self, rows: usize) -> usize {
        let most = if self.is_wide { MOST_COPIED } else { MOST_ROWS };
        (rows / 4 / ROWS * ROWS).clamp(ROWS, most)
    }

    /// The vectors that copy: the same bits on every path.
    pub fn vectors(self) -> Vectors {
        if self.is_wide { Vectors::widest() } else { Vectors::shuffling() }
    }
}

/// Copies `lanes` elements of `rows` rows, or what else an access copies at once, from `from`, where rows are neighbours and lanes `stride` bytes apart.
///
/// # Safety
/// The CPU has the vectors; all elements exist and are aligned, `to` has room for so many rows of `pitch` bytes, or matrices, and nobody else uses it.
pub unsafe fn turn(vectors: Vectors, t: &Turned, from: *const u8, to: *mut u8, rows: usize, lanes: usize) {
    // SAFETY: the caller's.
    unsafe {
        match t.rows {
            Rows::Block => squares(vectors, t, from, to, [rows, lanes]),
            Rows::Serial(rows) => squares(vectors, t, from, to, [rows, lanes]),
            Rows::Matrices(matrix, apart) => {
                // Smaller matrices than squares would be read through masks.
                let is_small = matrix.rows.min(matrix.lanes) < vectors.square(t.size);
                let vectors = if is_small { Vectors::narrow() } else { vectors };
                let (mn, stride, apart) = ([matrix.lanes, matrix.rows], t.stride as isize, apart as isize);
                let from = from.cast_mut();
                match t.size {
                    4 => f32::transpose_each(vectors, rows, mn, [from.cast(), to.cast()], stride / 4, apart / 4),
                    8 => f64::transpose_each(vectors, rows, mn, [from.cast(), to.cast()], stride / 8, apart / 8),
                    _ => {
                        for i in 0..rows {
                            let from = from.wrapping_offset(apart * i as isize);
                            squares(vectors, t, from, to.add(matrix.bytes(t.size) * i), [matrix.rows, matrix.lanes]);
                        }
                    }
                }
            }
        }
    }
}

/// As [`turn`], one matrix.
unsafe fn squares(vectors: Vectors, t: &Turned, from: *const u8, to: *mut u8, [rows, lanes]: [usize; 2]) {
    let (stride, pitch) = (t.stride as isize / t.size as isize, t.pitch / t.size);
    // SAFETY: the caller's; floats are copied as they are.
    unsafe {
        match t.size {
            1 => copy::<u8>(t, from, to, rows, lanes),
            2 => copy::<u16>(t, from, to, rows, lanes),
            4 => f32::transpose(vectors, [lanes, rows], from.cast(), stride, to.cast(), pitch),
            _ => f64::transpose(vectors, [lanes, rows], from.cast(), stride, to.cast(), pitch),
        }
    }
}

/// Element by element.
unsafe fn copy<T: Copy>(t: &Turned, from: *const u8, to: *mut u8, rows: usize, lanes: usize) {
    for lane in 0..lanes {
        let from = from.wrapping_offset(t.stride as isize * lane as isize).cast::<T>();
        for row in 0..rows {
            // SAFETY: the caller's.
            unsafe { *to.add(row * t.pitch).cast::<T>().add(lane) = *from.add(row) };
        }
    }
}
