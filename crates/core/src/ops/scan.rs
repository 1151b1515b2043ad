//! Sums, products and log-sum-exps of all elements up to each one along a dim.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, linear_with_transpose};

use super::indexing::{check_dim, check_wide, lines};
use super::products::Dual;
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one, transpose_unary,
};

attr_struct! {
    /// The sums of all elements up to each one along `dim`.
    ///
    /// *Shape*: `x: [s…] → [s…]`.
    /// *Numerics*: floats add up in `f64` in order, each result rounds once; integers wrap.
    /// *Errors*: `cumsum_c1` `dim`; `cumsum_c2` neither floats nor `i64` (PyTorch widens the others; so does the front
    /// end).
    /// *Derivative*: linear; the transpose sums from the other end.
    /// *Source*: `torch.cumsum`.
    pub struct Cumsum {
        /// The dim.
        pub dim: usize,
    }
}
from_text!(Cumsum, "cumsum");

attr_struct! {
    /// The products of all elements up to each one along `dim`.
    ///
    /// *Shape*: `x: [s…] → [s…]`.
    /// *Numerics*: floats multiply in `f64` in order, each result rounds once; integers wrap.
    /// *Errors*: `cumprod_c1` `dim`; `cumprod_c2` neither floats nor `i64`.
    /// *Derivative*: by the product rule alone, hence exact with zeros, at every order; about log2 n steps.
    /// *Source*: `torch.cumprod`.
    pub struct Cumprod {
        /// The dim.
        pub dim: usize,
    }
}
from_text!(Cumprod, "cumprod");

attr_struct! {
    /// The logarithms of the sums of the exponentials of all elements up to each one along `dim`.
    ///
    /// *Shape*: `x: [s…] → [s…]`.
    /// *Numerics*: stable: no exponential of a positive number; in `f64`, each result rounds once.
    /// *Errors*: `logcumsumexp_c1` `dim`; `logcumsumexp_c2` no floats.
    /// *Derivative*: `exp(x_j - y_i)` for `j ≤ i`, by PyTorch's steps in forward and in reverse mode.
    /// *Source*: `torch.logcumsumexp`.
    pub struct Logcumsumexp {
        /// The dim.
        pub dim: usize,
    }
}
from_text!(Logcumsumexp, "logcumsumexp");

/// The scan of floats in `f64`.
fn scan_floats(x: &Array, dim: usize, start: f64, f: fn(f64, f64) -> f64) -> Array {
    dispatch!(x.dtype(), T => {
        let xs = x.elems::<T>();
        let mut y = xs.to_vec();
        for line in lines(x.shape(), dim) {
            let mut acc = start;
            for i in line.positions() {
                acc = f(acc, xs[i].to_f64());
                y[i] = T::from_f64(acc);
            }
        }
        Array::new(x.shape(), y)
    })
}

/// The scan of `i64`.
fn scan_integers(x: &Array, dim: usize, start: i64, f: fn(i64, i64) -> i64) -> Array {
    let mut y = x.elems::<i64>().to_vec();
    for line in lines(x.shape(), dim) {
        let mut acc = start;
        for i in line.positions() {
            acc = f(acc, y[i]);
            y[i] = acc;
        }
    }
    Array::new(x.shape(), y)
}

/// `log(exp(a) + exp(b))`, NaN if one of them is.
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    // Equal infinities have no difference.
    if low == high && low.is_infinite() { low } else { high + (low - high).exp().ln_1p() }
}

impl Primitive for Cumsum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn schema(&self) -> &'static str {
        "aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_dim("cumsum_c1", self.dim, x.rank())?;
        check_wide("cumsum_c2", x)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        Ok(vec![if x.dtype() == DType::I64 {
            scan_integers(x, self.dim, 0, i64::wrapping_add)
        } else {
            scan_floats(x, self.dim, 0.0, |a, b| a + b)
        }])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.cumsum_along(self.dim))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let dims = [self.dim];
        transpose_unary(y_bar, args, |t, _| t.flip_dims(&dims).cumsum_along(self.dim).flip_dims(&dims))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.cumsum_along(self.dim + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Scan { dim: self.dim, monoid: Monoid::Sum, indices: false }
    }
}

impl Primitive for Cumprod {
    fn name(&self) -> &'static str {
        "cumprod"
    }

    fn schema(&self) -> &'static str {
        "aten::cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_dim("cumprod_c1", self.dim, x.rank())?;
        check_wide("cumprod_c2", x)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        Ok(vec![if x.dtype() == DType::I64 {
            scan_integers(x, self.dim, 1, i64::wrapping_mul)
        } else {
            scan_floats(x, self.dim, 1.0, |a, b| a * b)
        }])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let dual = |t: &Tensor| Dual { x: x[0].clone(), x_dot: t.clone() };
        vec![x_dot[0].map(|t| dual(t).prefix_products_dot(self.dim, None))]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("cumprod")
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.cumprod_along(self.dim + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Scan { dim: self.dim, monoid: Monoid::Prod, indices: false }
    }
}

impl Primitive for Logcumsumexp {
    fn name(&self) -> &'static str {
        "logcumsumexp"
    }

    fn schema(&self) -> &'static str {
        "aten::logcumsumexp(Tensor self, int dim) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_dim("logcumsumexp_c1", self.dim, x.rank())?;
        if !x.dtype.is_float() {
            let expected = "floats".to_owned();
            return Err(InferError::Operand { label: "logcumsumexp_c2", expected, found: x.clone() });
        }
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![scan_floats(args[0], self.dim, f64::NEG_INFINITY, log_add_exp)])
    }

    /// PyTorch's tangent, with PyTorch's cotangent for its transpose.
    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let dim = self.dim;
        let forth = |a: &[Tensor], t: &Tensor| pushed(&a[0], t, dim);
        let back = |a: &[Tensor], y_bar: &Tensor| pulled(&a[0], &a[1], y_bar, dim);
        vec![x_dot[0].map(|t| linear_with_transpose("logcumsumexp_tangent", &[&x[0], &y[0]], t, forth, back))]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("logcumsumexp")
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.logcumsumexp_along(self.dim + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Scan { dim: self.dim, monoid: Monoid::LogAddExp, indices: false }
    }
}

/// What PyTorch adds to sums that may be 0.
const TINY: f64 = 1e-13;

/// `Σ_{j ≤ i} exp(x_j) x_dot_j / Σ_{j ≤ i} exp(x_j)`, where exponents are taken from the largest of the line.
///
/// *Numerics*: what is 30 below the largest element of its line is lost, as in PyTorch.
/// *Source*: `logcumsumexp_jvp` of PyTorch's `FunctionsManual.cpp`.
fn pushed(x: &Tensor, x_dot: &Tensor, dim: usize) -> Tensor {
    if x.shape()[dim].get() == 0 {
        return x_dot.clone();
    }
    let kept = x.shape().with(dim, 1);
    // The quotient does not depend on it, so that its own derivative is none of the result's.
    let largest = x.amax_over(&[dim]).detach().view_to(&kept).expand_to(x.shape());
    let shares = (x - largest).exp();
    (&shares * x_dot).cumsum_along(dim) / (shares.cumsum_along(dim) + TINY)
}

/// `Σ_{i ≥ j} exp(x_j - y_i) y_bar_i` by the logarithms of what is positive and of what is negative in it.
///
/// *Source*: `logcumsumexp_backward` of PyTorch's `FunctionsManual.cpp`.
fn pulled(x: &Tensor, y: &Tensor, y_bar: &Tensor, dim: usize) -> Tensor {
    let log = y_bar.abs().log();
    let part = |chosen: Tensor| {
        // The lowest number, where further derivatives would meet NaN with an infinity.
        let log = log.where_exact(&chosen, &log.full_of(&log.aval(), -log.dtype().largest_finite()));
        let sums = (log - y).flip_dims(&[dim]).logcumsumexp_along(dim).flip_dims(&[dim]);
        (sums + x).exp()
    };
    part(y_bar.gt(0.0)) - part(y_bar.lt(0.0))
}

fn usual() -> Array {
    Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 1.7).cos()).collect())
}

/// The samples that all scans share, as `(note, dim, operand)`.
fn common() -> Vec<(&'static str, usize, Array)> {
    let empty = |shape: [usize; 2]| Array::new(shape, Vec::<f64>::new());
    vec![
        ("usual", 1, usual()),
        ("seven", 0, Array::new([7], (0..7).map(|i| f64::from(i) * 0.4 - 1.3).collect())),
        ("one", 0, Array::new([1], vec![0.5])),
        ("empty dim", 0, empty([0, 2])),
        ("empty lines", 1, empty([0, 2])),
        ("f16", 2, usual().cast(DType::F16)),
        ("f32", 0, usual().cast(DType::F32)),
    ]
}

impl Samples for Cumsum {
    fn samples() -> Vec<Sample> {
        let mut samples: Vec<Sample> =
            common().into_iter().map(|(note, dim, x)| Sample::new(note, Cumsum { dim }, [x])).collect();
        samples.push(Sample::new("i64", Cumsum { dim: 0 }, [Array::new([3], vec![i64::MAX, 2, -3])]));
        samples
    }
}

impl Samples for Cumprod {
    fn samples() -> Vec<Sample> {
        let mut samples: Vec<Sample> =
            common().into_iter().map(|(note, dim, x)| Sample::new(note, Cumprod { dim }, [x])).collect();
        samples.push(Sample::new("zeros", Cumprod { dim: 1 }, [super::prod::rows_with_zeros()]));
        samples.push(Sample::new("i64", Cumprod { dim: 0 }, [Array::new([3], vec![i64::MAX, 2, -3])]));
        samples
    }
}

impl Samples for Logcumsumexp {
    fn samples() -> Vec<Sample> {
        let mut samples: Vec<Sample> =
            common().into_iter().map(|(note, dim, x)| Sample::new(note, Logcumsumexp { dim }, [x])).collect();
        let large = Array::new([4], vec![1000.0, 999.0, -1000.0, 1001.0]);
        // Not at the beginning, where PyTorch's reverse mode has NaN.
        let nothing = Array::new([5], vec![0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, f64::NEG_INFINITY]);
        samples.push(Sample::new("large", Logcumsumexp { dim: 0 }, [large]));
        samples.push(Sample::kink("nothing", Logcumsumexp { dim: 0 }, [nothing]));
        samples
    }
}
