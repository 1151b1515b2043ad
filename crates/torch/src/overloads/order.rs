//! Sorting, order statistics and searching.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

use super::{Answer, beside, one, parts, two};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    match (name, overload) {
        ("sort", "default" | "stable") => two(sorted(c)?),
        ("argsort", "default" | "stable") => one(sorted(c)?.1),
        ("msort", "default") => one(c.tensor("self")?.msort()),
        ("topk", "default") => {
            let (x, k, dim) = (c.tensor("self")?, c.size("k")?, c.int_or("dim", -1)?);
            two(match (c.bool_or("largest", true)?, c.bool_or("sorted", true)?) {
                (true, true) => x.topk(k, dim),
                (true, false) => x.topk_unsorted(k, dim),
                (false, true) => x.topk_smallest(k, dim),
                (false, false) => x.topk_smallest_unsorted(k, dim),
            })
        }
        ("kthvalue", "default") => {
            let over = Over { dims: Some(c.int_or("dim", -1)?.into()), keepdim: c.bool_or("keepdim", false)? };
            two(c.tensor("self")?.kthvalue(c.size("k")?, over))
        }
        ("median", "default") => one(c.tensor("self")?.median()),
        ("median", "dim") => two(c.tensor("self")?.median_dim(c.over()?)),
        ("nanmedian", "default") => one(c.tensor("self")?.nanmedian()),
        ("nanmedian", "dim") => two(c.tensor("self")?.nanmedian_dim(c.over()?)),
        ("mode", "default") => {
            let over = Over { dims: Some(c.int_or("dim", -1)?.into()), keepdim: c.bool_or("keepdim", false)? };
            two(c.tensor("self")?.mode(over))
        }
        ("quantile" | "nanquantile", "scalar") => {
            let x = c.tensor("self")?;
            let q = x.full_of(&Aval::new(x.dtype(), ()), c.float("q")?);
            one(x.quantiles(&q, c.over()?, interpolation(c)?, nans(name)))
        }
        ("quantile" | "nanquantile", "default") => {
            let (x, q) = (c.tensor("self")?, c.tensor("q")?);
            one(x.quantiles(&q, c.over()?, interpolation(c)?, nans(name)))
        }
        ("searchsorted", "Tensor" | "Scalar") => {
            let sequence = c.tensor("sorted_sequence")?;
            let sequence = match c.opt_tensor("sorter")? {
                Some(order) => sequence.gather(-1, &order),
                None => sequence,
            };
            let right = c.bool_or("right", false)? || c.str_or("side", "left")? == "right";
            place(c, &sequence, right)
        }
        ("bucketize", "Tensor" | "Scalar") => place(c, &c.tensor("boundaries")?, c.bool_or("right", false)?),
        ("nonzero_static", "default") => {
            one(c.tensor("self")?.nonzero_static(c.size("size")?, c.int_or("fill_value", -1)?))
        }
        (_, _) => Ok(None),
    }
}

fn sorted(c: &Call) -> Read<(Tensor, Tensor)> {
    let (x, dim) = (c.tensor("self")?, c.int_or("dim", -1)?);
    Ok(if c.bool_or("descending", false)? { x.sort_descending(dim) } else { x.sort(dim) })
}

/// Where the values are in a sorted sequence.
fn place(c: &Call, sequence: &Tensor, right: bool) -> Answer {
    let values = match c.opt_tensor("self") {
        Ok(Some(t)) => t,
        Ok(None) | Err(_) => beside(c.scalar("self")?, sequence),
    };
    let at = if right { sequence.searchsorted_right(&values) } else { sequence.searchsorted(&values) };
    one(if c.bool_or("out_int32", false)? { at.to(DType::I32) } else { at })
}

fn nans(name: &str) -> Nans {
    if name == "nanquantile" { Nans::Ignored } else { Nans::Propagated }
}

fn interpolation(c: &Call) -> Read<Between> {
    Ok(match c.str_or("interpolation", "linear")? {
        "linear" => Between::Linear,
        "lower" => Between::Lower,
        "higher" => Between::Higher,
        "midpoint" => Between::Midpoint,
        "nearest" => Between::Nearest,
        _ => return Err(c.wrong("interpolation", "linear, lower, higher, midpoint or nearest")),
    })
}
