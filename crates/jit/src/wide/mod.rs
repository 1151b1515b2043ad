//! The wide emitter: machine code of vectors for stages, on x86-64: of 256 bits with AVX2, FMA and F16C, of 512 bits with AVX-512.
//!
//! One function for each nest walks rows, stages, serial loops and lanes; where lanes are divided or a stage may fail, there is one for
//! each stage. Its only argument is the address of the frame. Lanes go in blocks of several
//! interleaved copies of the body, then single vectors, then one masked vector.

mod access;
mod accumulate;
mod alloc;
mod asm;
mod blocks;
mod call;
mod emit;
mod inst;
mod isa;
mod mask;
mod memory;
mod op;
mod pressure;
mod thunk;

use std::sync::Arc;

use cotangent_core::ops::Monoid;
use rustc_hash::FxHashMap;

use crate::error::JitError;
use crate::frame::{Frame, PARTIAL_WORDS, ROWS};
use crate::kernel::{Layout, StageKernel};
use crate::lane::scalar::combine;
use crate::lane::{Accumulator, Code, OpSet, Ty};
pub use isa::Isa;
use memory::CodeMemory;

/// Makes the machine code of one program.
#[derive(Debug)]
pub struct Assembler {
    asm: asm::Asm,
    known: FxHashMap<Key, WideStage>,
    known_rows: FxHashMap<(usize, Vec<RowsKey>), WideRows>,
    /// What thunks are told; addresses are in the code.
    calls: Vec<Arc<thunk::Call>>,
    constants: FxHashMap<Vec<u8>, u32>,
    memory: Option<CodeMemory>,
    /// The bytes of instructions, which stand before the constants.
    instructions: usize,
}

/// The bytes of code that most operations of a body need at most, all copies together.
const OPERATION_BYTES: usize = 128;

/// What a function depends on.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Key {
    body: Code,
    after: Code,
    wide: bool,
    rows: usize,
    neutral: Vec<u64>,
    /// Of each access the strides of lanes and serial loops, and whether it streams.
    strides: Vec<(i64, Vec<i64>, bool)>,
    serial: Vec<usize>,
    layout: [usize; 4],
    /// The words of each column accumulator, if they are in memory.
    columns: Option<usize>,
}

/// A function of machine code. It is emitted for the System V convention, which is that of `C` wherever [`Isa::available`] can be true.
type Entry = extern "C" fn(*mut u64);

/// What a stage adds to the function of rows: lanes, steps, and the scalars of its reductions.
type RowsKey = (Key, usize, Vec<i64>, Vec<Option<u32>>);

/// The function of a stage.
#[derive(Clone, Debug)]
pub struct WideStage {
    /// Its place in the code.
    pub offset: usize,
    /// Lanes of a vector.
    pub lanes: usize,
    /// Interleaved copies.
    pub copies: usize,
    /// The address, once the code is executable.
    pub entry: usize,
    accumulators: Vec<Accumulator>,
    isa: Isa,
}

/// The function of the rows of a nest.
#[derive(Clone, Debug)]
pub struct WideRows {
    /// Its place in the code.
    pub offset: usize,
    /// The places of the stages.
    pub stages: Vec<usize>,
    /// The address, once the code is executable.
    pub entry: usize,
}

impl WideRows {
    /// Runs `rows` rows, whose innermost outer indices follow one another, from the place of the frame; its pointers are moved behind them.
    ///
    /// # Safety
    /// As [`WideStage::run`], for all stages and rows; there is at least one row. The frames of the first rows that run together
    /// follow one another.
    pub unsafe fn run(&self, frame: Frame, rows: usize) {
        frame.set(ROWS, rows as u64);
        // SAFETY: `entry` is the address of a function that was emitted with this signature and convention.
        let function: Entry = unsafe { std::mem::transmute(self.entry) };
        function(frame.as_ptr());
    }
}

/// Whether machine code combines the lanes of an accumulator, because that is an instruction or three.
fn folds(a: &Accumulator) -> bool {
    match (Ty::of(a.dtype), a.monoid) {
        (_, Monoid::LogAddExp) | (Ty::I64, Monoid::Prod | Monoid::Max | Monoid::Min) => false,
        (_, Monoid::Sum | Monoid::Prod | Monoid::Max | Monoid::Min) => true,
    }
}

/// What the function of a stage depends on, or `None` where its strides do not fit instructions.
fn key(kernel: &StageKernel) -> Option<Key> {
    let fits = |s: &i64| s.unsigned_abs() < 1 << 25;
    let serial: usize = kernel.serial.iter().product();
    let small = |a: &crate::kernel::Place| {
        fits(&a.lane)
            && a.serial.iter().zip(&kernel.serial).all(|(s, n)| i32::try_from(*s as i128 * *n as i128).is_ok())
    };
    if !kernel.accesses.iter().all(small) || i32::try_from(serial).is_err() {
        return None;
    }
    let Layout { scalars, serial, pointers, partials, .. } = kernel.layout;
    Some(Key {
        body: kernel.lane.body.clone(),
        after: kernel.lane.after.clone(),
        wide: kernel.lane.wide,
        rows: kernel.lane.rows,
        neutral: kernel.lane.accumulators.iter().map(Accumulator::neutral).collect(),
        strides: kernel.accesses.iter().map(|a| (a.lane, a.serial.clone(), a.streams)).collect(),
        serial: kernel.serial.clone(),
        layout: [scalars, serial, pointers, partials],
        columns: kernel.columns_in_memory.then(|| kernel.column_words()),
    })
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
    pub fn stage(&mut self, kernel: &StageKernel) -> Option<WideStage> {
        let key = key(kernel)?;
        if let Some(known) = self.known.get(&key) {
            return Some(WideStage { accumulators: kernel.lane.accumulators.clone(), ..known.clone() });
        }
        self.asm.align(32);
        let offset = self.asm.code.len();
        let lanes = self.width(kernel);
        let copies = emit::stage(self, kernel, lanes);
        let isa = self.asm.isa();
        let stage = WideStage { offset, lanes, copies, entry: 0, accumulators: kernel.lane.accumulators.clone(), isa };
        self.known.insert(key, stage.clone());
        Some(stage)
    }

    /// Code for all rows of a nest, so many of them `together`, with frames that are `frame` words apart; or `None` where a stage has
    /// none, may fail, or has a reduction that machine code does not finish.
    pub fn rows(&mut self, stages: &[StageKernel], together: usize, frame: usize) -> Option<WideRows> {
        let finished = |a: &Accumulator| a.scalar.is_none() || folds(a);
        let part = |k: &StageKernel| -> Option<RowsKey> {
            let steps: Vec<i64> = k.accesses.iter().map(crate::kernel::Place::step).collect();
            let step = |s: &i64| i32::try_from(*s as i128 * together as i128).is_ok();
            let fits = i32::try_from(k.lanes).is_ok() && steps.iter().all(step);
            if !fits || k.fallible.is_some() || !k.lane.accumulators.iter().all(finished) {
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
        let rows = WideRows { offset, stages: emit::rows(self, stages, together, frame), entry: 0 };
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

impl WideStage {
    /// Runs the stage and leaves each row reduction in the first word of its partials.
    ///
    /// # Safety
    /// The frame is complete, its pointers reach what the stage's accesses name (P2), and the code is executable.
    pub unsafe fn run(&self, frame: Frame) {
        // SAFETY: `entry` is the address of a function that was emitted with this signature and convention.
        let function: Entry = unsafe { std::mem::transmute(self.entry) };
        function(frame.as_ptr());
        for (k, a) in self.accumulators.iter().enumerate() {
            if a.scalar.is_none() || folds(a) {
                continue;
            }
            // SAFETY: the function has written `copies` vectors there.
            unsafe { self.fold(frame.partials().add(k * PARTIAL_WORDS), a) };
        }
    }

    /// Combines lanes and copies in a fixed tree.
    unsafe fn fold(&self, at: *mut u64, a: &Accumulator) {
        let words = self.isa.bytes() / 8;
        let wide = Ty::of(a.dtype).is_wide() || (Ty::of(a.dtype) == Ty::Mask && self.lanes == words);
        let mut xs = [0u64; 2 * PARTIAL_WORDS];
        let n = self.lanes * self.copies;
        for (i, x) in xs.iter_mut().enumerate().take(n) {
            let (copy, lane) = (i / self.lanes, i % self.lanes);
            // SAFETY: the caller's.
            *x = unsafe {
                if wide {
                    at.add(copy * words + lane).read()
                } else {
                    u64::from(at.add(copy * words).cast::<u32>().add(lane).read())
                }
            };
        }
        let mut n = n;
        while n > 1 {
            let half = n.div_ceil(2);
            for j in 0..n - half {
                xs[j] = combine(a.monoid, a.dtype, xs[j], xs[j + half]);
            }
            n = half;
        }
        // SAFETY: the caller's.
        unsafe { at.write(xs[0]) };
    }
}
