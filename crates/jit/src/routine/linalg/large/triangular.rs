//! Triangular systems of large matrices.

use std::ops::Range;

use cotangent_core::array::Element;

use super::{PART, Room, middle, pieces};
use crate::routine::axis::Shared;
use crate::routine::linalg::Halves;
use crate::routine::linalg::triangular::Triangular;
use crate::routine::vectors::{Loops, with};
use crate::routine::{Onto, Operand, Target, Vectors, product};
use crate::threads;

/// Columns that are solved together.
const COLUMNS: usize = 8;

/// The matrix of systems `A · X = B`, of which only a triangle is read.
#[derive(Clone, Copy)]
pub(super) struct Triangle {
    /// The matrix.
    pub(super) a: Operand<f64>,
    /// Whether it is the upper triangle.
    pub(super) upper: bool,
    /// Whether its diagonal is of ones, which are not read.
    pub(super) unit: bool,
}

impl Triangle {
    /// Solves `n` equations in place of the right-hand sides, which are columns of `x`, on several threads.
    ///
    /// # Safety
    /// The CPU has the vectors; the matrices have their elements, and nobody else uses `x`.
    pub(super) unsafe fn solve_shared(self, vectors: Vectors, n: usize, x: Target<f64>, columns: usize) {
        let (all, a, at) = (pieces(0..columns), Shared(self.a.at.cast_mut()), Shared(x.at));
        let [row, col] = [self.a.row, self.a.col];
        threads::for_each(all.len(), (n * n * columns) as u64 / 30, &|piece| {
            let own = all[piece].clone();
            let x = Target { at: at.get(), ..x }.from(0, own.start);
            let a = Operand { at: a.get().cast_const(), row, col };
            // SAFETY: the caller's; each piece has columns of its own.
            unsafe { Triangle { a, ..self }.solve(vectors, 0..n, x, own.len()) };
        });
    }

    /// Solves equations `of` the system, as if there were no others, in place of the right-hand sides.
    ///
    /// # Safety
    /// As [`Triangle::solve_shared`].
    pub(super) unsafe fn solve(self, vectors: Vectors, of: Range<usize>, x: Target<f64>, columns: usize) {
        if of.len() <= PART {
            // SAFETY: the caller's.
            return unsafe { with(vectors, Part { system: self, of, x, columns }) };
        }
        let mid = middle(&of);
        let (first, second) = if self.upper { (mid..of.end, of.start..mid) } else { (of.start..mid, mid..of.end) };
        // SAFETY: the caller's.
        unsafe {
            self.solve(vectors, first.clone(), x, columns);
            let (known, unknown) = (x.from(first.start, 0).operand(), x.from(second.start, 0));
            let a = self.a.from(second.start, first.start);
            product(vectors, [second.len(), first.len(), columns], a, known, unknown, Onto::Difference);
            self.solve(vectors, second, x, columns);
        }
    }
}

/// A few equations. Safety: as [`Triangle::solve_shared`].
struct Part {
    system: Triangle,
    of: Range<usize>,
    x: Target<f64>,
    columns: usize,
}

impl Loops for Part {
    #[inline(always)]
    unsafe fn run(self) {
        let Part { system, of, x, columns } = self;
        let n = of.len();
        // The equations in the order in which they are solved; those that are missing have the solution 0.
        let place = |i: usize| if system.upper { of.end - 1 - i } else { of.start + i };
        let mut a = [[0.0; PART]; PART];
        for (i, row) in a.iter_mut().enumerate() {
            // SAFETY: the caller's: the elements belong to the triangle.
            row.iter_mut().enumerate().take(i.min(n)).for_each(|(p, a)| {
                if i < n {
                    *a = unsafe { *system.a.from(place(i), place(p)).at };
                }
            });
            row[i] = if i < n && !system.unit { unsafe { *system.a.from(place(i), place(i)).at } } else { 1.0 };
        }
        let mut j = 0;
        // SAFETY: the caller's; the columns exist.
        unsafe {
            while j + COLUMNS <= columns {
                some::<COLUMNS>(&a, system.unit, n, |i| x.from(place(i), j).at);
                j += COLUMNS;
            }
            while j < columns {
                some::<1>(&a, system.unit, n, |i| x.from(place(i), j).at);
                j += 1;
            }
        }
    }
}

/// Solves for `N` columns whose elements of equation `i < n` stand at `at(i)`.
///
/// # Safety
/// As [`Triangle::solve_shared`].
#[inline(always)]
unsafe fn some<const N: usize>(a: &[[f64; PART]; PART], unit: bool, n: usize, at: impl Fn(usize) -> *mut f64) {
    let mut x = [[0.0; N]; PART];
    // SAFETY: the caller's.
    x.iter_mut().enumerate().take(n).for_each(|(i, x)| *x = unsafe { *at(i).cast() });
    for i in 0..PART {
        let mut row = x[i];
        for p in 0..i {
            for j in 0..N {
                row[j] -= a[i][p] * x[p][j];
            }
        }
        if !unit {
            row.iter_mut().for_each(|x| *x /= a[i][i]);
        }
        x[i] = row;
    }
    // SAFETY: the caller's.
    x.iter().enumerate().take(n).for_each(|(i, x)| unsafe { *at(i).cast() = *x });
}

impl<T: Element> Halves for Triangular<'_, T> {
    fn side(&self) -> usize {
        self.a.rows
    }

    unsafe fn halves(&self, i: usize, vectors: Vectors) -> bool {
        let (n, k, right) = (self.a.rows, self.systems(), !self.op.left);
        // Products read whole vectors of their right operand.
        let columns = k.next_multiple_of(COLUMNS);
        let (mut room, x) = (None, Room::new(n, columns));
        let [b, solution] = [&self.b, &self.x].map(|m| m.outside(i, vectors));
        // SAFETY: the caller's.
        unsafe {
            let a = self.a.outside(i, vectors).read(&mut room);
            // From the right, the system is that of the transposed matrices.
            let a = if right { a.turned() } else { a };
            (0..n).for_each(|i| x.target().row(i, columns)[k..].fill(0.0));
            b.load(x.target(), right);
            let system = Triangle { a, upper: self.op.upper == self.op.left, unit: self.op.unitriangular };
            system.solve_shared(vectors, n, x.target(), columns);
            solution.store(x.target(), right, |_| 0..self.x.cols);
        }
        true
    }
}
