//! Spread, distance and counts.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

use super::{Answer, one, parts, two};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    match (name, overload) {
        ("var" | "std" | "var_mean" | "std_mean", "default" | "dim" | "correction") => spread(c, name),
        ("dist", "default") => one(c.tensor("self")?.dist(&c.tensor("other")?, c.float_or("p", 2.0)?)),
        ("cov", "default") => {
            if c.opt_tensor("fweights")?.is_some() || c.opt_tensor("aweights")?.is_some() {
                return one(weighted_covariance(c)?);
            }
            one(c.tensor("self")?.cov(c.int_or("correction", 1)?))
        }
        ("corrcoef", "default") => one(c.tensor("self")?.corrcoef()),
        ("histc", "default") => one(histc(c)?),
        ("histogram", "bin_ct" | "bins_tensor") => two(histogram(c)?),
        (_, _) => Ok(None),
    }
}

/// Variance or standard deviation, with the mean if the name says so.
fn spread(c: &Call, name: &str) -> Answer {
    let x = c.tensor("self")?;
    let over = c.over()?;
    let unbiased = c.bool_or("unbiased", true)?;
    let correction = c.float_or("correction", if unbiased { 1.0 } else { 0.0 })?;
    // What a correction that is no integer divides by differs from that of none by this factor.
    let whole = correction.fract() == 0.0;
    let divided = |y: Tensor, power: f64| {
        let n = x.numel() as f64 / y.numel().max(1) as f64;
        if whole { y } else { y * (n / (n - correction).max(0.0)).powf(power) }
    };
    let correction = if whole { correction as i64 } else { 0 };
    match name {
        "var" => one(divided(x.var(over, correction), 1.0)),
        "std" => one(divided(x.std(over, correction), 0.5)),
        "var_mean" => {
            let (var, mean) = x.var_mean(over, correction);
            two((divided(var, 1.0), mean))
        }
        _ => {
            let (std, mean) = x.std_mean(over, correction);
            two((divided(std, 0.5), mean))
        }
    }
}

/// The covariance of weighted observations.
fn weighted_covariance(c: &Call) -> Read<Tensor> {
    let x = c.tensor("self")?;
    let x = x.convert(cotangent_core::tensor::float_of(x.dtype()));
    let rows = if x.rank() == 2 { x.shape()[0].get() } else { 1 };
    let m = x.reshape([rows as i64, -1]);
    let (counts, weights) = (c.opt_tensor("fweights")?, c.opt_tensor("aweights")?);
    let wide = |t: &Tensor| t.convert(m.dtype());
    let w = match (&counts, &weights) {
        (Some(f), Some(a)) => wide(f) * wide(a),
        (Some(t), None) | (None, Some(t)) => wide(t),
        (None, None) => m.full_of(&Aval::new(m.dtype(), [m.shape()[1].get()]), 1.0),
    };
    let total = w.sum();
    let mean = (&m * &w).sum_dim(keepdim(1)) / &total;
    let correction = c.int_or("correction", 1)? as f64;
    let norm = match (&weights, correction) {
        (Some(a), correction) if correction != 0.0 => &total - (&w * wide(a)).sum() / &total * correction,
        (_, correction) => total - correction,
    };
    let norm = norm.clamp_min(0.0);
    let centered = m - mean;
    let product = (&centered * w).mm(&centered.t()) / norm;
    Ok(if x.rank() == 2 && rows != 1 { product } else { product.view_to(&().into()) })
}

/// The ends of a histogram: those given, or those of the data where both are the same, `margin` apart from a single value.
fn ends(x: &Tensor, low: f64, high: f64, margin: f64) -> (Tensor, Tensor) {
    let scalar = |v: f64| x.full_of(&Aval::new(x.dtype(), ()), v);
    let (low, high) =
        if low == high && x.numel() > 0 { (x.min().detach(), x.max().detach()) } else { (scalar(low), scalar(high)) };
    let same = low.eq(&high);
    ((&low - margin).where_(&same, &low), (&high + margin).where_(&same, &high))
}

/// The sum of `weight` over the elements of each bin; those outside have no bin.
fn counted(bin: &Tensor, inside: &Tensor, weight: &Tensor, bins: usize) -> Tensor {
    let last = bins as i64 - 1;
    let bin = bin.clamp(0i64, last);
    let weight = weight.where_(inside, weight.zeros_like());
    weight.full_of(&Aval::new(weight.dtype(), [bins]), 0i64).scatter_add_along(0, &bin, &weight)
}

fn histc(c: &Call) -> Read<Tensor> {
    let x = c.tensor("self")?.reshape([-1i64]);
    let bins = c.size("bins").or_else(|e| if c.get("bins").is_none() { Ok(100) } else { Err(e) })?;
    let (low, high) = ends(&x, c.float_or("min", 0.0)?, c.float_or("max", 0.0)?, 1.0);
    let inside = x.ge(&low).bitwise_and(x.le(&high));
    let place = ((&x - &low) / (&high - &low) * bins as f64).where_(&inside, 0.0);
    Ok(counted(&place.convert(DType::I64), &inside, &x.ones_like(), bins))
}

/// The histogram and the edges of its bins, of which the last one is closed.
fn histogram(c: &Call) -> Read<(Tensor, Tensor)> {
    let x = c.tensor("self")?.reshape([-1i64]);
    let (edges, bins) = match c.opt_tensor("bins") {
        Ok(Some(edges)) => {
            let n = edges.numel();
            (edges, n.saturating_sub(1))
        }
        Ok(None) | Err(_) => {
            let bins = c.size("bins").or_else(|e| if c.get("bins").is_none() { Ok(100) } else { Err(e) })?;
            let range = c.opt_floats("range")?.unwrap_or_else(|| vec![0.0, 0.0]);
            let [low, high] = range.as_slice() else { return Err(c.wrong("range", "two numbers")) };
            let (low, high) = ends(&x, *low, *high, 0.5);
            let at = x.arange_like((bins + 1).into(), x.dtype());
            let step = (&high - &low) / bins as f64;
            let half = ((bins + 1) / 2) as f64;
            ((&low + &step * &at).where_(&at.lt(half), &high - &step * (bins as f64 - &at)), bins)
        }
    };
    let (first, last) = (edges.narrow(0, 0, 1), edges.narrow(0, -1, 1));
    let inside = x.ge(&first).bitwise_and(x.le(&last));
    let bin = edges.searchsorted_right(&x) - 1i64;
    let weight = match c.opt_tensor("weight")? {
        Some(w) => w.reshape([-1i64]),
        None => x.ones_like(),
    };
    let counts = counted(&bin, &inside, &weight, bins);
    let counts = if c.bool_or("density", false)? { &counts / (edges.diff(1, 0) * counts.sum()) } else { counts };
    Ok((counts, edges))
}
