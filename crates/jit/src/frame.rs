//! The frame of a nest: what a stage is told at each row, as 64-bit words, the same for every executor.
//!
//! | word | what |
//! |---|---|
//! | 0 | the number of lanes |
//! | 1 | the index of the first lane |
//! | 2 | not 0 after a failure: the rows that were left, and in the low half 1 after an integer division by zero, 2 and more after an index that its dim does not have |
//! | 3 | the lane of it, and the machine code's own use |
//! | 4 | the address of the partial reductions |
//! | 5 | the index of a failed lookup |
//! | 6 | the rows left, this one included, for machine code that walks rows itself; else 0 |
//! | 7… | outer indices, row scalars, serial indices, pointers |

use std::cell::RefCell;

use crate::failure::Failure;
use crate::kernel::{Layout, StageKernel};

/// Words before the outer indices.
pub const HEADER: usize = 7;
/// The word of a failure, …
pub const FAILURE: usize = 2;
/// … of its lane, …
pub const FAILED_LANE: usize = 3;
/// … and of the index that failed.
pub const FAILED_INDEX: usize = 5;
/// The word of the rows left.
pub const ROWS: usize = 6;
/// The words of partial results of one accumulator: up to four vectors of 64 bytes.
pub const PARTIAL_WORDS: usize = 32;

/// The frame's address; all of its words are written before a stage runs.
#[derive(Clone, Copy)]
pub struct Frame(*mut u64);

impl Frame {
    /// A frame at the start of `words`.
    ///
    /// The layout is that of the nest whose stages will run on it, and `words` is as long as that layout says; the accessors below rely on it.
    pub fn new(words: &mut [u64], layout: &Layout) -> Self {
        assert!(words.len() >= layout.words, "a frame of {} words", layout.words);
        Frame(words.as_mut_ptr())
    }

    /// The frame that machine code runs on.
    ///
    /// # Safety
    /// The address came from [`Frame::as_ptr`] of a frame that is still in use.
    pub unsafe fn running(at: *mut u64) -> Self {
        Frame(at)
    }

    /// Frame `r` of those that follow this one `words` apart, with a copy of these words.
    ///
    /// # Safety
    /// They exist, and nobody else uses them.
    pub(crate) unsafe fn copy(self, r: usize, words: usize) -> Frame {
        let other = Frame(self.0.wrapping_add(r * words));
        for i in 0..words {
            other.set(i, self.get(i));
        }
        other
    }

    /// The address, for machine code.
    pub fn as_ptr(self) -> *mut u64 {
        self.0
    }

    fn get(self, i: usize) -> u64 {
        // SAFETY: `i` is below the layout's length, which `new` has checked; frames are used by one thread.
        unsafe { self.0.add(i).read() }
    }

    pub(crate) fn set(self, i: usize, x: u64) {
        // SAFETY: as in `get`.
        unsafe { self.0.add(i).write(x) }
    }

    pub(crate) fn lanes(self) -> usize {
        self.get(0) as usize
    }

    pub(crate) fn base(self) -> u64 {
        self.get(1)
    }

    /// Notes a failure at a lane of this call, unless there is one before it.
    pub(crate) fn fail(self, lane: usize, failure: Failure) {
        let (at, left) = (self.base() + lane as u64, self.get(ROWS).min(u32::MAX.into()));
        // Rows run in order: one that was left before is an earlier one.
        let before = self.get(FAILURE);
        if before != 0 && (before >> 32 > left || (before >> 32 == left && self.get(FAILED_LANE) <= at)) {
            return;
        }
        let (what, index) = match failure {
            Failure::ZeroDivision => (1, 0),
            Failure::Index { of, index } => (2 + u64::from(of), index),
        };
        self.set(FAILURE, left << 32 | what);
        self.set(FAILED_LANE, at);
        self.set(FAILED_INDEX, index.cast_unsigned());
    }

    /// The rows that were left at a failure, its lane, and what failed.
    pub(crate) fn failure(self) -> Option<([usize; 2], Failure)> {
        let word = self.get(FAILURE);
        let failure = match word & u64::from(u32::MAX) {
            0 => return None,
            1 => Failure::ZeroDivision,
            what => Failure::Index { of: (what - 2) as u32, index: self.get(FAILED_INDEX).cast_signed() },
        };
        Some(([(word >> 32) as usize, self.get(FAILED_LANE) as usize], failure))
    }

    pub(crate) fn partials(self) -> *mut u64 {
        self.get(4) as *mut u64
    }

    pub(crate) fn outer(self, i: u32) -> u64 {
        self.get(HEADER + i as usize)
    }

    pub(crate) fn scalar(self, kernel: &StageKernel, i: u32) -> u64 {
        self.get(kernel.layout.scalars + i as usize)
    }

    pub(crate) fn set_scalar(self, kernel: &StageKernel, i: u32, x: u64) {
        self.set(kernel.layout.scalars + i as usize, x);
    }

    pub(crate) fn serial(self, kernel: &StageKernel, i: usize) -> u64 {
        self.get(kernel.layout.serial + i)
    }

    pub(crate) fn set_serial(self, kernel: &StageKernel, i: usize, x: u64) {
        self.set(kernel.layout.serial + i, x);
    }

    pub(crate) fn pointer(self, kernel: &StageKernel, i: usize) -> *mut u8 {
        self.get(kernel.layout.pointers + i) as *mut u8
    }

    pub(crate) fn set_pointer(self, kernel: &StageKernel, i: usize, p: *mut u8) {
        self.set(kernel.layout.pointers + i, p as u64);
    }
}

thread_local! {
    /// Memory of frames and tiles, kept by each thread.
    static WORDS: RefCell<Vec<Vec<u64>>> = const { RefCell::new(Vec::new()) };
}

/// So many words are on the stack: clearing them costs less than a look at what the thread keeps. Most small programs need few.
const FEW: [usize; 2] = [16, 48];

/// Runs `f` with `n` words of unspecified contents; nested uses get memory of their own.
#[inline]
pub fn with_words<R>(n: usize, f: impl FnOnce(&mut [u64]) -> R) -> R {
    if n <= FEW[0] {
        return f(&mut [0; FEW[0]][..n]);
    }
    if n <= FEW[1] {
        return f(&mut [0; FEW[1]][..n]);
    }
    let mut words = WORDS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if words.len() < n {
        words.resize(n, 0);
    }
    let result = f(&mut words[..n]);
    WORDS.with_borrow_mut(|kept| kept.push(words));
    result
}
