//! Tensors taken apart and put together.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Shape;

use super::{Answer, list, one, parts};
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
    let joined = |f: fn(&[&Tensor]) -> Tensor| -> Read<Tensor> {
        let tensors = c.tensors("tensors")?;
        Ok(f(&tensors.iter().collect::<Vec<_>>()))
    };
    let dim = || c.int_or("dim", 0);
    match (name, overload) {
        ("cat", "default") => {
            let (tensors, dim) = (c.tensors("tensors")?, dim()?);
            one(cat(&tensors.iter().collect::<Vec<_>>(), dim))
        }
        ("stack", "default") => {
            let (tensors, dim) = (c.tensors("tensors")?, dim()?);
            one(stack(&tensors.iter().collect::<Vec<_>>(), dim))
        }
        ("hstack", "default") => one(joined(hstack)?),
        ("vstack", "default") => one(joined(vstack)?),
        ("dstack", "default") => one(joined(dstack)?),
        ("column_stack", "default") => one(joined(column_stack)?),
        ("block_diag", "default") => one(joined(block_diag)?),
        ("cartesian_prod", "default") => one(joined(cartesian_prod)?),
        ("meshgrid", "default" | "indexing") => {
            let tensors = c.tensors("tensors")?;
            let grid = meshgrid(&tensors.iter().collect::<Vec<_>>());
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
    let dim = c.size("dim")?;
    if tensors.is_empty() || tensors.iter().any(|t| dim >= t.rank()) {
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
