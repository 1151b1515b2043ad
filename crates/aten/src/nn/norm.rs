//! Normalisations.

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use crate::arg::{
    AsTensor, At, Axes, Over, Sizes, at, attempt, bad, bad_operand, bad_pair, float, keepdim, live, sizes, widen,
};
use crate::call::{int, ints, num, optional, optional_by_result};
use crate::compare::Comparisons;
use crate::reduce::mean_over;
use crate::schema;
use crate::stats::Statistics;

/// Normalisations under PyTorch's names.
pub trait Normalizations: AsTensor {
    /// Zero mean and unit variance (biased, plus `eps`) over the last dims `normalized_shape`, then `weight` and
    /// `bias`.
    ///
    /// *Errors*: `layer_norm_c1` a shape that is not that of the last dims; `layer_norm_c2` a weight or bias of
    /// another
    /// shape; `layer_norm_c3` integers.
    #[track_caller]
    fn layer_norm<'a>(
        &self,
        normalized_shape: impl Into<Sizes>,
        weight: impl Into<Option<&'a Tensor>>,
        bias: impl Into<Option<&'a Tensor>>,
        eps: f64,
    ) -> Tensor {
        let x = self.tensor();
        let shape = attempt!(sizes(at!("layer_norm", 1), &[x], "normalized_shape", &normalized_shape.into()));
        let (weight, bias) = (weight.into(), bias.into());
        let [y, _, _] = match native_layer_norm(x, &shape, weight, bias, eps) {
            Ok(results) => results,
            Err(poison) => return poison,
        };
        y
    }

    /// Divided by the root of the mean square (plus `eps`, by default that of the dtype) over the last dims.
    ///
    /// *Errors*: `rms_norm_c1` a shape that is not that of the last dims; `rms_norm_c2` a weight of another shape;
    /// `rms_norm_c3` integers.
    #[track_caller]
    fn rms_norm<'a>(
        &self,
        normalized_shape: impl Into<Sizes>,
        weight: impl Into<Option<&'a Tensor>>,
        eps: impl Into<Option<f64>>,
    ) -> Tensor {
        let (x, weight) = (self.tensor(), weight.into());
        let shape = attempt!(sizes(at!("rms_norm", 1), &[x], "normalized_shape", &normalized_shape.into()));
        let eps = eps.into();
        let params = [("normalized_shape", ints(&shape)), ("eps", crate::call::opt(eps))];
        let axes = attempt!(rms_checks(x, &shape, weight));
        let [y] = optional(schema::RMS_NORM, &params, [("input", Some(x)), ("weight", weight)], |[x, w]| {
            let (y, _) = scaled_by_root(x.expect("always there"), w, &axes, eps);
            [y]
        });
        y
    }

    /// Zero mean and unit variance over each of `num_groups` groups of channels (dim 1), then `weight` and `bias` for
    /// each channel.
    ///
    /// *Errors*: `group_norm_c1` fewer than two dims, or groups that do not divide the channels; `group_norm_c2` a
    /// weight or bias that is not `[channels]`; `group_norm_c3` integers.
    #[track_caller]
    fn group_norm<'a>(
        &self,
        num_groups: usize,
        weight: impl Into<Option<&'a Tensor>>,
        bias: impl Into<Option<&'a Tensor>>,
        eps: f64,
    ) -> Tensor {
        match native_group_norm(self.tensor(), num_groups, weight.into(), bias.into(), eps) {
            Ok([y, _, _]) => y,
            Err(poison) => poison,
        }
    }

    /// Zero mean and unit variance over each channel of each example, then `weight` and `bias` for each channel.
    ///
    /// *Errors*: as [`Normalizations::group_norm`].
    #[track_caller]
    fn instance_norm<'a>(
        &self,
        weight: impl Into<Option<&'a Tensor>>,
        bias: impl Into<Option<&'a Tensor>>,
        eps: f64,
    ) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let c = if x.rank() < 2 { 1 } else { x.shape()[1].get().max(1) };
        self.group_norm(c, weight, bias, eps)
    }

    /// Normalised by given statistics of each channel (dim 1): a batch norm outside of training.
    ///
    /// *Errors*: `batch_norm_c1` fewer than two dims; `batch_norm_c2` statistics, weight or bias that are not
    /// `[channels]`; `batch_norm_c3` integers.
    #[track_caller]
    fn batch_norm<'a>(
        &self,
        running_mean: &Tensor,
        running_var: &Tensor,
        weight: impl Into<Option<&'a Tensor>>,
        bias: impl Into<Option<&'a Tensor>>,
        eps: f64,
    ) -> Tensor {
        let (x, weight, bias) = (self.tensor(), weight.into(), bias.into());
        attempt!(batch_checks(x, [weight, bias, Some(running_mean), Some(running_var)]));
        let params = [("momentum", num(0.1)), ("eps", num(eps))];
        let args = [
            ("input", Some(x)),
            ("weight", weight),
            ("bias", bias),
            ("running_mean", Some(running_mean)),
            ("running_var", Some(running_var)),
        ];
        let [y, _, _] = optional(schema::_NATIVE_BATCH_NORM_LEGIT_NO_TRAINING, &params, args, |[x, w, b, m, v]| {
            let (x, m, v) = (x.expect("always there"), m.expect("always there"), v.expect("always there"));
            let (wide, shape) = (widen(x), channels(x));
            let at = |t: &Tensor| t.convert(wide.dtype()).view_to(&shape);
            let y = (&wide - at(m)) * (at(v) + eps).rsqrt();
            let none = x.full_of(&cotangent_core::ir::Aval::new(wide.dtype(), [0]), 0.0);
            [affine(&y, w, b, &shape).convert(x.dtype()), none.clone(), none]
        });
        y
    }

    /// Normalised by the statistics of the batch for each channel (dim 1), with the new running statistics
    /// `(1 - momentum) · old + momentum · new`, whose variance is unbiased: a batch norm in training.
    ///
    /// *Errors*: as [`Normalizations::batch_norm`]; `batch_norm_c4` a single value for each channel.
    #[track_caller]
    fn batch_norm_train<'a>(
        &self,
        running_mean: &Tensor,
        running_var: &Tensor,
        weight: impl Into<Option<&'a Tensor>>,
        bias: impl Into<Option<&'a Tensor>>,
        momentum: f64,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let x = self.tensor();
        let all = |poison: Tensor| (poison.clone(), poison.clone(), poison);
        let results = of_batch(x, weight.into(), bias.into(), momentum, eps)
            .and_then(|y| Ok((y, running_statistics(x, running_mean, running_var, momentum)?)));
        match results {
            Ok((y, [mean, var])) => (y, mean, var),
            Err(poison) => all(poison),
        }
    }

    /// As [`Normalizations::batch_norm_train`] without running statistics.
    #[track_caller]
    fn batch_norm_of_batch<'a>(
        &self,
        weight: impl Into<Option<&'a Tensor>>,
        bias: impl Into<Option<&'a Tensor>>,
        eps: f64,
    ) -> Tensor {
        match of_batch(self.tensor(), weight.into(), bias.into(), 0.1, eps) {
            Ok(y) | Err(y) => y,
        }
    }

    /// Divided by the `p`-norm over dims, which is at least `eps`: derivative `1 / eps` at 0.
    ///
    /// *Errors*: `vector_norm_c1` no such dim; `vector_norm_c2` integers.
    #[track_caller]
    fn normalize(&self, p: f64, over: impl Into<Over>, eps: f64) -> Tensor {
        let x = self.tensor();
        x / x.vector_norm(p, keepdim(over)).clamp_min(eps)
    }

    /// Slices along `dim` whose `p`-norm is above `maxnorm` scaled down to it.
    ///
    /// *Errors*: `renorm_c1` no such dim or a single one; `renorm_c2` integers.
    #[track_caller]
    fn renorm(&self, p: f64, dim: i64, maxnorm: f64) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("renorm", 2), x));
        let d = attempt!(crate::arg::real_dim(at!("renorm", 1), x, dim));
        if x.rank() < 2 {
            return bad_operand(at!("renorm", 1), x, "at least two dims");
        }
        let wide = widen(x);
        let others: Vec<i64> = (0..x.rank()).filter(|o| *o != d).map(|o| o as i64).collect();
        let norm = wide.vector_norm(p, keepdim(others.as_slice()));
        let factor = (1.0 / (&norm + 1e-7) * maxnorm).where_(&norm.gt(maxnorm), 1.0);
        (wide * factor).convert(x.dtype())
    }

    /// The norm of each slice along `dim` (of all elements for -1), in the shape with 1 at the other dims.
    ///
    /// *Errors*: `norm_except_dim_c1` no such dim; `norm_except_dim_c2` integers.
    #[track_caller]
    fn norm_except_dim(&self, pow: f64, dim: i64) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("norm_except_dim", 2), x));
        if dim == -1 {
            return x.vector_norm(pow, ());
        }
        let d = attempt!(crate::arg::real_dim(at!("norm_except_dim", 1), x, dim));
        let others: Vec<i64> = (0..x.rank()).filter(|o| *o != d).map(|o| o as i64).collect();
        if others.is_empty() { x.abs() } else { x.vector_norm(pow, keepdim(others.as_slice())) }
    }

    /// Divided by `(k + alpha · mean of squares of the `size` channels around)^beta`, zeros beyond the ends.
    ///
    /// *Errors*: `local_response_norm_c1` fewer than three dims; `local_response_norm_c2` no channels around.
    #[track_caller]
    fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("local_response_norm", 1), x));
        if x.rank() < 3 {
            return bad_operand(at!("local_response_norm", 1), x, "[n, c, …] with at least three dims");
        }
        if size == 0 {
            return bad(at!("local_response_norm", 2), &[x], "size", "at least 1", "0");
        }
        let mut pad = vec![(0, 0); x.rank()];
        pad[1] = ((size / 2) as i64, ((size - 1) / 2) as i64);
        let windows = (x * x).pad_dims(&pad, 0.0).unfold_dim(1, size, 1);
        let mean = windows.sum_over(&[x.rank()]) / size as f64;
        x / (mean * alpha + k).pow(beta)
    }
}

impl Normalizations for Tensor {}

/// The normalised tensor, mean and reciprocal deviation, as `aten::native_layer_norm` returns them.
///
/// *Errors*: see [`Normalizations::layer_norm`].
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
/// *Errors*: see [`Normalizations::rms_norm`].
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
fn rms_checks(x: &Tensor, shape: &[usize], weight: Option<&Tensor>) -> Result<Axes, Tensor> {
    float(at!("rms_norm", 3), x)?;
    let axes = last_dims(at!("rms_norm", 1), x, shape)?;
    of_shape(at!("rms_norm", 2), x, weight, shape)?;
    Ok(axes)
}

/// The operand times the reciprocal root of its mean square, which comes second, in the machine's dtype.
#[track_caller]
fn scaled_by_root(x: &Tensor, weight: Option<&Tensor>, axes: &Axes, eps: Option<f64>) -> (Tensor, Tensor) {
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
/// *Errors*: see [`Normalizations::group_norm`].
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
fn affine(y: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, shape: &Shape) -> Tensor {
    let at = |t: &Tensor| t.convert(y.dtype()).view_to(shape);
    let scaled = weight.map_or(y.clone(), |w| y * at(w));
    bias.map_or(scaled.clone(), |b| &scaled + at(b))
}

/// `[c, 1, …]`: a value for each channel beside `x`.
fn channels(x: &Tensor) -> Shape {
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
fn batch_checks<const N: usize>(x: &Tensor, parameters: [Option<&Tensor>; N]) -> Result<(), Tensor> {
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
/// *Errors*: see [`Normalizations::batch_norm`].
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
/// *Errors*: see [`Normalizations::batch_norm`].
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
fn of_batch(
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
