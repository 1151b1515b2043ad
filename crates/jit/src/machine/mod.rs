//! Machine code of stages: what its two makers have in common, and the choice between them.
//!
//! A function of machine code has one argument, the address of a frame.

mod key;
mod memory;
pub mod thunk;

use cotangent_core::ops::Monoid;

pub use key::Key;
pub use memory::CodeMemory;

use crate::error::JitError;
use crate::frame::{Frame, PARTIAL_WORDS, ROWS};
use crate::kernel::StageKernel;
use crate::lane::scalar::combine;
use crate::lane::{Accumulator, OpSet, Ty};
use crate::{narrow, wide};

/// A function of machine code. It is emitted for the convention that `C` has on this machine.
type Entry = extern "C" fn(*mut u64);

/// The function of a stage.
#[derive(Clone, Debug)]
pub struct StageCode {
    /// Its place in the code.
    pub offset: usize,
    /// Lanes of a vector.
    pub lanes: usize,
    /// Interleaved copies.
    pub copies: usize,
    /// The bytes of a vector.
    pub bytes: usize,
    /// The address, once the code is executable.
    pub entry: usize,
    /// The accumulators of the stage.
    pub accumulators: Vec<Accumulator>,
}

/// The function of the rows of a nest.
#[derive(Clone, Debug)]
pub struct RowsCode {
    /// Its place in the code.
    pub offset: usize,
    /// The places of the stages.
    pub stages: Vec<usize>,
    /// The address, once the code is executable.
    pub entry: usize,
}

impl RowsCode {
    /// Runs `rows` rows, whose innermost outer indices follow one another, from the place of the frame; its pointers are moved behind them.
    ///
    /// # Safety
    /// As [`StageCode::run`], for all stages and rows; there is at least one row. The frames of the first rows that run together
    /// follow one another.
    pub unsafe fn run(&self, frame: Frame, rows: usize) {
        frame.set(ROWS, rows as u64);
        // SAFETY: `entry` is the address of a function that was emitted with this signature and convention.
        let function: Entry = unsafe { std::mem::transmute(self.entry) };
        function(frame.as_ptr());
    }
}

/// Whether machine code combines the lanes of an accumulator, because that is an instruction or three.
pub fn folds(a: &Accumulator) -> bool {
    match (Ty::of(a.dtype), a.monoid) {
        (_, Monoid::LogAddExp) | (Ty::I64, Monoid::Prod | Monoid::Max | Monoid::Min) => false,
        (_, Monoid::Sum | Monoid::Prod | Monoid::Max | Monoid::Min) => true,
    }
}

impl StageCode {
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
        let words = self.bytes / 8;
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

/// What makes the machine code of one program, and holds it.
#[derive(Debug)]
pub enum Assembler {
    /// Vectors of 256 or 512 bits, by an emitter of our own.
    Wide(wide::Assembler),
    /// Vectors of 128 bits, by Cranelift.
    Narrow(narrow::Assembler),
}

impl Assembler {
    /// The operations that code may have.
    pub fn op_set(&self) -> OpSet {
        match self {
            Assembler::Wide(wide) => wide.op_set(),
            Assembler::Narrow(_) => OpSet::Common,
        }
    }

    /// Whether stores may go past the caches.
    pub fn streams(&self) -> bool {
        match self {
            Assembler::Wide(_) => true,
            Assembler::Narrow(_) => false,
        }
    }

    /// Whether a store may repeat the element of a lane side by side.
    pub fn repeats(&self) -> bool {
        match self {
            Assembler::Wide(_) => true,
            Assembler::Narrow(_) => false,
        }
    }

    /// Whether one function may walk all rows of a nest.
    pub fn walks_rows(&self) -> bool {
        match self {
            Assembler::Wide(_) => true,
            Assembler::Narrow(_) => false,
        }
    }

    /// Code for a stage, or `None` where there cannot be any: such stages run on tiles.
    pub fn stage(&mut self, kernel: &StageKernel) -> Option<StageCode> {
        match self {
            Assembler::Wide(wide) => wide.stage(kernel),
            Assembler::Narrow(narrow) => narrow.stage(kernel),
        }
    }

    /// Code for all rows of a nest, so many of them `together`, with frames that are `frame` words apart; or `None` where each stage is to
    /// have a function of its own.
    pub fn rows(&mut self, stages: &[StageKernel], together: usize, frame: usize) -> Option<RowsCode> {
        match self {
            Assembler::Wide(wide) => wide.rows(stages, together, frame),
            Assembler::Narrow(_) => None,
        }
    }

    /// Makes the code executable; its address.
    ///
    /// *Errors*: the system gives no memory for it.
    pub fn finish(&mut self) -> Result<usize, JitError> {
        match self {
            Assembler::Wide(wide) => wide.finish(),
            Assembler::Narrow(narrow) => narrow.finish(),
        }
    }

    /// The bytes of code.
    pub fn code_bytes(&self) -> usize {
        match self {
            Assembler::Wide(wide) => wide.code_bytes(),
            Assembler::Narrow(narrow) => narrow.code_bytes(),
        }
    }
}
