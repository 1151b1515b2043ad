//! Rows chosen by indices.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

use super::gradient::pullback;
use super::{Answer, many, one};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    match c.target {
        "aten.embedding.default" => {
            let (weight, indices) = (c.tensor("weight")?, c.tensor("indices")?);
            let padding = padding(c, weight.size(0))?;
            if c.bool_or("scale_grad_by_freq", false)? {
                return one(embedding_by_frequency(&indices, &weight, padding));
            }
            one(embedding(&indices, &weight, padding))
        }
        "aten.embedding_renorm.default" => {
            let (weight, indices) = (c.tensor("self")?, c.tensor("indices")?);
            let flat = indices.convert(DType::I64).view_to(&[indices.numel()].into());
            let none = flat.full_of(&Aval::new(DType::I64, weight.shape().slice(0, 1)), 0i64);
            let named = none.index_add_along(0, &flat, &flat.ones_like()).gt(0i64).unsqueeze(-1);
            let scaled = weight.detach().renorm(c.float("norm_type")?, 0, c.float("max_norm")?);
            // PyTorch scales rows where they stand and does not record it: the derivative is that of what stood there.
            one(&weight + (scaled - weight.detach()).where_(&named, 0.0))
        }
        "aten.embedding_dense_backward.default" | "aten.embedding_backward.default" => {
            let y_bar = match c.opt_tensor("grad_output")? {
                Some(y_bar) => y_bar,
                None => c.tensor("grad")?,
            };
            let (indices, rows) = (c.tensor("indices")?, c.size("num_weights")?);
            let width = y_bar.size(-1);
            let weight = y_bar.full_of(&Aval::new(y_bar.dtype(), [rows, width]), 0.0);
            let padding = padding(c, rows)?;
            let scaled = c.bool_or("scale_grad_by_freq", false)?;
            many(pullback(&[weight, indices], &[0], &y_bar, |x| {
                if scaled { embedding_by_frequency(&x[1], &x[0], padding) } else { embedding(&x[1], &x[0], padding) }
            })?)
        }
        "aten.embedding_bag.default"
        | "aten.embedding_bag.padding_idx"
        | "aten._embedding_bag.default"
        | "aten._embedding_bag_forward_only.default" => bag(c),
        "aten.one_hot.default" => {
            let x = c.tensor("self")?;
            one(match usize::try_from(c.int_or("num_classes", -1)?) {
                Ok(classes) => x.one_hot(classes),
                Err(_) => x.one_hot_inferred(),
            })
        }
        _ => Ok(None),
    }
}

/// The row without derivative. In the schema -1 stands for none; Python has made other negative numbers positive.
fn padding(c: &Call, rows: usize) -> Read<Option<i64>> {
    let given = c.opt_int("padding_idx")?.filter(|i| *i != -1);
    match given {
        Some(i) if !(0..rows as i64).contains(&i) => Err(c.wrong("padding_idx", &format!("below {rows}"))),
        _ => Ok(given),
    }
}

/// Bags of one vector of indices: the bags, then what PyTorch keeps for a backward pass.
fn bag(c: &Call) -> Answer {
    let (weight, indices, offsets) = (c.tensor("weight")?, c.tensor("indices")?, c.tensor("offsets")?);
    let mode = match c.int_or("mode", 0)? {
        0 => BagMode::Sum,
        1 => BagMode::Mean,
        2 => BagMode::Max,
        _ => return Err(c.wrong("mode", "0 (sum), 1 (mean) or 2 (max)")),
    };
    let weight = if c.bool_or("scale_grad_by_freq", false)? { by_frequency(&indices, &weight) } else { weight };
    let starts = if c.bool_or("include_last_offset", false)? && offsets.numel() > 0 {
        offsets.narrow(0, 0, offsets.numel() - 1)
    } else {
        offsets.clone()
    };
    let weights = c.opt_tensor("per_sample_weights")?;
    let padding = padding(c, weight.size(0))?;
    let y = embedding_bag_at(&indices, &weight, &starts, mode, weights.as_ref(), padding);
    let kept = bag_statistics(&indices, &weight, &starts, mode, padding);
    many(std::iter::once(y).chain(kept))
}

/// For each index its bag, for each bag its size, and for maxima the index of each element.
fn bag_statistics(
    indices: &Tensor,
    weight: &Tensor,
    starts: &Tensor,
    mode: BagMode,
    padding: Option<i64>,
) -> [Tensor; 3] {
    let (n, bags) = (indices.shape()[0], starts.shape()[0]);
    let bag = starts.searchsorted_exact(&starts.arange_like(n, starts.dtype()), true) - 1i64;
    let ids = starts.arange_like(bags, DType::I64).view_to(&[bags.get(), 1].into());
    let mut member = bag.view_to(&[1, n.get()].into()).eq(ids);
    if let Some(padding) = padding {
        member = member.bitwise_and(indices.ne(padding).view_to(&[1, n.get()].into()));
    }
    let sizes = member.convert(DType::I64).sum_over(&[1]).convert(indices.dtype());
    let bag = bag.convert(indices.dtype());
    let places = match mode {
        BagMode::Sum | BagMode::Mean => indices.full_of(&Aval::new(indices.dtype(), [0]), 0i64),
        BagMode::Max if n.get() == 0 => {
            indices.full_of(&Aval::new(indices.dtype(), [bags.get(), weight.size(1)]), 0i64)
        }
        BagMode::Max => {
            let rows = weight.detach().index_select(0, indices).unsqueeze(0);
            let inside = member.unsqueeze(-1);
            let (_, at) = rows.full_like(f64::NEG_INFINITY).where_(&inside.logical_not(), &rows).max_dim(1i64);
            let chosen = indices.index_select(0, &at.flatten(0, -1)).view_to(at.shape());
            chosen.where_(&sizes.gt(0i64).unsqueeze(-1), 0i64)
        }
    };
    [bag, sizes, places]
}
