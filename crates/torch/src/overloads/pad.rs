//! Borders.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Scalar;

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, "default")) = parts(c) else { return Ok(None) };
    let x = || c.tensor("self");
    one(match name {
        "constant_pad_nd" => constant(c, &x()?, &c.ints("pad")?, c.scalar_or("value", 0i64)?)?,
        "pad" => match c.str_or("mode", "constant")? {
            "constant" => constant(c, &x()?, &c.ints("pad")?, c.scalar_or("value", 0i64)?)?,
            "reflect" => x()?.pad(&c.ints("pad")?, PadMode::Reflect),
            "replicate" => x()?.pad(&c.ints("pad")?, PadMode::Replicate),
            "circular" => x()?.pad(&c.ints("pad")?, PadMode::Circular),
            _ => return Err(c.wrong("mode", "constant, reflect, replicate or circular")),
        },
        "_pad_circular" => x()?.pad(&c.ints("pad")?, PadMode::Circular),
        "_pad_enum" => match c.int("mode")? {
            0 => constant(c, &x()?, &c.ints("pad")?, c.scalar_or("value", 0i64)?)?,
            1 => x()?.pad(&c.ints("pad")?, PadMode::Reflect),
            2 => x()?.pad(&c.ints("pad")?, PadMode::Replicate),
            3 => x()?.pad(&c.ints("pad")?, PadMode::Circular),
            _ => return Err(c.wrong("mode", "0, 1, 2 or 3")),
        },
        "reflection_pad1d" | "reflection_pad2d" | "reflection_pad3d" => x()?.pad(&c.ints("padding")?, PadMode::Reflect),
        "replication_pad1d" | "replication_pad2d" | "replication_pad3d" => {
            x()?.pad(&c.ints("padding")?, PadMode::Replicate)
        }
        _ => return Ok(None),
    })
}

/// Borders of one number, which takes the tensor's dtype.
fn constant(c: &Call, x: &Tensor, pad: &[i64], value: Scalar) -> Read<Tensor> {
    if !pad.len().is_multiple_of(2) || pad.len() / 2 > x.rank() {
        return Err(c.wrong("pad", "two numbers for each padded dim"));
    }
    let mut amounts = vec![(0, 0); x.rank()];
    for (amount, pair) in amounts.iter_mut().rev().zip(pad.chunks_exact(2)) {
        *amount = (pair[0], pair[1]);
    }
    Ok(x.pad_dims(&amounts, value.cast(x.dtype())))
}
