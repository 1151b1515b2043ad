//! Initial values of parameters: PyTorch's `torch.nn.init`.

use cotangent_core::Tensor;
use cotangent_core::ir::Shape;

use crate::random::Keys;

/// Uniform in [`low`, `high`).
#[track_caller]
pub fn uniform(shape: impl Into<Shape>, low: f64, high: f64, keys: &mut Keys) -> Tensor {
    keys.next_key().rand(shape) * (high - low) + low
}

/// Normal with this mean and deviation.
#[track_caller]
pub fn normal(shape: impl Into<Shape>, mean: f64, std: f64, keys: &mut Keys) -> Tensor {
    keys.next_key().randn(shape) * std + mean
}

/// Zeros.
#[track_caller]
pub fn zeros(shape: impl Into<Shape>) -> Tensor {
    cotangent_aten::creation::zeros(&shape.into())
}

/// Ones.
#[track_caller]
pub fn ones(shape: impl Into<Shape>) -> Tensor {
    cotangent_aten::creation::ones(&shape.into())
}

/// The numbers of values that an element of the result is made of, and that an element of the input goes into, for a
/// weight `[out, in, …]`.
pub fn fans(shape: &Shape) -> (usize, usize) {
    let sizes = shape.sizes();
    let field: usize = sizes.iter().skip(2).product();
    let at = |i: usize| sizes.get(i).copied().unwrap_or(1);
    (at(1) * field, at(0) * field)
}

/// `1 / √fan_in`, and 0 for no inputs: the bound of uniform weights and biases in `Linear` and `Conv`.
pub fn bound(fan_in: usize) -> f64 {
    if fan_in == 0 { 0.0 } else { 1.0 / (fan_in as f64).sqrt() }
}

/// Glorot's uniform: in ±`gain` · √(6 / (fan_in + fan_out)).
#[track_caller]
pub fn xavier_uniform(shape: impl Into<Shape>, gain: f64, keys: &mut Keys) -> Tensor {
    let shape = shape.into();
    let (fan_in, fan_out) = fans(&shape);
    let a = gain * (6.0 / (fan_in + fan_out) as f64).sqrt();
    uniform(shape, -a, a, keys)
}

/// Glorot's normal, of deviation `gain` · √(2 / (fan_in + fan_out)).
#[track_caller]
pub fn xavier_normal(shape: impl Into<Shape>, gain: f64, keys: &mut Keys) -> Tensor {
    let shape = shape.into();
    let (fan_in, fan_out) = fans(&shape);
    normal(shape, 0.0, gain * (2.0 / (fan_in + fan_out) as f64).sqrt(), keys)
}

/// He's uniform: in ±`gain` · √(3 / fan_in); the gain is √2 before a ReLU.
#[track_caller]
pub fn kaiming_uniform(shape: impl Into<Shape>, gain: f64, keys: &mut Keys) -> Tensor {
    let shape = shape.into();
    let a = gain * 3f64.sqrt() * bound(fans(&shape).0);
    uniform(shape, -a, a, keys)
}

/// He's normal, of deviation `gain` / √fan_in.
#[track_caller]
pub fn kaiming_normal(shape: impl Into<Shape>, gain: f64, keys: &mut Keys) -> Tensor {
    let shape = shape.into();
    let std = gain * bound(fans(&shape).0);
    normal(shape, 0.0, std, keys)
}
