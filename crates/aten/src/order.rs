//! Order statistics and searching.

use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{Kthvalue, Mode, Op, Topk};
use cotangent_core::tensor::{emit_all, reject};

use crate::arg::{AsTensor, At, Over, at, attempt, attempt_pair, bad, bad_operand, bad_pair, float, live};
use crate::call::{by_result, num, one};
use crate::reduce::zero_index;
use crate::schema;
use crate::special::{Rounding, Specials};

/// Sorting, order statistics and searching under PyTorch's names. Derivatives go to the elements that are returned. Of
/// equal elements, `topk`, `kthvalue` and `mode` return those that PyTorch finds on the CPU, others the first.
pub trait Orders: AsTensor {
    /// The elements in ascending order along `dim`, NaN last, and where they came from; equal ones in their old
    /// order.
    ///
    /// *Errors*: `sort_c1` no such dim.
    #[track_caller]
    fn sort(&self, dim: i64) -> (Tensor, Tensor) {
        attempt_pair!(sorted(self.tensor(), dim, false))
    }

    /// As [`Orders::sort`] in descending order, NaN first.
    ///
    /// *Errors*: `sort_c1` no such dim.
    #[track_caller]
    fn sort_descending(&self, dim: i64) -> (Tensor, Tensor) {
        attempt_pair!(sorted(self.tensor(), dim, true))
    }

    /// Where the elements of [`Orders::sort`] came from.
    #[track_caller]
    fn argsort(&self, dim: i64) -> Tensor {
        self.sort(dim).1
    }

    /// Where the elements of [`Orders::sort_descending`] came from.
    #[track_caller]
    fn argsort_descending(&self, dim: i64) -> Tensor {
        self.sort_descending(dim).1
    }

    /// The elements in ascending order along dim 0.
    #[track_caller]
    fn msort(&self) -> Tensor {
        self.sort(0).0
    }

    /// The `k` largest elements along `dim` in descending order, NaN first, and where they are.
    ///
    /// *Errors*: `sort_c1` no such dim; `topk_c1` more than there are.
    #[track_caller]
    fn topk(&self, k: usize, dim: i64) -> (Tensor, Tensor) {
        top(self.tensor(), k, dim, true, true)
    }

    /// The `k` smallest elements along `dim` in ascending order, and where they are.
    ///
    /// *Errors*: `sort_c1` no such dim; `topk_c1` more than there are.
    #[track_caller]
    fn topk_smallest(&self, k: usize, dim: i64) -> (Tensor, Tensor) {
        top(self.tensor(), k, dim, false, true)
    }

    /// As [`Orders::topk`] in the order in which PyTorch finds them.
    #[track_caller]
    fn topk_unsorted(&self, k: usize, dim: i64) -> (Tensor, Tensor) {
        top(self.tensor(), k, dim, true, false)
    }

    /// As [`Orders::topk_smallest`] in the order in which PyTorch finds them.
    #[track_caller]
    fn topk_smallest_unsorted(&self, k: usize, dim: i64) -> (Tensor, Tensor) {
        top(self.tensor(), k, dim, false, false)
    }

    /// The `k`-th smallest element along one dim, from 1, and where it is.
    ///
    /// *Errors*: `kthvalue_c1` no single dim; `kthvalue_c2` less than 1 or more than there are.
    #[track_caller]
    fn kthvalue(&self, k: usize, over: impl Into<Over>) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let d = attempt_pair!(only(at!("kthvalue", 1), x, &over));
        let n = crate::arg::size_at(x, d);
        if k == 0 || k > n {
            let poison = bad(at!("kthvalue", 2), &[x], "k", &format!("in [1, {n}]"), &k.to_string());
            return (poison.clone(), poison);
        }
        of_line(x, Kthvalue { k, dim: d, keepdim: over.keepdim })
    }

    /// The median along one dim, the lower one of two, and where it is; the first NaN if there is one.
    ///
    /// *Errors*: `median_c1` no single dim; `median_c2` no elements.
    #[track_caller]
    fn median_dim(&self, over: impl Into<Over>) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let d = attempt_pair!(only(at!("median", 1), x, &over));
        let n = crate::arg::size_at(x, d);
        if n == 0 {
            let poison = bad_operand(at!("median", 2), x, "at least one element along the dim");
            return (poison.clone(), poison);
        }
        let params = [("dim", num(d as i64)), ("keepdim", num(over.keepdim))];
        let value = |a: &[Tensor]| {
            picked(&a[0], d, over.keepdim, |x, order| {
                let nans = nans_along(x, d);
                let middle = nans.full_like((n - 1) as i64 / 2);
                let at = (n as i64 - &nans).where_(&nans.gt(0i64), middle);
                order.gather_along(d, &at)
            })
        };
        let [values, indices] =
            by_result(schema::MEDIAN_DIM, &params, &[x], value, |_, y, x_dot| vec![at_places(&x_dot[0], d, y)]);
        (values, indices)
    }

    /// The median along one dim of the elements that are not NaN, the lower one of two, and where it is; NaN if all
    /// are.
    ///
    /// *Errors*: `nanmedian_c1` no single dim; `nanmedian_c2` no elements.
    #[track_caller]
    fn nanmedian_dim(&self, over: impl Into<Over>) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let d = attempt_pair!(only(at!("nanmedian", 1), x, &over));
        let n = crate::arg::size_at(x, d);
        if n == 0 {
            let poison = bad_operand(at!("nanmedian", 2), x, "at least one element along the dim");
            return (poison.clone(), poison);
        }
        let params = [("dim", num(d as i64)), ("keepdim", num(over.keepdim))];
        let value = |a: &[Tensor]| {
            picked(&a[0], d, over.keepdim, |x, order| {
                let numbers = (n as i64 - nans_along(x, d)).maximum(1i64);
                order.gather_along(d, &(numbers - 1i64).div_rounded(2i64, Rounding::Floor))
            })
        };
        let [values, indices] =
            by_result(schema::NANMEDIAN_DIM, &params, &[x], value, |_, y, x_dot| vec![at_places(&x_dot[0], d, y)]);
        (values, indices)
    }

    /// The median of all elements, the lower one of two; NaN if there is one. Equal elements share the derivative.
    #[track_caller]
    fn median(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.numel() == 0 {
            return x.full_of(&Aval::new(x.dtype(), ()), f64::NAN);
        }
        one(schema::MEDIAN, &[], &[x], |a| shared(&a[0], schema::MEDIAN_SHARED, |flat| flat.median_dim(0).0))
    }

    /// The median of all elements that are not NaN, the lower one of two; NaN if all are. Equal elements share the
    /// derivative.
    #[track_caller]
    fn nanmedian(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.numel() == 0 {
            return x.full_of(&Aval::new(x.dtype(), ()), f64::NAN);
        }
        one(schema::NANMEDIAN, &[], &[x], |a| shared(&a[0], schema::NANMEDIAN_SHARED, |flat| flat.nanmedian_dim(0).0))
    }

    /// The most frequent element along one dim, the smallest of several, and a place where it is.
    ///
    /// *Errors*: `mode_c1` no single dim; `mode_c2` no elements.
    #[track_caller]
    fn mode(&self, over: impl Into<Over>) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let d = attempt_pair!(only(at!("mode", 1), x, &over));
        if crate::arg::size_at(x, d) == 0 {
            let poison = bad_operand(at!("mode", 2), x, "at least one element along the dim");
            return (poison.clone(), poison);
        }
        of_line(x, Mode { dim: d, keepdim: over.keepdim })
    }

    /// The `q`-quantile along dims, between neighbours linearly; NaN if there is one.
    ///
    /// *Errors*: `quantile_c1` no single dim; `quantile_c2` integers or no elements; `quantile_c3` outside [0, 1].
    #[track_caller]
    fn quantile(&self, q: f64, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        attempt!(float(at!("quantile", 2), x));
        if x.numel() == 0 {
            return bad_operand(at!("quantile", 2), x, "at least one element");
        }
        if !(0.0..=1.0).contains(&q) {
            return bad(at!("quantile", 3), &[x], "q", "in [0, 1]", &q.to_string());
        }
        let Some(_) = &over.dims else {
            let y = x.view_to(&[x.numel()].into()).quantile(q, 0);
            let kept = std::iter::repeat_n(1usize, x.rank()).collect();
            return if over.keepdim { y.view_to(&kept) } else { y };
        };
        let d = attempt!(only(at!("quantile", 1), x, &over));
        let s = x.sort(d as i64).0;
        if x.rank() == 0 {
            return s;
        }
        let n = x.shape()[d].get();
        let place = q * (n - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let at = |i: usize| s.slice_dim(d, i, i + 1, 1);
        let y = crate::pointwise::Pointwise::lerp(&at(low), &at(high), place - low as f64);
        let y = at(n - 1).where_(&at(n - 1).ne(at(n - 1)), y);
        if over.keepdim { y } else { y.view_to(&x.shape().removed(d)) }
    }

    /// Where `values` would be inserted in this tensor, sorted along its last dim, before equal elements.
    ///
    /// *Errors*: `searchsorted_c1` neither one sequence nor one for each row of values.
    #[track_caller]
    fn searchsorted(&self, values: &Tensor) -> Tensor {
        search(self.tensor(), values, false)
    }

    /// As [`Orders::searchsorted`], after equal elements.
    #[track_caller]
    fn searchsorted_right(&self, values: &Tensor) -> Tensor {
        search(self.tensor(), values, true)
    }

    /// The bucket of each element between the sorted `boundaries`, which belong to the lower bucket.
    #[track_caller]
    fn bucketize(&self, boundaries: &Tensor) -> Tensor {
        search(boundaries, self.tensor(), false)
    }

    /// As [`Orders::bucketize`]; boundaries belong to the upper bucket.
    #[track_caller]
    fn bucketize_right(&self, boundaries: &Tensor) -> Tensor {
        search(boundaries, self.tensor(), true)
    }

    /// The positions of the first `size` elements that are not 0, one a row, filled up with `fill_value`.
    #[track_caller]
    fn nonzero_static(&self, size: usize, fill_value: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let sizes = x.shape().sizes();
        let n = x.numel();
        let mask = crate::compare::truth(x).view_to(&[n].into());
        let order = mask.bitwise_not().sort_along(0, false).1;
        let kept = size.min(n);
        let first = order.slice_dim(0, 0, kept, 1).pad_dims(&[(0, (size - kept) as i64)], 0i64);
        let count = mask.convert(DType::I64).sum_over(&[0]);
        let found = first.arange_like(size.into(), DType::I64).lt(&count);
        let mut columns = Vec::with_capacity(sizes.len());
        let mut stride = n;
        for m in &sizes {
            stride = if *m == 0 { 1 } else { (stride / m).max(1) };
            // Exact for positions below 2^53.
            let column = (first.convert(DType::F64) / stride as f64).floor().convert(DType::I64) % (*m).max(1) as i64;
            columns.push(column.where_(&found, fill_value).view_to(&[size, 1].into()));
        }
        if columns.is_empty() {
            return first.full_of(&Aval::new(DType::I64, [size, 0]), 0i64);
        }
        Tensor::cat_dim(&columns, 1)
    }

    /// Refused: the number of elements that are not 0 depends on data, and sizes are part of the graph.
    ///
    /// *Errors*: `nonzero_c1` always.
    #[track_caller]
    fn nonzero(&self) -> Tensor {
        let x = self.tensor();
        let e = InferError::Operand {
            label: "nonzero_c1",
            expected: "a function whose result has a size that does not depend on data".to_owned(),
            found: x.aval(),
        };
        reject("nonzero", &[x], e, Some("bound the number by `nonzero_static(size, fill)`".to_owned()))
    }
}

impl Orders for Tensor {}

/// The number of NaN along `d`, whose size becomes 1.
#[track_caller]
fn nans_along(x: &Tensor, d: usize) -> Tensor {
    x.ne(x).convert(DType::I64).sum_over(&[d]).view_to(&x.shape().with(d, 1))
}

/// What stands in `x` where one element of each line along `d` was chosen: `y` are the elements and their places.
#[track_caller]
fn at_places(x: &Tensor, d: usize, y: &[Tensor]) -> Tensor {
    if x.rank() == 0 {
        return x.clone();
    }
    let places = y[1].view_to(&x.shape().with(d, 1));
    x.gather_along(d, &places).view_to(y[0].shape())
}

/// The element that `choose` finds among all, with the derivative of the mean of the elements that are equal to it: the
/// composite `name`, which is that of each line along a dim.
#[track_caller]
fn shared(x: &Tensor, name: &str, choose: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let flat = x.view_to(&[x.numel()].into());
    let [y] = by_result(
        name,
        &[("dim", num(0i64))],
        &[&flat],
        |t| [choose(&t[0])],
        |t, y, x_dot| {
            let (x, y) = (&t[0], &y[0]);
            let same = x.eq(y).bitwise_or(x.ne(x).bitwise_and(y.ne(y)));
            vec![x_dot[0].where_(&same, 0.0).sum_over(&[0]) / same.convert(y.dtype()).sum_over(&[0])]
        },
    );
    y
}

#[track_caller]
fn sorted(x: &Tensor, dim: i64, descending: bool) -> Result<(Tensor, Tensor), Tensor> {
    let d = crate::arg::dim(at!("sort", 1), x, dim)?;
    Ok(if x.rank() == 0 { (x.clone(), zero_index(x)) } else { x.sort_along(d, descending) })
}

#[track_caller]
fn top(x: &Tensor, k: usize, dim: i64, largest: bool, sorted: bool) -> (Tensor, Tensor) {
    let d = attempt_pair!(crate::arg::dim(at!("sort", 1), x, dim));
    let n = crate::arg::size_at(x, d);
    if k > n {
        let poison = bad(at!("topk", 1), &[x], "k", &format!("at most {n}"), &k.to_string());
        return (poison.clone(), poison);
    }
    if x.rank() == 0 {
        return (x.clone(), zero_index(x));
    }
    pair(x, Topk { k, dim: d, largest, sorted })
}

/// The elements that an op chooses of each line, and where they are.
#[track_caller]
fn pair(x: &Tensor, op: impl Into<Op>) -> (Tensor, Tensor) {
    let [values, indices] = emit_all(op.into(), &[x]).try_into().expect("I3: the op's number of results");
    (values, indices)
}

/// As [`pair`] for one element of each line, which of a scalar is that itself.
#[track_caller]
fn of_line(x: &Tensor, op: impl Into<Op>) -> (Tensor, Tensor) {
    if x.rank() == 0 { (x.clone(), zero_index(x)) } else { pair(x, op) }
}

/// The single dim of an order statistic.
#[track_caller]
fn only(at: At, x: &Tensor, over: &Over) -> Result<usize, Tensor> {
    match over.dims.as_ref().map(|d| d.0.as_slice()) {
        Some([d]) => crate::arg::dim(at, x, *d),
        Some(_) | None => Err(bad(at, &[x], "dim", "one dim", &format!("{:?}", over.dims))),
    }
}

/// The element whose place `choose` takes from the order along `d` (with size 1 there), and the place.
#[track_caller]
fn picked(x: &Tensor, d: usize, keep: bool, choose: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> [Tensor; 2] {
    if x.rank() == 0 {
        return [x.clone(), zero_index(x)];
    }
    let order = x.detach().sort_along(d, false).1;
    let at = choose(x, &order);
    let values = x.gather_along(d, &at);
    let shape = if keep { values.shape().clone() } else { values.shape().removed(d) };
    [values.view_to(&shape), at.view_to(&shape)]
}

#[track_caller]
fn search(sequence: &Tensor, values: &Tensor, right: bool) -> Tensor {
    attempt!(live(&[sequence, values]));
    let d = crate::pointwise::meeting(sequence, values);
    let (s, v) = (sequence.convert(d), values.convert(d));
    if s.rank() == 1 {
        // One sequence for values of any shape.
        let flat = v.view_to(&[v.numel()].into());
        return s.searchsorted_exact(&flat, right).view_to(values.shape());
    }
    if s.rank() != v.rank() || s.rank() == 0 || s.shape().removed(s.rank() - 1) != v.shape().removed(v.rank() - 1) {
        return bad_pair(at!("searchsorted", 1), sequence, values, "one sequence, or one for each row of values");
    }
    s.searchsorted_exact(&v, right)
}
