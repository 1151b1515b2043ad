//! Spread and norms.

use cotangent_core::Tensor;
use cotangent_core::ir::Attr;

use crate::arg::{AsTensor, Axes, Over, at, attempt, attempt_pair, axes, bad_operand, float, live, widen};
use crate::call::{by_result, dtype, many, num};
use crate::pointwise::sqrt_flat_at_zero;
use crate::reduce::{mean_over, over_attr};
use crate::schema;

/// Variance, standard deviation and norms under PyTorch's names.
pub trait Statistics: AsTensor {
    /// The variance over dims, computed in two passes and divided by `max(n - correction, 0)`: NaN for `n = 1` with
    /// correction 1.
    ///
    /// *Errors*: `var_c1` no such dim, or twice the same; `var_c2` integers.
    #[track_caller]
    fn var(&self, over: impl Into<Over>, correction: i64) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("var", 1), x, &over));
        attempt!(float(at!("var", 2), x));
        let value = |a: &[Tensor]| [axes.finish(x, &variance(&a[0], &axes, correction).0)];
        let [y] = by_result(schema::VAR_CORRECTION, &spread(&over, correction), &[x], value, |x, _, x_dot| {
            vec![axes.finish(&x[0], &variance_tangent(&x[0], &axes, correction, &x_dot[0]))]
        });
        y
    }

    /// The standard deviation over dims; derivative 0 where it is 0.
    ///
    /// *Errors*: `std_c1` no such dim, or twice the same; `std_c2` integers.
    #[track_caller]
    fn std(&self, over: impl Into<Over>, correction: i64) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("std", 1), x, &over));
        attempt!(float(at!("std", 2), x));
        let value = |a: &[Tensor]| [axes.finish(x, &sqrt_flat_at_zero(&variance(&a[0], &axes, correction).0))];
        let [y] = by_result(schema::STD_CORRECTION, &spread(&over, correction), &[x], value, |x, y, x_dot| {
            let var_dot = axes.finish(&x[0], &variance_tangent(&x[0], &axes, correction, &x_dot[0]));
            vec![root_tangent(&y[0], &var_dot)]
        });
        y
    }

    /// Variance and mean over dims.
    ///
    /// *Errors*: `var_mean_c1` no such dim, or twice the same; `var_mean_c2` integers.
    #[track_caller]
    fn var_mean(&self, over: impl Into<Over>, correction: i64) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt_pair!(axes(at!("var_mean", 1), x, &over));
        attempt_pair!(float(at!("var_mean", 2), x));
        let value = |a: &[Tensor]| {
            let (var, mean) = variance(&a[0], &axes, correction);
            [axes.finish(x, &var), axes.finish(x, &mean)]
        };
        let params = spread(&over, correction);
        let [var, mean] = by_result(schema::VAR_MEAN_CORRECTION, &params, &[x], value, |x, _, x_dot| {
            let (x, x_dot) = (&x[0], &x_dot[0]);
            let var_dot = axes.finish(x, &variance_tangent(x, &axes, correction, x_dot));
            vec![var_dot, mean_tangent(&axes, x_dot)]
        });
        (var, mean)
    }

    /// Standard deviation and mean over dims.
    ///
    /// *Errors*: `std_mean_c1` no such dim, or twice the same; `std_mean_c2` integers.
    #[track_caller]
    fn std_mean(&self, over: impl Into<Over>, correction: i64) -> (Tensor, Tensor) {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt_pair!(axes(at!("std_mean", 1), x, &over));
        attempt_pair!(float(at!("std_mean", 2), x));
        let value = |a: &[Tensor]| {
            let (var, mean) = variance(&a[0], &axes, correction);
            [axes.finish(x, &sqrt_flat_at_zero(&var)), axes.finish(x, &mean)]
        };
        let params = spread(&over, correction);
        let [std, mean] = by_result(schema::STD_MEAN_CORRECTION, &params, &[x], value, |x, y, x_dot| {
            let (x, x_dot) = (&x[0], &x_dot[0]);
            let var_dot = axes.finish(x, &variance_tangent(x, &axes, correction, x_dot));
            vec![root_tangent(&y[0], &var_dot), mean_tangent(&axes, x_dot)]
        });
        (std, mean)
    }

    /// The Euclidean norm of all elements; derivative 0 at 0.
    #[track_caller]
    fn norm(&self) -> Tensor {
        self.vector_norm(2.0, ())
    }

    /// The `ord`-norm over dims: ±inf for the largest and smallest absolute value, 0 for the number of elements that
    /// are not 0.
    ///
    /// *Derivative*: 0 at 0; ties of the infinite norms share it; 0 for the 0-norm.
    /// *Errors*: `vector_norm_c1` no such dim; `vector_norm_c2` integers; `vector_norm_c3` an infinite or negative
    /// norm
    /// of no elements.
    #[track_caller]
    fn vector_norm(&self, ord: f64, over: impl Into<Over>) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        let axes = attempt!(axes(at!("vector_norm", 1), x, &over));
        attempt!(float(at!("vector_norm", 2), x));
        if axes.count(x) == 0 && (ord < 0.0 || ord.is_infinite()) {
            return bad_operand(at!("vector_norm", 3), x, "at least one element along the reduced dims");
        }
        let params =
            [("ord", num(ord)), ("dim", over_attr(&over)), ("keepdim", num(over.keepdim)), ("dtype", dtype(None))];
        let value = |a: &[Tensor]| {
            let wide = widen(&a[0]);
            [axes.finish(x, &norm_over(&wide, ord, &axes).convert(x.dtype()))]
        };
        if ord.abs() == f64::INFINITY || ord == 1.0 || ord == 0.0 {
            let [y] = many(schema::LINALG_VECTOR_NORM, &params, &[x], value);
            return y;
        }
        let [y] = by_result(schema::LINALG_VECTOR_NORM, &params, &[x], value, |x, y, x_dot| {
            let (x, norm) = (widen(&x[0]), widen(&y[0]));
            let dot = (norm_slope(&x, &norm, ord, &axes) * widen(&x_dot[0])).sum_over(&axes.dims);
            vec![axes.finish(&x, &dot).convert(y[0].dtype())]
        });
        y
    }

    /// The `p`-norm of the difference.
    #[track_caller]
    fn dist(&self, other: &Tensor, p: f64) -> Tensor {
        (self.tensor() - other).vector_norm(p, ())
    }

    /// The covariance of variables (rows) over observations (columns), divided by `n - correction`.
    ///
    /// *Errors*: `cov_c1` more than two dims.
    #[track_caller]
    fn cov(&self, correction: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.rank() > 2 {
            return bad_operand(at!("cov", 1), x, "at most two dims");
        }
        let rows = if x.rank() == 2 { x.shape()[0].get() } else { 1 };
        let n = x.numel().checked_div(rows).unwrap_or(0);
        let m = x.convert(cotangent_core::tensor::float_of(x.dtype())).view_to(&[rows, n].into());
        let last = Axes { dims: vec![1], keep: true };
        let centered = &m - last.keep_all(&m, &mean_over(&m, &last));
        let product = centered.mm(&centered.permute_to(&[1, 0])) / (n as f64 - correction as f64).max(0.0);
        if x.rank() == 2 && rows != 1 { product } else { product.view_to(&().into()) }
    }

    /// The correlation coefficients of variables (rows), within [-1, 1].
    ///
    /// *Errors*: `cov_c1` more than two dims.
    #[track_caller]
    fn corrcoef(&self) -> Tensor {
        let c = self.cov(1);
        attempt!(live(&[&c]));
        if c.rank() == 0 {
            // 1, and NaN without spread.
            let variance = c.clone();
            return c / variance;
        }
        let deviation = c.diagonal_of(0, 0, 1).sqrt();
        let n = deviation.numel();
        let scaled = &c / deviation.view_to(&[n, 1].into()) / deviation.view_to(&[1, n].into());
        crate::compare::Comparisons::clamp(&scaled, -1.0, 1.0)
    }
}

impl Statistics for Tensor {}

fn spread(over: &Over, correction: i64) -> [(&'static str, Attr); 3] {
    [("dim", over_attr(over)), ("correction", num(correction)), ("keepdim", num(over.keepdim))]
}

/// Variance and mean over dims, which disappear; computed in the machine's dtype, rounded to the operand's.
#[track_caller]
pub(crate) fn variance(x: &Tensor, axes: &Axes, correction: i64) -> (Tensor, Tensor) {
    let wide = widen(x);
    let mean = mean_over(&wide, axes);
    let centered = &wide - axes.keep_all(&wide, &mean);
    let n = axes.count(x) as f64 - correction as f64;
    let squares = (&centered * &centered).sum_over(&axes.dims);
    let var = if n >= 0.0 {
        squares / n
    } else {
        // Infinite or NaN, with PyTorch's derivative, which divides by the negative number.
        let slope = &squares / n;
        (squares / 0.0).detach() + (&slope - slope.detach())
    };
    (var.convert(x.dtype()), mean.convert(x.dtype()))
}

/// The tangent of the variance: the mean of `2 (x - mean) x_dot`, corrected as it is.
#[track_caller]
fn variance_tangent(x: &Tensor, axes: &Axes, correction: i64, x_dot: &Tensor) -> Tensor {
    let wide = widen(x);
    let centered = &wide - axes.keep_all(&wide, &mean_over(&wide, axes));
    let n = axes.count(x) as f64 - correction as f64;
    (widen(x_dot) * (2.0 / n) * centered).sum_over(&axes.dims).convert(x.dtype())
}

/// The tangent of the mean, which is linear: the mean of the tangent.
#[track_caller]
fn mean_tangent(axes: &Axes, x_dot: &Tensor) -> Tensor {
    axes.finish(x_dot, &mean_over(&widen(x_dot), axes).convert(x_dot.dtype()))
}

/// The tangent of the root `y` of a value with the tangent `t`: 0 at 0.
#[track_caller]
fn root_tangent(y: &Tensor, t: &Tensor) -> Tensor {
    let slope = (y * 2.0).reciprocal();
    t * slope.zeros_like().where_(&y.eq(0.0), &slope)
}

/// The derivative of a norm in each element, 0 where the norm is 0.
#[track_caller]
fn norm_slope(x: &Tensor, norm: &Tensor, ord: f64, axes: &Axes) -> Tensor {
    let masked = |zero: &Tensor, v: Tensor| v.zeros_like().where_(&zero.eq(0.0), v);
    let spread = |norm: &Tensor| axes.keep_all(x, norm);
    if ord == 2.0 {
        let norm = spread(norm);
        return masked(&norm, x / &norm);
    }
    let power = |exponent: f64| x.abs().pow(exponent);
    if ord < 1.0 {
        // Of an order below 1 the slope at 0 is infinite, but for the elements that are 0.
        return x.sign() * masked(x, power(ord - 1.0)) * spread(&norm.pow(1.0 - ord));
    }
    let scaled = if ord < 2.0 { x.sign() * power(ord - 1.0) } else { x * power(ord - 2.0) };
    scaled * spread(&masked(norm, norm.pow(ord - 1.0).reciprocal()))
}

/// The norm over dims, which disappear.
#[track_caller]
pub(crate) fn norm_over(x: &Tensor, ord: f64, axes: &Axes) -> Tensor {
    let dims = &axes.dims;
    if ord == 2.0 {
        sqrt_flat_at_zero(&(x * x).sum_over(dims))
    } else if ord == 1.0 {
        x.abs().sum_over(dims)
    } else if ord == 0.0 {
        x.ne(0.0).convert(x.dtype()).sum_over(dims)
    } else if ord == f64::INFINITY {
        x.abs().amax_over(dims)
    } else if ord == f64::NEG_INFINITY {
        x.abs().amin_over(dims)
    } else {
        let magnitude = x.abs();
        // The derivative of `|x|^ord` at 0 is 0 for every order; that of the power is infinite below 1.
        let zero = magnitude.eq(0.0);
        let safe = magnitude.ones_like().where_(&zero, &magnitude);
        let at_zero = if ord > 0.0 { 0.0 } else { f64::INFINITY };
        let powers = x.full_like(at_zero).where_(&zero, safe.pow(ord));
        let sum = powers.sum_over(dims);
        let flat = sum.eq(0.0);
        let inside = sum.ones_like().where_(&flat, &sum);
        sum.zeros_like().where_(&flat, inside.pow(1.0 / ord))
    }
}
