//! Matrix products element by element, with sums in a wider type: those of integers and halves.

use std::marker::PhantomData;

use super::Vectors;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, F64x8, Kernel, Lanes};
use super::matmul::{Pointers, Product};
use crate::threads;

impl Product {
    /// The products, each element a sum from `zero` on.
    ///
    /// # Safety
    /// The CPU has the vectors; and as [`Product::run`], for elements of `T`.
    pub unsafe fn each<T: Copy, S: Copy + Sync>(
        &self,
        vectors: Vectors,
        p: Pointers,
        zero: S,
        add: impl Fn(S, T, T) -> S + Sync,
        end: impl Fn(S) -> T + Sync,
    ) {
        let cost = (self.batch * self.m) as u64 * (self.n * self.k) as u64 / 4;
        threads::for_each(self.batch * self.m, cost, &|row| {
            let sums = Row { product: self, p, row, zero, add: &add, end: &end, of: PhantomData::<T> };
            // SAFETY: the caller's; each row of the result belongs to one piece.
            unsafe {
                match vectors {
                    #[cfg(target_arch = "x86_64")]
                    Vectors::V256 => F64x4::enabled(sums),
                    #[cfg(target_arch = "x86_64")]
                    Vectors::V512 => F64x8::enabled(sums),
                    Vectors::Portable => sums.compute(),
                }
            }
        });
    }
}

/// Sums that are made at once.
const COLUMNS: usize = 32;

/// A row of all results, one below the other.
struct Row<'a, T, S, A, E> {
    product: &'a Product,
    p: Pointers,
    row: usize,
    zero: S,
    add: &'a A,
    end: &'a E,
    of: PhantomData<T>,
}

impl<T: Copy, S: Copy, A: Fn(S, T, T) -> S, E: Fn(S) -> T> Row<'_, T, S, A, E> {
    /// # Safety
    /// As [`Product::each`].
    #[inline(always)]
    unsafe fn compute(self) {
        let Product { m, k, n, lhs: l, rhs: r, .. } = self.product;
        let (b, i) = ((self.row / m) as i64, (self.row % m) as i64);
        // SAFETY: the caller's.
        let out = unsafe { std::slice::from_raw_parts_mut(self.p.out::<T>().add(self.row * n), *n) };
        for (first, out) in out.chunks_mut(COLUMNS).enumerate() {
            let first = (first * COLUMNS) as i64;
            // Factor `q` and the first element that it multiplies.
            let at = |q: usize| {
                let x = l.offset + b * l.batch + i * l.row + q as i64 * l.col;
                let y = r.offset + b * r.batch + q as i64 * r.row + first * r.col;
                // SAFETY: the places lie inside the matrices.
                unsafe { (*self.p.lhs::<T>().offset(x as isize), self.p.rhs::<T>().offset(y as isize)) }
            };
            if r.col == 1 && out.len() == COLUMNS {
                // Of a length that is known: the sums stay in registers.
                let mut sums = [self.zero; COLUMNS];
                for q in 0..*k {
                    let (x, y) = at(q);
                    // SAFETY: as many neighbours are in the row.
                    let row = unsafe { &*y.cast::<[T; COLUMNS]>() };
                    sums = std::array::from_fn(|j| (self.add)(sums[j], x, row[j]));
                }
                out.iter_mut().zip(sums).for_each(|(y, s)| *y = (self.end)(s));
                continue;
            }
            let mut sums = [self.zero; COLUMNS];
            for q in 0..*k {
                let (x, y) = at(q);
                for (j, s) in sums[..out.len()].iter_mut().enumerate() {
                    // SAFETY: the place lies inside the matrix.
                    *s = (self.add)(*s, x, unsafe { *y.offset(j as isize * r.col as isize) });
                }
            }
            out.iter_mut().zip(sums).for_each(|(y, s)| *y = (self.end)(s));
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<T: Copy, S: Copy, A: Fn(S, T, T) -> S, E: Fn(S) -> T> Kernel for Row<'_, T, S, A, E> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.compute() }
    }
}
