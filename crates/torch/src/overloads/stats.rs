//! Spread, distance and counts.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Shape};

use super::{Answer, list, one, parts, two};
use crate::args::{Call, Read, Value};

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
        ("histogramdd", "default" | "int_bins" | "TensorList_bins") => {
            let edges = if overload == "TensorList_bins" { c.tensors("bins")? } else { edges_by_dim(c)? };
            Ok(Some(vec![Value::Tensor(histogram_of_points(c, &edges)?), Value::Tensors(edges)]))
        }
        ("_histogramdd_bin_edges", "default") => list(edges_by_dim(c)?),
        ("_histogramdd_from_bin_cts", "default") => one(histogram_of_points(c, &edges_by_dim(c)?)?),
        ("_histogramdd_from_bin_tensors", "default") => one(histogram_of_points(c, &c.tensors("bins")?)?),
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
    let (low, high) = match (low == high, x.numel()) {
        (true, 0) => (scalar(0.0), scalar(1.0)),
        (true, _) => (x.min().detach(), x.max().detach()),
        (false, _) => (scalar(low), scalar(high)),
    };
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

/// The edges of `bins` bins of equal size between two ends; both ends are exact.
fn edges(low: &Tensor, high: &Tensor, bins: usize) -> Tensor {
    let at = low.arange_like((bins + 1).into(), low.dtype());
    let step = (high - low) / bins as f64;
    let half = bins.div_ceil(2) as f64;
    (low + &step * &at).where_(&at.lt(half), high - &step * (bins as f64 - &at))
}

/// Whether each element is between the outer edges, and in which bin; the last one is closed.
fn bin_of(x: &Tensor, edges: &Tensor) -> (Tensor, Tensor) {
    let (first, last) = (edges.narrow(0, 0, 1), edges.narrow(0, -1, 1));
    let bins = edges.numel() as i64 - 1;
    let bin = (edges.searchsorted_right(x) - 1i64).clamp(0i64, bins - 1);
    (x.ge(&first).bitwise_and(x.le(&last)), bin)
}

/// The weights of elements, 1 if none are given.
fn weights(c: &Call, x: &Tensor) -> Read<Tensor> {
    Ok(match c.opt_tensor("weight")? {
        Some(w) => w.reshape([-1i64]),
        None => x.ones_like(),
    })
}

/// The histogram and the edges of its bins.
fn histogram(c: &Call) -> Read<(Tensor, Tensor)> {
    let x = c.tensor("self")?.reshape([-1i64]);
    let edges = match c.opt_tensor("bins") {
        Ok(Some(edges)) => edges,
        Ok(None) | Err(_) => {
            let range = c.opt_floats("range")?.unwrap_or_else(|| vec![0.0, 0.0]);
            let [low, high] = range.as_slice() else { return Err(c.wrong("range", "two numbers")) };
            let (low, high) = ends(&x, *low, *high, 0.5);
            edges(&low, &high, c.size("bins").or_else(|e| if c.get("bins").is_none() { Ok(100) } else { Err(e) })?)
        }
    };
    let (inside, bin) = bin_of(&x, &edges);
    let counts = counted(&bin, &inside, &weights(c, &x)?, edges.numel().saturating_sub(1));
    let counts = if c.bool_or("density", false)? { &counts / (edges.diff(1, 0) * counts.sum()) } else { counts };
    Ok((counts, edges))
}

/// The points of a histogram of several dims as rows.
fn points(c: &Call) -> Read<Tensor> {
    let x = c.tensor("self")?;
    match x.shape().dims().last() {
        Some(n) if x.rank() > 1 => Ok(x.reshape([-1, n.get() as i64])),
        Some(_) | None => Err(c.wrong("self", "points in the last of at least two dims")),
    }
}

/// The most dims of a histogram.
const MAX_DIMS: usize = 64;

/// The edges of the bins of each dim of a histogram of several dims.
fn edges_by_dim(c: &Call) -> Read<Vec<Tensor>> {
    let x = points(c)?;
    let dims = x.shape()[1].get();
    if dims > MAX_DIMS {
        return Err(c.wrong("self", &format!("points of at most {MAX_DIMS} dims")));
    }
    // One number stands for all dims.
    let bins = if c.target.ends_with(".int_bins") { vec![c.size("bins")?; dims] } else { c.sizes("bins")? };
    let range = c.opt_floats("range")?;
    if bins.len() != dims || range.as_ref().is_some_and(|r| r.len() != 2 * bins.len()) {
        return Err(c.wrong("bins", "a number of bins, and two ends, for each dim of the points"));
    }
    let one = |(d, n): (usize, &usize)| {
        let (low, high) = range.as_ref().map_or((0.0, 0.0), |r| (r[2 * d], r[2 * d + 1]));
        let (low, high) = ends(&x.select(1, d as i64), low, high, 0.5);
        edges(&low, &high, *n)
    };
    Ok(bins.iter().enumerate().map(one).collect())
}

/// The histogram of points, one dim for each of theirs.
fn histogram_of_points(c: &Call, edges: &[Tensor]) -> Read<Tensor> {
    let x = points(c)?;
    let sizes: Vec<usize> = edges.iter().map(|e| e.numel().saturating_sub(1)).collect();
    let mut place = x.full_of(&Aval::new(DType::I64, [x.size(0)]), 0i64);
    let mut inside = x.full_of(&Aval::new(DType::Bool, [x.size(0)]), true);
    for (d, (edges, n)) in edges.iter().zip(&sizes).enumerate() {
        let (within, bin) = bin_of(&x.select(1, d as i64), edges);
        place = place * *n as i64 + bin;
        inside = inside.bitwise_and(within);
    }
    let weight = weights(c, &x.select(1, 0))?;
    let counts = counted(&place, &inside, &weight, sizes.iter().product()).view_to(&sizes.as_slice().into());
    if !c.bool_or("density", false)? {
        return Ok(counts);
    }
    let total = counts.sum();
    Ok(edges.iter().enumerate().fold(counts / total, |counts, (d, edges)| {
        let along: Shape = (0..sizes.len()).map(|i| if i == d { sizes[d] } else { 1 }).collect();
        counts / edges.diff(1, 0).view_to(&along)
    }))
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::args::Arg;

    /// PyTorch's values: counts, then edges.
    #[test]
    fn histograms_of_points() {
        let points = || Arg::Tensor(Tensor::from_vec(vec![0.0, 1.0, 1.0, 2.0, 2.0, 2.0, 0.5, 1.5], [4, 2]));
        let got = values("aten.histogramdd.int_bins", vec![("self", points()), ("bins", Arg::Int(2))]);
        assert_eq!(got, [1.0, 1.0, 0.0, 2.0, 0.0, 1.0, 2.0, 1.0, 1.5, 2.0]);
        let range = Arg::Floats(vec![0.0, 1.0, 1.0, 2.0]);
        let args =
            vec![("self", points()), ("bins", Arg::Ints(vec![2, 1])), ("range", range), ("density", Arg::Bool(true))];
        let got = values("aten.histogramdd.default", args);
        let expected = [2.0 / 3.0, 4.0 / 3.0, 0.0, 0.5, 1.0, 1.0, 2.0];
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{got:?}");
        let edges = Arg::Tensors(vec![Tensor::from([0.0, 0.75, 3.0]), Tensor::from([0.0, 2.0])]);
        let got = values("aten.histogramdd.TensorList_bins", vec![("self", points()), ("bins", edges)]);
        assert_eq!(got[..2], [2.0, 2.0]);
    }
}
