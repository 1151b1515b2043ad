//! Large matrices, in halves of halves: what one half leaves of the other is a product, which register tiles compute.
//!
//! Threads share columns or rows of a product, whose elements are summed in the same order however they are divided.

mod cholesky;
mod lu;
mod qr;
mod triangular;

use std::ops::Range;

use cotangent_core::array::Element;
use cotangent_core::ir::DType;

use crate::frame::with_words;
use crate::memory::Block;
use crate::routine::axis::Shared;
use crate::routine::vectors::{Loops, with};
use crate::routine::{Operand, Real, Target, Vectors};
use crate::threads;

/// Rows from which matrices are large.
pub(super) const LARGE: usize = 16;
/// Rows or columns of the smallest part, which is computed in registers.
const PART: usize = 8;
/// Rows that are converted together.
const ROWS: usize = 16;

/// The first row or column of the second half of those of `whole`: a whole number of smallest parts behind its first.
fn middle(whole: &Range<usize>) -> usize {
    whole.start + (whole.len() / 2).next_multiple_of(PART)
}

/// Cuts columns for threads: a few pieces for each, of whole pairs of vectors.
pub(super) fn pieces(columns: Range<usize>) -> Vec<Range<usize>> {
    let width = (columns.len() / (4 * threads::num_threads())).next_multiple_of(16).max(32);
    columns.clone().step_by(width).map(|from| from..columns.end.min(from + width)).collect()
}

/// Memory for a matrix, whose rows begin in different sets of the caches.
pub(super) struct Room {
    block: Block,
    row: usize,
}

impl Room {
    pub(super) fn new(rows: usize, cols: usize) -> Self {
        let row = (cols.div_ceil(16) | 1) * 16;
        Room { block: Block::new(rows * row * size_of::<f64>()), row }
    }

    pub(super) fn target(&self) -> Target<f64> {
        Target { at: self.block.as_ptr().cast(), row: self.row }
    }
}

impl Target<f64> {
    /// What has been written, to read.
    pub(super) fn operand(self) -> Operand<f64> {
        Operand { at: self.at.cast_const(), row: self.row as isize, col: 1 }
    }

    /// Row `i`, `cols` elements of it.
    ///
    /// # Safety
    /// It has so many, and nobody else uses them.
    pub(super) unsafe fn row<'a>(self, i: usize, cols: usize) -> &'a mut [f64] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.from(i, 0).at, cols) }
    }
}

impl Operand<f64> {
    /// The matrix with rows and columns exchanged.
    pub(super) fn turned(self) -> Self {
        Operand { at: self.at, row: self.col, col: self.row }
    }
}

/// A row-major matrix of the program, of `[rows, cols]`.
pub(super) struct Outside<T> {
    /// The first element.
    pub(super) at: *mut T,
    /// How many rows and columns.
    pub(super) size: [usize; 2],
    /// The vectors that copy it.
    pub(super) vectors: Vectors,
}

impl<T: Element> Outside<T> {
    /// The matrix itself if it can be read as it is, else a copy in `room`.
    ///
    /// # Safety
    /// The CPU has the vectors, and the matrix its elements; nobody writes them while the result is read.
    unsafe fn read(&self, room: &mut Option<Room>) -> Operand<f64> {
        let [rows, cols] = self.size;
        if T::DTYPE == DType::F64 {
            return Operand { at: self.at.cast_const().cast(), row: cols as isize, col: 1 };
        }
        let room = room.insert(Room::new(rows, cols));
        // SAFETY: the caller's.
        unsafe { self.load(room.target(), false) };
        room.target().operand()
    }

    /// Copies the matrix, transposed if `turned`.
    ///
    /// # Safety
    /// The CPU has the vectors; the matrix has its elements, `to` has room for them, and nobody else uses it.
    pub(super) unsafe fn load(&self, to: Target<f64>, turned: bool) {
        let ([rows, cols], vectors) = (self.size, self.vectors);
        let (from, to, row) = (Shared(self.at), Shared(to.at), to.row);
        threads::for_each(rows.div_ceil(ROWS), (rows * cols) as u64 / 2, &|piece| {
            let (first, to) = (piece * ROWS, Target { at: to.get(), row });
            let count = ROWS.min(rows - first);
            let line = |i: usize| from.get().wrapping_add((first + i) * cols).cast_const();
            // SAFETY: the caller's; pieces have rows of their own, which are columns of a transposed matrix.
            unsafe {
                if !turned {
                    (0..count).for_each(|i| with(vectors, Widen { from: line(i), to: to.row(first + i, cols) }));
                    return;
                }
                with_words(count * cols, |words| {
                    let room = Target { at: words.as_mut_ptr().cast::<f64>(), row: cols };
                    (0..count).for_each(|i| with(vectors, Widen { from: line(i), to: room.row(i, cols) }));
                    f64::transpose(vectors, [count, cols], room.at, cols as isize, to.from(0, first).at, row);
                });
            }
        });
    }

    /// Writes the matrix from memory that has it, transposed if `turned`: of row `i` the elements in `kept(i)`, and zeros.
    ///
    /// # Safety
    /// The CPU has the vectors; the matrix has room, which nobody else uses, and `from` has the elements.
    pub(super) unsafe fn store(&self, from: Target<f64>, turned: bool, kept: impl Fn(usize) -> Range<usize> + Sync) {
        let ([rows, cols], vectors) = (self.size, self.vectors);
        let (to, from, row) = (Shared(self.at), Shared(from.at), from.row);
        threads::for_each(rows.div_ceil(ROWS), (rows * cols) as u64 / 2, &|piece| {
            let (first, from) = (piece * ROWS, Target { at: from.get(), row });
            let count = ROWS.min(rows - first);
            let line = |i: usize, from: *const f64| {
                let (i, kept) = (first + i, kept(first + i));
                // SAFETY: the caller's; pieces have rows of their own.
                unsafe {
                    let to = std::slice::from_raw_parts_mut(to.get().add(i * cols), cols);
                    let zero = T::from_f64(0.0);
                    to[..kept.start].fill(zero);
                    to[kept.end..].fill(zero);
                    with(vectors, Round { from: from.add(kept.start), to: &mut to[kept] });
                }
            };
            if !turned {
                return (0..count).for_each(|i| line(i, from.from(first + i, 0).at.cast_const()));
            }
            with_words(count * cols, |words| {
                let room = words.as_mut_ptr().cast::<f64>();
                // SAFETY: the caller's; the words hold these rows.
                unsafe { f64::transpose(vectors, [cols, count], from.from(0, first).at, row as isize, room, cols) };
                (0..count).for_each(|i| line(i, room.wrapping_add(i * cols).cast_const()));
            });
        });
    }
}

/// A row as `f64`. Safety: it has its elements.
struct Widen<'a, T> {
    from: *const T,
    to: &'a mut [f64],
}

impl<T: Element> Loops for Widen<'_, T> {
    #[inline(always)]
    unsafe fn run(self) {
        for (i, y) in self.to.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *y = unsafe { *self.from.add(i) }.to_f64();
        }
    }
}

/// A row of `f64` rounded. Safety: it has its elements.
struct Round<'a, T> {
    from: *const f64,
    to: &'a mut [T],
}

impl<T: Element> Loops for Round<'_, T> {
    #[inline(always)]
    unsafe fn run(self) {
        for (i, y) in self.to.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *y = T::from_f64(unsafe { *self.from.add(i) });
        }
    }
}
