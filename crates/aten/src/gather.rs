//! Reading and writing at positions along a dim.

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::ScatterReduction;

use crate::arg::{AsTensor, At, at, attempt, bad_operand, bad_pair, live, real_dim};
use crate::call::{num, one};
use crate::pointwise::{pair, scaled};
use crate::schema;
use crate::shape::Shapes;

/// Reading and writing at positions under PyTorch's names. Positions out of range are errors when evaluated.
///
/// *Errors*: `gather_c1`, `scatter_c1`, `scatter_add_c1`, `scatter_reduce_c1`, `index_select_c1`, `index_add_c1` no
/// such dim; the others are those of the primitives.
pub trait Gathers: AsTensor {
    /// The elements at the positions that `index`, of this tensor's rank or without elements, gives along `dim`.
    #[track_caller]
    fn gather(&self, dim: i64, index: &Tensor) -> Tensor {
        let (x, at, d) = attempt!(along(at!("gather", 1), self.tensor(), dim, index));
        if names_nothing(&x, &at) {
            return x.full_of(&cotangent_core::ir::Aval::new(x.dtype(), at.shape()), 0i64);
        }
        x.gather_along(d, &at).view_to(index.shape())
    }

    /// The tensor with `src` written at the positions that `index` gives along `dim`; the last of several writes
    /// stays.
    #[track_caller]
    fn scatter(&self, dim: i64, index: &Tensor, src: &Tensor) -> Tensor {
        let (x, index, d) = attempt!(along(at!("scatter", 1), self.tensor(), dim, index));
        if names_nothing(&x, &index) {
            return self.tensor().clone();
        }
        x.scatter_along(d, &index, &cropped(src, &index)).view_to(self.tensor().shape())
    }

    /// As [`Gathers::scatter`] with one number.
    #[track_caller]
    fn scatter_value(&self, dim: i64, index: &Tensor, value: impl Into<Scalar>) -> Tensor {
        let (x, index, d) = attempt!(along(at!("scatter", 1), self.tensor(), dim, index));
        if names_nothing(&x, &index) {
            return self.tensor().clone();
        }
        let src = x.full_of(&cotangent_core::ir::Aval::new(x.dtype(), index.shape()), value.into());
        x.scatter_along(d, &index, &src).view_to(self.tensor().shape())
    }

    /// As [`Gathers::scatter`], adding.
    #[track_caller]
    fn scatter_add(&self, dim: i64, index: &Tensor, src: &Tensor) -> Tensor {
        let (x, index, d) = attempt!(along(at!("scatter_add", 1), self.tensor(), dim, index));
        if names_nothing(&x, &index) {
            return self.tensor().clone();
        }
        x.scatter_add_along(d, &index, &cropped(src, &index)).view_to(self.tensor().shape())
    }

    /// As [`Gathers::scatter`], combining with the old elements.
    #[track_caller]
    fn scatter_reduce(&self, dim: i64, index: &Tensor, src: &Tensor, reduce: ScatterReduction) -> Tensor {
        let (x, index, d) = attempt!(along(at!("scatter_reduce", 1), self.tensor(), dim, index));
        if names_nothing(&x, &index) {
            return self.tensor().clone();
        }
        x.scatter_reduce_along(d, &index, &cropped(src, &index), reduce).view_to(self.tensor().shape())
    }

    /// The mean of old and new elements at each place.
    #[track_caller]
    fn scatter_mean(&self, dim: i64, index: &Tensor, src: &Tensor) -> Tensor {
        let (x, index, d) = attempt!(along(at!("scatter_reduce", 1), self.tensor(), dim, index));
        if names_nothing(&x, &index) {
            return self.tensor().clone();
        }
        let src = cropped(src, &index);
        let count = x.ones_like().scatter_add_along(d, &index, &src.ones_like());
        (x.scatter_add_along(d, &index, &src) / count).view_to(self.tensor().shape())
    }

    /// The slices that the vector `index` names along `dim`.
    #[track_caller]
    fn index_select(&self, dim: i64, index: &Tensor) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("index_select", 1), x, dim));
        x.index_select_along(d, &vector(index))
    }

    /// The tensor with `alpha` times the slices of `source` added at the places that the vector `index` names.
    #[track_caller]
    fn index_add(&self, dim: i64, index: &Tensor, source: &Tensor, alpha: impl Into<Scalar>) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("index_add", 1), x, dim));
        x.index_add_along(d, &vector(index), &scaled(source, alpha.into()))
    }

    /// The tensor with the slices of `source` in place of those that the vector `index` names.
    ///
    /// *Errors*: `index_copy_c1` no such dim, or slices of another shape.
    #[track_caller]
    fn index_copy(&self, dim: i64, index: &Tensor, source: &Tensor) -> Tensor {
        let (x, index) = (self.tensor(), vector(index));
        attempt!(live(&[&index, source]));
        let d = attempt!(real_dim(at!("index_copy", 1), x, dim));
        if index.rank() != 1 || *source.shape() != x.shape().with(d, index.shape()[0]) || source.dtype() != x.dtype() {
            return bad_pair(at!("index_copy", 1), x, source, "a slice of the same dtype for each index");
        }
        one(schema::INDEX_COPY, &[("dim", num(dim))], &[x, &index, source], |a| {
            a[0].scatter_along(d, &spread(&a[1], &a[2], d), &a[2])
        })
    }

    /// The tensor with `value` in the slices that the vector `index` names; negative ones count from the end.
    ///
    /// *Errors*: `index_fill_c1` no such dim, or an index that is no vector.
    #[track_caller]
    fn index_fill(&self, dim: i64, index: &Tensor, value: impl Into<Scalar>) -> Tensor {
        let (x, index, value) = (self.tensor(), vector(index), value.into());
        attempt!(live(&[&index]));
        let d = attempt!(real_dim(at!("index_fill", 1), x, dim));
        if index.rank() != 1 {
            return bad_operand(at!("index_fill", 1), &index, "a vector of positions");
        }
        one(schema::INDEX_FILL_INT_SCALAR, &[("dim", num(dim)), ("value", num(value))], &[x, &index], |a| {
            let shape = a[0].shape().with(d, a[1].shape()[0]);
            let src = a[0].full_of(&cotangent_core::ir::Aval::new(a[0].dtype(), shape), value);
            a[0].scatter_along(d, &spread(&wrapped(&a[1], a[0].shape()[d].get()), &src, d), &src)
        })
    }

    /// The elements at these positions in row-major order, from the end if negative.
    #[track_caller]
    fn take(&self, index: &Tensor) -> Tensor {
        let (x, index) = (self.tensor(), index.convert(DType::I64));
        one(schema::TAKE, &[], &[x, &index], |a| {
            let n = a[0].numel();
            let at = wrapped(&a[1], n).view_to(&[a[1].numel()].into());
            a[0].view_to(&[n].into()).index_select_along(0, &at).view_to(a[1].shape())
        })
    }

    /// The tensor with `source` at these positions in row-major order, from the end if negative.
    ///
    /// *Errors*: `put_c1` another number or dtype of elements.
    #[track_caller]
    fn put(&self, index: &Tensor, source: &Tensor) -> Tensor {
        let (x, index) = (self.tensor(), index.convert(DType::I64));
        attempt!(live(&[x, &index, source]));
        if index.numel() != source.numel() || source.dtype() != x.dtype() {
            return bad_pair(at!("put", 1), &index, source, "an element for each position, of the tensor's dtype");
        }
        one(schema::PUT, &[("accumulate", num(false))], &[x, &index, source], |a| {
            let (n, m) = (a[0].numel(), a[1].numel());
            let at = wrapped(&a[1], n).view_to(&[m].into());
            a[0].view_to(&[n].into()).scatter_along(0, &at, &a[2].view_to(&[m].into())).view_to(a[0].shape())
        })
    }

    /// As [`Gathers::gather`] with broadcasting and positions from the end if negative.
    ///
    /// *Errors*: `take_along_dim_c1` another rank; `take_along_dim_c2` shapes that do not broadcast.
    #[track_caller]
    fn take_along_dim(&self, index: &Tensor, dim: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[index]));
        let d = attempt!(real_dim(at!("take_along_dim", 1), x, dim));
        if x.rank() != index.rank() {
            return bad_pair(at!("take_along_dim", 1), x, index, "positions of the tensor's rank");
        }
        let without = |t: &Tensor| t.shape().with(d, 1);
        let Some(shape) = cotangent_core::tensor::broadcast_shapes(&without(x), &without(index)) else {
            return bad_pair(at!("take_along_dim", 2), x, index, "shapes that broadcast except along the dim");
        };
        let wide = |t: &Tensor| t.broadcast_to(&shape.with(d, t.shape()[d]));
        let at = wrapped(&index.convert(DType::I64), x.shape()[d].get());
        wide(x).gather_along(d, &wide(&at))
    }

    /// The tensor with consecutive elements of `source` where `mask` is true.
    ///
    /// *Errors*: `masked_scatter_c1` shapes that do not broadcast; `masked_scatter_c2` a source of another dtype; too
    /// few
    /// elements when evaluated.
    #[track_caller]
    fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Tensor {
        let (x, mask) = attempt!(pair(at!("masked_scatter", 1), self.tensor(), mask));
        attempt!(live(&[source]));
        if source.dtype() != x.dtype() || mask.dtype() != DType::Bool {
            return bad_pair(at!("masked_scatter", 2), &x, source, "a bool mask and a source of the tensor's dtype");
        }
        one(schema::MASKED_SCATTER, &[], &[&x, &mask, source], |a| {
            let shape = cotangent_core::tensor::broadcast_shapes(a[0].shape(), a[1].shape()).expect("checked before");
            let (x, mask) = (a[0].expand_to(&shape), a[1].expand_to(&shape));
            let flat = mask.convert(DType::I64).view_to(&[mask.numel()].into());
            let at = (flat.cumsum_along(0) - 1i64).maximum(0i64);
            let picked = a[2].view_to(&[a[2].numel()].into()).index_select_along(0, &at);
            picked.view_to(&shape).where_(&mask, x)
        })
    }
}

impl Gathers for Tensor {}

/// Positions from the end where negative.
#[track_caller]
pub(crate) fn wrapped(index: &Tensor, n: usize) -> Tensor {
    (index + n as i64).where_(&index.lt(0i64), index)
}

/// The operand and index with at least one dim, and the dim.
#[track_caller]
fn along(at: At, x: &Tensor, dim: i64, index: &Tensor) -> Result<(Tensor, Tensor, usize), Tensor> {
    let d = crate::arg::dim(at, x, dim)?;
    live(&[index])?;
    let index = index.convert(if index.dtype() == DType::I32 { DType::I64 } else { index.dtype() });
    if x.rank() == 0 && index.rank() <= 1 {
        let n = index.numel();
        return Ok((x.view_to(&[1].into()), index.view_to(&[n].into()), d));
    }
    Ok((x.clone(), index, d))
}

/// Whether an index without elements has another rank, as PyTorch allows.
fn names_nothing(x: &Tensor, index: &Tensor) -> bool {
    index.numel() == 0 && index.rank() != x.rank()
}

/// The part of a source that an index reads.
#[track_caller]
fn cropped(src: &Tensor, index: &Tensor) -> Tensor {
    if src.rank() != index.rank() {
        return if src.rank() == 0 && index.rank() == 1 { src.view_to(&[1].into()) } else { src.clone() };
    }
    (0..src.rank()).fold(src.clone(), |s, d| {
        let n = index.shape()[d].get();
        if n < s.shape()[d].get() { s.slice_dim(d, 0, n, 1) } else { s }
    })
}

/// An index as a vector of `i64`.
#[track_caller]
fn vector(index: &Tensor) -> Tensor {
    let index = if index.dtype() == DType::I32 { index.convert(DType::I64) } else { index.clone() };
    if index.rank() == 0 && index.error().is_none() { index.view_to(&[1].into()) } else { index }
}

/// A vector of positions along `d`, in the shape of the slices.
#[track_caller]
fn spread(index: &Tensor, like: &Tensor, d: usize) -> Tensor {
    let shape = (0..like.rank()).map(|i| if i == d { index.numel() } else { 1 }).collect();
    index.view_to(&shape).expand_to(like.shape())
}
