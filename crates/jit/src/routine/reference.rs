//! Any op: a kernel of ours where one is worth it, else the reference evaluator on copies, always right and never fast.

use cotangent_core::array::{Array, Element, dispatch, dispatch_float};
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::Op;
use cotangent_loops::ir::Routine;

use super::{axis, convolution, indexed};
use crate::run::Buffers;

fn bytes_of(aval: &Aval) -> usize {
    aval.shape.numel() * aval.dtype.size_bytes()
}

/// Runs `op` on its operands.
///
/// # Safety
/// The buffers hold the operands and have room for the results; nobody else writes them.
pub unsafe fn run(
    routine: &Routine,
    op: &Op,
    args: &[Aval],
    results: &[Aval],
    buffers: Buffers,
) -> Result<(), EvalError> {
    // SAFETY: the caller's.
    match unsafe { fast(routine, op, args, results, buffers) } {
        Some(result) => result,
        // SAFETY: the caller's.
        None => unsafe { slow(routine, op, args, results, buffers) },
    }
}

/// The kernels; `None` where there is none for these operands.
unsafe fn fast(
    routine: &Routine,
    op: &Op,
    args: &[Aval],
    results: &[Aval],
    buffers: Buffers,
) -> Option<Result<(), EvalError>> {
    let input = |i: usize| buffers.0[routine.inputs[i].0 as usize].cast_const();
    let output = buffers.0[routine.outputs.first()?.0 as usize];
    let (x, y) = (args.first()?, results.first()?);
    // SAFETY: `i` is an operand of `i64`, which has as many elements as its aval says.
    let index = |i: usize| unsafe { std::slice::from_raw_parts(input(i).cast::<i64>(), args[i].shape.numel()) };
    let around = |dim: usize| axis::Axis::of(&x.shape, dim);
    // SAFETY (all kernels): operands and results have the shapes that `infer` has checked.
    unsafe {
        match op {
            Op::Convolution(c) => dispatch_float!(x.dtype, T => {
                let shapes = [&x.shape, &args[1].shape, &y.shape];
                convolution::run::<T>(c, shapes, input(0).cast(), input(1).cast(), output.cast());
            }, else => return None),
            Op::Cumsum(c) if x.dtype == DType::F32 && around(c.dim).inner == 1 => {
                let axis = around(c.dim);
                axis::prefix_sums(axis.outer, axis.n, input(0).cast(), output.cast());
            }
            Op::Cumsum(c) => scan(x.dtype, around(c.dim), input(0), output, (0.0, 0), |s, x| s + x, i64::wrapping_add)?,
            Op::Cumprod(c) => {
                scan(x.dtype, around(c.dim), input(0), output, (1.0, 1), |s, x| s * x, i64::wrapping_mul)?
            }
            Op::Argmax(a) => arg(x.dtype, around(a.dim), input(0), output, true)?,
            Op::Argmin(a) => arg(x.dtype, around(a.dim), input(0), output, false)?,
            Op::IndexSelect(s) => {
                return Some(indexed::select(around(s.dim), s.dim, input(0), index(1), output, x.dtype.size_bytes()));
            }
            Op::IndexAdd(s) => {
                return dispatch_float!(x.dtype, T => Some(indexed::select_add::<T>(
                    around(s.dim), s.dim, [input(0).cast(), input(2).cast()], index(1), output.cast()
                )), else => None);
            }
            Op::Gather(g) if indexed::is_aligned(&args[1].shape, &x.shape, g.dim) => {
                let count = args[1].shape[g.dim].get();
                return Some(dispatch!(x.dtype, T => indexed::gather::<T>(
                    around(g.dim), g.dim, count, input(0).cast(), index(1), output.cast()
                )));
            }
            Op::Gather(g) => {
                let places = match indexed::places(&args[1].shape, &x.shape, g.dim, index(1)) {
                    Ok(p) => p,
                    Err(e) => return Some(Err(e)),
                };
                dispatch!(x.dtype, T => {
                    let (x, y) = (input(0).cast::<T>(), output.cast::<T>());
                    for (i, p) in places.into_iter().enumerate() {
                        *y.add(i) = *x.add(p);
                    }
                });
            }
            Op::ScatterAdd(g) if indexed::is_aligned(&args[1].shape, &x.shape, g.dim) => {
                let count = args[1].shape[g.dim].get();
                return dispatch_float!(x.dtype, T => Some(indexed::scatter_add::<T>(
                    around(g.dim), g.dim, count, [input(0).cast(), input(2).cast()], index(1), output.cast()
                )), else => None);
            }
            Op::ScatterAdd(g) => {
                let places = match indexed::places(&args[1].shape, &x.shape, g.dim, index(1)) {
                    Ok(p) => p,
                    Err(e) => return Some(Err(e)),
                };
                dispatch_float!(x.dtype, T => {
                    let x = std::slice::from_raw_parts(input(0).cast::<T>(), x.shape.numel());
                    let src = input(2).cast::<T>();
                    let mut sums: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
                    for (i, p) in places.into_iter().enumerate() {
                        sums[p] += (*src.add(i)).to_f64();
                    }
                    for (i, s) in sums.into_iter().enumerate() {
                        *output.cast::<T>().add(i) = <T as Element>::from_f64(s);
                    }
                }, else => return None);
            }
            // Rare ones, and those of which the reference's time is its algorithm's.
            _ => return None,
        }
    }
    Some(Ok(()))
}

unsafe fn scan(
    dtype: DType,
    axis: axis::Axis,
    x: *const u8,
    y: *mut u8,
    (neutral, whole): (f64, i64),
    f: impl Fn(f64, f64) -> f64 + Sync,
    g: impl Fn(i64, i64) -> i64 + Sync,
) -> Option<()> {
    // SAFETY: the caller's.
    unsafe {
        match dtype {
            DType::F32 => {
                axis::scan::<f32, f64>(axis, x.cast(), y.cast(), neutral, |s, x| f(s, f64::from(x)), |s| s as f32)
            }
            DType::F64 => axis::scan::<f64, f64>(axis, x.cast(), y.cast(), neutral, f, |s| s),
            DType::I64 => axis::scan::<i64, i64>(axis, x.cast(), y.cast(), whole, g, |s| s),
            DType::BF16 | DType::F16 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => return None,
        }
    }
    Some(())
}

unsafe fn arg(dtype: DType, axis: axis::Axis, x: *const u8, y: *mut u8, largest: bool) -> Option<()> {
    // SAFETY: the caller's.
    unsafe { dispatch!(dtype, T => axis::arg_extreme::<T>(axis, x.cast(), y.cast(), largest)) };
    Some(())
}

/// Evaluates `op` on copies of its operands.
unsafe fn slow(routine: &Routine, op: &Op, args: &[Aval], results: &[Aval], buffers: Buffers) -> Result<(), EvalError> {
    let read = |(id, aval): (&cotangent_loops::ir::BufferId, &Aval)| {
        // SAFETY: the buffer has the aval's elements.
        let bytes = unsafe { std::slice::from_raw_parts(buffers.0[id.0 as usize].cast_const(), bytes_of(aval)) };
        Array::from_le_bytes(aval, bytes).expect("the bytes of an aval")
    };
    let arrays: Vec<Array> = routine.inputs.iter().zip(args).map(read).collect();
    let outs = op.prim().eval(&arrays.iter().collect::<Vec<_>>())?;
    for ((id, aval), out) in routine.outputs.iter().zip(results).zip(&outs) {
        let bytes = out.data().bytes();
        assert_eq!(bytes.len(), bytes_of(aval), "the result of `{}`", op.name());
        // SAFETY: the buffer has room for the aval's elements, and nobody else uses it now.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffers.0[id.0 as usize], bytes.len()) };
    }
    Ok(())
}
