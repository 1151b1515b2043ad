//! Batches of symmetric matrices.

use cotangent_core::array::Element;
use cotangent_core::ir::DType;

use super::columns::{Column, Columns};
use super::tridiagonal::Tridiagonal;
use super::{Lane, Square};
use crate::routine::Vectors;
use crate::routine::axis::Shared;
use crate::routine::lanes::{F64x4, F64x8};
use crate::routine::linalg::{Batch, each};

/// Eigenvalues and eigenvectors of a batch of symmetric matrices.
pub(in crate::routine::linalg) struct Eigen<T> {
    /// The matrices.
    pub(in crate::routine::linalg) a: Batch<T>,
    /// Whether the upper triangle is read, instead of the lower one.
    pub(in crate::routine::linalg) upper: bool,
    /// The eigenvalues, in ascending order.
    pub(in crate::routine::linalg) values: Shared<T>,
    /// The vectors as columns, if they are asked for.
    pub(in crate::routine::linalg) vectors: Option<Batch<T>>,
}

impl<T: Element> Eigen<T> {
    /// Computes them. Gives the matrices that the reference should see.
    ///
    /// # Safety
    /// The CPU has the vectors; the operands and results have the batch's elements, and nobody else uses those of the results.
    pub(in crate::routine::linalg) unsafe fn run(&self, vectors: Vectors) -> Vec<usize> {
        let n = self.a.rows as u64;
        let cost = 500 + 30 * n + 9 * n * n + n * n * n / if self.vectors.is_some() { 8 } else { 24 };
        each(self.a.count, cost, |i| {
            // SAFETY: the caller's.
            unsafe { by_vectors!(vectors, F64x4 F64x8, V => self.matrix::<V>(i, vectors), else => false) }
        })
    }

    /// Matrix `i` alone.
    ///
    /// # Safety
    /// As [`Eigen::run`].
    unsafe fn matrix<V: Lane>(&self, i: usize, vectors: Vectors) -> bool {
        let n = self.a.rows;
        if n == 0 {
            return true;
        }
        let (a_room, z_room) = (Square::room(n), Square::room(n));
        let (a, z) = (Square::of(&a_room, n), Square::of(&z_room, n));
        // SAFETY: the caller's; the memory is ours, and has as many rows and columns.
        unsafe {
            self.a.outside(i, vectors).load(a_room.target(), self.upper);
            let Some(t) = Tridiagonal::of::<V>(a) else { return false };
            let Some(mut found) = t.values() else { return false };
            found.sort_by(|x: &Column, y| x.value.total_cmp(&y.value));
            let values = std::slice::from_raw_parts_mut(self.values.get().add(i * n), n);
            for (to, x) in values.iter_mut().zip(&found) {
                *to = T::from_f64(x.value * t.size);
            }
            let Some(to) = &self.vectors else { return true };
            let columns = Columns { t: &t, found: &found, a, z };
            if !columns.find::<V>(vectors, T::DTYPE == DType::F64) {
                return false;
            }
            to.outside(i, vectors).store(z_room.target(), false, |_| 0..n);
        }
        true
    }
}
