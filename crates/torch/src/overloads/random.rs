//! Random draws.
//!
//! They are those of cotangent's generator, not PyTorch's: the numbers differ, their distribution does not. A program that
//! is built into a graph has its draws as functions of fixed keys, so that each call of the graph draws the same.

use cotangent::random;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use super::{Answer, many, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, _)) = parts(c) else { return Ok(None) };
    match name {
        "dropout" | "feature_dropout" | "alpha_dropout" | "feature_alpha_dropout" => {
            // The operators in place call their operand otherwise.
            let x = c.tensor("input").or_else(|e| c.tensor("self").map_err(|_| e))?;
            let p = c.float_or("p", 0.5)?;
            if !c.bool_or("train", true)? || p == 0.0 {
                return one(x);
            }
            one(match name {
                "dropout" => dropped(&x, p),
                "feature_dropout" => times_kept(&x, &kept(&by_feature(&x), &x, p), p),
                "alpha_dropout" => alpha_dropped(&x, &kept(x.shape(), &x, p), p),
                _ => alpha_dropped(&x, &kept(&by_feature(&x), &x, p), p),
            })
        }
        "native_dropout" => {
            let (x, p) = (c.tensor("input")?, c.float("p")?);
            let trains = c.opt_tensor("train").is_err() || c.bool_or("train", true)?;
            if !trains || p == 0.0 {
                return many([x.clone(), x.ones_like().convert(DType::Bool)]);
            }
            let mask = kept(x.shape(), &x, p);
            many([times_kept(&x, &mask, p), mask])
        }
        "bernoulli" => {
            let x = c.tensor("self")?;
            let p = match c.opt_tensor("p") {
                Ok(Some(p)) => p.convert(x.dtype()).broadcast_to(x.shape()),
                Ok(None) => x.clone(),
                Err(_) => x.full_like(c.float("p")?),
            };
            one(random::bernoulli(&p).convert(x.dtype()))
        }
        "rand" | "rand_like" => {
            let (shape, dtype) = place(c, DType::F32)?;
            one(uniform(&shape, dtype))
        }
        "randn" | "randn_like" => {
            let (shape, dtype) = place(c, DType::F32)?;
            one(normal(&shape, dtype))
        }
        "randint" | "randint_like" => {
            let (shape, dtype) = place(c, DType::I64)?;
            one(random::randint(c.int_or("low", 0)?, c.int("high")?, shape).convert(dtype))
        }
        "randperm" => one(random::randperm(c.size("n")?).convert(c.dtype("dtype")?.unwrap_or(DType::I64))),
        "normal" => {
            let (mean, std) = (c.opt_tensor("mean"), c.opt_tensor("std"));
            let shape = match (&mean, &std) {
                (Ok(Some(m)), Ok(Some(s))) => cotangent_core::tensor::broadcast_shapes(m.shape(), s.shape())
                    .ok_or_else(|| c.wrong("std", "a shape that broadcasts with the means"))?,
                (Ok(Some(t)), _) | (_, Ok(Some(t))) => t.shape().clone(),
                (_, _) => Shape::from(c.sizes("size")?),
            };
            let dtype = match (&mean, &std) {
                (Ok(Some(t)), _) | (_, Ok(Some(t))) => t.dtype(),
                (_, _) => c.dtype("dtype")?.unwrap_or(DType::F32),
            };
            let z = normal(&shape, dtype);
            let scaled = match std {
                Ok(Some(s)) => z * s,
                Ok(None) | Err(_) => z * c.float_or("std", 1.0)?,
            };
            one(match mean {
                Ok(Some(m)) => scaled + m,
                Ok(None) | Err(_) => scaled + c.float_or("mean", 0.0)?,
            })
        }
        "normal_functional" => {
            let x = c.tensor("self")?;
            one(normal(x.shape(), x.dtype()) * c.float_or("std", 1.0)? + c.float_or("mean", 0.0)?)
        }
        "uniform" => {
            let x = c.tensor("self")?;
            let (low, high) = (c.float_or("from", 0.0)?, c.float_or("to", 1.0)?);
            one(uniform(x.shape(), x.dtype()) * (high - low) + low)
        }
        "exponential" => {
            let x = c.tensor("self")?;
            one(-(1.0 - uniform(x.shape(), x.dtype())).log() / c.float_or("lambd", 1.0)?)
        }
        "rrelu" => {
            let x = c.tensor("self")?;
            one(rrelu(c, &x)?.0)
        }
        "rrelu_with_noise" => one(rrelu(c, &c.tensor("self")?)?.0),
        "rrelu_with_noise_functional" => {
            let (y, noise) = rrelu(c, &c.tensor("self")?)?;
            many([y, noise.map_or_else(|| c.tensor("noise"), Ok)?])
        }
        "multinomial" | "poisson" | "binomial" => Err(c.refused("draws of this distribution are not available")),
        _ => Ok(None),
    }
}

/// The shape and dtype of a draw, given or those of `self`.
fn place(c: &Call, default: DType) -> Read<(Shape, DType)> {
    let given = c.dtype("dtype")?;
    match c.opt_tensor("self")? {
        Some(like) => Ok((like.shape().clone(), given.unwrap_or(like.dtype()))),
        None => Ok((Shape::from(c.sizes("size")?), given.unwrap_or(default))),
    }
}

/// Uniform numbers in [0, 1).
fn uniform(shape: &Shape, dtype: DType) -> Tensor {
    random::rand(shape).convert(dtype)
}

/// Standard normal numbers.
fn normal(shape: &Shape, dtype: DType) -> Tensor {
    random::randn(shape).convert(dtype)
}

/// `x` with each element set to zero with probability `p`, and the others divided by `1 - p`.
pub(super) fn dropped(x: &Tensor, p: f64) -> Tensor {
    times_kept(x, &kept(x.shape(), x, p), p)
}

/// Which places a dropout keeps.
fn kept(shape: &Shape, x: &Tensor, p: f64) -> Tensor {
    random::rand(shape).ge(p).broadcast_to(x.shape())
}

fn times_kept(x: &Tensor, mask: &Tensor, p: f64) -> Tensor {
    if p >= 1.0 {
        return x.zeros_like();
    }
    x * mask.convert(x.dtype()) * (1.0 / (1.0 - p))
}

/// One draw for each channel of each example.
fn by_feature(x: &Tensor) -> Shape {
    (0..x.rank()).map(|d| if d < 2 { x.shape()[d].get() } else { 1 }).collect()
}

/// A dropout that keeps mean and variance of self-normalising activations: what is dropped becomes their lower bound.
fn alpha_dropped(x: &Tensor, mask: &Tensor, p: f64) -> Tensor {
    if p >= 1.0 {
        return x.zeros_like();
    }
    const ALPHA: f64 = 1.758_099_340_847_376_6;
    let a = 1.0 / ((ALPHA * ALPHA * p + 1.0) * (1.0 - p)).sqrt();
    let kept = mask.convert(x.dtype());
    let shift = (&kept - 1.0) * (ALPHA * a) + ALPHA * a * p;
    x * (kept * a) + shift
}

/// The leaky rectifier whose slope is drawn in training, and the slopes.
fn rrelu(c: &Call, x: &Tensor) -> Read<(Tensor, Option<Tensor>)> {
    let (lower, upper) = (c.float_or("lower", 0.125)?, c.float_or("upper", 1.0 / 3.0)?);
    if !c.bool_or("training", false)? {
        return Ok((x.rrelu(lower, upper), None));
    }
    let slope = uniform(x.shape(), x.dtype()) * (upper - lower) + lower;
    let noise = slope.where_(&x.le(0.0), 1.0);
    Ok((x * &noise, Some(noise)))
}
