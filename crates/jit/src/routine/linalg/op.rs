//! The calls of ops on matrices. Each gives `false`, with results unfinished, where the reference should do it, as it knows what is wrong.

use cotangent_core::array::{Array, Element};
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType};
#[cfg(target_arch = "x86_64")]
use cotangent_core::ops::Triangle;
use cotangent_core::ops::{SolveTriangular, Spectral};

#[cfg(target_arch = "x86_64")]
use super::symmetric::{Eigen, Singular};
use super::{Batch, Cholesky, Lu, Qr, Triangular, run_any, unpack};
use crate::routine::Vectors;
use crate::routine::axis::Shared;
use crate::routine::op::Call;
use crate::routine::reference;

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

    /// A decomposition: the matrices that its kernel leaves are the reference's.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    pub unsafe fn decomposed(
        &self,
        of: &Spectral,
        vectors: Vectors,
        eval: impl Fn(&Array) -> Result<Vec<Array>, EvalError> + Sync,
    ) -> Result<(), EvalError> {
        // SAFETY: the caller's.
        unsafe {
            let left = self.spectral(of, vectors);
            reference::run_matrices(self.routine, &self.args[0], self.results, self.buffers, left, eval)
        }
    }

    /// A decomposition, or its values alone. Gives the matrices that the reference should see; `None`, and nothing done, for all of them.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    #[cfg(target_arch = "x86_64")]
    unsafe fn spectral(&self, of: &Spectral, vectors: Vectors) -> Option<Vec<usize>> {
        let mut left = None;
        let is_alone = self.results.len() == 1;
        of_dtype!(self.args[0].dtype, T => {
            let a = self.matrices::<T>(0);
            let side = |i: usize| self.result_matrices::<T>(i);
            let values = Shared(self.output(if is_alone { 0 } else { of.result() }));
            // SAFETY: the caller's.
            left = Some(unsafe {
                match of {
                    Spectral::Eigh(op) => {
                        let vectors_of = (!is_alone).then(|| side(1));
                        Eigen { a, upper: op.UPLO == Triangle::Upper, values, vectors: vectors_of }.run(vectors)
                    }
                    Spectral::Svd(_) => {
                        let vectors_of = (!is_alone).then(|| [0, 2].map(side));
                        Singular { a, values, vectors: vectors_of }.run(vectors)
                    }
                }
            });
            true
        });
        left
    }

    /// As above: other CPUs have no kernel.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn spectral(&self, _: &Spectral, _: Vectors) -> Option<Vec<usize>> {
        None
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
