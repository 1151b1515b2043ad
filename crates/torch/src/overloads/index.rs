//! Reading and writing through tensors of positions.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{DType, Shape};

use super::{Answer, adding, one, parts};
use crate::args::{Call, Read, Value};

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
        // Where the elements are known, so is how many of them are not 0.
        ("nonzero" | "argwhere", "default") => match c.tensor("self")?.known() {
            Some(array) => one(rows(&array)),
            None => Ok(None),
        },
        ("where", "default") => match c.tensor("condition")?.known() {
            Some(array) => Ok(Some(vec![Value::Tensors(selected(&array))])),
            None => Err(c.refused("the number of places where it holds depends on data; use nonzero_static(size=…)")),
        },
        ("nonzero_numpy", "default") => {
            Ok(c.tensor("self")?.known().map(|array| vec![Value::Tensors(selected(&array))]))
        }
        ("masked_select", "default") => match c.tensor("mask")?.known() {
            Some(_) => one(masked_select(&c.tensor("self")?, &c.tensor("mask")?)),
            None => Ok(None),
        },
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
            Some(t) if is_mask(&t) => match t.known() {
                Some(mask) => out.extend(selected(&mask).into_iter().map(Some)),
                None => out.push(Some(t)),
            },
            t => out.push(t),
        }
    }
    while out.last().is_some_and(Option::is_none) {
        out.pop();
    }
    Ok(out)
}

/// The positions of the elements that are not 0, for each of the dims.
fn places(array: &Array) -> Vec<Vec<i64>> {
    let strides = array.shape().strides();
    let found: Vec<usize> = (0..array.numel()).filter(|i| array.get(*i).to_f64() != 0.0).collect();
    let along = |d: usize| {
        let n = array.shape()[d].get();
        found.iter().map(|i| (i / strides[d] % n) as i64).collect()
    };
    (0..array.shape().rank()).map(along).collect()
}

/// The same, a vector for each dim.
fn selected(array: &Array) -> Vec<Tensor> {
    places(array).iter().map(|along| Tensor::from_slice(along)).collect()
}

/// The same, one a row; a scalar has one element, which has no position.
fn rows(array: &Array) -> Tensor {
    let columns = places(array);
    let n = columns.first().map_or_else(|| usize::from(array.get(0).to_f64() != 0.0), Vec::len);
    let all = (0..n).flat_map(|i| columns.iter().map(move |along| along[i])).collect();
    Tensor::from_array(Array::new([n, columns.len()], all))
}

/// The elements where a mask of known elements is true, after both have been broadcast.
fn masked_select(x: &Tensor, mask: &Tensor) -> Tensor {
    let both = broadcast_tensors(&[x.clone(), mask.clone()]);
    let [x, mask] = both.as_slice() else { return x.clone() };
    let flat = |t: &Tensor| t.view_to(&[t.numel()].into());
    match flat(mask).known().map(|mask| selected(&mask)).as_deref() {
        Some([at]) => flat(x).index_select_along(0, at),
        _ => x.clone(),
    }
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
    let (x, values, indices) = (c.tensor("self")?, c.tensor("values")?, c.optional_tensors("indices")?);
    let accumulate = c.bool_or("accumulate", false)?;
    // A choice by the mask, also where its elements are known, if that gives every element its value.
    if let Some(at) = indices.iter().position(|t| t.as_ref().is_some_and(is_mask))
        && indices.iter().flatten().count() == 1
        && let Some((mask, values)) = filled(&x, indices[at].as_ref(), at, &values)
    {
        return one(if accumulate { x.add(&values).where_(&mask, &x) } else { values.where_(&mask, &x) });
    }
    let indices = positions(c)?;
    let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
    if given.iter().flatten().any(|t| is_mask(t)) {
        return Err(c.refused(match given.iter().flatten().count() {
            1 => "the number of values that a mask takes depends on data; use masked_scatter",
            _ => "a mask beside other positions selects a number of elements that depends on data",
        }));
    }
    one(match (given.iter().all(Option::is_none), accumulate) {
        (true, true) => x.add(values.broadcast_to(x.shape())),
        (true, false) => values.broadcast_to(x.shape()),
        (false, true) => adding(&x, &values, |x, values| x.index_put_accumulate(&given, values)),
        (false, false) => x.index_put(&given, &values),
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
        let Some(array) = repeats.known() else {
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
