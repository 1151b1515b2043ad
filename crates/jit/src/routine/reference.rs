//! Any routine by the reference evaluator, on copies: always right and never fast.

use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::Aval;
use cotangent_loops::ir::Routine;

use crate::run::Buffers;

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
