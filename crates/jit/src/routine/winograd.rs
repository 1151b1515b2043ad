//! Convolutions with kernels of 3 by 3 and stride 1 in 16 multiplications for four elements of the result where sums of products take 36.
//!
//! The result is cut in squares of 2 by 2. The window of 4 by 4 that a square meets, and the kernel, are turned into 16 numbers each; the 16 products of
//! these, added up over channels, are turned into the square: [`steps`] has the sums and differences that do it. So the convolution becomes 16
//! matrix products, of the channels of kernels and those of windows. *Source*: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015), F(2×2, 3×3),
//! whose factors are 1 and ½.
//!
//! *Numerics*: errors are as large as those of sums, relative to the largest products of a window. Where something is not finite, it reaches all
//! elements of its square: the caller then computes sums of products.

pub mod steps;

use std::sync::atomic::{AtomicBool, Ordering};

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
use super::{Onto, Operand, Real, Target, Vectors, product};
use crate::memory::Block;
use crate::threads;
use steps::{Kernels, PLACES, Results, SIDE, Segment, TAPS, Windows};

/// The lanes of the longest vector: pieces are multiples of it.
const LONGEST: usize = 16;
/// Vectors of windows in a piece: the most, and how many elements of all its matrices are near enough.
const VECTORS: usize = 12;
const NEAR: usize = 1 << 19;
/// What windows and squares of a channel cost to turn, and what a kernel does, in multiplications of vectors.
const TURN: usize = 6;
const TURN_KERNEL: usize = 12;
/// Rows of matrices so many bytes apart share few sets of the first-level cache.
const SETS: usize = 1024;

/// A convolution in this form.
struct Plan {
    /// Zeros in front of the image.
    front: [usize; 2],
    /// Rows and columns of windows in an image.
    grid: [usize; 2],
    /// Columns of the matrices of one group.
    windows: usize,
    /// Pieces that these are cut into, by vectors.
    pieces: usize,
}

impl Plan {
    /// `None` if the convolution has another form, or sums of products are as good.
    fn of(op: &Convolution, s: &Sizes) -> Option<Self> {
        let is = |xs: &[usize], value: usize| xs.iter().all(|x| *x == value);
        if s.k != [3, 3] || !is(&op.stride, 1) || !is(&op.dilation, 1) {
            return None;
        }
        let front = |d: usize| if op.transposed { 2usize.checked_sub(op.padding[d]) } else { Some(op.padding[d]) };
        let (front, [height, width]) = ([front(0)?, front(1)?], [s.y[0], s.y[1]]);
        let grid = [height, width].map(|n| n.div_ceil(2));
        // Borders are any number of zeros, and meeting them costs sums of products nothing.
        if (0..2).any(|d| front[d] > 2 || s.x[d] == 0) {
            return None;
        }
        let windows = s.images * grid[0] * grid[1];
        let (each, ends) = (s.ci * s.co, s.ci + s.co);
        let ours = windows.next_multiple_of(LONGEST) * (each + TURN * ends) + TURN_KERNEL * each;
        let sums = s.images * height * width * TAPS * each / LONGEST;
        if windows < 2 * LONGEST || ours * 5 > sums * 4 {
            return None;
        }
        let vectors = windows.div_ceil(LONGEST);
        let most = (NEAR / (PLACES * LONGEST * ends)).clamp(4, VECTORS);
        // Few pieces are shared evenly.
        let pieces = vectors.div_ceil(most).next_multiple_of(if vectors >= 16 { 4 } else { 2 });
        Some(Plan { front, grid, windows, pieces: pieces.min(vectors) })
    }

    /// The segments of a piece, with their images, in order.
    fn segments(&self, piece: usize) -> (usize, Vec<(usize, Segment)>) {
        let vectors = self.windows.div_ceil(LONGEST);
        let end = |i: usize| (i * vectors / self.pieces * LONGEST).min(self.windows);
        let (first, last, [rows, columns]) = (end(piece), end(piece + 1), self.grid);
        let mut segments = Vec::new();
        let mut at = first;
        while at < last {
            let (row, column) = (at / columns, at % columns);
            let count = (columns - column).min(last - at);
            segments.push((row / rows, Segment { row: row % rows, first: column, count, at: at - first }));
            at += count;
        }
        (last - first, segments)
    }
}

/// The kernels of all groups, turned.
struct Factors {
    block: Block,
    /// How far rows are apart, matrices, and those of groups.
    row: usize,
    plane: usize,
    group: usize,
}

impl Factors {
    /// # Safety
    /// `w` are the weights, and the CPU has the vectors, which are some.
    unsafe fn new<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, w: *const T) -> Self {
        let row = apart::<T>(s.ci);
        let plane = s.co * row + LONGEST;
        let group = PLACES * plane;
        let factors = Factors { block: Block::new(s.groups * group * size_of::<T>()), row, plane, group };
        let to: *mut T = factors.block.as_ptr().cast();
        let pointers = Pointers(w, w, to);
        threads::for_each(s.groups * s.co, (s.groups * s.co * s.ci * 2) as u64, &|channel| {
            let ((g, o), (w, _, to)) = ((channel / s.co, channel % s.co), pointers.get());
            let sorted = Block::new(TAPS * s.ci * size_of::<T>());
            // The kernels of a transposed convolution have the result's channels inside.
            let (from, apart) =
                if op.transposed { (g * s.ci * s.co + o, s.co * TAPS) } else { ((g * s.co + o) * s.ci, TAPS) };
            let from = w.wrapping_add(from * TAPS);
            let (count, sorted, to) = (s.ci, sorted.as_ptr().cast(), to.wrapping_add(g * group + o * row));
            let is_flipped = op.transposed;
            // SAFETY: the caller's; each channel has a row of its own in each matrix.
            unsafe {
                T::kernels(vectors, Kernels { from, count, apart, is_flipped, sorted, half: T::HALF, to, plane });
            }
        });
        factors
    }
}

/// How far rows of `n` elements are apart.
fn apart<T>(n: usize) -> usize {
    let n = n.next_multiple_of(LONGEST);
    if (n * size_of::<T>()).is_multiple_of(SETS) { n + LONGEST } else { n }
}

/// Computes a convolution in this form; `false` if it has another one, or if something is not finite: nothing is computed then.
///
/// # Safety
/// The operands have the sizes `s`, none of the result's is 0, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    if vectors == Vectors::Portable {
        return false;
    }
    let Some(plan) = Plan::of(op, s) else { return false };
    // SAFETY: the caller's.
    let factors = unsafe { Factors::new(op, s, vectors, w) };
    let left: *const T = factors.block.as_ptr().cast_const().cast();
    let (x_plane, y_plane) = (s.x[0] * s.x[1], s.y[0] * s.y[1]);
    let line = 2 * plan.grid[1] + SIDE + 2 * LONGEST;
    let cost = (s.groups * plan.windows * s.co * s.ci) as u64 * PLACES as u64 / 40;
    let (is_finite, pointers) = (AtomicBool::new(true), Pointers(x, left, y));
    threads::for_each(plan.pieces * s.groups, cost, &|piece| {
        let (g, piece) = (piece / plan.pieces, piece % plan.pieces);
        let (x, left, y) = pointers.get();
        let (count, segments) = plan.segments(piece);
        // A vector more than the windows have, which may be read and written.
        let row = apart::<T>(count + LONGEST);
        let [of_x, of_y] = [s.ci, s.co].map(|channels| channels * row + LONGEST);
        let lines = 2 * plan.grid[0] + SIDE;
        let memory = Block::new((PLACES * (of_x + of_y) + lines * line + 2 * LONGEST) * size_of::<T>());
        let turned: *mut T = memory.as_ptr().cast();
        let (products, padded) = (turned.wrapping_add(PLACES * of_x), turned.wrapping_add(PLACES * (of_x + of_y)));
        let images: Vec<&[(usize, Segment)]> = segments.chunk_by(|a, b| a.0 == b.0).collect();
        let of = |image: &[(usize, Segment)]| image.iter().map(|(_, s)| *s).collect::<Vec<_>>();
        for image in &images {
            let from = x.wrapping_add((image[0].0 * s.groups + g) * s.ci * x_plane);
            let (segments, size) = (&of(image)[..], [s.x[0], s.x[1]]);
            let (channels, front, to, plane) = (s.ci, plan.front, turned, of_x);
            let windows = Windows { segments, from, channels, size, front, padded, line, to, row, plane };
            // SAFETY: the caller's; there is room for all lines of an image, and for these windows.
            unsafe { T::windows(vectors, windows) };
        }
        for place in 0..PLACES {
            let kernels = left.wrapping_add(g * factors.group + place * factors.plane);
            let windows = turned.wrapping_add(place * of_x).cast_const();
            let to = Target { at: products.wrapping_add(place * of_y), row };
            let [a, b] = [(kernels, factors.row), (windows, row)];
            let [a, b] = [a, b].map(|(at, row)| Operand { at, row: row as isize, col: 1 });
            // SAFETY: the matrices have these elements; columns behind the windows belong to none, and are not read.
            unsafe { product(vectors, [s.co, s.ci, count.next_multiple_of(LONGEST)], a, b, to, Onto::Nothing) };
        }
        for image in &images {
            let to = y.wrapping_add((image[0].0 * s.groups + g) * s.co * y_plane);
            let (segments, from, size) = (&of(image)[..], products.cast_const(), [s.y[0], s.y[1]]);
            let results = Results { segments, from, row, plane: of_y, to, channels: s.co, size };
            // SAFETY: the caller's; squares belong to one piece.
            if !unsafe { T::results(vectors, results) } {
                is_finite.store(false, Ordering::Relaxed);
            }
        }
    });
    is_finite.into_inner()
}
