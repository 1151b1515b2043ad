//! Softmax and its relatives.

use cotangent_core::Tensor;
use cotangent_core::tensor::float_of;

use crate::arg::{AsTensor, Axes, at, attempt, dim, widen};
use crate::call::{by_result, dtype, num, one};
use crate::schema;

/// Softmax and its relatives under PyTorch's names.
pub trait Softmaxes: AsTensor {
    /// `exp(x) / Σ exp(x)` along `dim`, without overflow in between; NaN where all are -inf or one is +inf.
    ///
    /// *Errors*: `softmax_c1` no such dim.
    #[track_caller]
    fn softmax(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(crate::arg::dim(at!("softmax", 1), x, dim));
        let x = x.convert(float_of(x.dtype()));
        let params = [("dim", num(dim)), ("half_to_float", num(false))];
        let value = |a: &[Tensor]| {
            let Some((shifted, axes)) = shifted(&a[0], d) else { return [a[0].clone()] };
            let e = shifted.exp();
            [(&e / axes.keep_all(&e, &e.sum_over(&axes.dims))).convert(a[0].dtype())]
        };
        let [y] = by_result(schema::_SOFTMAX, &params, &[&x], value, |_, y, x_dot| {
            vec![softmax_tangent(&y[0], d, &x_dot[0])]
        });
        y
    }

    /// The logarithm of [`Softmaxes::softmax`], exact where that is small.
    ///
    /// *Errors*: `log_softmax_c1` no such dim.
    #[track_caller]
    fn log_softmax(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(crate::arg::dim(at!("log_softmax", 1), x, dim));
        let x = x.convert(float_of(x.dtype()));
        let params = [("dim", num(dim)), ("half_to_float", num(false))];
        let value = |a: &[Tensor]| {
            let Some((shifted, axes)) = shifted(&a[0], d) else { return [a[0].clone()] };
            let sum = axes.keep_all(&shifted, &shifted.exp().sum_over(&axes.dims));
            [(&shifted - sum.log()).convert(a[0].dtype())]
        };
        let [y] = by_result(schema::_LOG_SOFTMAX, &params, &[&x], value, |_, y, x_dot| {
            let (axes, p, t) = (row(&y[0], d), widen(&y[0]).exp(), widen(&x_dot[0]));
            let mean = axes.keep_all(&p, &(&p * &t).sum_over(&axes.dims));
            vec![(t - mean).convert(y[0].dtype())]
        });
        y
    }

    /// As [`Softmaxes::softmax`], but 0 where all are -inf: what attention needs where every place is forbidden.
    ///
    /// *Errors*: `softmax_c1` no such dim.
    #[track_caller]
    fn softmax_or_zero(&self, dim: i64) -> Tensor {
        let scores = self.tensor();
        let d = attempt!(crate::arg::dim(at!("softmax", 1), scores, dim));
        if scores.numel() == 0 {
            return scores.clone();
        }
        let params = [("dim", num(dim)), ("dtype", dtype(None))];
        let value = |a: &[Tensor]| {
            let x = widen(&a[0]);
            let axes = row(&x, d);
            let largest = axes.keep_all(&x, &x.amax_over(&axes.dims)).detach();
            let shift = largest.zeros_like().where_(&largest.eq(f64::NEG_INFINITY), &largest);
            let e = (&x - shift).exp();
            let sum = axes.keep_all(&e, &e.sum_over(&axes.dims));
            let sum = sum.ones_like().where_(&sum.eq(0.0), &sum);
            [(e / sum).convert(a[0].dtype())]
        };
        let [y] = by_result(schema::_SAFE_SOFTMAX, &params, &[scores], value, |_, y, x_dot| {
            vec![softmax_tangent(&y[0], d, &x_dot[0])]
        });
        y
    }

    /// The softmax of `-x`.
    #[track_caller]
    fn softmin(&self, dim: i64) -> Tensor {
        (-self.tensor()).softmax(dim)
    }

    /// The first half along `dim` times the logistic function of the second half.
    ///
    /// *Errors*: `glu_c1` no such dim; `glu_c2` an odd size.
    #[track_caller]
    fn glu(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(crate::arg::real_dim(at!("glu", 1), x, dim));
        let n = x.shape()[d].get();
        if !n.is_multiple_of(2) {
            return crate::arg::bad_operand(at!("glu", 2), x, "an even size along the dim");
        }
        one(schema::GLU, &[("dim", num(dim))], &[x], |a| {
            a[0].slice_dim(d, 0, n / 2, 1) * a[0].slice_dim(d, n / 2, n, 1).sigmoid()
        })
    }

    /// The softmax over the channels of `[n, c, h, w]` or `[c, h, w]`.
    #[track_caller]
    fn softmax2d(&self) -> Tensor {
        let x = self.tensor();
        attempt!(dim(at!("softmax", 1), x, -3));
        x.softmax(-3)
    }
}

impl Softmaxes for Tensor {}

/// The operand less its largest element along `d`, in the machine's dtype; `None` without elements.
///
/// The shift is a constant for derivatives, because the result does not depend on it.
#[track_caller]
fn shifted(x: &Tensor, d: usize) -> Option<(Tensor, Axes)> {
    if x.numel() == 0 {
        return None;
    }
    let (axes, wide) = (row(x, d), widen(x));
    let largest = axes.keep_all(&wide, &wide.amax_over(&axes.dims)).detach();
    Some((&wide - largest, axes))
}

/// The tangent of the softmax `p` of a row: `p (ẋ - Σ p ẋ)`.
#[track_caller]
fn softmax_tangent(p: &Tensor, d: usize, x_dot: &Tensor) -> Tensor {
    let (axes, wide, t) = (row(p, d), widen(p), widen(x_dot));
    let mean = axes.keep_all(&wide, &(&wide * &t).sum_over(&axes.dims));
    (&wide * t - wide * mean).convert(p.dtype())
}

/// The dim of a softmax: none of a number.
fn row(x: &Tensor, d: usize) -> Axes {
    Axes { dims: if x.rank() == 0 { Vec::new() } else { vec![d] }, keep: true }
}
