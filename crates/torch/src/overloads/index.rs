//! Reading and writing through tensors of positions.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{DType, Shape};

use super::{Answer, adding, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    match (name, overload) {
        ("index" | "_unsafe_index", "Tensor") => {
            let (x, indices) = (c.tensor("self")?, positions(c)?);
            let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
            if given.iter().flatten().any(|t| is_mask(t)) {
                let reason = "the number of elements that a mask selects depends on data; use where or masked_fill";
                return Err(c.refused(reason));
            }
            one(if given.iter().all(Option::is_none) { x } else { x.index(&given) })
        }
        ("index_put" | "_unsafe_index_put" | "_index_put_impl", "default") => put(c),
        ("_unsafe_masked_index", "default") => {
            let (x, mask) = (c.tensor("self")?, c.tensor("mask")?);
            let indices = clamped(c, &x)?;
            let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
            one(x.index(&given).masked_fill(&mask.logical_not(), c.operand("fill")?))
        }
        ("_unsafe_masked_index_put_accumulate", "default") => {
            let (x, mask) = (c.tensor("self")?, c.tensor("mask")?);
            let indices = clamped(c, &x)?;
            let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
            let values = c.tensor("values")?.masked_fill(&mask.logical_not(), 0i64);
            one(adding(&x, &values, |x, values| x.index_put_accumulate(&given, values)))
        }
        ("take", "default") => one(c.tensor("self")?.take(&c.tensor("index")?)),
        ("take_along_dim", "default") => {
            let (x, at) = (c.tensor("self")?, c.tensor("indices")?);
            one(match c.opt_int("dim")? {
                Some(dim) => x.take_along_dim(&at, dim),
                None => x.reshape([-1i64]).take_along_dim(&at.reshape([-1i64]), 0),
            })
        }
        ("index_select", "default") => {
            let (x, dim, at) = (c.tensor("self")?, c.int("dim")?, c.tensor("index")?);
            one(match x.rank() {
                0 => x.view_to(&[1].into()).index_select(dim, &at).view_to(&().into()),
                1.. => x.index_select(dim, &at),
            })
        }
        ("index_select_backward", "default") => {
            let (g, dim, at) = (c.tensor("grad")?, c.int("dim")?, c.tensor("index")?);
            let zeros = g.full_of(&cotangent_core::ir::Aval::new(g.dtype(), Shape::from(c.sizes("self_sizes")?)), 0.0);
            one(zeros.index_add(dim, &at, &g, 1i64))
        }
        ("gather", "default") => {
            let (x, dim, at) = (c.tensor("self")?, c.int("dim")?, c.tensor("index")?);
            one(x.gather(dim, &at.convert(DType::I64)))
        }
        ("repeat_interleave", "self_Tensor") => {
            let (x, at) = (c.tensor("self")?, interleaved(c)?);
            one(match c.opt_int("dim")? {
                Some(dim) => x.index_select(dim, &at),
                None => x.reshape([-1i64]).index_select(0, &at),
            })
        }
        ("repeat_interleave", "Tensor") => one(interleaved(c)?),
        (_, _) => Ok(None),
    }
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

/// The tensors of positions, one for each dim; a mask whose elements are known becomes the positions it selects.
fn positions(c: &Call) -> Read<Vec<Option<Tensor>>> {
    let mut out = Vec::new();
    for t in c.optional_tensors("indices")? {
        match t {
            Some(t) if is_mask(&t) && t.as_array().is_some() => out.extend(selected(&t).into_iter().map(Some)),
            t => out.push(t),
        }
    }
    while out.last().is_some_and(Option::is_none) {
        out.pop();
    }
    Ok(out)
}

/// The positions of the true elements of a mask with known elements, a vector for each of its dims.
fn selected(mask: &Tensor) -> Vec<Tensor> {
    let Some(array) = mask.as_array() else { return Vec::new() };
    let strides = array.shape().strides();
    let found: Vec<usize> = (0..array.numel()).filter(|i| array.get(*i).to_f64() != 0.0).collect();
    let along = |d: usize| {
        let n = array.shape()[d].get();
        found.iter().map(|i| (i / strides[d] % n) as i64).collect::<Vec<_>>()
    };
    (0..array.shape().rank()).map(|d| Tensor::from_array(Array::new([found.len()], along(d)))).collect()
}

/// Positions moved into the tensor: those outside are masked by the call.
fn clamped(c: &Call, x: &Tensor) -> Read<Vec<Option<Tensor>>> {
    let inside = |(d, t): (usize, Option<Tensor>)| {
        let n = x.shape().dims().get(d).map_or(1, |n| n.get() as i64);
        t.map(|t| t.clamp(-n, n - 1))
    };
    Ok(c.optional_tensors("indices")?.into_iter().enumerate().map(inside).collect())
}

fn put(c: &Call) -> Answer {
    let (x, values, indices) = (c.tensor("self")?, c.tensor("values")?, positions(c)?);
    let accumulate = c.bool_or("accumulate", false)?;
    let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
    let masks: Vec<usize> = (0..given.len()).filter(|i| given[*i].is_some_and(is_mask)).collect();
    one(match masks.as_slice() {
        [] if given.iter().all(Option::is_none) => {
            let wide = values.broadcast_to(x.shape());
            if accumulate { x.add(wide) } else { wide }
        }
        [] if accumulate => adding(&x, &values, |x, values| x.index_put_accumulate(&given, values)),
        [] => x.index_put(&given, &values),
        [at] if given.iter().flatten().count() == 1 => match filled(&x, given[*at], *at, &values) {
            Some((mask, values)) if accumulate => x.add(&values).where_(&mask, &x),
            Some((mask, values)) => values.where_(&mask, &x),
            None => return Err(c.refused("the number of values that a mask takes depends on data; use masked_scatter")),
        },
        _ => return Err(c.refused("a mask beside other positions selects a number of elements that depends on data")),
    })
}

/// A mask over the dims from `at` on and the values for the elements where it is true, both in the shape of `x`; none
/// if the values depend on which of these elements it is.
fn filled(x: &Tensor, mask: Option<&Tensor>, at: usize, values: &Tensor) -> Option<(Tensor, Tensor)> {
    let mask = mask?;
    let behind = x.rank().checked_sub(at + mask.rank())?;
    // In the result of reading, one dim stands for those of the mask.
    let selected = x.rank() - mask.rank() + 1;
    let lead = selected.checked_sub(values.rank())?;
    let size = |d: usize| d.checked_sub(lead).map_or(1, |i| values.shape()[i].get());
    if size(at) != 1 {
        return None;
    }
    let before = (0..at).map(size);
    let wide: Shape = before.chain(std::iter::repeat_n(1, mask.rank())).chain((at + 1..selected).map(size)).collect();
    let ones = |n: usize| std::iter::repeat_n(1usize, n).collect::<Shape>();
    let mask = mask.ne(0i64).view_to(&ones(at).concat(mask.shape()).concat(&ones(behind)));
    Some((mask.broadcast_to(x.shape()), values.view_to(&wide).broadcast_to(x.shape())))
}

/// Each position as often as a tensor of known numbers says.
fn interleaved(c: &Call) -> Read<Tensor> {
    let repeats = c.tensor("repeats")?;
    let Some(size) = c.opt_int("output_size")? else {
        let Some(array) = repeats.as_array() else {
            return Err(c.refused("the number of elements of its result depends on data; give output_size"));
        };
        let times = (0..array.numel()).map(|i| usize::try_from(array.get(i).to_i64()).unwrap_or(0));
        let at: Vec<i64> = times.enumerate().flat_map(|(i, n)| std::iter::repeat_n(i as i64, n)).collect();
        return Ok(Tensor::from_slice(&at));
    };
    let size = usize::try_from(size).map_err(|_| c.wrong("output_size", "a size"))?;
    let ends = repeats.convert(DType::I64).cumsum_along(0);
    Ok(ends.searchsorted_right(&ends.arange_like(size.into(), DType::I64)))
}
