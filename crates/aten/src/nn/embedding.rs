//! Rows chosen by indices.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Dim, Scalar, Shape};
use cotangent_core::tensor::linear_with_transpose;

use crate::arg::{AsTensor, at, attempt, bad, bad_operand, bad_pair, live};
use crate::call::{num, one};
use crate::reduce::Reductions;
use crate::schema;

/// What becomes of the rows of a bag.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean; 0 of none.
    #[default]
    Mean,
    /// Their largest elements; 0 of none.
    Max,
}

/// Encodings of indices under PyTorch's names.
pub trait Embeddings: AsTensor {
    /// A new last dim with 1 at each index and 0 elsewhere, in `i64`.
    ///
    /// *Errors*: `one_hot_c1` indices that are not `i64`; an index below 0 or not below `num_classes` when evaluated.
    #[track_caller]
    fn one_hot(&self, num_classes: usize) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.dtype() != DType::I64 {
            return bad_operand(at!("one_hot", 1), x, "indices of i64");
        }
        one(schema::ONE_HOT, &[("num_classes", crate::call::int(num_classes))], &[x], |a| {
            let index = a[0].view_to(&a[0].shape().inserted(a[0].rank(), 1));
            let zeros = Aval::new(DType::I64, a[0].shape().inserted(a[0].rank(), num_classes));
            index.full_of(&zeros, 0i64).scatter_along(a[0].rank(), &index, &index.full_like(1i64))
        })
    }

    /// As [`Embeddings::one_hot`] with as many classes as the largest index needs, which must be known.
    ///
    /// *Errors*: `one_hot_c2` a traced tensor: the number of classes would depend on data.
    #[track_caller]
    fn one_hot_inferred(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let Some(array) = x.as_array() else {
            return bad_operand(at!("one_hot", 2), x, "known indices, or the number of classes by `one_hot(n)`");
        };
        let largest = array.to_i64_vec().into_iter().max().unwrap_or(-1);
        x.one_hot(usize::try_from(largest + 1).unwrap_or(0))
    }
}

impl Embeddings for Tensor {}

/// The rows of `weight` that `indices` name, as new last dim. In reverse mode no derivative passes to the row
/// `padding_idx`, which is counted from the end if negative; in forward mode it is a row as any other, as in PyTorch.
///
/// *Errors*: `embedding_c1` a weight that is no matrix; `embedding_c2` indices that are not integers; `embedding_c3`
/// a
/// padding index beyond the rows; an index out of range when evaluated.
#[track_caller]
pub fn embedding(indices: &Tensor, weight: &Tensor, padding_idx: impl Into<Option<i64>>) -> Tensor {
    attempt!(live(&[indices, weight]));
    if weight.rank() != 2 {
        return bad_operand(at!("embedding", 1), weight, "a matrix of weights");
    }
    if !matches!(indices.dtype(), DType::I64 | DType::I32) {
        return bad_operand(at!("embedding", 2), indices, "indices of i64 or i32");
    }
    let pad = attempt!(padding(weight, padding_idx.into()));
    rows(indices, weight, pad, false)
}

/// As [`embedding`], but the derivative of each row in reverse mode is divided by the number of times that it is named.
///
/// *Errors*: as [`embedding`].
#[track_caller]
pub fn embedding_by_frequency(indices: &Tensor, weight: &Tensor, padding_idx: impl Into<Option<i64>>) -> Tensor {
    // What is wrong is found there.
    let padding_idx = padding_idx.into();
    let checked = embedding(indices, weight, padding_idx);
    attempt!(live(&[&checked]));
    rows(indices, weight, attempt!(padding(weight, padding_idx)), true)
}

#[track_caller]
fn rows(indices: &Tensor, weight: &Tensor, pad: Option<i64>, scaled: bool) -> Tensor {
    let by_frequency = ("scale_grad_by_freq", num(scaled));
    let params = [("padding_idx", num(pad.unwrap_or(-1))), by_frequency, ("sparse", num(false))];
    one(schema::EMBEDDING, &params, &[weight, indices], |a| {
        if pad.is_none() && !scaled {
            return named(&a[1], &a[0]);
        }
        let number = a[0].shape()[0];
        let back = |at: &Tensor, y_bar: &Tensor| added(at, y_bar, number, pad, scaled);
        linear_with_transpose(
            "embedding_rows",
            &[&a[1]],
            &a[0],
            |at, w| named(&at[0], w),
            |at, y_bar| {
                // The second derivative of PyTorch is that of the sum without the division.
                linear_with_transpose(
                    "embedding_sums",
                    &[&at[0]],
                    y_bar,
                    |at, y| back(&at[0], y),
                    |at, w| unpadded(&at[0], &named(&at[0], w), pad),
                )
            },
        )
    })
}

/// The rows of `weight` that `indices` name.
#[track_caller]
fn named(indices: &Tensor, weight: &Tensor) -> Tensor {
    let flat = indices.convert(DType::I64).view_to(&[indices.numel()].into());
    weight.index_select_along(0, &flat).view_to(&indices.shape().concat(&weight.shape().slice(1, 2)))
}

/// The rows `y` with zeros where `indices` name the row `pad`.
#[track_caller]
fn unpadded(indices: &Tensor, y: &Tensor, pad: Option<i64>) -> Tensor {
    let Some(pad) = pad else { return y.clone() };
    y.zeros_like().where_(&indices.view_to(&indices.shape().inserted(indices.rank(), 1)).eq(pad), y)
}

/// The sums of those of the rows `y_bar` that belong to the same of `number` rows, but for the row `pad`; divided by their
/// number where `scaled`.
#[track_caller]
fn added(indices: &Tensor, y_bar: &Tensor, number: Dim, pad: Option<i64>, scaled: bool) -> Tensor {
    let flat = indices.convert(DType::I64).view_to(&[indices.numel()].into());
    let mut terms = unpadded(indices, y_bar, pad);
    if scaled {
        let none = flat.full_of(&Aval::new(DType::I64, Shape::from_iter([number])), 0i64);
        let counts = none.index_add_along(0, &flat, &flat.ones_like()).index_select_along(0, &flat);
        terms = terms / counts.view_to(&indices.shape().inserted(indices.rank(), 1)).convert(y_bar.dtype());
    }
    let width = y_bar.shape()[indices.rank()];
    let zeros = y_bar.full_of(&Aval::new(y_bar.dtype(), Shape::from_iter([number, width])), 0.0);
    zeros.index_add_along(0, &flat, &terms.view_to(&Shape::from_iter([flat.shape()[0], width])))
}

/// `weight` itself, of which the cotangent of each row is divided by how often `indices` name it: PyTorch's
/// `scale_grad_by_freq` for rows that are combined.
#[track_caller]
pub fn by_frequency(indices: &Tensor, weight: &Tensor) -> Tensor {
    attempt!(live(&[indices, weight]));
    linear_with_transpose(
        "by_frequency",
        &[indices],
        weight,
        |_, w| w.clone(),
        |at, w_bar| {
            let flat = at[0].convert(DType::I64).view_to(&[at[0].numel()].into());
            let none = flat.full_of(&Aval::new(DType::I64, w_bar.shape().slice(0, 1)), 0i64);
            let counts = none.index_add_along(0, &flat, &flat.ones_like()).maximum(1i64);
            w_bar / counts.convert(w_bar.dtype()).column()
        },
    )
}

#[track_caller]
fn padding(weight: &Tensor, padding_idx: Option<i64>) -> Result<Option<i64>, Tensor> {
    let Some(i) = padding_idx else { return Ok(None) };
    let n = weight.shape()[0].get() as i64;
    let at = if i < 0 { i + n } else { i };
    if (0..n).contains(&at) {
        return Ok(Some(at));
    }
    let range = format!("in [-{n}, {})", n);
    Err(bad(at!("embedding", 3), &[weight], "padding_idx", &range, &i.to_string()))
}

/// The rows of `weight` that the rows of `indices` (`[bags, n]`) name, combined by `mode`, each times its weight.
///
/// *Errors*: `embedding_bag_c1` no matrices; `embedding_bag_c2` weights of samples of another shape, or with a mode
/// that
/// is no sum; as [`embedding`].
#[track_caller]
pub fn embedding_bag(
    indices: &Tensor,
    weight: &Tensor,
    mode: BagMode,
    per_sample_weights: Option<&Tensor>,
    padding_idx: Option<i64>,
) -> Tensor {
    attempt!(live(&[indices, weight]));
    if indices.rank() != 2 || weight.rank() != 2 {
        return bad_pair(at!("embedding_bag", 1), indices, weight, "indices [bags, n] and a matrix of weights");
    }
    let rows = embedding(indices, weight, None);
    attempt!(live(&[&rows]));
    let pad = attempt!(padding(weight, padding_idx));
    let counted = match pad {
        Some(pad) => indices.ne(pad),
        None => indices.eq(indices),
    };
    combine(&rows, &counted.view_to(&indices.shape().inserted(2, 1)), mode, per_sample_weights)
}

/// As [`embedding_bag`] for one vector of indices in which bag `i` starts at `offsets[i]`.
///
/// *Errors*: `embedding_bag_c3` no vectors; as [`embedding_bag`].
#[track_caller]
pub fn embedding_bag_at(
    indices: &Tensor,
    weight: &Tensor,
    offsets: &Tensor,
    mode: BagMode,
    per_sample_weights: Option<&Tensor>,
    padding_idx: Option<i64>,
) -> Tensor {
    attempt!(live(&[indices, weight, offsets]));
    if indices.rank() != 1 || offsets.rank() != 1 {
        return bad_pair(at!("embedding_bag", 3), indices, offsets, "vectors of indices and offsets");
    }
    let (bags, n) = (offsets.shape()[0], indices.shape()[0]);
    let pad = attempt!(padding(weight, padding_idx));
    let rows = embedding(indices, weight, None);
    attempt!(live(&[&rows]));
    // Which bag each position is in: the last one that starts at or before it.
    let place = offsets.arange_like(n, offsets.dtype());
    let bag = offsets.searchsorted_exact(&place, true) - 1i64;
    let ids = offsets.arange_like(bags, DType::I64).view_to(&[bags.get(), 1].into());
    let mut member = bag.view_to(&[1, n.get()].into()).eq(ids);
    if let Some(pad) = pad {
        member = member.bitwise_and(indices.ne(pad).view_to(&[1, n.get()].into()));
    }
    let rows = rows.view_to(&rows.shape().inserted(0, 1));
    let weights = per_sample_weights.map(|w| w.view_to(&w.shape().inserted(0, 1)));
    combine(&rows, &member.view_to(&[bags.get(), n.get(), 1].into()), mode, weights.as_ref())
}

/// Rows `[bags, n, d]` combined over `n` where `counted` (`[bags, n, 1]`).
#[track_caller]
fn combine(rows: &Tensor, counted: &Tensor, mode: BagMode, weights: Option<&Tensor>) -> Tensor {
    let weighted = match (weights, mode) {
        (None, _) => rows.clone(),
        (Some(w), BagMode::Sum) if w.shape() == &rows.shape().slice(0, 2) => {
            rows * w.view_to(&w.shape().inserted(2, 1))
        }
        (Some(w), _) => return bad_pair(at!("embedding_bag", 2), rows, w, "a weight for each index, with mode sum"),
    };
    let number = counted.convert(rows.dtype());
    let masked = |fill: f64| weighted.where_(counted, Scalar::Float(fill));
    match mode {
        BagMode::Sum => masked(0.0).sum_over(&[1]),
        BagMode::Mean => masked(0.0).sum_over(&[1]) / number.sum_over(&[1]).maximum(1.0),
        BagMode::Max => {
            let none = number.sum_over(&[1]).eq(0.0);
            if counted.shape()[1] == 0 {
                return masked(0.0).sum_over(&[1]);
            }
            let (largest, _) = masked(f64::NEG_INFINITY).max_dim(1i64);
            largest.zeros_like().where_(&none, &largest)
        }
    }
}
