//! Quantization that is played through in floats.

use cotangent_aten::prelude::*;
use cotangent_core::ir::DType;

use super::{Answer, one, parts, two};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let x = || c.tensor("self");
    match (name, overload) {
        ("fake_quantize_per_tensor_affine_cachemask", "default") => {
            two(x()?.fake_quantize_per_tensor(c.float("scale")?, c.int("zero_point")?, levels(c)?))
        }
        ("fake_quantize_per_tensor_affine", "default") => {
            one(x()?.fake_quantize_per_tensor(c.float("scale")?, c.int("zero_point")?, levels(c)?).0)
        }
        ("fake_quantize_per_tensor_affine", "tensor_qparams") => {
            one(x()?.fake_quantize(&c.tensor("scale")?, &c.tensor("zero_point")?, levels(c)?).0)
        }
        ("_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "default") => {
            let x = x()?;
            let (y, inside) = x.fake_quantize(&c.tensor("scale")?, &c.tensor("zero_point")?, levels(c)?);
            let off = c.tensor("fake_quant_enabled")?.convert(DType::Bool).logical_not();
            two((x.where_(&off, y), inside.bitwise_or(off)))
        }
        ("fake_quantize_per_channel_affine_cachemask", "default") => two(by_channel(c)?),
        ("fake_quantize_per_channel_affine", "default") => one(by_channel(c)?.0),
        (
            "fake_quantize_per_tensor_affine_cachemask_backward"
            | "fake_quantize_per_channel_affine_cachemask_backward",
            "default",
        ) => one(c.tensor("grad")? * c.tensor("mask")?),
        (_, _) => Ok(None),
    }
}

fn by_channel(c: &Call) -> Read<(cotangent_core::Tensor, cotangent_core::Tensor)> {
    let (scale, zero_point) = (c.tensor("scale")?, c.tensor("zero_point")?);
    Ok(c.tensor("self")?.fake_quantize_per_channel(&scale, &zero_point, c.int("axis")?, levels(c)?))
}

fn levels(c: &Call) -> Read<Levels> {
    Ok(Levels { min: c.int("quant_min")?, max: c.int("quant_max")? })
}
