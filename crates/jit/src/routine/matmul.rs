//! Matrix products: the `gemm` crate on blocks that our own threads take, loops for small and for integer ones.
//!
//! `gemm` is MKL's equal on one thread but leaves other cores half idle with its own threading. Blocks depend on the sizes only.

use cotangent_core::array::{Element, dispatch};
use cotangent_core::ir::DType;
use cotangent_loops::ir::Matrix;

use crate::threads;

/// Multiplications below which plain loops win over the library's set-up.
const SMALL: usize = 16 * 16 * 16;
/// Multiplications from which a product is cut in blocks.
const CUT: usize = 64 * 64 * 64;

/// A batch of products.
pub struct Product {
    /// Number.
    pub batch: usize,
    /// Rows.
    pub m: usize,
    /// Inner size.
    pub k: usize,
    /// Columns.
    pub n: usize,
    /// The left operand.
    pub lhs: Matrix,
    /// The right operand.
    pub rhs: Matrix,
}

#[derive(Clone, Copy)]
struct Pointers(*const u8, *const u8, *mut u8);
// SAFETY: blocks of the result are disjoint, operands are only read.
unsafe impl Sync for Pointers {}

impl Product {
    /// Computes the products of elements of `dtype`.
    ///
    /// # Safety
    /// The matrices lie inside the operands, and `out` has room for `batch · m · n` elements.
    pub unsafe fn run(&self, dtype: DType, lhs: *const u8, rhs: *const u8, out: *mut u8) {
        let pointers = Pointers(lhs, rhs, out);
        // SAFETY: the caller's.
        unsafe {
            match dtype {
                DType::F32 => self.floats::<f32>(pointers, 0.0, 1.0),
                DType::F64 => self.floats::<f64>(pointers, 0.0, 1.0),
                DType::BF16 | DType::F16 => dispatch!(dtype, T => self.each::<T, f64>(
                    pointers, 0.0, |s, x, y| s + x.to_f64() * y.to_f64(), T::from_f64)),
                DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
                    dispatch!(dtype, T => self.each::<T, i64>(
                        pointers,
                        0,
                        |s, x, y| s.wrapping_add(x.to_scalar().to_i64().wrapping_mul(y.to_scalar().to_i64())),
                        |s| T::from_scalar(cotangent_core::ir::Scalar::Int(s))
                    ))
                }
            }
        }
    }

    fn blocks(&self) -> (usize, usize) {
        let work = self.m * self.k * self.n;
        if work < CUT {
            return (1, 1);
        }
        // At least 64 rows or columns in a block; long sides are cut first.
        let pieces = (work / CUT).next_power_of_two().min(4);
        let (mut rows, mut cols) = (1, 1);
        while rows * cols < pieces {
            let (h, w) = (self.m / rows, self.n / cols);
            if h.max(w) < 64 {
                break;
            }
            if h > w { rows *= 2 } else { cols *= 2 }
        }
        (rows, cols)
    }

    unsafe fn floats<T>(&self, p: Pointers, zero: T, one: T)
    where
        T: Copy + 'static + std::ops::Mul<Output = T> + std::ops::Add<Output = T> + Sync,
    {
        let work = self.m * self.k * self.n;
        // About 100 operations in a ns for a thread.
        let cost = (self.batch as u64).saturating_mul(work as u64) / 40;
        if work <= SMALL {
            let group = (2 * SMALL / work.max(1)).clamp(1, self.batch.max(1));
            threads::for_each(self.batch.div_ceil(group), 2 * cost, &|g| {
                for b in g * group..((g + 1) * group).min(self.batch) {
                    // SAFETY: the caller's.
                    unsafe { self.small(&p, b, zero) };
                }
            });
            return;
        }
        let (rows, cols) = self.blocks();
        let per = rows * cols;
        threads::for_each(self.batch * per, cost, &|i| {
            let (b, block) = (i / per, i % per);
            let cut = |size: usize, parts: usize, at: usize| {
                let step = size.div_ceil(parts).next_multiple_of(16);
                ((step * at).min(size), (step * (at + 1)).min(size))
            };
            let ((i0, i1), (j0, j1)) = (cut(self.m, rows, block / cols), cut(self.n, cols, block % cols));
            if i0 == i1 || j0 == j1 {
                return;
            }
            let (l, r) = (&self.lhs, &self.rhs);
            let left = l.offset + b as i64 * l.batch + i0 as i64 * l.row;
            let right = r.offset + b as i64 * r.batch + j0 as i64 * r.col;
            // SAFETY: the block lies inside the matrices; blocks of the result are disjoint.
            unsafe {
                gemm::gemm::<T>(
                    i1 - i0,
                    j1 - j0,
                    self.k,
                    p.out::<T>().add((b * self.m + i0) * self.n + j0),
                    1,
                    self.n as isize,
                    false,
                    p.lhs::<T>().offset(left as isize),
                    l.col as isize,
                    l.row as isize,
                    p.rhs::<T>().offset(right as isize),
                    r.col as isize,
                    r.row as isize,
                    zero,
                    one,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
        });
    }

    /// One small product, row by row of the result.
    unsafe fn small<T>(&self, p: &Pointers, b: usize, zero: T)
    where
        T: Copy + std::ops::Mul<Output = T> + std::ops::Add<Output = T>,
    {
        let (l, r) = (&self.lhs, &self.rhs);
        // SAFETY: all places lie inside the matrices.
        unsafe {
            let lhs = p.lhs::<T>().offset((l.offset + b as i64 * l.batch) as isize);
            let rhs = p.rhs::<T>().offset((r.offset + b as i64 * r.batch) as isize);
            let out = p.out::<T>().add(b * self.m * self.n);
            for i in 0..self.m {
                let row = std::slice::from_raw_parts_mut(out.add(i * self.n), self.n);
                row.fill(zero);
                for q in 0..self.k {
                    let x = *lhs.offset((i as i64 * l.row + q as i64 * l.col) as isize);
                    let y = rhs.offset((q as i64 * r.row) as isize);
                    if r.col == 1 {
                        let y = std::slice::from_raw_parts(y, self.n);
                        row.iter_mut().zip(y).for_each(|(s, y)| *s = *s + x * *y);
                    } else {
                        row.iter_mut()
                            .enumerate()
                            .for_each(|(j, s)| *s = *s + x * *y.offset(j as isize * r.col as isize));
                    }
                }
            }
        }
    }

    /// Element by element with a wider sum.
    unsafe fn each<T: Copy, S: Copy + Sync>(
        &self,
        p: Pointers,
        zero: S,
        add: impl Fn(S, T, T) -> S + Sync,
        end: impl Fn(S) -> T + Sync,
    ) {
        let (l, r) = (&self.lhs, &self.rhs);
        let cost = (self.batch * self.m) as u64 * (self.n * self.k) as u64;
        threads::for_each(self.batch * self.m, cost, &|row| {
            let (b, i) = (row / self.m, row % self.m);
            for j in 0..self.n {
                let mut s = zero;
                for q in 0..self.k {
                    let x = l.offset + b as i64 * l.batch + i as i64 * l.row + q as i64 * l.col;
                    let y = r.offset + b as i64 * r.batch + q as i64 * r.row + j as i64 * r.col;
                    // SAFETY: the places lie inside the matrices.
                    s = unsafe { add(s, *p.lhs::<T>().offset(x as isize), *p.rhs::<T>().offset(y as isize)) };
                }
                // SAFETY: each row of the result belongs to one piece.
                unsafe { p.out::<T>().add(row * self.n + j).write(end(s)) };
            }
        });
    }
}

impl Pointers {
    fn lhs<T>(&self) -> *const T {
        self.0.cast()
    }
    fn rhs<T>(&self) -> *const T {
        self.1.cast()
    }
    fn out<T>(&self) -> *mut T {
        self.2.cast()
    }
}
