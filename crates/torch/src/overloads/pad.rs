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
        "pad_sequence" => sequences(c)?,
        _ => return Ok(None),
    })
}

/// Sequences of different lengths side by side, each filled up to the longest.
fn sequences(c: &Call) -> Read<Tensor> {
    let tensors = c.tensors("sequences")?;
    let value = c.scalar_or("padding_value", 0.0)?;
    let side = c.str_or("padding_side", "right")?;
    let length = |t: &Tensor| t.shape().dims().first().map(|d| d.get());
    let Some(Some(longest)) =
        tensors.iter().map(length).min().and_then(|least| least.map(|_| tensors.iter().filter_map(length).max()))
    else {
        return Err(c.wrong("sequences", "one or more sequences of at least one dim"));
    };
    let mut filled = Vec::with_capacity(tensors.len());
    for t in &tensors {
        let missing = (longest - t.size(0)) as i64;
        let amount = match side {
            "right" => (0, missing),
            "left" => (missing, 0),
            _ => return Err(c.wrong("padding_side", "\"left\" or \"right\"")),
        };
        let mut amounts = vec![(0, 0); t.rank()];
        amounts[0] = amount;
        filled.push(t.pad_dims(&amounts, value.cast(t.dtype())));
    }
    Ok(stack(&filled, if c.bool_or("batch_first", false)? { 0 } else { 1 }))
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

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::args::Arg;

    /// PyTorch's values.
    #[test]
    fn sequences_are_filled_up_on_one_side() {
        let x = Tensor::from([1.0, 2.0, 3.0]);
        let of = |first: bool, side: &str| {
            let sequences = Arg::Tensors(vec![x.narrow(0, 0, 2), x.clone()]);
            let args = vec![
                ("sequences", sequences),
                ("batch_first", Arg::Bool(first)),
                ("padding_value", Arg::Float(9.0)),
                ("padding_side", Arg::Str(side.to_owned())),
            ];
            values("aten.pad_sequence.default", args)
        };
        assert_eq!(of(false, "right"), [1.0, 1.0, 2.0, 2.0, 9.0, 3.0]);
        assert_eq!(of(true, "left"), [9.0, 1.0, 2.0, 1.0, 2.0, 3.0]);
    }
}
