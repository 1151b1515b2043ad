//! Tensors from nothing.
//!
//! *Errors*: `zeros_c1`, `ones_c1`, `full_c1`, `scalar_tensor_c1` a negative size.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Dim, Scalar, Shape};
use cotangent_core::ops::{Arange, Eye, Full};

use crate::arg::{Sizes, at, attempt, bad, sizes};

#[track_caller]
fn filled(op: crate::arg::At, size: Sizes, value: Scalar, dtype: DType) -> Tensor {
    let size = Shape::from(attempt!(sizes(op, &[], "size", &size)));
    Tensor::generate(Full { size, fill_value: value.cast(dtype), dtype }, None)
}

/// Zeros of `f32`; another dtype with `.to(…)` or [`full`].
#[track_caller]
pub fn zeros(size: impl Into<Sizes>) -> Tensor {
    filled(at!("zeros", 1), size.into(), Scalar::Float(0.0), DType::F32)
}

/// Ones of `f32`.
#[track_caller]
pub fn ones(size: impl Into<Sizes>) -> Tensor {
    filled(at!("ones", 1), size.into(), Scalar::Float(1.0), DType::F32)
}

/// One number everywhere, in its default dtype: `f32`, `i64` or `bool`.
#[track_caller]
pub fn full(size: impl Into<Sizes>, value: impl Into<Scalar>) -> Tensor {
    let value = value.into();
    filled(at!("full", 1), size.into(), value, value.default_dtype())
}

/// One number everywhere, as an element of `dtype`.
#[track_caller]
pub fn full_of(size: impl Into<Sizes>, value: impl Into<Scalar>, dtype: DType) -> Tensor {
    filled(at!("full", 1), size.into(), value.into(), dtype)
}

/// A scalar tensor of `dtype`.
#[track_caller]
pub fn scalar_tensor(value: impl Into<Scalar>, dtype: DType) -> Tensor {
    filled(at!("scalar_tensor", 1), Sizes::default(), value.into(), dtype)
}

/// The `n × n` identity of `f32`.
#[track_caller]
pub fn eye(n: usize) -> Tensor {
    Tensor::generate(Eye { n: Dim::new(n), m: Dim::new(n), dtype: DType::F32 }, None)
}

/// The `n × m` matrix of `dtype` with ones on its main diagonal.
#[track_caller]
pub fn eye_of(n: usize, m: usize, dtype: DType) -> Tensor {
    Tensor::generate(Eye { n: Dim::new(n), m: Dim::new(m), dtype }, None)
}

/// 0, 1, … below `end`: `i64` for an integer, `f32` for a float.
///
/// *Errors*: `arange_c2` a negative end.
#[track_caller]
pub fn arange(end: impl Into<Scalar>) -> Tensor {
    let end = end.into();
    let start = if end.default_dtype().is_float() { Scalar::Float(0.0) } else { Scalar::Int(0) };
    let step = if end.default_dtype().is_float() { Scalar::Float(1.0) } else { Scalar::Int(1) };
    arange_step(start, end, step)
}

/// `start`, `start + step`, … before `end`: `i64` if all are integers, `f32` otherwise.
///
/// *Errors*: `arange_c2` a step of 0, or one that leads away from `end`, or ends that are not finite.
#[track_caller]
pub fn arange_step(start: impl Into<Scalar>, end: impl Into<Scalar>, step: impl Into<Scalar>) -> Tensor {
    let (start, end, step) = (start.into(), end.into(), step.into());
    let is_float = [start, end, step].iter().any(|s| s.default_dtype().is_float());
    let dtype = if is_float { DType::F32 } else { DType::I64 };
    arange_of(start, end, step, dtype)
}

/// As [`arange_step`] in `dtype`.
#[track_caller]
pub fn arange_of(start: impl Into<Scalar>, end: impl Into<Scalar>, step: impl Into<Scalar>, dtype: DType) -> Tensor {
    let (start, end, step) = (start.into(), end.into(), step.into());
    let (a, b, s) = (start.to_f64(), end.to_f64(), step.to_f64());
    let n = ((b - a) / s).ceil();
    // NaN and 0/0 fail the comparison too.
    if !(n >= 0.0 && n <= cotangent_core::ir::MAX_ELEMENTS as f64 && s != 0.0) {
        return bad(at!("arange", 2), &[], "step", "a step that leads from start to end", &format!("{a}, {b}, {s}"));
    }
    let range = Tensor::generate(Arange { end: Dim::new(n as usize), dtype }, None);
    let by = |x: Tensor, k: Scalar, f: fn(&Tensor, &Tensor) -> Tensor| f(&x, &x.full_like(k));
    let scaled = if s == 1.0 { range } else { by(range, step, |x, k| x * k) };
    if a == 0.0 { scaled } else { by(scaled, start, |x, k| x + k) }
}

/// `steps` numbers of `f32` at equal distances from `start` to `end`, both included.
#[track_caller]
pub fn linspace(start: f64, end: f64, steps: usize) -> Tensor {
    let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
    // From both ends, as PyTorch, so that both are exact.
    let value = |i: usize| {
        if i < steps / 2 { start + step * i as f64 } else { end - step * (steps - 1 - i) as f64 }
    };
    let value = |i: usize| if steps == 1 { start } else { value(i) };
    Tensor::from_array(Array::from_f64_fn(&Aval::new(DType::F32, [steps]), value))
}

/// `steps` powers of `base` whose exponents are those of [`linspace`].
#[track_caller]
pub fn logspace(start: f64, end: f64, steps: usize, base: f64) -> Tensor {
    let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
    let value = |i: usize| base.powf(start + step * i as f64);
    Tensor::from_array(Array::from_f64_fn(&Aval::new(DType::F32, [steps]), value))
}

/// `x` where `condition` is true, `y` elsewhere, with broadcasting and promotion.
#[track_caller]
pub fn where_(condition: &Tensor, x: &Tensor, y: impl cotangent_core::tensor::IntoOperand) -> Tensor {
    x.where_(condition, y)
}
