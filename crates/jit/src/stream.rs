//! Streaming stores: large results that go to memory past the caches.
//!
//! A store reads the cache line that it writes into, and puts out another. Of a result that is too large to be found in a cache later, both are in
//! vain. Measured on one thread of Zen 4, results in recycled memory: `x + x` of 16 MB 460 µs instead of 1,110, a layer norm of
//! 4096 × 1024 590 instead of 910. The addresses of such stores are multiples of a vector's size: see [`is_aligned`].

use cotangent_loops::ir::{Buffer, LoopProgram, Memory, Role, Stage, Step};

use crate::chain::stores;
use crate::pages::ALIGN;
use crate::place::Place;

/// The fewest bytes of such a result: half of what last-level caches hold. Smaller ones may be found there by who reads them next.
const LARGE: usize = 16 << 20;

/// For each buffer, whether it is a large result that no step of the program reads.
pub fn streamed(program: &LoopProgram) -> Vec<bool> {
    let is_large = |b: &Buffer| b.len * b.dtype.size_bytes() >= LARGE;
    let mut streamed: Vec<bool> =
        program.buffers.iter().map(|b| matches!(b.role, Role::Result) && is_large(b)).collect();
    if !streamed.contains(&true) {
        return streamed;
    }
    for step in &program.steps {
        match step {
            Step::Nest(nest) => nest.stages.iter().for_each(|s| reads(s).for_each(|b| streamed[b] = false)),
            Step::Routine(r) => r.inputs.iter().for_each(|b| streamed[b.0 as usize] = false),
        }
    }
    streamed
}

/// The buffers that a stage reads.
fn reads(stage: &Stage) -> impl Iterator<Item = usize> {
    let stores = stores(stage);
    stage.accesses.iter().enumerate().filter_map(move |(i, a)| match a.memory {
        Memory::Buffer(b) if !stores.contains(&i) => Some(b.0 as usize),
        Memory::Buffer(_) | Memory::Scratch(_) => None,
    })
}

/// Whether whole vectors of a place begin at multiples of a vector's size, if its buffer does: dense lanes of 4 or 8 bytes, all else in cache lines.
pub fn is_aligned(place: &Place, size: usize) -> bool {
    let whole = |bytes: &i64| bytes.unsigned_abs().is_multiple_of(ALIGN as u64);
    let strides = place.outer.iter().chain(&place.serial);
    size >= 4 && place.lane == size as i64 && whole(&place.offset) && strides.into_iter().all(whole)
}
