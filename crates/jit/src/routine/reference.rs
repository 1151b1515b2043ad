//! Any routine by the reference evaluator, on copies: always right and never fast.

use std::sync::atomic::{AtomicBool, Ordering};

use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, Shape};
use cotangent_loops::ir::Routine;

use super::axis::Shared;
use crate::run::Buffers;
use crate::threads;

/// What a decomposition takes at least, in ns.
const MATRIX: u64 = 2000;

fn bytes_of(aval: &Aval) -> usize {
    aval.shape.numel() * aval.dtype.size_bytes()
}

/// Evaluates a routine by `eval` on copies of its operands.
///
/// # Safety
/// The buffers hold the operands and have room for the results; nobody else writes them.
pub unsafe fn run(
    routine: &Routine,
    args: &[Aval],
    results: &[Aval],
    buffers: Buffers,
    eval: impl FnOnce(&[&Array]) -> Result<Vec<Array>, EvalError>,
) -> Result<(), EvalError> {
    let read = |(id, aval): (&cotangent_loops::ir::BufferId, &Aval)| {
        // SAFETY: the buffer has the aval's elements.
        let bytes = unsafe { std::slice::from_raw_parts(buffers.0[id.0 as usize].cast_const(), bytes_of(aval)) };
        Array::from_le_bytes(aval, bytes).expect("the bytes of an aval")
    };
    let arrays: Vec<Array> = routine.inputs.iter().zip(args).map(read).collect();
    let outs = eval(&arrays.iter().collect::<Vec<_>>())?;
    for ((id, aval), out) in routine.outputs.iter().zip(results).zip(&outs) {
        let bytes = out.data().bytes();
        assert_eq!(bytes.len(), bytes_of(aval), "the result of `{}`", routine.name);
        // SAFETY: the buffer has room for the aval's elements, and nobody else uses it now.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffers.0[id.0 as usize], bytes.len()) };
    }
    Ok(())
}

/// As [`run`], of an op on matrices in the last two dims of one operand that does the same with each: for those `left`, or for all, of which threads have
/// some each.
///
/// # Safety
/// As [`run`]; the results of the other matrices are there.
pub unsafe fn run_matrices(
    routine: &Routine,
    x: &Aval,
    results: &[Aval],
    buffers: Buffers,
    left: Option<Vec<usize>>,
    eval: impl Fn(&Array) -> Result<Vec<Array>, EvalError> + Sync,
) -> Result<(), EvalError> {
    let (lead, matrix) = x.shape.dims().split_at(x.rank() - 2);
    let count: usize = lead.iter().map(|n| n.get()).product();
    let left = left.unwrap_or_else(|| (0..count).collect());
    let at = |id: &cotangent_loops::ir::BufferId| Shared(buffers.0[id.0 as usize]);
    let (from, to) = (at(&routine.inputs[0]), routine.outputs.iter().map(at).collect::<Vec<_>>());
    let one = Aval::new(x.dtype, matrix.iter().copied().collect::<Shape>());
    let is_fine = AtomicBool::new(true);
    threads::for_each(left.len(), MATRIX * left.len() as u64, &|piece| {
        let (i, bytes) = (left[piece], bytes_of(&one));
        assert!(i < count, "a matrix of `{}`", routine.name);
        // SAFETY: the buffer has the aval's elements.
        let read = unsafe { std::slice::from_raw_parts(from.get().add(i * bytes).cast_const(), bytes) };
        let Ok(outs) = eval(&Array::from_le_bytes(&one, read).expect("the bytes of an aval")) else {
            return is_fine.store(false, Ordering::Relaxed);
        };
        for ((to, result), out) in to.iter().zip(results).zip(&outs) {
            let (bytes, out) = (bytes_of(result) / count, out.data().bytes());
            assert_eq!(out.len(), bytes, "the results of `{}`", routine.name);
            // SAFETY: the buffer has room for the results of all matrices, and nobody else uses those of this one.
            unsafe { std::ptr::copy_nonoverlapping(out.as_ptr(), to.get().add(i * bytes), bytes) };
        }
    });
    if is_fine.into_inner() {
        return Ok(());
    }
    // The whole batch knows the number of the one that is at fault.
    // SAFETY: the caller's.
    unsafe { run(routine, std::slice::from_ref(x), results, buffers, |x| eval(x[0])) }
}
