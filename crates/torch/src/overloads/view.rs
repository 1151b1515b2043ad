//! Changes of shape.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Shape;
use cotangent_core::tensor::linear_with_transpose;

use super::{Answer, list, one, parts, strided};
use crate::args::Call;

/// Names of ATen that mean the same as another one.
const ALIASES: &[(&str, &str)] = &[
    ("_reshape_alias", "view"),
    ("_reshape_copy", "view"),
    ("_unsafe_view", "view"),
    ("expand_copy", "expand"),
    ("moveaxis", "movedim"),
    ("permute_copy", "permute"),
    ("reshape", "view"),
    ("squeeze_copy", "squeeze"),
    ("swapaxes", "transpose"),
    ("swapdims", "transpose"),
    ("t_copy", "t"),
    ("transpose_copy", "transpose"),
    ("unsqueeze_copy", "unsqueeze"),
    ("view_copy", "view"),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let x = || c.tensor("self");
    one(match (name, overload) {
        ("view", "dtype") => return same_bits(c),
        ("view", "default") => {
            let sizes = if c.get("size").is_some() { "size" } else { "shape" };
            x()?.reshape(c.ints(sizes)?)
        }
        ("view_as" | "reshape_as", "default") => x()?.view_as(&c.tensor("other")?),
        ("flatten", "using_ints") => x()?.flatten(c.int_or("start_dim", 0)?, c.int_or("end_dim", -1)?),
        ("resize", "default") => return resized(c, &Shape::from(c.sizes("size")?)),
        ("resize_as", "default") => return resized(c, c.tensor("the_template")?.shape()),
        ("ravel", "default") => x()?.reshape([-1i64]),
        ("unflatten", "int") => x()?.unflatten(c.int("dim")?, c.ints("sizes")?),
        ("squeeze", "default") => x()?.squeeze(()),
        ("squeeze", "dim" | "dims") => x()?.squeeze(c.ints("dim")?.as_slice()),
        ("unsqueeze", "default") => x()?.unsqueeze(c.int("dim")?),
        ("transpose", "int") => x()?.transpose(c.int("dim0")?, c.int("dim1")?),
        ("transpose", "default") => {
            let (a, b) = if c.get("axis0").is_some() { ("axis0", "axis1") } else { ("dim0", "dim1") };
            x()?.transpose(c.int(a)?, c.int(b)?)
        }
        ("t", "default") => x()?.t(),
        ("numpy_T", "default") => {
            let x = x()?;
            let reversed: Vec<usize> = (0..x.rank()).rev().collect();
            x.permute_to(&reversed)
        }
        ("mT" | "mH" | "adjoint", "default") => x()?.mT(),
        ("matrix_H", "default") => x()?.t(),
        ("permute", "default") => x()?.permute(c.ints("dims")?.as_slice()),
        ("movedim", "int" | "intlist") => x()?.movedim(c.ints("source")?.as_slice(), c.ints("destination")?.as_slice()),
        ("expand" | "broadcast_to", "default") => x()?.expand(c.ints("size")?),
        ("expand_as", "default") => x()?.expand_as(&c.tensor("other")?),
        ("sum_to_size", "default") => x()?.sum_to_size(c.ints("size")?),
        ("repeat", "default") => x()?.repeat(c.ints("repeats")?),
        ("tile", "default") => x()?.tile(c.ints("dims")?),
        ("repeat_interleave", "self_int") => {
            let (x, n) = (x()?, c.size("repeats")?);
            match c.opt_int("dim")? {
                Some(d) if x.rank() > 0 => x.repeat_interleave(n, d),
                Some(_) | None => x.reshape([-1i64]).repeat_interleave(n, 0),
            }
        }
        ("atleast_1d", "default") => at_least(&x()?, 1),
        ("atleast_2d", "default") => at_least(&x()?, 2),
        ("atleast_3d", "default") => at_least(&x()?, 3),
        ("atleast_1d" | "atleast_2d" | "atleast_3d", "Sequence") => {
            let rank = name.bytes().find(u8::is_ascii_digit).map_or(1, |d| usize::from(d - b'0'));
            return list(c.tensors("tensors")?.iter().map(|t| at_least(t, rank)).collect());
        }
        ("broadcast_tensors", "default") => return list(broadcast_tensors(&c.tensors("tensors")?)),
        ("as_strided" | "as_strided_copy", "default") => {
            let x = x()?;
            let places = strided(c, x.numel())?;
            let shape = places.shape().clone();
            let flat = x.view_to(&[x.numel()].into());
            flat.index_select_along(0, &places.view_to(&[shape.numel()].into())).view_to(&shape)
        }
        ("as_strided_scatter", "default") => {
            let (x, src) = (x()?, c.tensor("src")?);
            written(&x, &strided(c, x.numel())?, &src)
        }
        (_, _) => return Ok(None),
    })
}

/// `x` with `src` at these places among its elements in order.
///
/// *Derivative*: that of PyTorch, whose reverse mode brings to `x` what comes back at the places, and not the rest.
fn written(x: &Tensor, places: &Tensor, src: &Tensor) -> Tensor {
    let (all, at) = ([x.numel()].into(), places.view_to(&[places.numel()].into()));
    let put = |x: &Tensor, src: &Tensor, at: &Tensor| x.view_to(&all).scatter_along(0, at, src).view_to(x.shape());
    let src = src.view_to(at.shape());
    if !x.dtype().is_float() {
        return put(x, &src, &at);
    }
    let kept = linear_with_transpose(
        "strided_rest",
        &[&at],
        x,
        |a, x| put(x, &x.full_of(&x.aval().with_shape(a[0].shape().clone()), 0.0), &a[0]),
        |a, y_bar| {
            let back = y_bar.view_to(&all).gather_along(0, &a[0]);
            put(&y_bar.zeros_like(), &back, &a[0])
        },
    );
    kept + put(&x.zeros_like(), &src, &at)
}

/// The first elements in another shape.
fn resized(c: &Call, shape: &Shape) -> Answer {
    let x = c.tensor("self")?;
    let n = shape.numel();
    if n > x.numel() {
        return Err(c.refused("its new elements have no values; fill a larger tensor and write into it"));
    }
    one(x.view_to(&[x.numel()].into()).slice_dim(0, 0, n, 1).view_to(shape))
}

/// `view.dtype`: the bits of each element as another dtype, which is an operation only where it changes nothing.
fn same_bits(c: &Call) -> Answer {
    let x = c.tensor("self")?;
    match c.dtype("dtype")? {
        Some(d) if d == x.dtype() => one(x),
        Some(_) | None => Err(c.refused("the bits of numbers cannot be read as those of another dtype here")),
    }
}
