//! Routines on whole buffers.

/// `$f` for the lanes `L` of `vectors`, or `$portable`.
macro_rules! by_vectors {
    ($vectors:expr, $V256:ident $V512:ident, $L:ident => $f:expr, else => $portable:expr) => {
        match $vectors {
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 => {
                type $L = $V256;
                $f
            }
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 => {
                type $L = $V512;
                $f
            }
            Vectors::Portable => $portable,
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod added;
mod arg_extreme;
mod axis;
mod borders;
mod by_lines;
mod channels;
mod columns;
mod combined;
mod convolution;
mod copied;
mod correlate;
mod deep;
mod digits;
mod element;
mod exchanged;
mod halves;
mod indexed;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod linalg;
mod lines;
mod long;
mod map;
mod matmul;
mod op;
mod operand;
#[cfg(target_arch = "x86_64")]
mod pack;
mod padded;
#[cfg(target_arch = "x86_64")]
mod pairs;
#[cfg(target_arch = "x86_64")]
mod panel;
mod planes;
mod prefix;
mod rank;
mod real;
mod reference;
mod ring;
mod scatter;
mod search;
mod select;
#[cfg(target_arch = "x86_64")]
mod shared;
mod sizes;
#[cfg(target_arch = "x86_64")]
mod skinny;
mod slide;
#[cfg(target_arch = "x86_64")]
mod sliding;
#[cfg(target_arch = "x86_64")]
mod small;
mod sort;
#[cfg(target_arch = "x86_64")]
mod spans;
mod spread;
#[cfg(target_arch = "x86_64")]
mod squares;
mod statistic;
mod tall;
#[cfg(target_arch = "x86_64")]
mod tile;
mod transpose;
#[cfg(target_arch = "x86_64")]
mod vector;
mod vectors;
mod weights;
mod winograd;

pub use matmul::Product;
pub use operand::{Left, Onto, Operand, PanelSizes, Products, Target};
pub use real::Real;
pub use ring::Ring;
pub use vectors::Vectors;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cotangent_core::array::dispatch;
use cotangent_core::ir::DType;
use cotangent_core::ops::Extreme;
use cotangent_loops::ir::{LoopProgram, Routine, RoutineKind};

use crate::error::CallError;
use crate::run::Buffers;

/// Runs a routine; a panic inside becomes an error.
///
/// # Safety
/// The buffers have the lengths of the program's, and nobody else writes them during the call.
pub unsafe fn run(
    routine: &Routine,
    program: &LoopProgram,
    vectors: Vectors,
    buffers: Buffers,
) -> Result<(), CallError> {
    let result = catch_unwind(AssertUnwindSafe(|| match &routine.kind {
        RoutineKind::MatMul { .. } => {
            let dtype = program.buffers[routine.outputs[0].0 as usize].dtype;
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (product, operands) = (Product::of(&routine.kind), program.buffers[routine.inputs[0].0 as usize].dtype);
            // SAFETY: the caller's; the matrices lie inside their buffers (P2).
            unsafe {
                product.run(
                    vectors,
                    [operands, dtype],
                    at(routine.inputs[0]),
                    at(routine.inputs[1]),
                    at(routine.outputs[0]),
                )
            };
            Ok(())
        }
        RoutineKind::Places { sort, x, places } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, from) = (axis::Axis::of(&x.shape, sort.dim), at(routine.inputs[0]));
            let [values, positions] = [routine.outputs[0], routine.outputs[1]].map(at);
            // SAFETY: the caller's; the buffers have the elements of the operand and of the places (P3).
            dispatch!(x.dtype, T => unsafe {
                select::places::<T>(axis, sort.descending, places.clone(), from.cast(), values.cast(), positions.cast())
            })
        }
        RoutineKind::Ranked { sort, x, index } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, [from, places]) = (axis::Axis::of(&x.shape, sort.dim), [0, 1].map(|i| at(routine.inputs[i])));
            let [values, positions] = [routine.outputs[0], routine.outputs[1]].map(at);
            // SAFETY: the caller's; the buffers have the elements of the operand, the index and the results (P3).
            dispatch!(x.dtype, T => unsafe {
                let index = std::slice::from_raw_parts(places.cast_const().cast(), index.shape.numel());
                let ranks = rank::Ranks::Data { index, dim: sort.dim };
                rank::ranked::<T>(axis, sort.descending, &ranks, from.cast(), values.cast(), positions.cast())
            })
        }
        RoutineKind::Extremes { dim, which, x } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, largest) = (axis::Axis::of(&x.shape, *dim), *which == Extreme::Max);
            let [values, positions] = [routine.outputs[0], routine.outputs[1]].map(at);
            // SAFETY: the caller's; the buffers have the elements of the operand, and one for each of its lines (P3).
            dispatch!(x.dtype, T => unsafe {
                let x = at(routine.inputs[0]).cast_const().cast::<T>();
                arg_extreme::arg_extreme(axis, x, positions.cast(), Some(values.cast()), largest, vectors);
            });
            Ok(())
        }
        // SAFETY: the caller's.
        RoutineKind::Values { of, x, results } => unsafe {
            op::values(routine, of, [x, &results[of.result()]], vectors, buffers)
        },
        // SAFETY: the caller's.
        RoutineKind::Rows { op, args, results, dim } => unsafe {
            op::rows(routine, op, [args, results], *dim, vectors, buffers)
        },
        RoutineKind::Lines { gather, x, index, first } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, count) = (axis::Axis::of(&x.shape, gather.dim), index.shape[gather.dim].get());
            let times: usize = (*first..gather.dim).map(|d| index.shape[d].get()).product();
            let [from, places] = [0, 1].map(|i| at(routine.inputs[i]));
            let to = at(routine.outputs[0]);
            // SAFETY: the caller's; the buffers have the elements of the operand, an index for each of some lines, and the result (P3).
            dispatch!(x.dtype, T => unsafe {
                let index = std::slice::from_raw_parts(places.cast_const().cast(), index.shape.numel() / times.max(1));
                lines::gather_lines::<T>(axis, gather.dim, [count, times], from.cast(), index, to.cast())
            })
        }
        RoutineKind::Exchanged { op, args, y } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let ([from, weights], to) = ([0, 1].map(|i| at(routine.inputs[i]).cast_const()), at(routine.outputs[0]));
            let shapes = [&args[0].shape, &args[1].shape, &y.shape];
            // SAFETY: the caller's; the buffers have the elements of operands and result, which are floats of 32 or 64 bits (P3).
            unsafe {
                if y.dtype == DType::F32 {
                    exchanged::run::<f32>(op, shapes, vectors, from.cast(), weights.cast(), to.cast());
                } else {
                    exchanged::run::<f64>(op, shapes, vectors, from.cast(), weights.cast(), to.cast());
                }
            }
            Ok(())
        }
        // SAFETY: the caller's.
        RoutineKind::Op { op, args, results } => unsafe { op::run(routine, op, args, results, vectors, buffers) },
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

/// Bytes of a row of columns that are packed at once.
const WIDTH_BYTES: usize = 2048;

/// Bytes between rows from which they share few sets of the first-level cache.
const FAR_ROWS: usize = 2048;

/// The most columns of a tile: what is read of a right operand are at most so many columns at once.
const SLIDING_STEP: usize = 64;

/// The product of `a` and `b` goes `onto` `c`, on this thread.
///
/// # Safety
/// The CPU has the vectors; the operands have the elements of `[m, k]` and `[k, n]`, and `c` those of `[m, n]`, which nobody else uses.
unsafe fn product<T: Ring>(vectors: Vectors, mkn: [usize; 3], a: Operand<T>, b: Operand<T>, c: Target<T>, onto: Onto) {
    // SAFETY: the caller's.
    unsafe { T::product(vectors, mkn, a, b, c, onto) }
}
