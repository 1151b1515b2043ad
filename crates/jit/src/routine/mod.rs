//! Routines on whole buffers.

mod axis;
mod convolution;
mod matmul;
mod reference;

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
        RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => {
            let dtype = program.buffers[routine.outputs[0].0 as usize].dtype;
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let product = matmul::Product { batch: *batch, m: *m, k: *k, n: *n, lhs: *lhs, rhs: *rhs };
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
