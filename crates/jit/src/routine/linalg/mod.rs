//! Factorizations and triangular systems of batches of matrices, in `f64` as the reference computes them.
//!
//! Small matrices are done several at once, one in each lane of a vector; of others, one at a time, rows are vectors. Both are one
//! code over a [`Number`], which is one of each matrix. [`large`] ones are cut in halves, between which there are products.

mod cholesky;
mod large;
mod lu;
mod number;
mod op;
mod qr;
#[cfg(target_arch = "x86_64")]
mod symmetric;
mod triangular;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cotangent_core::array::Element;

use cholesky::Cholesky;
use large::{LARGE, Outside};
use lu::{Lu, unpack};
use number::Number;
use qr::Qr;
use triangular::Triangular;

use super::Vectors;
use super::axis::Shared;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, F64x8, Kernel, Lanes};
use crate::memory::Block;
use crate::threads;

/// Rows that are subtracted from others together.
const PANEL: usize = 8;

/// What is done to each matrix of a batch.
trait Matrices: Sync {
    /// Numbers of memory for one matrix up to which it is small: one in each lane is faster than one at a time.
    const SMALL: usize;
    /// Numbers of memory for one matrix.
    fn memory(&self) -> usize;
    /// Estimated time for one matrix, in ns.
    fn cost(&self) -> u64;
    /// Matrices `first` to `first + N::W`, as far as there are so many; `false` where the reference should see the batch.
    ///
    /// # Safety
    /// The CPU has the vectors of `N`; the operands and results have the batch's elements; nobody else uses those of these matrices.
    unsafe fn group<N: Number>(&self, first: usize, memory: &mut [N]) -> bool;
}

/// What is done to halves of large matrices.
trait Halves: Matrices {
    /// Rows or columns, whichever are fewer, by which matrices are large.
    fn side(&self) -> usize;
    /// As [`Matrices::group`], of matrix `i` alone, on several threads.
    ///
    /// # Safety
    /// The CPU has the vectors; and as there.
    unsafe fn halves(&self, i: usize, vectors: Vectors) -> bool;
}

/// Whether matrices are small, and fill the lanes of a vector.
fn in_lanes<M: Matrices>(matrices: &M, count: usize, vectors: Vectors) -> bool {
    let lanes = match vectors {
        #[cfg(target_arch = "x86_64")]
        Vectors::V256 => F64x4::W,
        #[cfg(target_arch = "x86_64")]
        Vectors::V512 => F64x8::W,
        Vectors::Portable => return false,
    };
    count >= lanes && matrices.memory() <= M::SMALL
}

/// Runs `matrices`, of which there are `count`; `false` if the reference should see them: they are no matrices that such an op takes.
///
/// # Safety
/// The CPU has the vectors; and as [`Matrices::group`].
unsafe fn run(matrices: &impl Matrices, count: usize, vectors: Vectors) -> bool {
    let in_lanes = in_lanes(matrices, count, vectors);
    // SAFETY: the caller's.
    unsafe {
        match vectors {
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 if in_lanes => groups(matrices, count, |g: Group<_, F64x4>| F64x4::enabled(g)),
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 => groups(matrices, count, |g: Group<_, f64>| F64x4::enabled(g)),
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 if in_lanes => groups(matrices, count, |g: Group<_, F64x8>| F64x8::enabled(g)),
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 => groups(matrices, count, |g: Group<_, f64>| F64x8::enabled(g)),
            Vectors::Portable => groups(matrices, count, |g: Group<_, f64>| g.compute()),
        }
    }
}

/// As [`run`], of matrices that may be large: several threads share each of a few, and have each of many for themselves.
///
/// # Safety
/// As [`run`].
unsafe fn run_any(matrices: &impl Halves, count: usize, vectors: Vectors) -> bool {
    if matrices.side() < LARGE || in_lanes(matrices, count, vectors) {
        // SAFETY: the caller's.
        return unsafe { run(matrices, count, vectors) };
    }
    // SAFETY: the caller's.
    each(count, matrices.cost(), |i| unsafe { matrices.halves(i, vectors) }).is_empty()
}

/// Does `one` for each of `count` matrices, with all threads for each of a few, and one for each of many. Gives those for which it was `false`, in
/// their order.
fn each(count: usize, cost: u64, one: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    let left = Mutex::new(Vec::new());
    let one = |i| {
        if !one(i) {
            left.lock().unwrap_or_else(PoisonError::into_inner).push(i);
        }
    };
    if count < 2 * threads::num_threads() {
        (0..count).for_each(one);
    } else {
        threads::for_each(count, count as u64 * cost, &one);
    }
    let mut left = left.into_inner().unwrap_or_else(PoisonError::into_inner);
    left.sort_unstable();
    left
}

/// # Safety
/// As [`run`].
unsafe fn groups<M: Matrices, N: Number>(matrices: &M, count: usize, compute: impl Fn(Group<M, N>) + Sync) -> bool {
    let groups = count.div_ceil(N::W);
    let pieces = groups.min(256);
    let is_fine = AtomicBool::new(true);
    threads::for_each(pieces, count as u64 * matrices.cost(), &|piece| {
        let memory = Block::new(matrices.memory() * size_of::<N>());
        // SAFETY: the block is aligned and has initialised bytes for so many numbers, which this piece alone uses.
        let memory = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast(), matrices.memory()) };
        for group in piece * groups / pieces..(piece + 1) * groups / pieces {
            let mut is_done = true;
            compute(Group { matrices, first: group * N::W, memory, is_done: &mut is_done });
            if !is_done {
                is_fine.store(false, Ordering::Relaxed);
            }
        }
    });
    is_fine.into_inner()
}

/// One group, as code for any vectors.
struct Group<'a, M, N> {
    matrices: &'a M,
    first: usize,
    memory: &'a mut [N],
    is_done: &'a mut bool,
}

impl<M: Matrices, N: Number> Group<'_, M, N> {
    /// # Safety
    /// As [`Matrices::group`].
    #[inline(always)]
    unsafe fn compute(self) {
        // SAFETY: the caller's.
        *self.is_done = unsafe { self.matrices.group(self.first, self.memory) };
    }
}

#[cfg(target_arch = "x86_64")]
impl<M: Matrices, N: Number> Kernel for Group<'_, M, N> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.compute() }
    }
}

/// Matrices in memory, row-major, one behind the other.
#[derive(Clone, Copy)]
struct Batch<T> {
    /// The first element.
    at: Shared<T>,
    /// How many.
    count: usize,
    /// Rows of each.
    rows: usize,
    /// Columns of each.
    cols: usize,
}

impl<T: Element> Batch<T> {
    fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Matrix `i`.
    fn outside(&self, i: usize, vectors: Vectors) -> Outside<T> {
        Outside { at: self.at.get().wrapping_add(i * self.len()), size: [self.rows, self.cols], vectors }
    }

    /// Visits the places of a matrix, a few columns at a time: who copies it transposed writes lines of memory that stay in the cache.
    #[inline(always)]
    fn each_place(&self, mut visit: impl FnMut(usize, usize)) {
        for first in (0..self.cols).step_by(PANEL) {
            for i in 0..self.rows {
                for j in first..(first + PANEL).min(self.cols) {
                    visit(i, j);
                }
            }
        }
    }

    /// Element `(i, j)` of a group goes to place `to(i, j)` of `memory`.
    ///
    /// # Safety
    /// The CPU has the vectors; the matrices have their elements, which nobody writes.
    #[inline(always)]
    unsafe fn load<N: Number>(&self, first: usize, memory: &mut [N], to: impl Fn(usize, usize) -> usize) {
        let (at, len, lanes) =
            (self.at.get().wrapping_add(first * self.len()), self.len(), N::W.min(self.count - first));
        self.each_place(|i, j| {
            let x = at.wrapping_add(i * self.cols + j);
            // SAFETY: the caller's; behind the last matrix that one is read again.
            memory[to(i, j)] = unsafe { N::of(|w| (*x.add(w.min(lanes - 1) * len)).to_f64()) };
        });
    }

    /// Element `(i, j)` of a group becomes `value(i, j)`.
    ///
    /// # Safety
    /// The CPU has the vectors; the matrices have room, which nobody else uses.
    #[inline(always)]
    unsafe fn store<N: Number>(&self, first: usize, value: impl Fn(usize, usize) -> N) {
        let (at, len, lanes) =
            (self.at.get().wrapping_add(first * self.len()), self.len(), N::W.min(self.count - first));
        self.each_place(|i, j| {
            let (mut numbers, x) = ([0.0; 8], at.wrapping_add(i * self.cols + j));
            // SAFETY: the caller's.
            unsafe {
                value(i, j).spread(&mut numbers);
                for (w, number) in numbers[..lanes].iter().enumerate() {
                    *x.add(w * len) = T::from_f64(*number);
                }
            }
        });
    }
}

/// `to -= factors[0] · rows[0] + …`, one row after the other, where row `p` begins at `rows + p · stride`.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn subtract<N: Number>(factors: &[N], rows: &[N], stride: usize, to: &mut [N]) {
    let (panels, rest) = factors.as_chunks::<PANEL>();
    let mut rows = rows.chunks(stride);
    for f in panels {
        let rows = [(); PANEL].map(|()| rows.next().expect("a row for each factor"));
        // SAFETY: the caller's.
        unsafe { subtract_panel(f, rows, to) };
    }
    for (f, row) in rest.iter().zip(rows) {
        // SAFETY: the caller's.
        unsafe { subtract_panel(&[*f], [row], to) };
    }
}

/// As [`subtract`], for `P` rows, in pieces that are whole vectors.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn subtract_panel<N: Number, const P: usize>(factors: &[N; P], rows: [&[N]; P], to: &mut [N]) {
    let pieces = rows.map(|row| row[..to.len()].as_chunks::<PANEL>());
    let (wide, narrow) = to.as_chunks_mut::<PANEL>();
    for (c, to) in wide.iter_mut().enumerate() {
        let mut x = *to;
        for p in 0..P {
            let row = &pieces[p].0[c];
            // SAFETY: the caller's.
            x = std::array::from_fn(|j| unsafe { x[j].less_product(factors[p], row[j]) });
        }
        *to = x;
    }
    for (c, to) in narrow.iter_mut().enumerate() {
        for p in 0..P {
            // SAFETY: the caller's.
            *to = unsafe { to.less_product(factors[p], pieces[p].1[c]) };
        }
    }
}

/// Each number over `divisor`.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn divide<N: Number>(numbers: &mut [N], divisor: N) {
    for x in numbers {
        // SAFETY: the caller's.
        *x = unsafe { x.over(divisor) };
    }
}
