//! The calls of ops on matrices. Each gives `false`, with results unfinished, where the reference should do it, as it knows what is wrong.

use cotangent_core::array::Element;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{Eigh, SolveTriangular, Spectral, Triangle};

#[cfg(target_arch = "x86_64")]
use super::symmetric::{Eigen, Singular};
use super::{Batch, Cholesky, Lu, Qr, Triangular, run_any, unpack};
use crate::routine::Vectors;
use crate::routine::axis::Shared;
use crate::routine::op::Call;

/// `$f` for the element `$T` of matrices, which are of `f32` or `f64`.
macro_rules! of_dtype {
    ($dtype:expr, $T:ident => $f:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $f
            }
            DType::F64 => {
                type $T = f64;
                $f
            }
            DType::BF16 | DType::F16 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
                false
            }
        }
    };
}

impl Call<'_> {
    fn matrices<T: Element>(&self, i: usize) -> Batch<T> {
        Batch::of(self.input::<T>(i).cast_mut(), &self.args[i])
    }

    fn result_matrices<T: Element>(&self, i: usize) -> Batch<T> {
        Batch::of(self.output(i), &self.results[i])
    }

    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn cholesky(&self, upper: bool, vectors: Vectors) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let (a, factor) = (self.matrices::<T>(0), self.result_matrices(0));
            // SAFETY: the caller's.
            unsafe { run_any(&Cholesky { a, factor, upper }, a.count, vectors) }
        })
    }

    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn lu_factor(&self, vectors: Vectors) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let (a, lu) = (self.matrices::<T>(0), self.result_matrices(0));
            let (pivots, info) = (Shared(self.output(1)), Shared(self.output(2)));
            // SAFETY: the caller's.
            unsafe { run_any(&Lu { a, lu, pivots, info }, a.count, vectors) }
        })
    }

    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn lu_unpack(&self) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let parts = [0, 1, 2].map(|i| self.result_matrices::<T>(i));
            // SAFETY: the caller's.
            unsafe {
                let pivots = std::slice::from_raw_parts(self.input(1), self.args[1].shape.numel());
                unpack(self.matrices(0), pivots, parts)
            }
        })
    }

    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn qr(&self, vectors: Vectors) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let (a, q, r) = (self.matrices::<T>(0), self.result_matrices(0), self.result_matrices(1));
            // SAFETY: the caller's.
            unsafe { run_any(&Qr { a, q, r }, a.count, vectors) }
        })
    }

    /// # Safety
    /// As [`Call::kernel`].
    #[cfg(target_arch = "x86_64")]
    pub unsafe fn eigen(&self, op: &Eigh, vectors: Vectors) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let vectors_of = self.results.get(1).map(|_| self.result_matrices::<T>(1));
            let (a, upper, values) = (self.matrices::<T>(0), op.UPLO == Triangle::Upper, Shared(self.output(0)));
            // SAFETY: the caller's.
            unsafe { Eigen { a, upper, values, vectors: vectors_of }.run(vectors) }
        })
    }

    /// As [`Call::eigen`]: other CPUs have no kernel.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    #[cfg(not(target_arch = "x86_64"))]
    pub unsafe fn eigen(&self, _: &Eigh, _: Vectors) -> bool {
        false
    }

    /// # Safety
    /// As [`Call::kernel`].
    #[cfg(target_arch = "x86_64")]
    pub unsafe fn svd(&self, vectors: Vectors) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let sides = [0, 2].map(|i| self.result_matrices::<T>(i));
            let (a, values) = (self.matrices::<T>(0), Shared(self.output(1)));
            // SAFETY: the caller's.
            unsafe { Singular { a, values, vectors: Some(sides) }.run(vectors) }
        })
    }

    /// As [`Call::svd`]: other CPUs have no kernel.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    #[cfg(not(target_arch = "x86_64"))]
    pub unsafe fn svd(&self, _: Vectors) -> bool {
        false
    }

    /// The values alone.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn values(&self, of: &Spectral, vectors: Vectors) -> bool {
        // SAFETY: the caller's.
        match of {
            Spectral::Eigh(op) => unsafe { self.eigen(op, vectors) },
            #[cfg(target_arch = "x86_64")]
            Spectral::Svd(_) => of_dtype!(self.args[0].dtype, T => {
                let (a, values) = (self.matrices::<T>(0), Shared(self.output(0)));
                unsafe { Singular { a, values, vectors: None }.run(vectors) }
            }),
            #[cfg(not(target_arch = "x86_64"))]
            Spectral::Svd(_) => false,
        }
    }

    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn solve_triangular(&self, op: &SolveTriangular, vectors: Vectors) -> bool {
        of_dtype!(self.args[0].dtype, T => {
            let (a, b, x) = (self.matrices::<T>(0), self.matrices(1), self.result_matrices(0));
            // SAFETY: the caller's.
            unsafe { run_any(&Triangular { op, a, b, x }, a.count, vectors) }
        })
    }
}

impl<T> Batch<T> {
    /// The matrices of an aval of at least two dims.
    fn of(at: *mut T, aval: &Aval) -> Self {
        let dims = aval.shape.dims();
        let (lead, [rows, cols]) = dims.split_last_chunk().expect("matrices have two dims");
        Batch { at: Shared(at), count: lead.iter().map(|n| n.get()).product(), rows: rows.get(), cols: cols.get() }
    }
}
