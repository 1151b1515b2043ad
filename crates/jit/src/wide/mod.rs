//! The wide emitter: machine code of vectors for stages, on x86-64: of 256 bits with AVX2, FMA and F16C, of 512 bits with AVX-512.
//!
//! One function for each nest walks rows, stages, serial loops and lanes; where lanes are divided or a stage may fail, there is one for
//! each stage. Its only argument is the address of the frame. Lanes go in blocks of several
//! interleaved copies of the body, then single vectors, then one masked vector.

mod access;
mod accumulate;
mod aim;
mod alloc;
mod alone;
mod asm;
mod blocks;
mod call;
mod emit;
mod inst;
mod interleaved;
mod isa;
mod lookup;
mod mask;
mod op;
mod pressure;
mod repeated;
mod rows;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::error::JitError;
use crate::kernel::StageKernel;
use crate::lane::{Accumulator, OpSet};
use crate::machine::{CodeMemory, Key, RowsCode, StageCode, folds, thunk};
pub use isa::Isa;

/// Makes the machine code of one program.
#[derive(Debug)]
pub struct Assembler {
    asm: asm::Asm,
    known: FxHashMap<Key, StageCode>,
    known_rows: FxHashMap<(usize, Vec<RowsKey>), RowsCode>,
    /// What thunks are told; addresses are in the code.
    calls: Vec<Arc<thunk::Call>>,
    constants: FxHashMap<Vec<u8>, u32>,
    memory: Option<CodeMemory>,
    /// The bytes of instructions, which stand before the constants.
    instructions: usize,
}

/// The bytes of code that most operations of a body need at most, all copies together.
const OPERATION_BYTES: usize = 128;

/// What a stage adds to the function of rows: lanes, steps, and the scalars of its reductions.
type RowsKey = (Key, usize, Vec<i64>, Vec<Option<u32>>);

/// What the function of a stage depends on, or `None` where its strides do not fit instructions.
fn key(kernel: &StageKernel) -> Option<Key> {
    let fits = |s: &i64| s.unsigned_abs() < 1 << 25;
    let serial: usize = kernel.serial.iter().product();
    let small = |a: &crate::place::Place| {
        let reach = |aim: crate::place::Aimed| i32::try_from(aim.size).is_ok() && i32::try_from(aim.step).is_ok();
        fits(&a.lane)
            && a.aim.is_none_or(reach)
            && a.serial.iter().zip(&kernel.serial).all(|(s, n)| i32::try_from(*s as i128 * *n as i128).is_ok())
    };
    if !kernel.accesses.iter().all(small) || i32::try_from(serial).is_err() {
        return None;
    }
    Some(Key::new(kernel))
}

impl Assembler {
    /// Makes code of these vector instructions, for bodies of so many operations together.
    pub fn new(isa: Isa, operations: usize) -> Self {
        let mut asm = asm::Asm::new(isa);
        // Memory that is not touched costs nothing; to grow is to copy, and to touch new pages each time.
        asm.code.reserve(OPERATION_BYTES * operations);
        Assembler {
            asm,
            known: FxHashMap::default(),
            known_rows: FxHashMap::default(),
            calls: Vec::new(),
            constants: FxHashMap::default(),
            memory: None,
            instructions: 0,
        }
    }

    /// The operations that code may have.
    pub fn op_set(&self) -> OpSet {
        match self.asm.isa() {
            Isa::Avx2 => OpSet::Common,
            Isa::Avx512 => OpSet::Extended,
        }
    }

    /// The lanes of a vector.
    fn width(&self, kernel: &StageKernel) -> usize {
        self.asm.isa().bytes() / if kernel.lane.wide { 8 } else { 4 }
    }

    /// Code for a stage, or `None` where its strides do not fit instructions: such stages run on tiles.
    pub fn stage(&mut self, kernel: &StageKernel) -> Option<StageCode> {
        let key = key(kernel)?;
        if let Some(known) = self.known.get(&key) {
            return Some(StageCode { accumulators: kernel.lane.accumulators.clone(), ..known.clone() });
        }
        self.asm.align(32);
        let offset = self.asm.code.len();
        let lanes = self.width(kernel);
        let copies = emit::stage(self, kernel, lanes);
        let (bytes, accumulators) = (self.asm.isa().bytes(), kernel.lane.accumulators.clone());
        let stage = StageCode { offset, lanes, copies, bytes, entry: 0, accumulators };
        self.known.insert(key, stage.clone());
        Some(stage)
    }

    /// Code for all rows of a nest, so many of them `together`, with frames that are `frame` words apart; or `None` where a stage has
    /// none, or has a reduction that machine code does not finish. Stages that may fail run alone, so that rows fail in order.
    pub fn rows(&mut self, stages: &[StageKernel], together: usize, frame: usize) -> Option<RowsCode> {
        let finished = |a: &Accumulator| a.scalar.is_none() || folds(a);
        let part = |k: &StageKernel| -> Option<RowsKey> {
            let steps: Vec<i64> = k.accesses.iter().map(crate::place::Place::step).collect();
            let step = |s: &i64| i32::try_from(*s as i128 * together as i128).is_ok();
            let fits = i32::try_from(k.lanes).is_ok() && steps.iter().all(step);
            if !fits || !k.lane.accumulators.iter().all(finished) {
                return None;
            }
            Some((key(k)?, k.lanes, steps, k.lane.accumulators.iter().map(|a| a.scalar).collect()))
        };
        let key: (usize, Vec<RowsKey>) = (together, stages.iter().map(part).collect::<Option<_>>()?);
        if let Some(known) = self.known_rows.get(&key) {
            return Some(known.clone());
        }
        self.asm.align(32);
        let offset = self.asm.code.len();
        let rows = RowsCode { offset, stages: rows::rows(self, stages, together, frame), entry: 0 };
        self.known_rows.insert(key, rows.clone());
        Some(rows)
    }

    /// The place of bytes in the pool, aligned to their number.
    fn constant(&mut self, bytes: &[u8]) -> u32 {
        if let Some(at) = self.constants.get(bytes) {
            return *at;
        }
        let pool = &mut self.asm.pool;
        pool.resize(pool.len().next_multiple_of(bytes.len()), 0);
        let at = pool.len() as u32;
        pool.extend_from_slice(bytes);
        self.constants.insert(bytes.to_vec(), at);
        at
    }

    /// Makes the code executable; its address.
    pub fn finish(&mut self) -> Result<usize, JitError> {
        self.known = FxHashMap::default();
        self.known_rows = FxHashMap::default();
        self.constants = FxHashMap::default();
        self.instructions = self.asm.code.len();
        if self.instructions > 0 {
            let isa = self.asm.isa();
            self.memory = Some(CodeMemory::new(&std::mem::replace(&mut self.asm, asm::Asm::new(isa)).finish())?);
        }
        Ok(self.memory.as_ref().map_or(0, CodeMemory::base))
    }

    /// The instructions.
    pub fn instructions(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |m| &m.code()[..self.instructions])
    }

    /// The bytes of code.
    pub fn code_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, CodeMemory::bytes)
    }
}
