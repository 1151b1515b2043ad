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
        let (b, i) = (self.row / m, self.row % m);
        // A row of sums at a time: neighbours in a row of the right operand are mostly neighbours in memory.
        let mut sums = vec![self.zero; *n];
        for q in 0..*k {
            let x = l.offset + b as i64 * l.batch + i as i64 * l.row + q as i64 * l.col;
            let y = r.offset + b as i64 * r.batch + q as i64 * r.row;
            // SAFETY: the places lie inside the matrices.
            unsafe {
                let (x, y) = (*self.p.lhs::<T>().offset(x as isize), self.p.rhs::<T>().offset(y as isize));
                if r.col == 1 {
                    let row = std::slice::from_raw_parts(y, *n);
                    sums.iter_mut().zip(row).for_each(|(s, y)| *s = (self.add)(*s, x, *y));
                } else {
                    let places = (0i64..).map(|j| y.offset((j * r.col) as isize));
                    sums.iter_mut().zip(places).for_each(|(s, y)| *s = (self.add)(*s, x, *y));
                }
            }
        }
        // SAFETY: the caller's.
        let out = unsafe { std::slice::from_raw_parts_mut(self.p.out::<T>().add(self.row * n), *n) };
        out.iter_mut().zip(&sums).for_each(|(y, s)| *y = (self.end)(*s));
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
