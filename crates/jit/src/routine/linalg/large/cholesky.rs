//! Factors of large positive definite matrices.

use std::ops::Range;

use cotangent_core::array::Element;

use super::triangular::Triangle;
use super::{PART, Room, middle};
use crate::routine::axis::Shared;
use crate::routine::linalg::Halves;
use crate::routine::linalg::cholesky::Cholesky;
use crate::routine::vectors::{Loops, with};
use crate::routine::{Onto, Target, Vectors, product};
use crate::threads;

/// Rows of a block of what a half leaves of the other.
const BLOCK: usize = 48;

impl<T: Element> Halves for Cholesky<T> {
    fn side(&self) -> usize {
        self.a.rows
    }

    unsafe fn halves(&self, i: usize, vectors: Vectors) -> bool {
        let n = self.a.rows;
        let room = Room::new(n, n);
        // What is in memory has the upper triangle: rows of it are vectors.
        let (a, turned) = (room.target(), !self.upper);
        // SAFETY: the caller's.
        unsafe {
            self.a.outside(i, vectors).load(a, turned);
            let is_done = factor(vectors, a, 0..n);
            if is_done {
                let kept = |i| if self.upper { i..n } else { 0..i + 1 };
                self.factor.outside(i, vectors).store(a, turned, kept);
            }
            is_done
        }
    }
}

/// `A = Uᵀ · U` for the part of a matrix with these rows and columns, of which the upper triangle is used; `false` if it is not positive.
///
/// # Safety
/// The CPU has the vectors, `a` has the elements, and nobody else uses them.
unsafe fn factor(vectors: Vectors, a: Target<f64>, of: Range<usize>) -> bool {
    let first = a.from(of.start, of.start);
    let mut is_done = true;
    // SAFETY: the caller's.
    unsafe {
        if of.len() <= PART {
            with(vectors, Part { a: first, n: of.len(), is_done: &mut is_done });
            return is_done;
        }
        let mid = middle(&of);
        let (rest, above) = (mid..of.end, a.from(of.start, mid));
        is_done = factor(vectors, a, of.start..mid);
        if is_done {
            let transposed = Triangle { a: first.operand().turned(), upper: false, unit: false };
            transposed.solve_shared(vectors, mid - of.start, above, rest.len());
            square(vectors, a.from(mid, mid), above, [mid - of.start, rest.len()]);
            is_done = factor(vectors, a, rest);
        }
    }
    is_done
}

/// `to -= xᵀ · x` on and above the diagonal, for `x` of `[k, n]`.
///
/// # Safety
/// As [`factor`].
unsafe fn square(vectors: Vectors, to: Target<f64>, x: Target<f64>, [k, n]: [usize; 2]) {
    let (to, x, row) = (Shared(to.at), Shared(x.at), x.row);
    threads::for_each(n.div_ceil(BLOCK), (n * n * k) as u64 / 30, &|block| {
        let [to, x] = [to.get(), x.get()].map(|at| Target { at, row });
        let first = block * BLOCK;
        let right = x.from(0, first).operand();
        let mkn = [BLOCK.min(n - first), k, n - first];
        // SAFETY: the caller's; blocks have rows of their own.
        unsafe { product(vectors, mkn, right.turned(), right, to.from(first, first), Onto::Difference) };
    });
}

/// The factor of a few rows and columns. Safety: as [`factor`].
struct Part<'a> {
    a: Target<f64>,
    n: usize,
    is_done: &'a mut bool,
}

impl Loops for Part<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Part { a, n, is_done } = self;
        for j in 0..n {
            // SAFETY: the caller's.
            let row = unsafe { a.row(j, n) };
            // NaN is not positive either.
            *is_done &= row[j] > 0.0;
            let root = row[j].sqrt();
            row[j] = root;
            row[j + 1..].iter_mut().for_each(|x| *x /= root);
            for i in j + 1..n {
                // SAFETY: the caller's: another row.
                let other = unsafe { a.row(i, n) };
                (i..n).for_each(|c| other[c] -= row[i] * row[c]);
            }
        }
    }
}
