//! Parts of tensors, and tensors with parts replaced or moved.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, Shape};

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// Names of ATen that mean the same as another one.
const ALIASES: &[(&str, &str)] = &[
    ("diagonal_copy", "diagonal"),
    ("narrow_copy", "narrow"),
    ("select_copy", "select"),
    ("slice_copy", "slice"),
    ("unfold_copy", "unfold"),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let x = || c.tensor("self");
    let diagonal =
        || -> Read<(i64, i64, i64)> { Ok((c.int_or("offset", 0)?, c.int_or("dim1", 0)?, c.int_or("dim2", 1)?)) };
    one(match (name, overload) {
        ("select", "int") => x()?.select(c.int("dim")?, c.int("index")?),
        ("select_scatter", "default") => x()?.select_scatter(&c.tensor("src")?, c.int("dim")?, c.int("index")?),
        ("slice", "Tensor") => x()?.slice(c.int_or("dim", 0)?, c.opt_int("start")?, c.opt_int("end")?, step(c)?),
        ("slice_scatter" | "slice_inverse", "default") => {
            let (x, src) = (x()?, c.tensor("src")?);
            x.slice_scatter(&src, c.int_or("dim", 0)?, c.opt_int("start")?, c.opt_int("end")?, step(c)?)
        }
        ("select_backward", "default") => {
            let (zeros, g) = gradient(c)?;
            zeros.select_scatter(&g, c.int("dim")?, c.int("index")?)
        }
        ("slice_backward", "default") => {
            let (zeros, g) = gradient(c)?;
            zeros.slice_scatter(&g, c.int("dim")?, c.opt_int("start")?, c.opt_int("end")?, step(c)?)
        }
        ("diagonal_backward", "default") => {
            let (zeros, g) = gradient(c)?;
            zeros.diagonal_scatter(&g, c.int("offset")?, c.int("dim1")?, c.int("dim2")?)
        }
        ("unfold_backward", "default") => {
            let g = c.tensor("grad_in")?;
            let shape = Shape::from(c.sizes("input_sizes")?);
            let dim = c.int("dim")?;
            let d = if dim < 0 { dim + shape.rank() as i64 } else { dim };
            let d = usize::try_from(d).map_err(|_| c.wrong("dim", "a dim of the input"))?;
            g.fold_dim(&shape, d, c.size("size")?, step(c)?)
        }
        ("narrow", "default") => x()?.narrow(c.int("dim")?, c.int("start")?, c.size("length")?),
        ("flip", "default") => x()?.flip(c.ints("dims")?.as_slice()),
        ("fliplr", "default") => x()?.fliplr(),
        ("flipud", "default") => x()?.flipud(),
        ("roll", "default") => x()?.roll(&c.ints("shifts")?, &c.ints_or("dims", &[])?),
        ("rot90", "default") => {
            let dims = c.ints_or("dims", &[0, 1])?;
            let dims = dims.try_into().map_err(|_| c.wrong("dims", "two dims"))?;
            x()?.rot90(c.int_or("k", 1)?, dims)
        }
        ("tril", "default") => x()?.tril(c.int_or("diagonal", 0)?),
        ("triu", "default") => x()?.triu(c.int_or("diagonal", 0)?),
        ("diag", "default") => x()?.diag(c.int_or("diagonal", 0)?),
        ("diagflat", "default") => x()?.diagflat(c.int_or("offset", 0)?),
        ("diagonal", "default") => {
            let (offset, a, b) = diagonal()?;
            x()?.diagonal(offset, a, b)
        }
        ("diagonal_scatter", "default") => {
            let (offset, a, b) = diagonal()?;
            x()?.diagonal_scatter(&c.tensor("src")?, offset, a, b)
        }
        ("diag_embed", "default") => {
            x()?.diag_embed(c.int_or("offset", 0)?, c.int_or("dim1", -2)?, c.int_or("dim2", -1)?)
        }
        ("unfold", "default") => {
            let (x, size) = (x()?, c.size("size")?);
            match x.rank() {
                // A scalar has one window of at most one element.
                0 => x.view_to(&[1].into()).narrow(0, 0, size),
                1.. => x.unfold(c.int("dimension")?, size, step(c)?),
            }
        }
        (_, _) => return Ok(None),
    })
}

fn step(c: &Call) -> Read<usize> {
    usize::try_from(c.int_or("step", 1)?).map_err(|_| c.wrong("step", "a step that is not negative"))
}

/// Zeros of the input's sizes, and the cotangent of a part of it.
fn gradient(c: &Call) -> Read<(Tensor, Tensor)> {
    let g = c.tensor("grad_output")?;
    let aval = Aval::new(g.dtype(), Shape::from(c.sizes("input_sizes")?));
    Ok((g.full_of(&aval, 0.0), g))
}
