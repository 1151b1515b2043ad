//! Reductions over dims.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::{Answer, one, parts, two};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let x = || c.tensor("self");
    one(match (name, overload) {
        ("sum", "default" | "dim_IntList") => {
            let x = typed(c)?;
            finished(c, &x, x.sum_dim(c.over()?))?
        }
        ("nansum", "default") => {
            let x = typed(c)?;
            finished(c, &x, if x.dtype().is_float() { x.nansum(c.over()?) } else { x.sum_dim(c.over()?) })?
        }
        ("mean", "default" | "dim") => typed(c)?.mean_dim(c.over()?),
        ("nanmean", "default") => typed(c)?.nanmean(c.over()?),
        ("prod", "default") => {
            let x = typed(c)?;
            finished(c, &x, x.prod())?
        }
        ("prod", "dim_int") => {
            let x = typed(c)?;
            finished(c, &x, x.prod_dim(c.over()?))?
        }
        ("amax", "default") => x()?.amax(c.over()?),
        ("amin", "default") => x()?.amin(c.over()?),
        ("aminmax" | "_aminmax", "default" | "dim") => return two(x()?.aminmax(c.over()?)),
        ("max", "default") => x()?.max(),
        ("min", "default") => x()?.min(),
        ("max", "dim") => return two(x()?.max_dim(c.over()?)),
        ("min", "dim") => return two(x()?.min_dim(c.over()?)),
        ("argmax", "default") => x()?.argmax(c.over()?),
        ("argmin", "default") => x()?.argmin(c.over()?),
        ("any", "default" | "dim" | "dims") => truth(c, |x, over| x.any(over))?,
        ("all", "default" | "dim" | "dims") => truth(c, |x, over| x.all(over))?,
        ("count_nonzero", "default" | "dim_IntList") => x()?.count_nonzero(c.over()?),
        ("logsumexp" | "special_logsumexp", "default") => x()?.logsumexp(c.over()?),
        ("trace", "default") => x()?.trace(),
        ("value_selecting_reduction_backward", "default") => selected(c)?,
        (_, _) => return Ok(None),
    })
}

/// The operand in the dtype that the call asks for.
fn typed(c: &Call) -> Read<Tensor> {
    let x = c.tensor("self")?;
    Ok(match c.dtype("dtype")? {
        Some(d) => x.to(d),
        None => x,
    })
}

/// The result in the dtype that the call asks for: sums of small integers are made in `i64`.
fn finished(c: &Call, x: &Tensor, y: Tensor) -> Read<Tensor> {
    Ok(match c.dtype("dtype")? {
        Some(_) => y.to(x.dtype()),
        None => y,
    })
}

/// `any` and `all`: bytes stay bytes, and an empty list of dims leaves each element to itself.
fn truth(c: &Call, f: fn(&Tensor, Over) -> Tensor) -> Read<Tensor> {
    let x = c.tensor("self")?;
    let alone = c.opt_ints("dim")?.is_some_and(|d| d.is_empty());
    let y = if alone { x.ne(0i64) } else { f(&x, c.over()?) };
    Ok(if x.dtype() == DType::U8 { y.to(DType::U8) } else { y })
}

/// The cotangent of a reduction that chose elements, at their positions.
fn selected(c: &Call) -> Read<Tensor> {
    let (g, at, dim) = (c.tensor("grad")?, c.tensor("indices")?, c.int("dim")?);
    let sizes = c.sizes("sizes")?;
    let zeros = g.full_of(&cotangent_core::ir::Aval::new(g.dtype(), sizes.as_slice()), 0.0);
    let kept = c.bool_or("keepdim", false)? || sizes.is_empty();
    let wide = |t: &Tensor| if kept { t.clone() } else { t.unsqueeze(dim) };
    Ok(zeros.scatter(dim, &wide(&at), &wide(&g)))
}
