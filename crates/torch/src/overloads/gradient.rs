//! Operators that PyTorch's own backward passes leave in programs: `convolution_backward`, `gelu_backward`, ….
//!
//! Where PyTorch has a formula over what the forward pass saved, cotangent differentiates the forward function again: the
//! value is the same, and so are derivatives of it, because what was saved is a function of the inputs.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::transform::replay::replay;
use cotangent_core::transform::{build, grad};

use super::{Answer, many, one};
use crate::args::{Call, Read, Value};

/// The cotangents of the arguments `wrt` of `f` at `args`, for the cotangent `y_bar` of its first result.
///
/// *Errors*: what `f` or the transform refuses.
pub(super) fn pullback(
    args: &[Tensor],
    wrt: &[usize],
    y_bar: &Tensor,
    f: impl FnOnce(&[Tensor]) -> Tensor,
) -> Read<Vec<Tensor>> {
    let forward = build("forward", |t| {
        let x: Vec<Tensor> = args.iter().map(|a| t.param(&a.aval())).collect();
        Ok(vec![f(&x).ok()?])
    })?;
    let backward = grad::vjp(&forward, wrt)?;
    let given: Vec<Tensor> = args.iter().chain([y_bar]).cloned().collect();
    Ok(replay(&backward, &given).split_off(forward.results().len()))
}

/// The same for a function of a tensor and of operands that may be absent: of `x`, then of the operands, those cotangents
/// that `mask` wants (as far as it goes); the others are `None`.
pub(super) fn masked_pullback<const N: usize>(
    x: &Tensor,
    operands: [Option<Tensor>; N],
    mask: &[bool],
    y_bar: &Tensor,
    f: impl FnOnce(&Tensor, [Option<Tensor>; N]) -> Tensor,
) -> Read<Vec<Value>> {
    let present: Vec<Tensor> = [x].into_iter().chain(operands.iter().flatten()).cloned().collect();
    let wanted: Vec<bool> = std::iter::once(true)
        .chain(operands.iter().map(Option::is_some))
        .zip(mask)
        .map(|(present, wanted)| present && *wanted)
        .collect();
    let place = |i: usize| if i == 0 { 0 } else { 1 + operands[..i - 1].iter().flatten().count() };
    let wrt: Vec<usize> = (0..wanted.len()).filter(|i| wanted[*i]).map(place).collect();
    let bars = pullback(&present, &wrt, y_bar, |given| {
        let mut rest = given[1..].iter().cloned();
        f(&given[0], std::array::from_fn(|i| operands[i].as_ref().and_then(|_| rest.next())))
    })?;
    let mut bars = bars.into_iter();
    let value = |wanted: bool| if wanted { bars.next().map_or(Value::None, Value::Tensor) } else { Value::None };
    Ok(wanted.into_iter().map(value).collect())
}

/// Backward overloads of elementwise functions over the saved input.
type OfInput = fn(&Call, &Tensor) -> Read<Tensor>;

const OF_INPUT: &[(&str, OfInput)] = &[
    ("aten.gelu_backward.default", |c, x| super::activation::gelu(c, x)),
    ("aten.silu_backward.default", |_, x| Ok(x.silu())),
    ("aten.mish_backward.default", |_, x| Ok(x.mish())),
    ("aten.hardtanh_backward.default", |c, x| Ok(x.hardtanh(c.scalar("min_val")?, c.scalar("max_val")?))),
    ("aten.threshold_backward.default", |c, x| Ok(x.threshold(c.scalar("threshold")?, 0i64))),
    ("aten.hardsigmoid_backward.default", |_, x| Ok(x.hardsigmoid())),
    ("aten.hardswish_backward.default", |_, x| Ok(x.hardswish())),
    ("aten.hardshrink_backward.default", |c, x| Ok(x.hardshrink(c.float("lambd")?))),
    ("aten.softshrink_backward.default", |c, x| Ok(x.softshrink(c.float("lambd")?))),
    ("aten.softplus_backward.default", |c, x| Ok(x.softplus(c.float("beta")?, c.float("threshold")?))),
    ("aten.log_sigmoid_backward.default", |_, x| Ok(x.logsigmoid())),
    ("aten.glu_backward.default", |c, x| Ok(x.glu(c.int("dim")?))),
    ("aten.logit_backward.default", |c, x| Ok(x.logit(c.opt_float("eps")?))),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    if let Some((_, f)) = OF_INPUT.iter().find(|(name, _)| *name == c.target) {
        let y_bar = match c.opt_tensor("grad_output")? {
            Some(y_bar) => y_bar,
            None => c.tensor("grad_out")?,
        };
        let mut failed = None;
        let bars = pullback(&[c.tensor("self")?], &[0], &y_bar, |x| {
            f(c, &x[0]).unwrap_or_else(|e| {
                failed = Some(e);
                x[0].clone()
            })
        })?;
        return failed.map_or_else(|| many(bars), Err);
    }
    let y_bar = || c.tensor("grad_output");
    match c.target {
        "aten.sigmoid_backward.default" => {
            let y = c.tensor("output")?;
            one(y_bar()? * (1.0 - &y) * y)
        }
        "aten.tanh_backward.default" => {
            let y = c.tensor("output")?;
            one(y_bar()? * (1.0 - &y * &y))
        }
        "aten.elu_backward.default" => {
            let (g, x) = (y_bar()?, c.tensor("self_or_result")?);
            let (alpha, scale, inner) = (c.float("alpha")?, c.float("scale")?, c.float("input_scale")?);
            let below = if c.bool_or("is_result", false)? {
                (&x + alpha * scale) * inner
            } else {
                (&x * inner).exp() * (inner * alpha * scale)
            };
            one((&g * below).where_(&x.le(0.0), &g * scale))
        }
        // The slope of the input and of the result have the same sign.
        "aten.leaky_relu_backward.default" => {
            let (g, x) = (y_bar()?, c.tensor("self")?);
            one(g.where_(&x.gt(0.0), &g * c.float("negative_slope")?))
        }
        "aten._prelu_kernel_backward.default" => {
            let (g, x, w) = (y_bar()?, c.tensor("self")?, c.tensor("weight")?);
            let above = x.gt(0.0);
            many([g.where_(&above, &g * w), g.zeros_like().where_(&above, &g * x)])
        }
        "aten.rrelu_with_noise_backward.default" => {
            let (g, x) = (y_bar()?, c.tensor("self")?);
            let (lower, upper) = (c.float_or("lower", 0.125)?, c.float_or("upper", 1.0 / 3.0)?);
            if c.bool_or("training", false)? && upper - lower > 1e-6 {
                return one(g * c.tensor("noise")?);
            }
            one(g.where_(&x.gt(0.0), &g * ((lower + upper) / 2.0)))
        }
        "aten._softmax_backward_data.default" => {
            let (g, y, dim) = (wide(&y_bar()?), wide(&c.tensor("output")?), c.int("dim")?);
            let weighted = g * &y;
            one(narrowed(c, &weighted - y * over(&weighted, dim))?)
        }
        "aten._log_softmax_backward_data.default" => {
            let (g, y, dim) = (wide(&y_bar()?), wide(&c.tensor("output")?), c.int("dim")?);
            one(narrowed(c, &g - y.exp() * over(&g, dim))?)
        }
        "aten.native_dropout_backward.default" => {
            let mask = c.tensor("mask")?;
            let g = y_bar()?;
            one(&g * mask.convert(g.dtype()) * c.float("scale")?)
        }
        _ => Ok(None),
    }
}

/// The sum along `dim`, which stays.
fn over(x: &Tensor, dim: i64) -> Tensor {
    if x.rank() == 0 { x.clone() } else { x.sum_dim(keepdim(dim)) }
}

/// Half formats in the dtype in which PyTorch computes the derivatives of softmax.
fn wide(x: &Tensor) -> Tensor {
    if matches!(x.dtype(), DType::BF16 | DType::F16) { x.convert(DType::F32) } else { x.clone() }
}

/// The result in the dtype of the softmax's operand.
fn narrowed(c: &Call, x: Tensor) -> Read<Tensor> {
    let dtype = c.dtype("input_dtype")?.map_or_else(|| c.tensor("output").map(|y| y.dtype()), Ok)?;
    Ok(x.convert(dtype))
}

impl Call<'_> {
    /// A number as a float, or `default`.
    pub(super) fn number_or(&self, name: &str, default: f64) -> Read<f64> {
        Ok(self.opt_scalar(name)?.map_or(default, Scalar::to_f64))
    }
}
