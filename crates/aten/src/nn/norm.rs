//! Normalisations.

use cotangent_core::Tensor;

use crate::arg::{AsTensor, Over, Sizes, at, attempt, bad, bad_operand, float, keepdim, live, sizes, widen};
use crate::call::{ints, num, optional};
use crate::compare::Comparisons;
use crate::schema;
use crate::stats::Statistics;

use super::native_norm::{
    affine, batch_checks, channels, native_group_norm, native_layer_norm, of_batch, rms_checks, running_statistics,
    scaled_by_root,
};

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
