//! Scans along a dim.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::{Answer, one, parts, two};
use crate::args::Call;

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, "default")) = parts(c) else { return Ok(None) };
    let f: fn(&Tensor, i64) -> Tensor = match name {
        "cumsum" => |x, d| x.cumsum(d),
        "cumprod" => |x, d| x.cumprod(d),
        "logcumsumexp" | "_logcumsumexp" => |x, d| x.logcumsumexp(d),
        "cummax" => return two(c.tensor("self")?.cummax(c.int("dim")?)),
        "cummin" => return two(c.tensor("self")?.cummin(c.int("dim")?)),
        _ => return Ok(None),
    };
    let (x, dim) = (c.tensor("self")?, c.int("dim")?);
    one(match c.dtype("dtype")? {
        Some(d) => f(&x.to(d), dim).to(d),
        None => f(&x, dim),
    })
}
