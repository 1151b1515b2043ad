//! Pooling over windows.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::gradient::pullback;
use super::{Answer, many, one};
use crate::args::{Call, Read, Value};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some(name) = c.target.strip_prefix("aten.").and_then(|t| t.strip_suffix(".default")) else { return Ok(None) };
    if let Some(forward) = name.strip_suffix("_backward") {
        return backward(c, forward);
    }
    if !name.contains("pool") {
        return Ok(None);
    }
    match name {
        "max_unpool2d" | "max_unpool3d" => {
            one(c.tensor("self")?.max_unpool(&c.tensor("indices")?, &c.sizes("output_size")?))
        }
        _ => Ok(pooled(c, name, &c.tensor("self")?)?.map(|outs| outs.into_iter().map(Value::Tensor).collect())),
    }
}

/// The pooling `name` of `x`, whose first result is the one with a derivative.
fn pooled(c: &Call, name: &str, x: &Tensor) -> Read<Option<Vec<Tensor>>> {
    let pair = |(y, indices): (Tensor, Tensor)| vec![y, indices];
    if name.contains("adaptive") {
        let out = c.opt_sizes("output_size")?;
        let sizes = |n: usize| match out.as_deref() {
            Some([all]) => Ok(vec![*all; n]),
            Some(each) if each.len() == n => Ok(each.to_vec()),
            Some(_) | None => Err(c.wrong("output_size", &format!("{n} sizes"))),
        };
        let two = || sizes(2).map(|s| [s[0], s[1]]);
        let three = || sizes(3).map(|s| [s[0], s[1], s[2]]);
        return Ok(Some(match name {
            "adaptive_avg_pool1d" => vec![x.adaptive_avg_pool1d(sizes(1)?[0])],
            "adaptive_avg_pool2d" | "_adaptive_avg_pool2d" => vec![x.adaptive_avg_pool2d(two()?)],
            "adaptive_avg_pool3d" | "_adaptive_avg_pool3d" => vec![x.adaptive_avg_pool3d(three()?)],
            "adaptive_max_pool1d" => pair(x.adaptive_max_pool1d(sizes(1)?[0])),
            "adaptive_max_pool2d" => pair(x.adaptive_max_pool2d(two()?)),
            "adaptive_max_pool3d" => pair(x.adaptive_max_pool3d(three()?)),
            _ => return Ok(None),
        }));
    }
    let (kernel, pool) = (PerDim::from(c.sizes("kernel_size")?), options(c)?);
    Ok(Some(match name {
        "max_pool1d" => vec![x.max_pool1d(kernel, &pool)],
        "max_pool2d" => vec![x.max_pool2d(kernel, &pool)],
        "max_pool3d" => vec![x.max_pool3d(kernel, &pool)],
        "max_pool1d_with_indices" => pair(x.max_pool1d_with_indices(kernel, &pool)),
        "max_pool2d_with_indices" => pair(x.max_pool2d_with_indices(kernel, &pool)),
        "max_pool3d_with_indices" => pair(x.max_pool3d_with_indices(kernel, &pool)),
        "avg_pool1d" => vec![x.avg_pool1d(kernel, &pool)],
        "avg_pool2d" => vec![x.avg_pool2d(kernel, &pool)],
        "avg_pool3d" => vec![x.avg_pool3d(kernel, &pool)],
        _ => return Ok(None),
    }))
}

/// Means are differentiated again; maxima take the places that the forward pass kept.
fn backward(c: &Call, forward: &str) -> Answer {
    match forward {
        "max_pool2d_with_indices" | "adaptive_max_pool2d" | "fractional_max_pool2d" => {
            one(at_places(&c.tensor("grad_output")?, &c.tensor("indices")?, &c.tensor("self")?, 2))
        }
        "max_pool3d_with_indices" | "adaptive_max_pool3d" | "fractional_max_pool3d" => {
            one(at_places(&c.tensor("grad_output")?, &c.tensor("indices")?, &c.tensor("self")?, 3))
        }
        "avg_pool2d" | "avg_pool3d" => {
            let mut failed = None;
            let bars =
                pullback(&[c.tensor("self")?], &[0], &c.tensor("grad_output")?, |x| match pooled(c, forward, &x[0]) {
                    Ok(outs) => outs.and_then(|o| o.into_iter().next()).unwrap_or_else(|| x[0].clone()),
                    Err(e) => {
                        failed = Some(e);
                        x[0].clone()
                    }
                })?;
            failed.map_or_else(|| many(bars), Err)
        }
        "_adaptive_avg_pool2d" | "_adaptive_avg_pool3d" => {
            let y_bar = c.tensor("grad_output")?;
            let s = y_bar.shape().sizes();
            many(pullback(&[c.tensor("self")?], &[0], &y_bar, |x| match s[..] {
                [.., d, h, w] if forward == "_adaptive_avg_pool3d" => x[0].adaptive_avg_pool3d([d, h, w]),
                [.., h, w] => x[0].adaptive_avg_pool2d([h, w]),
                [_] | [] => x[0].adaptive_avg_pool2d([0, 0]),
            })?)
        }
        _ => Ok(None),
    }
}

/// `y_bar` added up at places of the last `n` dims of `x`.
fn at_places(y_bar: &Tensor, places: &Tensor, x: &Tensor, n: usize) -> Tensor {
    let lead = x.rank().saturating_sub(n);
    let batch = x.shape().slice(0, lead);
    let flat = |t: &Tensor| t.reshape(&batch.concat(&[t.shape().slice(lead, t.rank()).numel()].into()));
    flat(&x.zeros_like()).scatter_add(lead as i64, &flat(places), &flat(y_bar)).view_to(x.shape())
}

/// The options of a pooling; an empty stride is the window's size.
fn options(c: &Call) -> Read<Pool> {
    let per_dim =
        |name: &str| -> Read<Option<PerDim>> { Ok(c.opt_sizes(name)?.filter(|v| !v.is_empty()).map(PerDim::from)) };
    let divisor_override = c.opt_int("divisor_override")?;
    if divisor_override == Some(0) {
        return Err(c.wrong("divisor_override", "a number other than 0"));
    }
    Ok(Pool {
        stride: per_dim("stride")?,
        padding: per_dim("padding")?.unwrap_or(0.into()),
        dilation: per_dim("dilation")?.unwrap_or(1.into()),
        ceil_mode: c.bool_or("ceil_mode", false)?,
        count_include_pad: c.bool_or("count_include_pad", true)?,
        divisor_override,
    })
}
