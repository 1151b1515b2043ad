//! Writing at positions along a dim.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Scalar, Shape};
use cotangent_core::ops::ScatterReduction;
use cotangent_core::tensor::Operand;

use super::{Answer, adding, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let at = || -> Read<(Tensor, i64, Tensor)> { Ok((c.tensor("self")?, c.int("dim")?, c.tensor("index")?)) };
    one(match (name, overload) {
        ("scatter", "src" | "reduce") => {
            let ((x, dim, index), src) = (at()?, c.tensor("src")?);
            match c.str_or("reduce", "")? {
                "" => x.scatter(dim, &index, &src),
                kind => combined(&x, dim, &index, &src, combination(c, kind)?, Old::Counts),
            }
        }
        ("scatter", "value" | "value_reduce") => {
            let ((x, dim, index), value) = (at()?, c.scalar("value")?);
            let src = x.full_of(&Aval::new(x.dtype(), index.shape()), value.cast(x.dtype()));
            match c.str_or("reduce", "")? {
                "" => x.scatter(dim, &index, &src),
                kind => combined(&x, dim, &index, &src, combination(c, kind)?, Old::Counts),
            }
        }
        ("fill_diagonal", "default") => diagonal_filled(c)?,
        ("scatter_add", "default") => {
            let (x, dim, index) = at()?;
            adding(&x, &c.tensor("src")?, |x, src| x.scatter_add(dim, &index, src))
        }
        ("scatter_reduce", "two") => {
            let ((x, dim, index), src) = (at()?, c.tensor("src")?);
            combined(&x, dim, &index, &src, combination(c, c.str_or("reduce", "")?)?, old(c)?)
        }
        ("index_reduce", "default") => {
            let (x, dim, index) = vectors(at()?);
            let source = lifted(&c.tensor("source")?);
            let places = along(&index, &source, dim);
            let y = combined(&x, dim, &places, &source, combination(c, c.str_or("reduce", "")?)?, old(c)?);
            y.view_to(c.tensor("self")?.shape())
        }
        ("index_add", "default") => {
            let (x, dim, index) = vectors(at()?);
            let alpha = c.scalar_or("alpha", 1i64)?;
            let y = adding(&x, &lifted(&c.tensor("source")?), |x, source| x.index_add(dim, &index, source, alpha));
            y.view_to(c.tensor("self")?.shape())
        }
        ("index_copy", "default") => {
            let (x, dim, index) = vectors(at()?);
            x.index_copy(dim, &index, &lifted(&c.tensor("source")?)).view_to(c.tensor("self")?.shape())
        }
        ("index_fill", "int_Scalar" | "int_Tensor") => {
            let (x, dim, index) = vectors(at()?);
            // A mask and not a scatter: the value has the derivative of a place once, however often the index names it.
            let n = x.size(dim);
            let mask = index.full_of(&Aval::new(DType::I64, [n]), 0i64).index_fill(0, &index, 1i64);
            let mask = along(&mask.ne(0i64), &x, dim);
            let value = match c.operand("value")? {
                Operand::Tensor(v) => v.convert(x.dtype()),
                Operand::Scalar(v) => x.full_of(&Aval::new(x.dtype(), ()), v.cast(x.dtype())),
            };
            value.where_(&mask, &x).view_to(c.tensor("self")?.shape())
        }
        ("put", "default") => {
            let (x, index, source) = (c.tensor("self")?, c.tensor("index")?, c.tensor("source")?);
            if c.bool_or("accumulate", false)? {
                let (n, m) = (x.numel(), index.numel());
                let index = index.convert(DType::I64);
                let places = (&index + n as i64).where_(&index.lt(0i64), &index).view_to(&[m].into());
                let (flat, source) = (x.view_to(&[n].into()), source.view_to(&[m].into()));
                adding(&flat, &source, |x, source| x.index_add_along(0, &places, source)).view_to(x.shape())
            } else {
                x.put(&index, &source)
            }
        }
        ("masked_scatter", "default") => {
            c.tensor("self")?.masked_scatter(&c.tensor("mask")?.convert(DType::Bool), &c.tensor("source")?)
        }
        ("masked_scatter_backward", "default") => {
            let (g, mask) = (c.tensor("grad_output")?, c.tensor("mask")?);
            let shape = Shape::from(c.sizes("sizes")?);
            let mask = mask.broadcast_to(g.shape()).view_to(&[g.numel()].into());
            // Cotangents in order, those that are not selected behind all places of the source.
            let at = mask.convert(DType::I64).cumsum_along(0) - 1i64;
            let n = shape.numel();
            let at = at.where_(&mask.logical_and(&at.lt(n as i64)), n as i64);
            let zeros = g.full_of(&Aval::new(g.dtype(), [n + 1]), 0.0);
            zeros.scatter_add_along(0, &at, &g.view_to(&[g.numel()].into())).slice_dim(0, 0, n, 1).view_to(&shape)
        }
        ("segment_reduce", "default") => segments(c)?,
        (_, _) => return Ok(None),
    })
}

/// `self` with one number on its diagonal, which begins anew below in a tall matrix that wraps.
fn diagonal_filled(c: &Call) -> Read<Tensor> {
    let x = c.tensor("self")?;
    let sizes = x.shape().sizes();
    if sizes.len() < 2 || (sizes.len() > 2 && sizes.iter().any(|n| *n != sizes[0])) {
        return Err(c.wrong("self", "a matrix, or a tensor of equal sizes"));
    }
    let step: usize = (0..sizes.len()).map(|d| sizes[d + 1..].iter().product::<usize>()).sum();
    let wraps = c.bool_or("wrap", false)?;
    let end = if wraps { x.numel() } else { sizes.iter().min().map_or(0, |n| n * step) };
    let at = x.arange_like(x.numel().into(), DType::I64);
    let on = at.remainder(step.max(1) as i64).eq(0i64).bitwise_and(at.lt(end as i64));
    Ok(x.full_like(c.scalar("fill_value")?.cast(x.dtype())).where_(&on.view_to(x.shape()), &x))
}

/// Whether the old element of a place takes part where new ones come to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Old {
    Counts,
    Replaced,
}

/// How elements that come to one place are combined.
#[derive(Clone, Copy)]
enum Combination {
    Sum,
    Mean,
    By(ScatterReduction),
}

fn old(c: &Call) -> Read<Old> {
    Ok(if c.bool_or("include_self", true)? { Old::Counts } else { Old::Replaced })
}

fn combination(c: &Call, name: &str) -> Read<Combination> {
    Ok(match name {
        "sum" | "add" => Combination::Sum,
        "mean" => Combination::Mean,
        "prod" | "multiply" => Combination::By(ScatterReduction::Prod),
        "amax" | "max" => Combination::By(ScatterReduction::Amax),
        "amin" | "min" => Combination::By(ScatterReduction::Amin),
        _ => return Err(c.wrong("reduce", "sum, mean, prod, amax or amin")),
    })
}

/// The element that a combination starts from.
fn neutral(how: Combination, dtype: DType) -> Scalar {
    let extreme = |largest: bool| match dtype {
        DType::F64 | DType::F32 | DType::F16 | DType::BF16 => {
            Scalar::Float(if largest { f64::INFINITY } else { f64::NEG_INFINITY })
        }
        DType::I64 => Scalar::Int(if largest { i64::MAX } else { i64::MIN }),
        DType::I32 => Scalar::Int(if largest { i32::MAX.into() } else { i32::MIN.into() }),
        DType::I16 => Scalar::Int(if largest { i16::MAX.into() } else { i16::MIN.into() }),
        DType::I8 => Scalar::Int(if largest { i8::MAX.into() } else { i8::MIN.into() }),
        DType::U8 => Scalar::Int(if largest { u8::MAX.into() } else { 0 }),
        DType::Bool => Scalar::Bool(largest),
    };
    match how {
        Combination::Sum | Combination::Mean => Scalar::Int(0),
        Combination::By(ScatterReduction::Prod) => Scalar::Int(1),
        Combination::By(ScatterReduction::Amax) => extreme(false),
        Combination::By(ScatterReduction::Amin) => extreme(true),
    }
}

/// `scatter_reduce`: means of integers are rounded down.
fn combined(x: &Tensor, dim: i64, index: &Tensor, src: &Tensor, how: Combination, old: Old) -> Tensor {
    let count = || {
        let zeros = x.full_of(&Aval::new(DType::I64, x.shape()), 0i64);
        zeros.scatter_add(dim, index, &src.full_of(&Aval::new(DType::I64, src.shape()), 1i64))
    };
    let base = match old {
        Old::Counts => x.clone(),
        Old::Replaced => {
            let start = neutral(how, x.dtype()).cast(x.dtype());
            x.full_like(start).where_(&count().gt(0i64), x)
        }
    };
    match how {
        Combination::Sum => adding(&base, src, |x, src| x.scatter_add(dim, index, src)),
        Combination::By(reduction) => base.scatter_reduce(dim, index, src, reduction),
        Combination::Mean => {
            let sum = base.scatter_add(dim, index, src);
            let n = match old {
                Old::Counts => count() + 1i64,
                Old::Replaced => count().maximum(1i64),
            };
            let n = n.convert(x.dtype());
            if x.dtype().is_float() { sum / n } else { sum.div_rounded(n, Rounding::Floor) }
        }
    }
}

/// A scalar as a vector.
fn lifted(t: &Tensor) -> Tensor {
    if t.rank() == 0 { t.view_to(&[1].into()) } else { t.clone() }
}

/// The operand with at least one dim, the dim, and the index as a vector of `i64`.
fn vectors((x, dim, index): (Tensor, i64, Tensor)) -> (Tensor, i64, Tensor) {
    (lifted(&x), dim, lifted(&index.convert(DType::I64)))
}

/// A vector of positions along `dim`, in the shape of the slices.
fn along(index: &Tensor, source: &Tensor, dim: i64) -> Tensor {
    let d = if dim < 0 { dim + source.rank() as i64 } else { dim };
    let shape: Shape = (0..source.rank()).map(|i| if i as i64 == d { index.numel() } else { 1 }).collect();
    index.view_to(&shape).broadcast_to(source.shape())
}

/// `segment_reduce`: elements along `axis` that follow one another are combined, in segments of given lengths.
fn segments(c: &Call) -> Read<Tensor> {
    let x = c.tensor("data")?;
    let axis = c.int_or("axis", 0)?;
    let d = if axis < 0 { axis + x.rank() as i64 } else { axis };
    let d = usize::try_from(d).ok().filter(|d| *d < x.rank()).ok_or_else(|| c.wrong("axis", "a dim of the data"))?;
    let how = combination(c, c.str_or("reduce", "")?)?;
    let initial = c.opt_scalar("initial")?;
    // Where each segment begins and ends.
    let (starts, ends) = match (c.opt_tensor("lengths")?, c.opt_tensor("offsets")?) {
        (Some(lengths), _) => {
            let lengths = lengths.convert(DType::I64);
            let ends = lengths.cumsum(d as i64);
            (&ends - lengths, ends)
        }
        (None, Some(offsets)) => {
            let (offsets, n) = (offsets.convert(DType::I64), offsets.size(d as i64));
            (offsets.slice_dim(d, 0, n.saturating_sub(1), 1), offsets.slice_dim(d, n.min(1), n, 1))
        }
        (None, None) => return Err(c.wrong("lengths", "lengths or offsets")),
    };
    let (n, count) = (x.shape()[d], ends.shape()[d].get());
    let lead = x.shape().slice(0, d);
    let rows = lead.concat(&[n.get()].into());
    let place = starts.arange_like(n, DType::I64).view_to(&[n.get()].into()).broadcast_to(&rows);
    // Elements before the first segment and behind the last one come to a place of their own, which is dropped.
    let segment = ends.searchsorted_right(&place);
    let inside = place.ge(starts.narrow(d as i64, 0, count.min(1)));
    let segment = if count == 0 { segment } else { segment.where_(&inside, count as i64) };
    let behind: Shape = rows.concat(&std::iter::repeat_n(1usize, x.rank() - d - 1).collect());
    let index = segment.view_to(&behind).broadcast_to(x.shape());
    let start = initial.unwrap_or_else(|| neutral(how, x.dtype())).cast(x.dtype());
    let base = x.full_of(&Aval::new(x.dtype(), x.shape().with(d, count + 1)), start);
    let dim = d as i64;
    let sum = match how {
        Combination::Sum | Combination::Mean => base.scatter_add(dim, &index, &x),
        Combination::By(reduction) => base.scatter_reduce(dim, &index, &x, reduction),
    };
    let y = sum.slice_dim(d, 0, count, 1);
    let Combination::Mean = how else { return Ok(y) };
    let sizes = (ends - starts).convert(x.dtype());
    let tail: Shape = lead.concat(&[count].into()).concat(&std::iter::repeat_n(1usize, x.rank() - d - 1).collect());
    let sizes = sizes.view_to(&tail);
    let empty = sizes.eq(0.0).broadcast_to(y.shape());
    let mean = &y / sizes.maximum(1.0);
    Ok(match initial {
        Some(_) => y.where_(&empty, mean),
        None => mean.full_like(f64::NAN).where_(&empty, &mean),
    })
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::args::Arg;

    /// PyTorch's values.
    #[test]
    fn diagonals_are_filled() {
        let of = |sizes: &[usize], wrap: bool| {
            let x = Tensor::zeros_of(&Aval::new(DType::F64, sizes), None);
            let args = vec![("self", Arg::Tensor(x)), ("fill_value", Arg::Int(1)), ("wrap", Arg::Bool(wrap))];
            let places = values("aten.fill_diagonal.default", args).into_iter().enumerate();
            places.filter(|(_, v)| *v == 1.0).map(|(i, _)| i).collect::<Vec<_>>()
        };
        assert_eq!(of(&[5, 2], false), [0, 3]);
        assert_eq!(of(&[5, 2], true), [0, 3, 6, 9]);
        assert_eq!(of(&[2, 3], true), [0, 4]);
        assert_eq!(of(&[2, 2, 2], false), [0, 7]);
    }
}
