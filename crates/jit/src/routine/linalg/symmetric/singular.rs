//! Singular values and vectors: roots of the eigenvalues of `Aᵀ · A`, or of `A · Aᵀ` if that is smaller, and its vectors; values of `f64` alone by reflections
//! from both sides.

use std::marker::PhantomData;

use cotangent_core::array::Element;
use cotangent_core::ir::DType;

use super::bidiagonal;
use super::columns::Columns;
use super::reflections::turn;
use super::tridiagonal::Tridiagonal;
use super::{Lane, STEP, Square};
use crate::routine::axis::Shared;
use crate::routine::lanes::{F64x4, F64x8, Kernel};
use crate::routine::linalg::large::Room;
use crate::routine::linalg::{Batch, each};
use crate::routine::{Onto, Target, Vectors, product};

/// The least of the squares of singular values over the largest: of a smaller one, less than the digits of an `f32` are left.
const LEAST: f64 = 1e-9;

/// Singular values of a batch of matrices.
pub(in crate::routine::linalg) struct Singular<T> {
    /// The matrices.
    pub(in crate::routine::linalg) a: Batch<T>,
    /// The values, in descending order.
    pub(in crate::routine::linalg) values: Shared<T>,
    /// The vectors, if they are asked for: those on the left as columns, those on the right as rows.
    pub(in crate::routine::linalg) vectors: Option<[Batch<T>; 2]>,
}

impl<T: Element> Singular<T> {
    /// Computes them. Gives the matrices that the reference should see.
    ///
    /// # Safety
    /// The CPU has the vectors; the operands and results have the batch's elements, and nobody else uses those of the results.
    pub(in crate::routine::linalg) unsafe fn run(&self, vectors: Vectors) -> Vec<usize> {
        // Squares have the digits of `f32` twice, and those of `f64` once.
        let by_reflections = T::DTYPE == DType::F64;
        if by_reflections && self.vectors.is_some() {
            return (0..self.a.count).collect();
        }
        let (most, k) = (self.a.rows.max(self.a.cols) as u64, self.a.rows.min(self.a.cols) as u64);
        let cost = 500 + 30 * k + 9 * k * k + k * k * (k + 2 * most) / if self.vectors.is_some() { 8 } else { 24 };
        each(self.a.count, cost, |i| {
            // SAFETY: the caller's.
            unsafe {
                by_vectors!(vectors, F64x4 F64x8, V => {
                    if by_reflections { self.values_alone::<V>(i, vectors) } else { self.matrix::<V>(i, vectors) }
                }, else => false)
            }
        })
    }

    /// The values of matrix `i`, by reflections.
    ///
    /// # Safety
    /// As [`Singular::run`].
    unsafe fn values_alone<V: Lane>(&self, i: usize, vectors: Vectors) -> bool {
        let (m, n) = (self.a.rows, self.a.cols);
        let (size, k) = ([m.max(n), m.min(n)], m.min(n));
        if k == 0 {
            return true;
        }
        let room = bidiagonal::room(size);
        // SAFETY: the caller's; the memory is ours, and has the rows and columns.
        unsafe {
            self.a.outside(i, vectors).load(room.target(), m < n);
            let Some(found) = bidiagonal::singular_values::<V>(room.target(), size) else { return false };
            let to = std::slice::from_raw_parts_mut(self.values.get().add(i * k), k);
            to.iter_mut().zip(found).for_each(|(to, x)| *to = T::from_f64(x));
        }
        true
    }

    /// Matrix `i` alone.
    ///
    /// # Safety
    /// As [`Singular::run`].
    unsafe fn matrix<V: Lane>(&self, i: usize, vectors: Vectors) -> bool {
        let (m, n) = (self.a.rows, self.a.cols);
        let k = m.min(n);
        if k == 0 {
            return true;
        }
        // Products read whole vectors of right operands, also behind the last row.
        let (room, square_room) = (Room::new(m + 1, n), Square::room(k));
        let square = Square::of(&square_room, k);
        // SAFETY: the caller's; the memory is ours, and has the rows and columns.
        unsafe {
            self.a.outside(i, vectors).load(room.target(), false);
            let x = room.target().operand();
            // Its longer side first.
            let x = if m < n { x.turned() } else { x };
            product(vectors, [k, m.max(n), k], x.turned(), x, square_room.target(), Onto::Nothing);
            let Some(t) = Tridiagonal::of::<V>(square) else { return false };
            let Some(mut found) = t.values() else { return false };
            found.sort_by(|x, y| y.value.total_cmp(&x.value));
            if found[k - 1].value.is_nan() || found[k - 1].value <= LEAST * found[0].value {
                return false;
            }
            let values = std::slice::from_raw_parts_mut(self.values.get().add(i * k), k);
            let mut inverses = vec![1.0; k.next_multiple_of(STEP)];
            for ((to, inverse), x) in values.iter_mut().zip(&mut inverses).zip(&found) {
                let value = (x.value * t.size).sqrt();
                (*to, *inverse) = (T::from_f64(value), value.recip());
            }
            let Some([left, right]) = &self.vectors else { return true };
            let own_room = Square::room(k);
            let own = Square::of(&own_room, k);
            if !(Columns { t: &t, found: &found, a: square, z: own }).find::<V>(vectors, false) {
                return false;
            }
            // Those of the other side are images, divided by the values; the left ones say which sign a pair has.
            let other_room = Room::new(m.max(n) + 1, k);
            let other = other_room.target();
            product(vectors, [m.max(n), k, k], x, own_room.target().operand(), other, Onto::Nothing);
            V::enabled(Divide::<V> {
                to: other,
                rows: m.max(n),
                factors: &mut inverses,
                turns: m >= n,
                lanes: PhantomData,
            });
            let [u, v] = if m >= n { [other, own_room.target()] } else { [own_room.target(), other] };
            if m >= n {
                for j in 0..k {
                    own.line(j).iter_mut().zip(&inverses).for_each(|(x, sign)| *x *= sign);
                }
            }
            left.outside(i, vectors).store(u, false, |_| 0..k);
            right.outside(i, vectors).store(v, true, |_| 0..n);
        }
        true
    }
}

/// Multiplies columns by factors, and turns their signs as [`turn`] does, if asked to; the factors become the signs. Safety: the CPU has the vectors,
/// and the columns are there, in whole steps.
struct Divide<'a, V> {
    to: Target<f64>,
    rows: usize,
    factors: &'a mut [f64],
    turns: bool,
    lanes: PhantomData<V>,
}

impl<V: Lane> Kernel for Divide<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        for (c, factors) in self.factors.chunks_exact_mut(V::LANES).enumerate() {
            let to = self.to.from(0, c * V::LANES);
            // SAFETY: the caller's; there are as many factors as lanes.
            unsafe {
                let by = V::load(factors.as_ptr());
                for i in 0..self.rows {
                    let at = to.from(i, 0).at;
                    V::zero().fma(V::load(at), by).store(at);
                }
                if self.turns {
                    turn::<V>(to, self.rows).store(factors.as_mut_ptr());
                }
            }
        }
    }
}
