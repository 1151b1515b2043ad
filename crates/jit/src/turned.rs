//! Turned reads: operands that lie across the rows of a nest, copied block by block so that lanes read them as they lie.
//!
//! A transposed operand has its unit stride along the innermost outer loop and a long one along the lanes: each lane would read another
//! cache line, of which the next row needs the next element. A block of rows copies its part of the operand, transposed, to memory that stays in the
//! second-level cache; machine code then reads dense lanes. Measured on `a + bᵀ` of 2048²: 3.2 ms instead of 22, on two threads.
//!
//! An operand may lie along the serial loop of a stage instead, as in sums down the columns of a transposed one: then a block is what one row
//! reads.

use cotangent_loops::ir::{Access, BodyOp, Memory, Nest, Stage};

use crate::routine::{Real, Vectors};

/// The fewest rows of a block: together they use whole cache lines of most dtypes.
const ROWS: usize = 16;
/// The most; each visit of a page, which costs a translation of its address, serves that many.
const MOST_ROWS: usize = 64;
/// The bytes of a block that stay near.
const NEAR_BYTES: usize = 512 << 10;
/// The most bytes of a block.
const MAX_BYTES: usize = 1 << 20;
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
    /// The extent of the serial loop along which the operand lies; `None` for the innermost outer loop.
    pub serial: Option<usize>,
}

/// Whether access `i` of a stage is worth turning, and the outer loop along which it is contiguous.
pub fn along(nest: &Nest, stage: usize, i: usize, size: usize) -> Option<usize> {
    let (s, a) = (&nest.stages[stage], &nest.stages[stage].accesses[i]);
    let d = (0..nest.outer.len()).find(|d| a.outer[*d] == 1 && nest.outer[*d] >= FEW)?;
    (a.serial.iter().all(|s| *s == 0) && is_strided(nest, s, a, ROWS * size)).then_some(d)
}

/// As [`along`], for the serial loop along which it is contiguous.
pub fn along_serial(nest: &Nest, stage: usize, i: usize, size: usize) -> Option<usize> {
    let (s, a) = (&nest.stages[stage], &nest.stages[stage].accesses[i]);
    let d = a.serial.iter().position(|stride| *stride == 1)?;
    let others = a.serial.iter().enumerate().all(|(e, stride)| e == d || *stride == 0);
    let bytes = s.serial[d].checked_mul(size)?;
    (others && s.serial[d] >= FEW && is_strided(nest, s, a, bytes)).then_some(d)
}

/// Whether the lanes of an access that nobody writes lie apart, and a block of so many bytes for each has room.
fn is_strided(nest: &Nest, s: &Stage, a: &Access, bytes: usize) -> bool {
    let Memory::Buffer(buffer) = a.memory else { return false };
    let writes = |a: &Access| a.memory == Memory::Buffer(buffer);
    let written = nest.stages.iter().any(|s| {
        let stores = |(op, _): &(BodyOp, _)| matches!(op, BodyOp::Store(k, _) if writes(&s.accesses[*k as usize]));
        s.body.ops.iter().chain(&s.after.ops).any(stores)
    });
    !written && a.lane.abs() > 1 && s.lanes >= FEW && s.lanes.checked_mul(bytes).is_some_and(|b| b <= MAX_BYTES)
}

/// The rows of a block, of which each takes `bytes`.
pub fn rows(bytes: usize) -> usize {
    (NEAR_BYTES / bytes.max(1)).next_power_of_two().clamp(ROWS, MOST_ROWS)
}

/// The store of a nest that does nothing but copy what is turned: it needs no block, and is transposed straight to its place.
pub fn copied(nest: &Nest) -> Option<usize> {
    let [s] = &nest.stages[..] else { return None };
    let is_plain = nest.scalars.is_empty() && nest.scratch.is_empty() && s.columns.is_empty() && s.serial.is_empty();
    match s.body.ops[..] {
        [(BodyOp::Load(_), from), (BodyOp::Store(to, _), into)]
            if is_plain && s.after.ops.is_empty() && from == into =>
        {
            let a = &s.accesses[to as usize];
            (a.lane == 1 && a.outer.last().is_some_and(|step| *step > 0)).then_some(to as usize)
        }
        _ => None,
    }
}

/// The rows of a block of a nest that only copies: enough blocks for threads, and rows that use whole cache lines of both sides.
pub fn copied_rows(rows: usize) -> usize {
    (rows / 4 / ROWS * ROWS).clamp(ROWS, MOST_ROWS)
}

/// Copies `lanes` elements of `rows` rows, or of the serial loop, from `from`, where these are neighbours and lanes `stride` bytes apart.
///
/// # Safety
/// All elements exist and are aligned, `to` has room for so many rows of `pitch` bytes, and nobody else uses it.
pub unsafe fn turn(t: &Turned, from: *const u8, to: *mut u8, rows: usize, lanes: usize) {
    let rows = t.serial.unwrap_or(rows);
    let (stride, pitch, vectors) = (t.stride as isize / t.size as isize, t.pitch / t.size, Vectors::narrow());
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
