//! Fractional pooling: maxima of windows that start at places drawn for each channel. The draws are an operand.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Shape};

use super::{Answer, many};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    match c.target {
        "aten.fractional_max_pool2d.default" => many(pooled(c, 2)?),
        "aten.fractional_max_pool3d.default" => many(pooled(c, 3)?),
        _ => Ok(None),
    }
}

/// The maxima over the last `n` dims, and their places there in row-major order.
///
/// *Source*: `generate_intervals` in `FractionalMaxPool2d.cpp` and `FractionalMaxPool3d.cpp`.
fn pooled(c: &Call, n: usize) -> Read<[Tensor; 2]> {
    let (x, samples) = (c.tensor("self")?, c.tensor("random_samples")?);
    let (kernel, out) = (c.sizes("kernel_size")?, c.sizes("output_size")?);
    let lead = x.rank().checked_sub(n).filter(|l| (1..=2).contains(l) && samples.rank() == 3);
    let lead = lead.ok_or_else(|| c.wrong("self", "channels, with or without a batch, beside draws of three dims"))?;
    let input = x.shape().sizes()[lead..].to_vec();
    if kernel.len() != n || out.len() != n || (0..n).any(|d| out[d] == 0 || kernel[d] == 0 || kernel[d] > input[d]) {
        return Err(c.wrong("kernel_size", &format!("{n} windows that fit into {input:?}, for outputs of some size")));
    }
    let samples = if lead == 1 { samples.select(0, 0) } else { samples }.detach();
    let channels = x.shape().slice(0, lead);
    // A dim for each of windows and places in a window.
    let along = |d: usize, size: usize| -> Shape { (0..2 * n).map(|i| if i == d { size } else { 1 }).collect() };
    let mut places = x.full_of(&Aval::new(DType::I64, ()), 0i64);
    for d in 0..n {
        let room = (input[d] - kernel[d]) as i64;
        // In two dims the draws stand in the order width, height; in three as the dims do.
        let drawn = samples.select(-1, if n == 2 { 1 - d as i64 } else { d as i64 }).unsqueeze(-1);
        let last = drawn.full_of(&Aval::new(DType::I64, channels.concat(&[1].into())), room);
        let starts = if out[d] == 1 {
            last
        } else {
            let alpha = room as f64 / (out[d] - 1) as f64;
            let steps = drawn.arange_like((out[d] - 1).into(), DType::I64).convert(x.dtype());
            let whole = |t: Tensor| t.convert(DType::I64);
            let first = whole((steps + &drawn) * alpha) - whole(&drawn * alpha);
            cat(&[&first, &last], -1)
        };
        let starts = starts.view_to(&channels.concat(&along(d, out[d])));
        let within = starts.arange_like(kernel[d].into(), DType::I64).view_to(&along(n + d, kernel[d]));
        let stride: usize = input[d + 1..].iter().product();
        places = places + (starts + within) * stride as i64;
    }
    let windows = channels.concat(&out.as_slice().into());
    let size: usize = kernel.iter().product();
    let places = places.view_to(&windows.concat(&[size].into()));
    let flat = |t: &Tensor| t.view_to(&channels.concat(&[t.shape().slice(lead, t.rank()).numel()].into()));
    let elements = flat(&x).gather(lead as i64, &flat(&places)).view_to(places.shape());
    let (maxima, at) = elements.max_dim(-1i64);
    let places = places.gather(-1, &at.unsqueeze(-1)).view_to(&windows);
    Ok([maxima, places])
}
