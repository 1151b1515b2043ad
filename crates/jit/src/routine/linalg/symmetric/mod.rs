//! Eigenvalues and eigenvectors of symmetric matrices, and what is made of them.
//!
//! Reflections make a matrix tridiagonal, the eigenvalues of that are found without vectors, and each gives its vector by itself, which the
//! reflections turn into the matrix's. Vectors of eigenvalues close to one another would not be orthogonal: such matrices are left to the
//! reference, as are those of unusual sizes.

mod bidiagonal;
mod columns;
mod eigen;
mod eigenvectors;
mod reflections;
mod singular;
mod tridiagonal;
mod values;

pub(super) use eigen::Eigen;
pub(super) use singular::Singular;

use super::large::Room;
use super::number::Number;
use crate::routine::lanes::{F64x4, F64x8, Lanes};

/// Numbers of which whole groups are computed.
const STEP: usize = 8;

/// Vectors of `f64`, also as numbers of several matrices.
trait Lane: Lanes<T = f64> + Number {
    /// Vectors side by side whose columns are reflected together: sums of [`STEP`] reflections for each fill the registers.
    const BESIDE: usize;
    /// The same number in all lanes.
    ///
    /// # Safety
    /// The CPU has the vectors.
    #[inline(always)]
    unsafe fn all(x: f64) -> Self {
        // SAFETY: the caller's.
        unsafe { <Self as Number>::splat(x) }
    }
    /// A number from memory in all lanes.
    ///
    /// # Safety
    /// The CPU has the vectors, and the number is there.
    #[inline(always)]
    unsafe fn one_of(x: *const f64) -> Self {
        // SAFETY: the caller's.
        unsafe { <Self as Lanes>::splat(x) }
    }
}

impl Lane for F64x4 {
    const BESIDE: usize = 1;
}

impl Lane for F64x8 {
    const BESIDE: usize = 2;
}

/// A square matrix in memory of whole steps of rows and columns.
#[derive(Clone, Copy)]
struct Square {
    at: *mut f64,
    /// How far rows are from one another.
    row: usize,
    n: usize,
}

// SAFETY: threads read what nobody writes, and write columns of their own.
unsafe impl Sync for Square {}

impl Square {
    /// Memory for a matrix of `n` rows, which products may read beyond its end.
    fn room(n: usize) -> Room {
        let steps = n.next_multiple_of(STEP);
        Room::new(steps + 1, steps)
    }

    /// The matrix in memory that [`Square::room`] made.
    fn of(room: &Room, n: usize) -> Self {
        Square { at: room.target().at, row: room.target().row, n }
    }

    /// Row `i`, in whole steps.
    ///
    /// # Safety
    /// Nobody else uses it while it is written.
    #[inline(always)]
    unsafe fn line<'a>(self, i: usize) -> &'a mut [f64] {
        let steps = self.n.next_multiple_of(STEP);
        assert!(i < steps);
        // SAFETY: there are as many rows and columns; and the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(i * self.row), steps) }
    }

    /// All elements become zero, also those that fill steps.
    ///
    /// # Safety
    /// Nobody else uses it.
    unsafe fn clear(self) {
        // SAFETY: the caller's.
        (0..self.n.next_multiple_of(STEP)).for_each(|i| unsafe { self.line(i).fill(0.0) });
    }

    /// What reads whole steps can use of a matrix with a lower triangle: zeros behind its elements, blocks on the diagonal with both triangles. Gives
    /// the largest absolute value, or one that is no number.
    ///
    /// # Safety
    /// Nobody else uses it.
    unsafe fn complete(self) -> f64 {
        let mut most = 0.0;
        for i in 0..self.n.next_multiple_of(STEP) {
            // SAFETY: the caller's; rows differ.
            unsafe {
                let row = self.line(i);
                if i >= self.n {
                    row.fill(0.0);
                    continue;
                }
                row[self.n..].fill(0.0);
                for (j, x) in row[..i].iter().enumerate().skip(i / STEP * STEP) {
                    self.line(j)[i] = *x;
                }
                for x in &row[..=i] {
                    most = if x.abs() > most || x.is_nan() { x.abs() } else { most };
                    if most.is_nan() {
                        return most;
                    }
                }
            }
        }
        most
    }
}
