//! Tensors taken apart and put together.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Shape;

use super::{Answer, MAX_LISTED, list, one, parts};
use crate::args::{Call, Read};

/// Names of ATen that mean the same as another one.
const ALIASES: &[(&str, &str)] = &[
    ("_stack", "stack"),
    ("concat", "cat"),
    ("concatenate", "cat"),
    ("row_stack", "vstack"),
    ("split_copy", "split"),
    ("split_with_sizes_copy", "split_with_sizes"),
    ("unbind_copy", "unbind"),
    ("unsafe_chunk", "chunk"),
    ("unsafe_split", "split"),
    ("unsafe_split_with_sizes", "split_with_sizes"),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let joined = |f: fn(&[Tensor]) -> Tensor| -> Read<Tensor> {
        let tensors = c.tensors("tensors")?;
        Ok(f(&tensors))
    };
    let dim = || c.int_or("dim", 0);
    match (name, overload) {
        ("cat", "default") => {
            let (tensors, dim) = (c.tensors("tensors")?, dim()?);
            one(cat(&tensors, dim))
        }
        ("stack", "default") => {
            let (tensors, dim) = (c.tensors("tensors")?, dim()?);
            one(stack(&tensors, dim))
        }
        ("hstack", "default") => one(joined(hstack)?),
        ("vstack", "default") => one(joined(vstack)?),
        ("dstack", "default") => one(joined(dstack)?),
        ("column_stack", "default") => one(joined(column_stack)?),
        ("block_diag", "default") => one(joined(block_diag)?),
        ("cartesian_prod", "default") => one(joined(cartesian_prod)?),
        ("combinations", "default") => one(combinations(c)?),
        ("meshgrid", "default" | "indexing") => {
            let tensors = c.tensors("tensors")?;
            let grid = meshgrid(&tensors);
            match c.str_or("indexing", "ij")? {
                "xy" if grid.len() > 1 => list(swapped_grid(&tensors)),
                "ij" | "xy" => list(grid),
                _ => Err(c.wrong("indexing", "\"ij\" or \"xy\"")),
            }
        }
        ("split", "Tensor") => list(c.tensor("self")?.split(c.size("split_size")?, dim()?)),
        ("split", "sizes" | "default") => {
            let sizes = if c.get("split_size").is_some() { "split_size" } else { "split_sizes" };
            list(c.tensor("self")?.split_with_sizes(c.ints(sizes)?, dim()?))
        }
        ("split_with_sizes", "default") => list(c.tensor("self")?.split_with_sizes(c.ints("split_sizes")?, dim()?)),
        ("chunk", "default") => list(c.tensor("self")?.chunk(c.size("chunks")?, dim()?)),
        ("_chunk_cat", "default") => chunk_cat(c),
        ("tensor_split", "sections") => list(c.tensor("self")?.tensor_split(c.size("sections")?, dim()?)),
        ("tensor_split", "indices") => list(c.tensor("self")?.tensor_split_at(&c.ints("indices")?, dim()?)),
        ("hsplit" | "vsplit" | "dsplit", "int" | "array") => {
            let x = c.tensor("self")?;
            let dim = match name {
                "hsplit" if x.rank() == 1 => 0,
                "hsplit" => 1,
                "vsplit" => 0,
                _ => 2,
            };
            list(match overload {
                "int" => x.tensor_split(c.size("sections")?, dim),
                _ => x.tensor_split_at(&c.ints("indices")?, dim),
            })
        }
        ("unbind", "int") => list(c.tensor("self")?.unbind(dim()?)),
        (_, _) => Ok(None),
    }
}

/// Chunks of each tensor, filled up with zeros and in rows, one tensor's beside the other's.
fn chunk_cat(c: &Call) -> Answer {
    let (tensors, chunks) = (c.tensors("tensors")?, c.size("num_chunks")?.max(1));
    let (given, rank) = (c.int("dim")?, tensors.first().map_or(0, Tensor::rank));
    let from_start = if given < 0 { given.saturating_add(rank as i64) } else { given };
    let dim = usize::try_from(from_start).unwrap_or(usize::MAX);
    // A dim counted from the end is the same one of each tensor only if they have equally many.
    if tensors.is_empty() || tensors.iter().any(|t| dim >= t.rank() || (given < 0 && t.rank() != rank)) {
        return Err(c.wrong("dim", "a dim of each tensor, of at least one"));
    }
    let rows = tensors.iter().map(|t| {
        let mut amounts = vec![(0, 0); t.rank()];
        let size = t.shape()[dim].get();
        amounts[dim].1 = (size.next_multiple_of(chunks) - size) as i64;
        let padded = t.pad_dims(&amounts, 0i64);
        let row = padded.shape().dims()[dim..].iter().map(|d| d.get()).product::<usize>() / chunks;
        let shape: Shape = t.shape().dims()[..dim].iter().copied().chain([chunks.into(), row.into()]).collect();
        padded.view_to(&shape)
    });
    one(Tensor::cat_dim(&rows.collect::<Vec<_>>(), dim + 1))
}

/// The grid of `indexing="xy"`: its first two dims exchanged.
fn swapped_grid(tensors: &[Tensor]) -> Vec<Tensor> {
    let mut order: Vec<&Tensor> = tensors.iter().collect();
    order.swap(0, 1);
    let mut grid: Vec<Tensor> = meshgrid(&order);
    grid.swap(0, 1);
    grid
}

/// Every choice of `r` elements of a vector in their order, one a row.
fn combinations(c: &Call) -> Read<Tensor> {
    let (x, r) = (c.tensor("self")?, c.size("r").or_else(|e| if c.get("r").is_none() { Ok(2) } else { Err(e) })?);
    let again = c.bool_or("with_replacement", false)?;
    let [n] = x.shape().sizes()[..] else { return Err(c.wrong("self", "a vector")) };
    if r == 0 {
        return Ok(x.narrow(0, 0, 0));
    }
    let mut places: Vec<i64> = Vec::new();
    let mut chosen: Vec<usize> = (0..r).map(|i| if again { 0 } else { i }).collect();
    let last = |i: usize| if again { n.checked_sub(1) } else { (n + i).checked_sub(r) };
    let fits = |chosen: &[usize]| chosen.iter().enumerate().all(|(i, k)| last(i).is_some_and(|end| *k <= end));
    while fits(&chosen) {
        if places.len() + r > MAX_LISTED {
            return Err(c.wrong("r", &format!("at most {MAX_LISTED} elements in all combinations")));
        }
        places.extend(chosen.iter().map(|k| *k as i64));
        // The last place that can still move does, and those after it follow.
        let Some(i) = (0..r).rev().find(|i| last(*i).is_some_and(|end| chosen[*i] < end)) else { break };
        chosen[i] += 1;
        for k in i + 1..r {
            chosen[k] = if again { chosen[i] } else { chosen[k - 1] + 1 };
        }
    }
    let rows = places.len() / r;
    Ok(x.index_select(0, &Tensor::from_vec(places, [rows * r])).view_to(&[rows, r].into()))
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::args::Arg;

    /// PyTorch's values and shapes.
    #[test]
    fn combinations_are_in_order() {
        let of = |n: usize, r: i64, again: bool| {
            let x = Tensor::from([1.0, 2.0, 3.0, 4.0]).narrow(0, 0, n);
            vec![("self", Arg::Tensor(x)), ("r", Arg::Int(r)), ("with_replacement", Arg::Bool(again))]
        };
        let all = |n, r, again| values("aten.combinations.default", of(n, r, again));
        assert_eq!(all(4, 3, false), [1.0, 2.0, 3.0, 1.0, 2.0, 4.0, 1.0, 3.0, 4.0, 2.0, 3.0, 4.0]);
        assert_eq!(all(3, 2, true), [1.0, 1.0, 1.0, 2.0, 1.0, 3.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
        let shape = |n, r, again| {
            let args = of(n, r, again);
            combinations(&Call { target: "aten.combinations.default", node: "n", args })
                .expect("a tensor")
                .shape()
                .sizes()
                .to_vec()
        };
        assert_eq!(shape(4, 5, false), [0, 5]);
        assert_eq!(shape(4, 0, false), [0]);
        assert_eq!(shape(0, 2, false), [0, 2]);
        assert_eq!(shape(0, 1, true), [0, 1]);
        let many = vec![("self", Arg::Tensor(Tensor::from_vec(vec![0.0; 1000], [1000]))), ("r", Arg::Int(5))];
        let error = combinations(&Call { target: "aten.combinations.default", node: "n", args: many }).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
    }
}
