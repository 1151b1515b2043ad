//! Activations and softmax.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::{Answer, many, one};
use crate::args::{Call, Read};

/// An activation of one tensor, called `self`.
type OfOne = fn(&Call, &Tensor) -> Read<Tensor>;

const OF_ONE: &[(&str, OfOne)] = &[
    ("aten.relu.default", |_, x| Ok(x.relu())),
    ("aten.relu6.default", |_, x| Ok(x.relu6())),
    ("aten.hardtanh.default", |c, x| Ok(x.hardtanh(c.scalar_or("min_val", -1)?, c.scalar_or("max_val", 1)?))),
    ("aten.leaky_relu.default", |c, x| Ok(x.leaky_relu(c.float_or("negative_slope", 0.01)?))),
    ("aten.elu.default", |c, x| {
        Ok(x.elu_scaled(c.float_or("alpha", 1.0)?, c.float_or("scale", 1.0)?, c.float_or("input_scale", 1.0)?))
    }),
    ("aten.selu.default", |_, x| Ok(x.selu())),
    ("aten.celu.default", |c, x| Ok(x.celu(c.float_or("alpha", 1.0)?))),
    ("aten.gelu.default", gelu),
    ("aten.silu.default", |_, x| Ok(x.silu())),
    ("aten.mish.default", |_, x| Ok(x.mish())),
    ("aten.softplus.default", |c, x| Ok(x.softplus(c.float_or("beta", 1.0)?, c.float_or("threshold", 20.0)?))),
    ("aten.hardsigmoid.default", |_, x| Ok(x.hardsigmoid())),
    ("aten.hardswish.default", |_, x| Ok(x.hardswish())),
    ("aten.hardshrink.default", |c, x| Ok(x.hardshrink(c.float_or("lambd", 0.5)?))),
    ("aten.softshrink.default", |c, x| Ok(x.softshrink(c.float_or("lambd", 0.5)?))),
    ("aten.threshold.default", |c, x| Ok(x.threshold(c.scalar("threshold")?, c.scalar("value")?))),
    ("aten.log_sigmoid.default", |_, x| Ok(x.logsigmoid())),
    ("aten.glu.default", |c, x| Ok(x.glu(c.int_or("dim", -1)?))),
    ("aten.softmax.int", |c, x| Ok(in_dtype(c, x)?.softmax(c.int("dim")?))),
    ("aten.special_softmax.default", |c, x| Ok(in_dtype(c, x)?.softmax(c.int("dim")?))),
    ("aten.log_softmax.int", |c, x| Ok(in_dtype(c, x)?.log_softmax(c.int("dim")?))),
    ("aten.special_log_softmax.default", |c, x| Ok(in_dtype(c, x)?.log_softmax(c.int("dim")?))),
    ("aten._softmax.default", |c, x| Ok(half_to_float(c, x)?.softmax(c.int("dim")?))),
    ("aten._log_softmax.default", |c, x| Ok(half_to_float(c, x)?.log_softmax(c.int("dim")?))),
    ("aten._safe_softmax.default", |c, x| Ok(in_dtype(c, x)?.softmax_or_zero(c.int("dim")?))),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    if let Some((_, f)) = OF_ONE.iter().find(|(name, _)| *name == c.target) {
        return one(f(c, &c.tensor("self")?)?);
    }
    match c.target {
        "aten.prelu.default" => one(c.tensor("self")?.prelu(&c.tensor("weight")?)),
        "aten._prelu_kernel.default" => {
            let (x, w) = (c.tensor("self")?, c.tensor("weight")?);
            one(x.where_(&x.gt(0.0), &x * w))
        }
        // The second result is what the backward pass of some devices keeps: nothing.
        "aten.log_sigmoid_forward.default" => {
            let x = c.tensor("self")?;
            many([x.logsigmoid(), x.full_of(&x.aval().with_shape([0]), 0.0)])
        }
        // Forbidden places are where the mask is true; the kinds of masks differ in shape only.
        "aten._masked_softmax.default" => {
            let (x, mask) = (c.tensor("self")?, c.tensor("mask")?);
            let mask = match c.opt_int("mask_type")? {
                // [n, l] beside scores [n, h, l, l].
                Some(1) if mask.rank() == 2 && x.rank() == 4 => {
                    mask.view_to(&[mask.size(0), 1, 1, mask.size(1)].into())
                }
                Some(_) | None => mask,
            };
            let scores = x.full_like(f64::NEG_INFINITY).where_(&mask, &x);
            one(scores.softmax_or_zero(c.int_or("dim", -1)?))
        }
        _ => Ok(None),
    }
}

/// `gelu` in the approximation that the call names.
pub(super) fn gelu(c: &Call, x: &Tensor) -> Read<Tensor> {
    match c.str_or("approximate", "none")? {
        "none" => Ok(x.gelu()),
        "tanh" => Ok(x.gelu_tanh()),
        _ => Err(c.wrong("approximate", "\"none\" or \"tanh\"")),
    }
}

/// The operand in the dtype of the argument `dtype`.
fn in_dtype(c: &Call, x: &Tensor) -> Read<Tensor> {
    Ok(c.dtype("dtype")?.map_or(x.clone(), |d| x.convert(d)))
}

fn half_to_float(c: &Call, x: &Tensor) -> Read<Tensor> {
    Ok(if c.bool_or("half_to_float", false)? { x.convert(DType::F32) } else { x.clone() })
}
