//! Routines on whole buffers.

mod axis;
mod convolution;
mod indexed;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod matmul;
#[cfg(target_arch = "x86_64")]
mod panel;
mod reference;
mod slide;

#[cfg(target_arch = "x86_64")]
pub use lanes::Lanes;
pub use matmul::Product;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cotangent_loops::ir::{LoopProgram, Routine, RoutineKind};

use crate::error::CallError;
use crate::run::Buffers;

/// Runs a routine; a panic inside becomes an error.
///
/// # Safety
/// The buffers have the lengths of the program's, and nobody else writes them during the call.
pub unsafe fn run(routine: &Routine, program: &LoopProgram, buffers: Buffers) -> Result<(), CallError> {
    let result = catch_unwind(AssertUnwindSafe(|| match &routine.kind {
        RoutineKind::MatMul { .. } => {
            let dtype = program.buffers[routine.outputs[0].0 as usize].dtype;
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let product = Product::of(&routine.kind);
            // SAFETY: the caller's; the matrices lie inside their buffers (P2).
            unsafe { product.run(dtype, at(routine.inputs[0]), at(routine.inputs[1]), at(routine.outputs[0])) };
            Ok(())
        }
        // SAFETY: the caller's.
        RoutineKind::Op { op, args, results } => unsafe { reference::run(routine, op, args, results, buffers) },
    }));
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(CallError::Data { loc: routine.loc.clone(), op: routine.name.clone(), source }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(CallError::Panic {
                loc: routine.loc.clone(),
                op: routine.name.clone(),
                message: text.unwrap_or_default(),
            })
        }
    }
}

/// A matrix that is read: element `(i, j)` at `at + i · row + j · col`.
#[derive(Clone, Copy)]
struct Operand<T> {
    at: *const T,
    row: isize,
    col: isize,
}

impl<T> Operand<T> {
    /// The matrix from row `i` and column `j` on.
    #[inline(always)]
    fn from(self, i: usize, j: usize) -> Self {
        Operand { at: self.at.wrapping_offset(i as isize * self.row + j as isize * self.col), ..self }
    }
}

/// A row-major matrix that is written, with rows `row` elements apart.
#[derive(Clone, Copy)]
struct Target<T> {
    at: *mut T,
    row: usize,
}

impl<T> Target<T> {
    /// The matrix from row `i` and column `j` on.
    #[inline(always)]
    fn from(self, i: usize, j: usize) -> Self {
        Target { at: self.at.wrapping_add(i * self.row + j), ..self }
    }
}

/// The floats of matrix products.
trait Real: Copy + Send + Sync + 'static {
    const ZERO: Self;
    /// By vectors of 256 bits, where the CPU has them.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn product(mkn: [usize; 3], a: Operand<Self>, b: Operand<Self>, c: Target<Self>, add: bool);
    /// `c = a · b` where row `p` of `b` begins at `b + places[p]` and `n` is a multiple of 16; `false`, and nothing done, where
    /// the CPU has no vectors of 256 bits.
    ///
    /// # Safety
    /// All of these elements exist, and nobody else uses those of `c`.
    unsafe fn sliding(mn: [usize; 2], a: Operand<Self>, b: *const Self, places: &[usize], c: Target<Self>) -> bool;
}

macro_rules! real {
    ($($T:ty),*) => { $(
        impl Real for $T {
            const ZERO: Self = 0.0;
            unsafe fn product([m, k, n]: [usize; 3], a: Operand<Self>, b: Operand<Self>, c: Target<Self>, add: bool) {
                #[cfg(target_arch = "x86_64")]
                if crate::wide::available() {
                    // SAFETY: the caller's, and the CPU has the features.
                    return unsafe { panel::product([m, k, n], a, b, c, add) };
                }
                // SAFETY: the caller's.
                unsafe {
                    gemm::gemm(
                        m, n, k, c.at, 1, c.row as isize, add, a.at, a.col, a.row, b.at, b.col, b.row, 1.0, 1.0, false,
                        false, false, gemm::Parallelism::None,
                    );
                }
            }
            unsafe fn sliding(
                mn: [usize; 2],
                a: Operand<Self>,
                b: *const Self,
                places: &[usize],
                c: Target<Self>,
            ) -> bool {
                #[cfg(target_arch = "x86_64")]
                if crate::wide::available() {
                    // SAFETY: the caller's, and the CPU has the features.
                    unsafe { panel::sliding(mn, a, b, places, c) };
                    return true;
                }
                let _ = (mn, a, b, places, c);
                false
            }
        }
    )* };
}
real!(f32, f64);

/// `c (+)= a · b` on this thread.
///
/// # Safety
/// The operands have the elements of `[m, k]` and `[k, n]`, and `c` those of `[m, n]`, which nobody else uses.
unsafe fn product<T: Real>(mkn: [usize; 3], a: Operand<T>, b: Operand<T>, c: Target<T>, add: bool) {
    // SAFETY: the caller's.
    unsafe { T::product(mkn, a, b, c, add) }
}
