//! Tensors from nothing.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar, Shape};

use super::{Answer, MAX_LISTED, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    one(match (name, overload) {
        // What stands in memory that nobody wrote is nobody's business: zeros.
        ("zeros" | "_efficientzerotensor" | "empty_strided" | "empty_permuted", "default")
        | ("empty", "memory_format") => filled(c, 0i64, None)?,
        ("ones", "default") => filled(c, 1i64, None)?,
        ("full", "default") => {
            let value = c.scalar("fill_value")?;
            filled(c, value, Some(value.default_dtype()))?
        }
        ("zeros_like" | "empty_like", "default") => like(c, 0i64)?,
        ("ones_like", "default") => like(c, 1i64)?,
        ("full_like", "default") => like(c, c.scalar("fill_value")?)?,
        ("new_zeros" | "new_empty" | "new_empty_strided", "default") => {
            filled(c, 0i64, Some(c.tensor("self")?.dtype()))?
        }
        ("_new_zeros_with_same_feature_meta", "default") => {
            let (x, other) = (c.tensor("self")?, c.tensor("other")?);
            let batch = c.int_or("self_num_batch_dims", 0)?;
            let batch = usize::try_from(batch).ok().and_then(|n| x.shape().dims().get(..n));
            let batch = batch.ok_or_else(|| c.wrong("self_num_batch_dims", "a number of dims of `self`"))?;
            let sizes = batch.iter().chain(other.shape().dims()).map(|d| d.get() as i64);
            full_of(sizes.collect::<Vec<_>>(), 0i64, other.dtype())
        }
        ("new_ones", "default") => filled(c, 1i64, Some(c.tensor("self")?.dtype()))?,
        ("new_full", "default") => filled(c, c.scalar("fill_value")?, Some(c.tensor("self")?.dtype()))?,
        ("scalar_tensor", "default") => scalar_tensor(c.scalar("s")?, c.dtype("dtype")?.unwrap_or(DType::F32)),
        ("arange", "default" | "start" | "start_step") => arange(c)?,
        ("linspace", _) => spaced(c, None)?,
        ("logspace", _) => spaced(c, Some(c.float_or("base", 10.0)?))?,
        ("eye", "default" | "m") => {
            let n = c.size("n")?;
            let m = if overload == "m" { c.size("m")? } else { n };
            eye_of(n, m, c.dtype("dtype")?.unwrap_or(DType::F32))
        }
        ("tril_indices", "default") => triangle(c, |row, col, offset| col <= row + offset)?,
        ("triu_indices", "default") => triangle(c, |row, col, offset| col >= row + offset)?,
        (_, _) => return Ok(None),
    })
}

/// One number everywhere in the given dtype, or in `default`, or in `f32`.
fn filled(c: &Call, value: impl Into<Scalar>, default: Option<DType>) -> Read<Tensor> {
    let dtype = c.dtype("dtype")?.or(default).unwrap_or(DType::F32);
    Ok(full_of(c.ints("size")?, value, dtype))
}

/// One number everywhere in the shape of `self`.
fn like(c: &Call, value: impl Into<Scalar>) -> Read<Tensor> {
    let x = c.tensor("self")?;
    let aval = Aval::new(c.dtype("dtype")?.unwrap_or(x.dtype()), x.shape());
    Ok(x.full_of(&aval, value.into().cast(aval.dtype)))
}

fn arange(c: &Call) -> Read<Tensor> {
    let (start, end, step) = (c.scalar_or("start", 0i64)?, c.scalar("end")?, c.scalar_or("step", 1i64)?);
    let floats = [start, end, step].iter().any(|s| s.default_dtype().is_float());
    let dtype = c.dtype("dtype")?.unwrap_or(if floats { DType::F32 } else { DType::I64 });
    if dtype.is_float() || !floats {
        return Ok(arange_of(start, end, step, dtype));
    }
    // Integers out of a float range: as many as of floats, but start and step are rounded towards zero.
    let [first, by] = [start, step].map(|s| s.to_f64().trunc());
    let n = ((end.to_f64() - start.to_f64()) / step.to_f64()).ceil();
    Ok(arange_of(first as i64, (first + n * by) as i64, by as i64, dtype))
}

/// Numbers at equal distances, or powers of `base` with such exponents; both ends are exact, and among whole numbers they are whole.
fn spaced(c: &Call, base: Option<f64>) -> Read<Tensor> {
    let steps = c.size("steps")?;
    let dtype = c.dtype("dtype")?.unwrap_or(DType::F32);
    let end = |name: &str| -> Read<Option<f64>> {
        match c.opt_tensor(name) {
            Ok(Some(_)) => Ok(None),
            Ok(None) | Err(_) => c.float(name).map(|x| Some(if dtype.is_float() { x } else { x.trunc() })),
        }
    };
    let ends = (end("start")?, end("end")?);
    let (Some(start), Some(stop), true) = (ends.0, ends.1, steps <= MAX_LISTED) else {
        return spaced_tensors(c, base, steps, dtype);
    };
    let step = if steps > 1 { (stop - start) / (steps - 1) as f64 } else { 0.0 };
    let place = |i: usize| {
        if steps == 1 || i < steps / 2 { start + step * i as f64 } else { stop - step * (steps - 1 - i) as f64 }
    };
    let value = |i: usize| base.map_or_else(|| place(i), |b| b.powf(place(i)));
    let compute = if dtype.is_float() { dtype } else { DType::F64 };
    let array = Array::from_f64_fn(&Aval::new(compute, [steps]), value);
    Ok(Tensor::from_array(array).convert(dtype))
}

/// As [`spaced`] between ends of which one may be a tensor, computed by the program.
fn spaced_tensors(c: &Call, base: Option<f64>, steps: usize, dtype: DType) -> Read<Tensor> {
    let compute = if dtype.is_float() { dtype } else { DType::F64 };
    let end = |name: &str| -> Read<Tensor> {
        match c.opt_tensor(name) {
            Ok(Some(t)) => Ok(t.convert(dtype).convert(compute).view_to(&().into())),
            Ok(None) | Err(_) => Ok(scalar_tensor(c.float(name)?, dtype).convert(compute)),
        }
    };
    let (start, stop) = (end("start")?, end("end")?);
    let at = start.arange_like(steps.into(), compute);
    let last = steps.saturating_sub(1) as f64;
    let step = (&stop - &start) / last.max(1.0);
    let (from_start, from_end) = (&start + &step * &at, &stop - &step * (last - &at));
    let places = if steps == 1 { start + at } else { from_start.where_(&at.lt((steps / 2) as f64), from_end) };
    let values = match base {
        Some(b) => places.full_like(b).pow(&places),
        None => places,
    };
    Ok(values.convert(dtype))
}

/// Rows and columns of the elements of a matrix that are `inside`.
fn triangle(c: &Call, inside: fn(i64, i64, i64) -> bool) -> Read<Tensor> {
    let (rows, cols, offset) = (c.size("row")? as i64, c.size("col")? as i64, c.int_or("offset", 0)?);
    if rows.checked_mul(cols).is_none_or(|n| n > MAX_LISTED as i64) {
        return Err(c.wrong("row", &format!("a matrix of at most {MAX_LISTED} elements")));
    }
    let of_row = |r: i64| (0..cols).filter(move |k| inside(r, *k, offset));
    let mut indices: Vec<i64> = (0..rows).flat_map(|r| of_row(r).map(move |_| r)).collect();
    let n = indices.len();
    indices.extend((0..rows).flat_map(of_row));
    Ok(Tensor::from_vec(indices, Shape::from([2, n])).convert(c.dtype("dtype")?.unwrap_or(DType::I64)))
}
