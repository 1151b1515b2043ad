//! Running a nest: rows on threads, or lanes in chunks on threads, of one row after the other or each of all rows.
//!
//! How the work is cut depends on shapes only; who computes a piece never changes what is computed.

use std::ops::Range;

use cotangent_core::error::EvalError;
use cotangent_loops::ir::Memory;

use crate::across::PIECES;
use crate::blocks::Runs;
use crate::error::CallError;
use crate::failure::{Failure, First};
use crate::frame::{FAILURE, Frame, HEADER, ROWS, with_words};
use crate::kernel::{NestKernel, StageKernel};
use crate::lane::Accumulator;
use crate::lane::scalar::combine;
use crate::memory::Block;
use crate::routine::Vectors;
use crate::threads;
use crate::turned::{Rows, Turned, turn};

/// Fewer rows than this, and lanes are divided instead.
const FEW_ROWS: usize = 8;
/// The estimated time of a chunk of lanes, in ns.
const CHUNK: u64 = 15_000;
/// Chunks of lanes are whole multiples of so many, but for the last.
pub const CHUNK_LANES: usize = 128;

/// The addresses of a program's buffers during one call.
#[derive(Clone, Copy)]
pub struct Buffers<'a>(pub &'a [*mut u8]);

// SAFETY: the addresses stay valid for the whole call, and no two pieces write the same element (P4).
unsafe impl Sync for Buffers<'_> {}

impl Buffers<'_> {
    /// The addresses; as a method, so that closures share the whole.
    pub fn addresses(&self) -> &[*mut u8] {
        self.0
    }
}

/// Runs a nest.
///
/// # Safety
/// The buffers have the lengths of the program's, and nobody else writes them during the call.
pub unsafe fn nest(kernel: &NestKernel, buffers: Buffers) -> Result<(), CallError> {
    if is_short(kernel) {
        // SAFETY: the caller's.
        return unsafe { part(kernel, buffers, 0..kernel.count()) };
    }
    let failure = First::default();
    let rows = kernel.rows;
    let total = total(kernel);
    if let Some(across) = kernel.across {
        let (each, parts) = (across.rows, across.parts());
        threads::for_each(rows.div_ceil(each) * parts, total, &|i| {
            let row = i / parts * each;
            let lanes = Lanes::Part(across.part(i % parts));
            // SAFETY: the caller's; pieces have rows or lanes of their own.
            unsafe { piece(kernel, buffers, kernel.runs(row..rows.min(row + each)), lanes, &failure) }
        });
    } else if divides(rows, &kernel.stages) {
        // SAFETY: the caller's.
        unsafe { piece(kernel, buffers, kernel.runs(0..kernel.count()), Lanes::Divided, &failure) };
    } else {
        let count = kernel.count();
        let pieces = count.min((total / CHUNK) as usize + 1).min(256);
        let pieces = pieces.min((rows / kernel.least).max(PIECES));
        threads::for_each(pieces, total, &|i| {
            let runs = kernel.runs(i * count / pieces..(i + 1) * count / pieces);
            // SAFETY: the caller's; pieces have rows of their own.
            unsafe { piece(kernel, buffers, runs, Lanes::All, &failure) }
        });
    }
    outcome(kernel, &failure)
}

/// The estimated time of a nest, in ns.
fn total(kernel: &NestKernel) -> u64 {
    kernel.cost.saturating_mul(kernel.rows as u64)
}

/// Whether one thread is as good as several: most of a small program's time would be spent on asking.
pub fn is_short(kernel: &NestKernel) -> bool {
    total(kernel) < threads::WORTH
}

/// Whether lanes are divided rather than `rows` rows of these stages.
pub fn divides(rows: usize, stages: &[StageKernel]) -> bool {
    rows < FEW_ROWS && stages.iter().any(is_divided)
}

/// Whether the lanes of a stage are worth several threads.
fn is_divided(stage: &StageKernel) -> bool {
    stage.cost > 2 * CHUNK && stage.lanes >= 2 * CHUNK_LANES
}

/// Runs rows `rows` of a nest on this thread, or those blocks of rows.
///
/// # Safety
/// As [`nest`], for the rows.
pub unsafe fn part(kernel: &NestKernel, buffers: Buffers, rows: Range<usize>) -> Result<(), CallError> {
    let failure = First::default();
    match kernel.across {
        // Copies of turned operands have room for the lanes of a part.
        Some(across) => (0..across.parts()).for_each(|i| {
            // SAFETY: the caller's.
            unsafe { piece(kernel, buffers, kernel.runs(rows.clone()), Lanes::Part(across.part(i)), &failure) }
        }),
        // SAFETY: the caller's.
        None => unsafe { piece(kernel, buffers, kernel.runs(rows), Lanes::All, &failure) },
    }
    outcome(kernel, &failure)
}

fn outcome(kernel: &NestKernel, failure: &First) -> Result<(), CallError> {
    let Some((at, failure)) = failure.get() else { return Ok(()) };
    Err(match failure {
        Failure::ZeroDivision => CallError::Data {
            loc: kernel.loc.clone(),
            op: kernel.stages.iter().find_map(|s| s.fallible).unwrap_or_default().to_owned(),
            source: EvalError::ZeroDivision { at },
        },
        Failure::Index { of, index } => {
            let lookup = &kernel.lookups[of as usize];
            CallError::Data {
                loc: lookup.loc.clone(),
                op: lookup.name.clone(),
                source: EvalError::Index { dim: lookup.dim, index, size: lookup.size, at },
            }
        }
    })
}

/// The lanes of a piece.
#[derive(Clone, PartialEq)]
enum Lanes {
    /// Those of each stage, on this thread.
    All,
    /// Those of each stage, on several threads.
    Divided,
    /// These of all stages, which have equally many and reduce none.
    Part(Range<usize>),
}

impl Lanes {
    /// Those of a stage.
    fn of(&self, stage: &StageKernel) -> Range<usize> {
        match self {
            Lanes::All | Lanes::Divided => 0..stage.lanes,
            Lanes::Part(part) => part.clone(),
        }
    }
}

/// Runs of rows.
///
/// # Safety
/// As [`nest`]; the rows, or these lanes of them, are no other piece's.
unsafe fn piece(kernel: &NestKernel, buffers: Buffers, runs: Runs, lanes: Lanes, failure: &First) {
    let straight = kernel.copies.filter(|_| lanes == Lanes::All);
    let scratch = (kernel.scratch_bytes > 0 && straight.is_none()).then(|| Block::new(kernel.scratch_bytes));
    let dims = kernel.outer.len();
    with_words(kernel.words, |words| {
        let Some(first) = kernel.stages.first() else { return };
        let frame = Frame::new(words, &first.layout);
        frame.set(FAILURE, 0);
        frame.set(ROWS, 0);
        let partials = words[kernel.frame * kernel.together..].as_mut_ptr();
        frame.set(4, partials as u64);
        for Range { start: mut row, end } in runs {
            // A run along the innermost outer loop: full addresses once, then a step for each row.
            let mut rest = row;
            for d in (0..dims).rev() {
                frame.set(HEADER + d, (rest % kernel.outer[d]) as u64);
                rest /= kernel.outer[d];
            }
            for stage in &kernel.stages {
                for (i, a) in stage.accesses.iter().enumerate() {
                    let base = match a.memory {
                        Memory::Buffer(b) => buffers.0[b.0 as usize],
                        Memory::Scratch(s) => scratch
                            .as_ref()
                            .map_or(std::ptr::null_mut(), |m| m.as_ptr().wrapping_add(kernel.scratch[s as usize])),
                    };
                    let outer: i64 = (0..dims).map(|d| a.outer[d] * frame.outer(d as u32) as i64).sum();
                    let mut at = base.wrapping_offset((a.offset + outer) as isize);
                    if let Lanes::Part(part) = &lanes {
                        // Where a turned operand lies, its lanes are apart.
                        let lane = a.turned.map_or(a.lane, |t| t.stride);
                        at = at.wrapping_offset(lane as isize * part.start as isize);
                    }
                    if let (Some(t), Some(memory), None) = (&a.turned, &scratch, straight) {
                        let to = memory.as_ptr().wrapping_add(t.at);
                        if !t.again {
                            let lanes = lanes.of(stage).len();
                            assert!(t.has_room(lanes), "a copy of {lanes} lanes in rows of {} bytes", t.pitch);
                            // SAFETY: the caller's; the block has its own scratch memory, with room for `kernel.block` rows of as many lanes.
                            unsafe { turn(Vectors::shuffling(), t, at, to, end - row, lanes) };
                        }
                        at = to;
                    }
                    frame.set_pointer(stage, i, at);
                }
            }
            if let Some(copied) = straight {
                let (a, to) = (&first.accesses[copied.load], &first.accesses[copied.store]);
                let step = to.outer.last().map_or(0, |step| *step as usize);
                if let Some(t) = &a.turned {
                    let (from, to) = (frame.pointer(first, copied.load), frame.pointer(first, copied.store));
                    let pitch = if t.rows == Rows::Block { step } else { t.pitch };
                    let t = Turned { pitch, ..*t };
                    // SAFETY: the caller's; rows of the result are `step` bytes apart, or matrices side by side, and no other piece's.
                    unsafe { turn(copied.vectors(), &t, from, to, end - row, first.lanes) };
                }
                continue;
            }
            if let Some(walk) = &kernel.walk {
                frame.set(1, 0);
                for r in 1..kernel.together.min(end - row) {
                    // SAFETY: the words are those of so many frames.
                    place_row(kernel, unsafe { frame.copy(r, kernel.frame) }, r);
                }
                // SAFETY: the caller's; the pointers are those of the first rows.
                unsafe { walk.run(frame, end - row) };
                if let Some(([left, lane], what)) = frame.failure() {
                    failure.note((end - left) * first.lanes + lane, what);
                    return;
                }
                continue;
            }
            loop {
                for stage in &kernel.stages {
                    // SAFETY: the caller's; the pointers are those of this row.
                    unsafe {
                        if lanes == Lanes::Divided && is_divided(stage) {
                            chunks(stage, frame, failure);
                        } else {
                            let part = lanes.of(stage);
                            frame.set(0, part.len() as u64);
                            frame.set(1, part.start as u64);
                            run(stage, frame);
                            for (k, a) in stage.lane.accumulators.iter().take(stage.lane.rows).enumerate() {
                                frame.set_scalar(stage, a.scalar.unwrap_or(0), partial(frame, k));
                            }
                        }
                    }
                }
                if let Some(([_, lane], what)) = frame.failure() {
                    failure.note(row * first.lanes + lane, what);
                    return;
                }
                row += 1;
                if row >= end {
                    break;
                }
                frame.set(HEADER + dims - 1, frame.outer(dims as u32 - 1) + 1);
                for stage in &kernel.stages {
                    for (i, a) in stage.accesses.iter().enumerate() {
                        let p = frame.pointer(stage, i);
                        frame.set_pointer(stage, i, p.wrapping_offset(a.step() as isize));
                    }
                }
            }
        }
    });
}

/// Moves a frame by `r` rows of the innermost outer loop, to scratch rows of its own.
fn place_row(kernel: &NestKernel, frame: Frame, r: usize) {
    if let Some(last) = kernel.outer.len().checked_sub(1) {
        frame.set(HEADER + last, frame.outer(last as u32) + r as u64);
    }
    for stage in &kernel.stages {
        for (i, a) in stage.accesses.iter().enumerate() {
            let own = match a.memory {
                Memory::Buffer(_) => 0,
                Memory::Scratch(_) => kernel.row_scratch * r,
            };
            let p = frame.pointer(stage, i);
            frame.set_pointer(stage, i, p.wrapping_offset(a.step() as isize * r as isize).wrapping_add(own));
        }
    }
}

/// One stage at the places of the frame.
///
/// # Safety
/// The frame is complete, and its pointers reach what the stage's accesses name.
unsafe fn run(stage: &StageKernel, frame: Frame) {
    // SAFETY: the caller's.
    unsafe {
        match &stage.code {
            Some(code) => code.run(frame),
            None => crate::tile::run(stage, frame),
        }
    }
}

/// The lanes of a stage in chunks, on several threads.
///
/// # Safety
/// As [`run`].
unsafe fn chunks(stage: &StageKernel, frame: Frame, failure: &First) {
    let count = ((stage.cost / CHUNK) as usize).clamp(1, 1024).min(stage.lanes / CHUNK_LANES);
    let size = stage.lanes.div_ceil(count).next_multiple_of(CHUNK_LANES);
    let count = stage.lanes.div_ceil(size);
    let rows = stage.lane.rows;
    with_words(count * rows, |partials| {
        struct Shared(*mut u64, Frame);
        // SAFETY: each chunk writes its own words and only reads the frame.
        unsafe impl Sync for Shared {}
        impl Shared {
            fn get(&self) -> (*mut u64, Frame) {
                (self.0, self.1)
            }
        }
        let shared = Shared(partials.as_mut_ptr(), frame);
        threads::for_each(count, stage.cost, &|c| {
            let (out, template) = shared.get();
            with_words(stage.layout.words, |words| {
                // SAFETY: the template has as many words; nobody writes it meanwhile.
                words.copy_from_slice(unsafe { std::slice::from_raw_parts(template.as_ptr(), stage.layout.words) });
                let frame = Frame::new(words, &stage.layout);
                let from = c * size;
                frame.set(0, size.min(stage.lanes - from) as u64);
                frame.set(1, from as u64);
                let partials = words[stage.layout.partials..].as_mut_ptr();
                frame.set(4, partials as u64);
                for (i, a) in stage.accesses.iter().enumerate() {
                    let p = frame.pointer(stage, i);
                    frame.set_pointer(stage, i, p.wrapping_offset(a.lane as isize * from as isize));
                }
                // SAFETY: the caller's; chunks have lanes of their own.
                unsafe {
                    run(stage, frame);
                    for k in 0..rows {
                        out.add(k * count + c).write(partial(frame, k));
                    }
                }
                if let Some(([_, lane], what)) = frame.failure() {
                    failure.note(lane, what);
                }
            });
        });
        for (k, a) in stage.lane.accumulators.iter().take(rows).enumerate() {
            let total = tree(&mut partials[k * count..][..count], a);
            frame.set_scalar(stage, a.scalar.unwrap_or(0), total);
        }
    });
}

/// Values combined in a fixed tree.
fn tree(xs: &mut [u64], a: &Accumulator) -> u64 {
    let mut n = xs.len();
    while n > 1 {
        let half = n.div_ceil(2);
        for j in 0..n - half {
            xs[j] = combine(a.monoid, a.dtype, xs[j], xs[j + half]);
        }
        n = half;
    }
    xs.first().copied().unwrap_or_else(|| a.neutral())
}

/// The row reduction `k` that the last stage has left in the frame.
///
/// # Safety
/// A stage with so many reductions has run on the frame.
unsafe fn partial(frame: Frame, k: usize) -> u64 {
    // SAFETY: every executor leaves one word for each row reduction.
    unsafe { frame.partials().add(k * crate::frame::PARTIAL_WORDS).read() }
}
