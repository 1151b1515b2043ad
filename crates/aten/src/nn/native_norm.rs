//! Normalisations with the statistics that they return, as PyTorch's graphs have them.

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use crate::arg::{At, Axes, at, bad_operand, bad_pair, float, live, widen};
use crate::call::{int, ints, num, optional, optional_by_result};
use crate::reduce::mean_over;
use crate::schema;
use crate::stats::Statistics;

/// The normalised tensor, mean and reciprocal deviation, as `aten::native_layer_norm` returns them.
///
/// *Errors*: see [`Normalizations::layer_norm`](super::norm::Normalizations::layer_norm).
#[track_caller]
pub fn native_layer_norm(
    x: &Tensor,
    normalized_shape: &[usize],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<[Tensor; 3], Tensor> {
    float(at!("layer_norm", 3), x)?;
    let axes = last_dims(at!("layer_norm", 1), x, normalized_shape)?;
    of_shape(at!("layer_norm", 2), x, weight, normalized_shape)?;
    of_shape(at!("layer_norm", 2), x, bias, normalized_shape)?;
    let params = [("normalized_shape", ints(normalized_shape)), ("eps", num(eps))];
    let args = [("input", Some(x)), ("weight", weight), ("bias", bias)];
    let shape = Shape::from(normalized_shape);
    let value = |[x, w, b]: [Option<&Tensor>; 3]| {
        let x = x.expect("always there");
        let (y, mean, rstd) = normalized(&widen(x), &axes, eps);
        let keep = kept(x, w);
        [affine(&y, w, b, &shape).convert(x.dtype()), mean.convert(keep), rstd.convert(keep)]
    };
    Ok(optional_by_result(schema::NATIVE_LAYER_NORM, &params, args, value, |x, y, x_dot| {
        normalized_tangents(x, [&y[1], &y[2]], x_dot, &axes, &shape, |t| t.clone())
    }))
}

/// The normalised tensor and the reciprocal root of the mean square, as `aten::_fused_rms_norm` returns them.
///
/// *Errors*: see [`Normalizations::rms_norm`](super::norm::Normalizations::rms_norm).
#[track_caller]
pub fn fused_rms_norm(
    x: &Tensor,
    normalized_shape: &[usize],
    weight: Option<&Tensor>,
    eps: Option<f64>,
) -> Result<[Tensor; 2], Tensor> {
    let axes = rms_checks(x, normalized_shape, weight)?;
    let params = [("normalized_shape", ints(normalized_shape)), ("eps", crate::call::opt(eps))];
    Ok(optional(schema::_FUSED_RMS_NORM, &params, [("input", Some(x)), ("weight", weight)], |[x, w]| {
        let (y, scale) = scaled_by_root(x.expect("always there"), w, &axes, eps);
        [y, scale]
    }))
}

#[track_caller]
pub(super) fn rms_checks(x: &Tensor, shape: &[usize], weight: Option<&Tensor>) -> Result<Axes, Tensor> {
    float(at!("rms_norm", 3), x)?;
    let axes = last_dims(at!("rms_norm", 1), x, shape)?;
    of_shape(at!("rms_norm", 2), x, weight, shape)?;
    Ok(axes)
}

/// The operand times the reciprocal root of its mean square, which comes second, in the machine's dtype.
#[track_caller]
pub(super) fn scaled_by_root(x: &Tensor, weight: Option<&Tensor>, axes: &Axes, eps: Option<f64>) -> (Tensor, Tensor) {
    let epsilon = eps.unwrap_or(match x.dtype() {
        DType::F64 => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    });
    let wide = widen(x);
    let scale = (axes.keep_all(&wide, &mean_over(&(&wide * &wide), axes)) + epsilon).rsqrt();
    let y = wide * &scale;
    (weight.map_or(y.clone(), |w| &y * w.convert(y.dtype())).convert(x.dtype()), scale)
}

/// The normalised tensor, and mean and reciprocal deviation of each group, as `aten::native_group_norm` returns them.
///
/// *Errors*: see [`Normalizations::group_norm`](super::norm::Normalizations::group_norm).
#[track_caller]
pub fn native_group_norm(
    x: &Tensor,
    num_groups: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<[Tensor; 3], Tensor> {
    float(at!("group_norm", 3), x)?;
    if x.rank() < 2 || num_groups == 0 || !x.shape()[1].get().is_multiple_of(num_groups) {
        let expected = format!("[n, c, …] with channels that {num_groups} divides");
        return Err(bad_operand(at!("group_norm", 1), x, &expected));
    }
    let (n, c) = (x.shape()[0].get(), x.shape()[1].get());
    of_shape(at!("group_norm", 2), x, weight, &[c])?;
    of_shape(at!("group_norm", 2), x, bias, &[c])?;
    let rest = x.shape().slice(2, x.rank()).numel();
    let params = [("N", int(n)), ("C", int(c)), ("HxW", int(rest)), ("group", int(num_groups)), ("eps", num(eps))];
    let args = [("input", Some(x)), ("weight", weight), ("bias", bias)];
    let grouped = |x: &Tensor| x.view_to(&[n, num_groups, c / num_groups * rest].into());
    let axes = Axes { dims: vec![2], keep: true };
    let shape = channels(x);
    let value = |[x, w, b]: [Option<&Tensor>; 3]| {
        let x = x.expect("always there");
        let (y, mean, rstd) = normalized(&grouped(&widen(x)), &axes, eps);
        let y = affine(&y.view_to(x.shape()), w, b, &shape);
        let flat = |t: &Tensor| t.view_to(&[n, num_groups].into()).convert(kept(x, w));
        [y.convert(x.dtype()), flat(&mean), flat(&rstd)]
    };
    Ok(optional_by_result(schema::NATIVE_GROUP_NORM, &params, args, value, |x, y, x_dot| {
        normalized_tangents(x, [&y[1], &y[2]], x_dot, &axes, &shape, grouped)
    }))
}

/// The dtype in which statistics are kept: that of the parameters if there are any.
fn kept(x: &Tensor, weight: Option<&Tensor>) -> DType {
    weight.map_or(x.dtype(), Tensor::dtype)
}

/// Zero mean and unit variance over dims; mean and reciprocal deviation keep the dims with size 1.
#[track_caller]
fn normalized(x: &Tensor, axes: &Axes, eps: f64) -> (Tensor, Tensor, Tensor) {
    let mean = axes.keep_all(x, &mean_over(x, axes));
    let centered = x - &mean;
    let var = axes.keep_all(x, &mean_over(&(&centered * &centered), axes));
    let rstd = (var + eps).rsqrt();
    (centered * &rstd, mean, rstd)
}

/// The tangents of a normalisation of operand, weight and bias, by its mean and reciprocal deviation.
///
/// `grouped` shows the operand with the dims `axes` that are normalised; weight and bias stand under `shape`.
#[track_caller]
fn normalized_tangents(
    [x, w, _]: [Option<&Tensor>; 3],
    [mean, rstd]: [&Tensor; 2],
    [x_dot, w_dot, b_dot]: [Option<&Tensor>; 3],
    axes: &Axes,
    shape: &Shape,
    grouped: impl Fn(&Tensor) -> Tensor,
) -> Vec<Tensor> {
    let (x, x_dot) = (x.expect("always there"), x_dot.expect("always there"));
    let (wide, t) = (grouped(&widen(x)), grouped(&widen(x_dot)));
    let of = |s: &Tensor| axes.keep_all(&wide, &s.convert(wide.dtype()));
    let (m, r) = (of(mean), of(rstd));
    let y = (&wide - m) * &r;
    let along = axes.keep_all(&y, &mean_over(&(&y * &t), axes));
    let mean_dot = axes.keep_all(&t, &mean_over(&t, axes));
    let y_dot = ((&t - &mean_dot - &y * &along) * &r).view_to(x.shape());
    let rstd_dot = -(&r * &r * along);

    let at = |p: &Tensor| p.convert(wide.dtype()).view_to(shape);
    let scaled = w.map_or(y_dot.clone(), |w| y_dot * at(w));
    let moved = w_dot.map_or(scaled.clone(), |w_dot| scaled + y.view_to(x.shape()) * at(w_dot));
    let result = b_dot.map_or(moved.clone(), |b_dot| moved + at(b_dot));
    let like = |t: Tensor, y: &Tensor| t.view_to(y.shape()).convert(y.dtype());
    vec![result.convert(x.dtype()), like(mean_dot, mean), like(rstd_dot, rstd)]
}

/// `y · weight + bias`, both under `shape`.
#[track_caller]
pub(super) fn affine(y: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, shape: &Shape) -> Tensor {
    let at = |t: &Tensor| t.convert(y.dtype()).view_to(shape);
    let scaled = weight.map_or(y.clone(), |w| y * at(w));
    bias.map_or(scaled.clone(), |b| &scaled + at(b))
}

/// `[c, 1, …]`: a value for each channel beside `x`.
pub(super) fn channels(x: &Tensor) -> Shape {
    (1..x.rank()).map(|d| if d == 1 { x.shape()[1].get() } else { 1 }).collect()
}

#[track_caller]
fn last_dims(at: At, x: &Tensor, shape: &[usize]) -> Result<Axes, Tensor> {
    let lead = x.rank().checked_sub(shape.len()).filter(|l| !shape.is_empty() && x.shape().sizes()[*l..] == *shape);
    match lead {
        Some(lead) => Ok(Axes { dims: (lead..x.rank()).collect(), keep: true }),
        None => Err(bad_operand(at, x, &format!("a tensor whose last dims are {shape:?}"))),
    }
}

#[track_caller]
fn of_shape(at: At, x: &Tensor, parameter: Option<&Tensor>, shape: &[usize]) -> Result<(), Tensor> {
    let Some(p) = parameter else { return Ok(()) };
    live(&[p])?;
    if p.shape().sizes().as_slice() == shape {
        return Ok(());
    }
    Err(bad_pair(at, x, p, &format!("a parameter of shape {shape:?}")))
}

#[track_caller]
pub(super) fn batch_checks<const N: usize>(x: &Tensor, parameters: [Option<&Tensor>; N]) -> Result<(), Tensor> {
    float(at!("batch_norm", 3), x)?;
    if x.rank() < 2 {
        return Err(bad_operand(at!("batch_norm", 1), x, "[n, c, …] with at least two dims"));
    }
    for p in parameters {
        of_shape(at!("batch_norm", 2), x, p, &[x.shape()[1].get()])?;
    }
    Ok(())
}

/// The normalised batch, its means and reciprocal deviations, as `aten::_native_batch_norm_legit.no_stats` returns them.
///
/// *Errors*: see [`Normalizations::batch_norm`](super::norm::Normalizations::batch_norm).
#[track_caller]
pub fn native_batch_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    momentum: f64,
    eps: f64,
) -> Result<[Tensor; 3], Tensor> {
    batch_checks(x, [weight, bias])?;
    let c = x.shape()[1].get();
    let axes = Axes { dims: (0..x.rank()).filter(|d| *d != 1).collect(), keep: true };
    let params = [("training", num(true)), ("momentum", num(momentum)), ("eps", num(eps))];
    let args = [("input", Some(x)), ("weight", weight), ("bias", bias)];
    let shape = channels(x);
    let value = |[x, w, b]: [Option<&Tensor>; 3]| {
        let x = x.expect("always there");
        let (y, mean, rstd) = normalized(&widen(x), &axes, eps);
        let flat = |t: &Tensor| t.view_to(&[c].into());
        [affine(&y, w, b, &shape).convert(x.dtype()), flat(&mean), flat(&rstd)]
    };
    Ok(optional_by_result(schema::_NATIVE_BATCH_NORM_LEGIT_NO_STATS, &params, args, value, |x, y, x_dot| {
        normalized_tangents(x, [&y[1], &y[2]], x_dot, &axes, &shape, |t| t.clone())
    }))
}

/// The running statistics after a batch: `(1 - momentum) · old + momentum · new`, with the unbiased variance.
///
/// *Errors*: see [`Normalizations::batch_norm`](super::norm::Normalizations::batch_norm).
#[track_caller]
pub fn running_statistics(x: &Tensor, mean: &Tensor, var: &Tensor, momentum: f64) -> Result<[Tensor; 2], Tensor> {
    batch_checks(x, [Some(mean), Some(var)])?;
    let others: Vec<i64> = (0..x.rank() as i64).filter(|d| *d != 1).collect();
    let (new_var, new_mean) = widen(&x.detach()).var_mean(others.as_slice(), 1);
    let mix = |old: &Tensor, new: Tensor| (old * (1.0 - momentum) + new * momentum).convert(old.dtype());
    Ok([mix(mean, new_mean), mix(var, new_var)])
}

/// A batch norm in training, which `torch.nn.functional` refuses for a single value for each channel.
#[track_caller]
pub(super) fn of_batch(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    momentum: f64,
    eps: f64,
) -> Result<Tensor, Tensor> {
    let [y, _, _] = native_batch_norm(x, weight, bias, momentum, eps)?;
    let c = x.shape()[1].get();
    if x.numel() == c && c > 0 {
        return Err(bad_operand(at!("batch_norm", 4), x, "more than one value for each channel when training"));
    }
    Ok(y)
}
