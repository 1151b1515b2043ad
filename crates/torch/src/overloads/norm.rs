//! Normalisations.

use cotangent_aten::nn::native_norm::{
    fused_rms_norm, native_batch_norm, native_group_norm, native_layer_norm, running_statistics,
};
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::gradient::masked_pullback;
use super::{Answer, many, one};
use crate::args::{Call, Read, Value};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    match c.target {
        "aten.layer_norm.default" => {
            let [y, _, _] = layer_norm(c)?;
            one(y)
        }
        // PyTorch has no derivative of the statistics, forward or reverse.
        "aten.native_layer_norm.default" => {
            let [y, mean, rstd] = layer_norm(c)?;
            many([y, mean.detach(), rstd.detach()])
        }
        "aten.native_layer_norm_backward.default" => {
            let shape = c.sizes("normalized_shape")?;
            let lead = c.tensor("input")?.rank().saturating_sub(shape.len());
            let dims: Vec<i64> = (0..shape.len()).map(|i| (lead + i) as i64).collect();
            backward(c, &shape, [c.opt_tensor("rstd")?, None], |x, w, b, [rstd, _]| {
                affine(&restored(x, &dims, rstd.as_ref()), w, b)
            })
        }
        "aten.group_norm.default" => {
            let (x, w, b) = operands(c)?;
            let groups = c.size("num_groups")?;
            one(x.group_norm(groups, w.as_ref(), b.as_ref(), c.float_or("eps", 1e-5)?))
        }
        "aten.native_group_norm.default" => {
            let (x, w, b) = operands(c)?;
            let groups = c.size("group")?;
            let x = unflattened(c, x)?;
            many(results(native_group_norm(&x, groups, w.as_ref(), b.as_ref(), c.float_or("eps", 1e-5)?))?)
        }
        "aten.native_group_norm_backward.default" => {
            let (n, channels, groups) = (c.size("N")?, c.size("C")?, c.size("group")?);
            let rest = c.size("HxW")?;
            backward(c, &[channels], [c.opt_tensor("rstd")?, None], |x, w, b, [rstd, _]| {
                let grouped = x.reshape(vec![n, groups, channels / groups.max(1) * rest]);
                let rstd = rstd.map(|r| r.reshape(vec![n, groups, 1]));
                let y = restored(&grouped, &[2], rstd.as_ref()).view_to(x.shape());
                affine(&y, beside(w, x).as_ref(), beside(b, x).as_ref())
            })
        }
        "aten.instance_norm.default" => {
            let (x, w, b) = operands(c)?;
            let eps = c.float_or("eps", 1e-5)?;
            if c.bool_or("use_input_stats", true)? {
                return one(x.instance_norm(w.as_ref(), b.as_ref(), eps));
            }
            one(x.batch_norm(&c.tensor("running_mean")?, &c.tensor("running_var")?, w.as_ref(), b.as_ref(), eps))
        }
        "aten.rms_norm.default" => {
            let (x, w, _) = operands(c)?;
            one(x.rms_norm(c.sizes("normalized_shape")?, w.as_ref(), c.opt_float("eps")?))
        }
        "aten._fused_rms_norm.default" => {
            let (x, w, _) = operands(c)?;
            let shape = c.sizes("normalized_shape")?;
            many(results(fused_rms_norm(&x, &shape, w.as_ref(), c.opt_float("eps")?))?)
        }
        "aten._fused_rms_norm_backward.default" => {
            let (x, w, shape) = (c.tensor("input")?, c.opt_tensor("weight")?, c.sizes("normalized_shape")?);
            let lead = x.rank().saturating_sub(shape.len());
            let dims: Vec<i64> = (0..shape.len()).map(|i| (lead + i) as i64).collect();
            let (y_bar, mask) = (c.tensor("grad_out")?, c.flags::<2>("output_mask")?);
            let operands = [w, c.opt_tensor("rstd")?];
            let outs = masked_pullback(&x, operands, &mask, &y_bar, |x, [w, rstd]| {
                let wide = rstd.as_ref().map_or(x.clone(), |r| x.convert(r.dtype()));
                let square = (&wide * &wide).mean_dim(keepdim(dims.as_slice()));
                affine(&(&wide * reciprocal_root(&square, rstd.as_ref())), w.as_ref(), None).convert(x.dtype())
            })?;
            Ok(Some(outs))
        }
        "aten.renorm.default" => one(c.tensor("self")?.renorm(c.float("p")?, c.int("dim")?, c.float("maxnorm")?)),
        "aten.norm_except_dim.default" => {
            let pow = c.int_or("pow", 2)? as f64;
            one(c.tensor("v")?.norm_except_dim(pow, c.int_or("dim", 0)?))
        }
        "aten._weight_norm.default" | "aten._weight_norm_interface.default" => {
            let (v, g) = (c.tensor("v")?, c.tensor("g")?);
            let norm = v.norm_except_dim(2.0, c.int_or("dim", 0)?);
            let w = &v * (g / &norm);
            if c.target == "aten._weight_norm.default" { one(w) } else { many([w, norm]) }
        }
        _ => batch_norm(c),
    }
}

/// Batch norms: the many names differ in where the running statistics go, and in what is kept for a backward pass.
fn batch_norm(c: &Call) -> Answer {
    let Some((name, overload)) = c.target.strip_prefix("aten.").and_then(|t| t.split_once('.')) else {
        return Ok(None);
    };
    let training = match (name, overload) {
        ("_native_batch_norm_legit_no_training" | "_batch_norm_no_update", "default") => false,
        ("_native_batch_norm_legit", "no_stats")
        | ("_batch_norm_with_update" | "_batch_norm_with_update_functional", "default") => true,
        (
            "batch_norm"
            | "native_batch_norm"
            | "_native_batch_norm_legit"
            | "_native_batch_norm_legit_functional"
            | "cudnn_batch_norm"
            | "_batch_norm_impl_index",
            "default",
        ) => c.bool_or("training", false)?,
        ("native_batch_norm_backward" | "batch_norm_backward", "default") => return batch_norm_backward(c),
        _ => return Ok(None),
    };
    let (x, w, b) = operands(c)?;
    // Where there is nothing to normalise, no dim of channels is asked for.
    if name == "batch_norm" && x.numel() == 0 && x.rank() < 2 {
        return one(x);
    }
    let mean = c.opt_tensor("running_mean")?;
    let momentum = c.opt_float("momentum")?.or(c.opt_float("exponential_average_factor")?).unwrap_or(0.1);
    let eps = c.opt_float("eps")?.or(c.opt_float("epsilon")?).unwrap_or(1e-5);
    let normalized = if training {
        let [y, save_mean, save_rstd] = results(native_batch_norm(&x, w.as_ref(), b.as_ref(), momentum, eps))?;
        // Kept in the dtype of the statistics and parameters, or of the input where there are none.
        let kept = [&mean, &w, &b].into_iter().find_map(Option::as_ref).map_or(x.dtype(), Tensor::dtype);
        // What is kept for a backward pass has no derivative.
        [y, save_mean.convert(kept).detach(), save_rstd.convert(kept).detach()]
    } else {
        let (mean, var) = (c.tensor("running_mean")?, c.tensor("running_var")?);
        let none = x.full_of(&x.aval().with_shape([0]), 0.0);
        [x.batch_norm(&mean, &var, w.as_ref(), b.as_ref(), eps), none.clone(), none]
    };
    let updated = || -> Read<[Tensor; 2]> {
        let (mean, var) = (c.tensor("running_mean")?, c.tensor("running_var")?);
        if !training { Ok([mean, var]) } else { results(running_statistics(&x, &mean, &var, momentum)) }
    };
    // Scratch space of other devices: empty here.
    let reserve = || x.full_of(&cotangent_core::ir::Aval::new(cotangent_core::ir::DType::U8, [0]), 0i64);
    match name {
        "batch_norm" => one(normalized[0].clone()),
        "_native_batch_norm_legit_functional" => many(normalized.into_iter().chain(updated()?)),
        "_batch_norm_with_update_functional" => many(normalized.into_iter().chain([reserve()]).chain(updated()?)),
        "cudnn_batch_norm" | "_batch_norm_no_update" | "_batch_norm_with_update" => {
            many(normalized.into_iter().chain([reserve()]))
        }
        "_batch_norm_impl_index" => {
            let outs = normalized.into_iter().chain([reserve()]).map(Value::Tensor);
            Ok(Some(outs.chain([Value::Int(0)]).collect()))
        }
        _ => many(normalized),
    }
}

fn batch_norm_backward(c: &Call) -> Answer {
    let training = c.bool_or("train", false)? || c.bool_or("update", false)?;
    let eps = c.float_or("eps", 1e-5)?;
    let statistics = [c.opt_tensor("running_mean")?, c.opt_tensor("running_var")?];
    let channels = c.tensor("input")?.size(1);
    backward(c, &[channels], statistics, |x, w, b, statistics| match statistics {
        [Some(mean), Some(var)] if !training => x.batch_norm(&mean, &var, w, b, eps),
        [_, _] => match native_batch_norm(x, w, b, 0.1, eps) {
            Ok([y, _, _]) => y,
            Err(poison) => poison,
        },
    })
}

/// The cotangents of input, weight and bias of a normalisation with two more operands. The bias is not given: zeros of
/// `shape` stand for it.
fn backward(
    c: &Call,
    shape: &[usize],
    more: [Option<Tensor>; 2],
    f: impl FnOnce(&Tensor, Option<&Tensor>, Option<&Tensor>, [Option<Tensor>; 2]) -> Tensor,
) -> Answer {
    let (y_bar, x, w) = (c.tensor("grad_out")?, c.tensor("input")?, c.opt_tensor("weight")?);
    let mask = c.flags::<3>("output_mask")?;
    let like = w.as_ref().unwrap_or(&x);
    let b = mask[2].then(|| like.full_of(&like.aval().with_shape(shape), 0.0));
    let [first, second] = more;
    let outs = masked_pullback(&x, [w.clone(), b, first, second], &mask, &y_bar, |x, [w, b, first, second]| {
        f(x, w.as_ref(), b.as_ref(), [first, second]).convert(x.dtype())
    })?;
    Ok(Some(outs))
}

/// Zero mean and unit variance over `dims`, by the reciprocal deviation that the forward pass kept.
fn restored(x: &Tensor, dims: &[i64], rstd: Option<&Tensor>) -> Tensor {
    let wide = rstd.map_or(x.clone(), |r| x.convert(r.dtype()));
    let centered = &wide - wide.mean_dim(keepdim(dims));
    let var = (&centered * &centered).mean_dim(keepdim(dims));
    centered * reciprocal_root(&var, rstd)
}

/// The reciprocal root of `square + eps`, where `eps` is not given but follows from the result, which was kept.
fn reciprocal_root(square: &Tensor, kept: Option<&Tensor>) -> Tensor {
    match kept {
        Some(r) => (square + ((r * r).reciprocal() - square).detach()).rsqrt(),
        None => square.rsqrt(),
    }
}

fn affine(y: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
    let scaled = weight.map_or(y.clone(), |w| y * w);
    bias.map_or(scaled.clone(), |b| &scaled + b)
}

/// A value for each channel beside `x`.
fn beside(parameter: Option<&Tensor>, x: &Tensor) -> Option<Tensor> {
    let shape = (1..x.rank()).map(|d| if d == 1 { x.shape()[1].get() } else { 1 }).collect();
    parameter.map(|p| p.view_to(&shape))
}

fn operands(c: &Call) -> Read<(Tensor, Option<Tensor>, Option<Tensor>)> {
    Ok((c.tensor("input")?, c.opt_tensor("weight")?, c.opt_tensor("bias")?))
}

fn results<const N: usize>(r: Result<[Tensor; N], Tensor>) -> Read<[Tensor; N]> {
    match r {
        Ok(results) => Ok(results),
        Err(poison) => Ok(std::array::from_fn(|_| poison.clone())),
    }
}

fn layer_norm(c: &Call) -> Read<[Tensor; 3]> {
    let (x, w, b) = operands(c)?;
    let shape = c.sizes("normalized_shape")?;
    results(native_layer_norm(&x, &shape, w.as_ref(), b.as_ref(), c.float_or("eps", 1e-5)?))
}

/// The input of `native_group_norm`, which may have its dims flattened: the sizes stand in the call.
fn unflattened(c: &Call, x: Tensor) -> Read<Tensor> {
    if x.rank() >= 2 {
        return Ok(x);
    }
    let shape = [c.size("N")?, c.size("C")?, c.size("HxW")?];
    Ok(x.reshape(shape.to_vec()))
}

#[cfg(test)]
mod tests {
    use cotangent_core::ir::{DType, Shape};

    use super::super::call;
    use super::*;
    use crate::args::Arg;

    fn outs(target: &str, x: Tensor, more: &[(&'static str, Arg)]) -> Vec<Tensor> {
        let mut args = vec![("input", Arg::Tensor(x)), ("training", Arg::Bool(true))];
        args.extend(more.iter().cloned());
        let outs = call(&Call { target, node: "n", args }).expect("results");
        outs.into_iter().filter_map(|v| if let Value::Tensor(t) = v { Some(t) } else { None }).collect()
    }

    #[test]
    fn statistics_are_kept_in_the_dtype_of_parameters_or_input() {
        let x = Tensor::from([[1.0f32, 2.0], [3.0, 5.0]]).convert(DType::F16);
        let dtypes = |more: &[_]| -> Vec<DType> {
            outs("aten.native_batch_norm.default", x.clone(), more).iter().map(Tensor::dtype).collect()
        };
        assert_eq!(dtypes(&[]), [DType::F16; 3]);
        let weight = ("weight", Arg::Tensor(Tensor::from([1.0f32, 1.0])));
        assert_eq!(dtypes(&[weight]), [DType::F16, DType::F32, DType::F32]);
    }

    #[test]
    fn nothing_is_normalised_to_nothing() {
        let y = outs("aten.batch_norm.default", Tensor::from_vec(Vec::<f32>::new(), [0]), &[]);
        assert_eq!(y[0].shape(), &Shape::from([0]));
    }
}
