//! Products of `bf16` with sums of `f32`.
//!
//! On a CPU that has [pairs](super::pairs), these are multiplied. It takes what is below the smallest normal number for zero, which nobody may see: operands
//! with elements that are so small that products or sums could be are multiplied as `f32`, like all on other CPUs.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only CPUs of x86-64 have pairs"))]

use std::sync::atomic::{AtomicBool, Ordering};

use cotangent_loops::ir::Matrix;

use super::Vectors;
use super::axis::Shared;
use super::matmul::{Pointers, Product};
#[cfg(target_arch = "x86_64")]
use super::pairs::{self, Pair};
use super::vectors::{Loops, with};
use crate::memory::Block;
use crate::threads;

/// The bits of 2⁻⁵⁰. Products of numbers that are no smaller, and all sums of these, are zero or multiples of 2⁻¹¹⁴, which are normal.
const SMALL: u16 = (127 - 50) << 7;
/// Lines that a thread takes at once.
const LINES: usize = 16;
/// Elements that a thread takes at once where all lie in one line.
const FLAT: usize = 1 << 13;

impl Product {
    /// The products of elements of `bf16`, into `f32`.
    ///
    /// # Safety
    /// As [`Product::run`].
    pub unsafe fn halves(&self, vectors: Vectors, p: Pointers) {
        let [lhs, rhs] = self.sides(p);
        let k = self.k;
        // SAFETY: the caller's: all elements of both sides exist, and the copies have those that the matrices say.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if pairs::available(vectors) && !lhs.has_small(vectors) && !rhs.has_small(vectors) {
                let paired = |x: u16, y: u16| u32::from(x) | u32::from(y) << 16;
                let [(a, lhs), (b, rhs)] = [&lhs, &rhs].map(|side| match side.paired() {
                    Some(matrix) => (None, (side.at.cast(), matrix)),
                    None => side.copied::<u32, 2>(vectors, |[x, y]| paired(x, y)),
                });
                let product = Product { k: k.div_ceil(2), lhs: lhs.1, rhs: turned(rhs.1), ..*self };
                product.numbers::<Pair>(vectors, Pointers::of(lhs.0, rhs.0, p.out::<u32>()));
                drop((a, b));
                return;
            }
            let wide = |[x]: [u16; 1]| u32::from(x) << 16;
            let [(a, lhs), (b, rhs)] = [&lhs, &rhs].map(|side| side.copied::<u32, 1>(vectors, wide));
            let product = Product { k, lhs: lhs.1, rhs: turned(rhs.1), ..*self };
            product.numbers::<f32>(vectors, Pointers::of(lhs.0.cast(), rhs.0.cast(), p.out::<f32>()));
            drop((a, b));
        }
    }

    /// Both operands, with the inner dim last.
    fn sides(&self, p: Pointers) -> [Side; 2] {
        let side = |at: *const u16, outer: usize, x: Matrix| Side {
            at: at.wrapping_offset(x.offset as isize),
            batch: if x.batch == 0 { 1 } else { self.batch },
            sizes: [outer, self.k],
            matrix: Matrix { offset: 0, ..x },
        };
        [side(p.lhs(), self.m, self.lhs), side(p.rhs(), self.n, turned(self.rhs))]
    }
}

fn turned(x: Matrix) -> Matrix {
    Matrix { row: x.col, col: x.row, ..x }
}

/// An operand: matrices of `sizes`, of which the inner dim is the last.
struct Side {
    at: *const u16,
    /// How many there are, each once.
    batch: usize,
    sizes: [usize; 2],
    matrix: Matrix,
}
// SAFETY: it is only read.
unsafe impl Sync for Side {}

impl Side {
    /// Whether lines in memory go along the inner dim.
    fn is_inner(&self) -> bool {
        self.matrix.col == 1
    }

    /// The pairs as they lie, if they do.
    #[cfg(target_arch = "x86_64")]
    fn paired(&self) -> Option<Matrix> {
        let Matrix { offset: _, batch, row, col: _ } = self.matrix;
        let is_even = [batch, row, self.sizes[1] as i64].iter().all(|n| n % 2 == 0);
        (self.is_inner() && is_even).then_some(Matrix { offset: 0, batch: batch / 2, row: row / 2, col: 1 })
    }

    /// The number of lines of one matrix, the elements of each, and how far lines and elements are apart.
    fn lines(&self) -> ([usize; 2], [isize; 2]) {
        let ([outer, inner], Matrix { row, col, .. }) = (self.sizes, self.matrix);
        let (row, col) = (row as isize, col as isize);
        if self.is_inner() { ([outer, inner], [row, col]) } else { ([inner, outer], [col, row]) }
    }

    /// Line `i` of all.
    fn line(&self, i: usize) -> *const u16 {
        let ([count, _], [step, _]) = self.lines();
        let (b, i) = ((i / count) as isize, (i % count) as isize);
        self.at.wrapping_offset(b * self.matrix.batch as isize + i * step)
    }

    /// Whether there is an element that is not zero, but small.
    ///
    /// # Safety
    /// The CPU has the vectors; the elements exist.
    unsafe fn has_small(&self, vectors: Vectors) -> bool {
        let ([count, n], [apart, step]) = self.lines();
        let (lines, found) = (self.batch * count, AtomicBool::new(false));
        let follow = |apart: isize, count: usize, len: usize| count == 1 || apart == len as isize;
        if step == 1 && follow(apart, count, n) && follow(self.matrix.batch as isize, self.batch, count * n) {
            // One line: many short ones would cost as much to begin as to look at.
            threads::for_each((lines * n).div_ceil(FLAT), (lines * n / 32) as u64, &|piece| {
                let (at, n, mut least) =
                    (self.at.wrapping_add(piece * FLAT), FLAT.min(lines * n - piece * FLAT), u16::MAX);
                // SAFETY: the caller's.
                unsafe { with(vectors, Least { at, n, step, least: &mut least }) };
                if least < SMALL - 1 {
                    found.store(true, Ordering::Relaxed);
                }
            });
            return found.load(Ordering::Relaxed);
        }
        threads::for_each(lines.div_ceil(LINES), (lines * n / 32) as u64, &|piece| {
            for i in piece * LINES..lines.min((piece + 1) * LINES) {
                let mut least = u16::MAX;
                // SAFETY: the caller's.
                unsafe { with(vectors, Least { at: self.line(i), n, step, least: &mut least }) };
                if least < SMALL - 1 {
                    found.store(true, Ordering::Relaxed);
                }
            }
        });
        found.load(Ordering::Relaxed)
    }

    /// The elements, `N` along the inner dim as one, with zeros behind the last: dense, in lines as they lie.
    ///
    /// # Safety
    /// As [`Side::has_small`].
    unsafe fn copied<U: Copy, const N: usize>(
        &self,
        vectors: Vectors,
        of: impl Fn([u16; N]) -> U + Sync,
    ) -> (Option<Block>, (*const U, Matrix)) {
        let ([outer, k], is_inner) = (self.sizes, self.is_inner());
        let inner = k.div_ceil(N);
        let block = Block::new(self.batch * outer * inner * size_of::<U>());
        let to = Shared(block.as_ptr().cast::<U>());
        let ([_, n], [apart, step]) = self.lines();
        // Lines of the copy, of one matrix.
        let [count, width] = if is_inner { [outer, inner] } else { [inner, outer] };
        let lines = self.batch * count;
        threads::for_each(lines.div_ceil(LINES), (lines * width / 8) as u64, &|piece| {
            for i in piece * LINES..lines.min((piece + 1) * LINES) {
                let to = to.get().wrapping_add(i * width);
                // SAFETY: the caller's; each line of the copy belongs to one piece.
                unsafe {
                    if is_inner {
                        let line = std::slice::from_raw_parts(self.line(i), n);
                        let to = std::slice::from_raw_parts_mut(to, width);
                        with(vectors, Inner { line, to, of: &of });
                    } else {
                        let (b, p) = (i / count, i % count);
                        let first = self.line(b * k + p * N);
                        let there = N.min(k - p * N);
                        with(vectors, Across { first, apart, there, step, width, to, of: &of });
                    }
                }
            }
        });
        let batch = if self.matrix.batch == 0 { 0 } else { (outer * inner) as i64 };
        let (row, col) = if is_inner { (inner as i64, 1) } else { (1, outer as i64) };
        (Some(block), (to.get().cast_const(), Matrix { offset: 0, batch, row, col }))
    }
}

/// The least magnitude of a line that is not zero, one less.
struct Least<'a> {
    at: *const u16,
    n: usize,
    step: isize,
    least: &'a mut u16,
}

impl Loops for Least<'_> {
    /// # Safety
    /// The elements exist.
    #[inline(always)]
    unsafe fn run(self) {
        let Least { at, n, step, least } = self;
        let of = |x: u16| (x & 0x7FFF).wrapping_sub(1);
        // SAFETY: the caller's.
        unsafe {
            *least = if step == 1 {
                std::slice::from_raw_parts(at, n).iter().fold(u16::MAX, |m, x| m.min(of(*x)))
            } else {
                (0..n as isize).fold(u16::MAX, |m, i| m.min(of(*at.wrapping_offset(i * step))))
            };
        }
    }
}

/// `N` neighbours of a line as one.
struct Inner<'a, U, F, const N: usize> {
    line: &'a [u16],
    to: &'a mut [U],
    of: &'a F,
}

impl<U, F: Fn([u16; N]) -> U, const N: usize> Loops for Inner<'_, U, F, N> {
    #[inline(always)]
    unsafe fn run(self) {
        let Inner { line, to, of } = self;
        let (whole, rest) = line.as_chunks::<N>();
        to.iter_mut().zip(whole).for_each(|(y, x)| *y = of(*x));
        if !rest.is_empty() {
            to[whole.len()] = of(std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0)));
        }
    }
}

/// `there ≤ N` lines as one: elements of each that stand beside one another.
struct Across<'a, U, F, const N: usize> {
    first: *const u16,
    apart: isize,
    there: usize,
    step: isize,
    width: usize,
    to: *mut U,
    of: &'a F,
}

impl<U, F: Fn([u16; N]) -> U, const N: usize> Loops for Across<'_, U, F, N> {
    /// # Safety
    /// The elements of the lines exist, and nobody else uses those of the copy.
    #[inline(always)]
    unsafe fn run(self) {
        let Across { first, apart, there, step, width, to, of } = self;
        let at = |l: usize, j: usize| first.wrapping_offset(l as isize * apart + j as isize * step);
        // SAFETY: the caller's.
        unsafe {
            if step == 1 && there == N && N <= 2 {
                let [x, y] = [0, N - 1].map(|l| std::slice::from_raw_parts(at(l, 0), width));
                return both(x, y, std::slice::from_raw_parts_mut(to, width), of);
            }
            for j in 0..width {
                to.add(j).write(of(std::array::from_fn(|l| if l < there { *at(l, j) } else { 0 })));
            }
        }
    }
}

/// One line or two as one. Slices of a function do not overlap, which the compiler makes vectors of.
#[inline(always)]
fn both<U, const N: usize>(x: &[u16], y: &[u16], to: &mut [U], of: impl Fn([u16; N]) -> U) {
    for ((to, x), y) in to.iter_mut().zip(x).zip(y) {
        *to = of(std::array::from_fn(|l| if l == 0 { *x } else { *y }));
    }
}
