//! Reductions over dims.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType};
use cotangent_core::tensor::float_of;

use crate::arg::{AsTensor, At, Axes, Over, at, attempt, attempt_pair, axes, bad, bad_operand, dim, float, live};
use crate::call::{by_result, dtype, ints, linear, list, num, one};
use crate::compare::truth;
use crate::schema;

/// The dims of `over` as an attribute, as the user wrote them.
pub(crate) fn over_attr(over: &Over) -> Attr {
    over.dims.as_ref().map_or(Attr::None, |d| list(&d.0))
}

/// The dtype of sums and products: integers and `bool` widen to `i64`.
pub(crate) fn sum_dtype(d: DType) -> DType {
    if d.is_float() { d } else { DType::I64 }
}

/// Reductions under PyTorch's names. `over` is a dim, several dims, or `()`; [`keepdim`](crate::keepdim) keeps them.
pub trait Reductions: AsTensor {
    /// The sum of all elements; integers and `bool` sum to `i64`, halves accumulate in `f32`.
    #[track_caller]
    fn sum(&self) -> Tensor {
        self.sum_dim(())
    }

    /// The sum over dims.
    ///
    /// *Errors*: `sum_c1` no such dim, or twice the same.
    #[track_caller]
    fn sum_dim(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        let a = attempt!(axes(at!("sum", 1), x, &over.into()));
        let x = x.convert(sum_dtype(x.dtype()));
        a.finish(&x, &x.sum_over(&a.dims))
    }

    /// The sum over dims of the elements that are not NaN.
    #[track_caller]
    fn nansum(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        x.zeros_like().where_(&x.ne(x), x).sum_dim(over)
    }

    /// The mean of all elements; NaN of none.
    ///
    /// *Errors*: `mean_c2` integers.
    #[track_caller]
    fn mean(&self) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("mean", 2), x));
        linear(schema::MEAN, &[("dtype", dtype(None))], x, |x| mean_over(x, &all(x)))
    }

    /// The mean over dims; NaN of no elements.
    ///
    /// *Errors*: `mean_c1` no such dim, or twice the same; `mean_c2` integers.
    #[track_caller]
    fn mean_dim(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("mean", 1), x, &over));
        attempt!(float(at!("mean", 2), x));
        let params = [("dim", over_attr(&over)), ("keepdim", num(over.keepdim)), ("dtype", dtype(None))];
        linear(schema::MEAN_DIM, &params, x, |x| axes.finish(x, &mean_over(x, &axes)))
    }

    /// The mean over dims of the elements that are not NaN.
    ///
    /// *Errors*: `sum_c1` no such dim, or twice the same; `nanmean_c2` integers.
    #[track_caller]
    fn nanmean(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        attempt!(float(at!("nanmean", 2), x));
        let numbers = x.eq(x).convert(x.dtype());
        x.nansum(over.clone()) / numbers.sum_dim(over)
    }

    /// The product of all elements; exact derivatives at zeros.
    #[track_caller]
    fn prod(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let flat = x.convert(sum_dtype(x.dtype())).view_to(&[x.numel()].into());
        flat.prod_over(0)
    }

    /// The product over one dim.
    ///
    /// *Errors*: `prod_c1` no such dim; `prod_c2` not exactly one.
    #[track_caller]
    fn prod_dim(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let a = attempt!(axes(at!("prod", 1), x, &over));
        if over.dims.as_ref().is_none_or(|d| d.0.len() != 1) {
            return bad(at!("prod", 2), &[x], "dim", "one dim", &format!("{:?}", a.dims));
        }
        let x = x.convert(sum_dtype(x.dtype()));
        match a.dims.as_slice() {
            [d] => a.finish(&x, &x.prod_over(*d)),
            _ => x,
        }
    }

    /// The largest elements over dims; NaN if there is one. Ties share the derivative.
    ///
    /// *Errors*: `amax_c1` no such dim; `amax_c2` nothing to choose from.
    #[track_caller]
    fn amax(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        let a = attempt!(axes(at!("amax", 1), x, &over.into()));
        attempt!(some(at!("amax", 2), x, &a));
        a.finish(x, &x.amax_over(&a.dims))
    }

    /// The smallest elements over dims; NaN if there is one. Ties share the derivative.
    ///
    /// *Errors*: `amin_c1` no such dim; `amin_c2` nothing to choose from.
    #[track_caller]
    fn amin(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        let a = attempt!(axes(at!("amin", 1), x, &over.into()));
        attempt!(some(at!("amin", 2), x, &a));
        a.finish(x, &x.amin_over(&a.dims))
    }

    /// [`amin`](Reductions::amin) and [`amax`](Reductions::amax).
    #[track_caller]
    fn aminmax(&self, over: impl Into<Over>) -> (Tensor, Tensor) {
        let over = over.into();
        (self.amin(over.clone()), self.amax(over))
    }

    /// The largest of all elements. Ties share the derivative.
    #[track_caller]
    fn max(&self) -> Tensor {
        self.amax(())
    }

    /// The smallest of all elements. Ties share the derivative.
    #[track_caller]
    fn min(&self) -> Tensor {
        self.amin(())
    }

    /// The largest elements along one dim and their first positions, which get the whole derivative.
    ///
    /// *Errors*: `max_c1` no such dim, or not exactly one; `max_c2` nothing to choose from.
    #[track_caller]
    fn max_dim(&self, over: impl Into<Over>) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let (a, d) = attempt_pair!(single(at!("max", 1), x, &over));
        attempt_pair!(some(at!("max", 2), x, &a));
        let params = [("dim", num(d)), ("keepdim", num(over.keepdim))];
        let value = |t: &[Tensor]| chosen(&t[0], &a, |x, d| ordered(x).argmax_along(d));
        let rule = |x: &[Tensor], y: &[Tensor], t: &[Tensor]| at_chosen(&x[0], &a, &y[1], &t[0]);
        let [values, indices] = by_result(schema::MAX_DIM, &params, &[x], value, rule);
        (values, indices)
    }

    /// The smallest elements along one dim and their first positions, which get the whole derivative.
    ///
    /// *Errors*: `min_c1` no such dim, or not exactly one; `min_c2` nothing to choose from.
    #[track_caller]
    fn min_dim(&self, over: impl Into<Over>) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let (a, d) = attempt_pair!(single(at!("min", 1), x, &over));
        attempt_pair!(some(at!("min", 2), x, &a));
        let params = [("dim", num(d)), ("keepdim", num(over.keepdim))];
        let value = |t: &[Tensor]| chosen(&t[0], &a, |x, d| ordered(x).argmin_along(d));
        let rule = |x: &[Tensor], y: &[Tensor], t: &[Tensor]| at_chosen(&x[0], &a, &y[1], &t[0]);
        let [values, indices] = by_result(schema::MIN_DIM, &params, &[x], value, rule);
        (values, indices)
    }

    /// The first position of the largest element along a dim, or in row-major order; the first NaN wins.
    ///
    /// *Errors*: `argmax_c1` no such dim; `argmax_c2` nothing to choose from.
    #[track_caller]
    fn argmax(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        attempt!(position(at!("argmax", 1), at!("argmax", 2), x, over.into(), |x, d| x.argmax_along(d)))
    }

    /// The first position of the smallest element along a dim, or in row-major order; the first NaN wins.
    ///
    /// *Errors*: `argmin_c1` no such dim; `argmin_c2` nothing to choose from.
    #[track_caller]
    fn argmin(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        attempt!(position(at!("argmin", 1), at!("argmin", 2), x, over.into(), |x, d| x.argmin_along(d)))
    }

    /// Whether any element over dims is not 0; false of none.
    ///
    /// *Errors*: `any_c1` no such dim, or twice the same.
    #[track_caller]
    fn any(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("any", 1), x, &over));
        let params = [("dim", over_attr(&over)), ("keepdim", num(over.keepdim))];
        one(schema::ANY_DIMS, &params, &[x], |a| axes.finish(&a[0], &count(&truth(&a[0]), &axes).gt(0i64)))
    }

    /// Whether all elements over dims are not 0; true of none.
    ///
    /// *Errors*: `all_c1` no such dim, or twice the same.
    #[track_caller]
    fn all(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("all", 1), x, &over));
        let params = [("dim", over_attr(&over)), ("keepdim", num(over.keepdim))];
        one(schema::ALL_DIMS, &params, &[x], |a| {
            axes.finish(&a[0], &count(&truth(&a[0]).bitwise_not(), &axes).eq(0i64))
        })
    }

    /// The number of elements over dims that are not 0.
    ///
    /// *Errors*: `count_nonzero_c1` no such dim, or twice the same.
    #[track_caller]
    fn count_nonzero(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("count_nonzero", 1), x, &over));
        one(schema::COUNT_NONZERO_DIM_INTLIST, &[("dim", ints(&axes.dims))], &[x], |a| {
            axes.finish(&a[0], &count(&truth(&a[0]), &axes))
        })
    }

    /// The logarithm of the sum of the exponentials over dims, without overflow in between; -inf of none.
    ///
    /// *Derivative*: the softmax; NaN where all are -inf or one is +inf.
    /// *Errors*: `logsumexp_c1` no such dim, or twice the same.
    #[track_caller]
    fn logsumexp(&self, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("logsumexp", 1), x, &over));
        let params = [("dim", over_attr(&over)), ("keepdim", num(over.keepdim))];
        let value = |a: &[Tensor]| {
            let x = a[0].convert(float_of(a[0].dtype()));
            if axes.count(&x) == 0 {
                return [axes.finish(&x, &x.sum_over(&axes.dims).log())];
            }
            let largest = axes.keep_all(&x, &x.amax_over(&axes.dims)).detach();
            let shift = largest.zeros_like().where_(&largest.abs().eq(f64::INFINITY), &largest);
            let sum = (&x - &shift).exp().sum_over(&axes.dims);
            [axes.finish(&x, &(sum.log() + shift.view_to(sum.shape())))]
        };
        let [y] = by_result(schema::LOGSUMEXP, &params, &[x], value, |x, y, x_dot| {
            let x = x[0].convert(y[0].dtype());
            let p = (&x - axes.keep_all(&x, &y[0])).exp();
            vec![axes.finish(&x, &(p * x_dot[0].convert(y[0].dtype())).sum_over(&axes.dims))]
        });
        y
    }

    /// The sums up to each element along `dim`; integers and `bool` sum to `i64`.
    ///
    /// *Errors*: `cumsum_c1` no such dim.
    #[track_caller]
    fn cumsum(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        let x = x.convert(sum_dtype(x.dtype()));
        attempt!(scan(at!("cumsum", 1), &x, dim, |x, d| x.cumsum_along(d)))
    }

    /// The products up to each element along `dim`; exact derivatives at zeros.
    ///
    /// *Errors*: `cumprod_c1` no such dim.
    #[track_caller]
    fn cumprod(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        let x = x.convert(sum_dtype(x.dtype()));
        attempt!(scan(at!("cumprod", 1), &x, dim, |x, d| x.cumprod_along(d)))
    }

    /// The logarithms of the sums of the exponentials up to each element along `dim`.
    ///
    /// *Errors*: `logcumsumexp_c1` no such dim.
    #[track_caller]
    fn logcumsumexp(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        attempt!(scan(at!("logcumsumexp", 1), x, dim, |x, d| x.logcumsumexp_along(d)))
    }

    /// The largest elements up to each one along `dim`, and their last positions, which get the derivative.
    ///
    /// *Errors*: `cummax_c1` no such dim.
    #[track_caller]
    fn cummax(&self, dim: i64) -> (Tensor, Tensor) {
        let x = self.tensor();
        let d = attempt_pair!(crate::arg::dim(at!("cummax", 1), x, dim));
        if x.rank() == 0 { (x.clone(), zero_index(x)) } else { x.cummax_along(d) }
    }

    /// The smallest elements up to each one along `dim`, and their last positions, which get the derivative.
    ///
    /// *Errors*: `cummin_c1` no such dim.
    #[track_caller]
    fn cummin(&self, dim: i64) -> (Tensor, Tensor) {
        let x = self.tensor();
        let d = attempt_pair!(crate::arg::dim(at!("cummin", 1), x, dim));
        if x.rank() == 0 { (x.clone(), zero_index(x)) } else { x.cummin_along(d) }
    }

    /// The sum of the diagonal of a matrix.
    ///
    /// *Errors*: `trace_c1` no matrix.
    #[track_caller]
    fn trace(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.rank() != 2 {
            return bad_operand(at!("trace", 1), x, "a matrix");
        }
        x.diagonal_of(0, 0, 1).sum()
    }
}

impl Reductions for Tensor {}

/// Everything, without dims that stay.
pub(crate) fn all(x: &Tensor) -> Axes {
    Axes { dims: (0..x.rank()).collect(), keep: false }
}

/// The mean over dims, which disappear.
#[track_caller]
pub(crate) fn mean_over(x: &Tensor, axes: &Axes) -> Tensor {
    x.sum_over(&axes.dims) / axes.count(x) as f64
}

#[track_caller]
fn count(x: &Tensor, axes: &Axes) -> Tensor {
    x.convert(DType::I64).sum_over(&axes.dims)
}

/// Position 0 for each element.
#[track_caller]
pub(crate) fn zero_index(x: &Tensor) -> Tensor {
    x.full_of(&crate::arg::as_dtype(x, DType::I64), 0i64)
}

/// Checks that there is an element to choose.
#[track_caller]
pub(crate) fn some(at: At, x: &Tensor, axes: &Axes) -> Result<(), Tensor> {
    if axes.dims.iter().any(|d| x.shape()[*d] == 0) {
        return Err(bad_operand(at, x, "at least one element along the reduced dims"));
    }
    Ok(())
}

/// The single dim of a reduction with positions.
#[track_caller]
fn single(at: At, x: &Tensor, over: &Over) -> Result<(Axes, i64), Tensor> {
    match over.dims.as_ref().map(|d| d.0.as_slice()) {
        Some([d]) => {
            dim(at, x, *d)?;
            Ok((axes(at, x, over)?, *d))
        }
        Some(_) | None => Err(bad(at, &[x], "dim", "one dim", &format!("{:?}", over.dims))),
    }
}

/// The elements at the positions that `choose` gives along the dim, and the positions.
#[track_caller]
fn chosen(x: &Tensor, axes: &Axes, choose: impl FnOnce(&Tensor, usize) -> Tensor) -> [Tensor; 2] {
    let [d] = axes.dims.as_slice() else { return [x.clone(), zero_index(x)] };
    let at = choose(x, *d);
    let values = x.gather_along(*d, &axes.keep_all(x, &at)).view_to(at.shape());
    [axes.finish(x, &values), axes.finish(x, &at)]
}

/// `x`, or its truth values as numbers: `max` and `min` order them, `argmax` and `argmin` alone do not.
#[track_caller]
fn ordered(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Bool { x.convert(DType::I64) } else { x.clone() }
}

/// The tangent of the elements at `positions` of `x`.
#[track_caller]
fn at_chosen(x: &Tensor, axes: &Axes, positions: &Tensor, x_dot: &Tensor) -> Vec<Tensor> {
    let t = match axes.dims.as_slice() {
        [d] => x_dot.gather_along(*d, &axes.keep_all(x, positions)).view_to(positions.shape()),
        _ => x_dot.clone(),
    };
    vec![t]
}

#[track_caller]
fn position(
    dims: At,
    empty: At,
    x: &Tensor,
    over: Over,
    choose: impl FnOnce(&Tensor, usize) -> Tensor,
) -> Result<Tensor, Tensor> {
    let a = axes(dims, x, &over)?;
    match over.dims {
        Some(_) => {
            some(empty, x, &a)?;
            match a.dims.as_slice() {
                [] => Ok(zero_index(x)),
                [d] => Ok(a.finish(x, &choose(x, *d))),
                _ => Err(bad(dims, &[x], "dim", "one dim, or `()` for all", &format!("{:?}", a.dims))),
            }
        }
        None => {
            some(empty, x, &a)?;
            let flat = choose(&x.view_to(&[x.numel()].into()), 0);
            Ok(a.finish(x, &flat))
        }
    }
}

#[track_caller]
fn scan(at: At, x: &Tensor, d: i64, f: impl FnOnce(&Tensor, usize) -> Tensor) -> Result<Tensor, Tensor> {
    let d = dim(at, x, d)?;
    if x.rank() == 0 {
        let row = x.view_to(&[1].into());
        return Ok(f(&row, d).view_to(x.shape()));
    }
    Ok(f(x, d))
}
