//! Elementwise functions of one operand: a table of complete rows.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{AttrError, AttrReader, Attrs, Aval, DType, Dim};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, FromText, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent, arity,
    nonlinear, one, transpose_unary,
};

/// Which dtypes a function takes; the result has the operand's dtype.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Floats.
    Float,
    /// Floats and integers.
    Number,
    /// Integers and `bool`.
    Bits,
    /// `i64` alone.
    I64,
    /// Everything.
    Any,
}

impl Domain {
    /// Whether the domain has the dtype.
    pub fn has(self, d: DType) -> bool {
        match self {
            Domain::Float => d.is_float(),
            Domain::Number => d != DType::Bool,
            Domain::Bits => !d.is_float(),
            Domain::I64 => d == DType::I64,
            Domain::Any => true,
        }
    }

    /// For messages.
    pub fn words(self) -> &'static str {
        match self {
            Domain::Float => "a float tensor",
            Domain::Number => "a tensor of floats or integers",
            Domain::Bits => "a tensor of integers or bool",
            Domain::I64 => "a tensor of i64",
            Domain::Any => "a tensor",
        }
    }
}

/// The derivative of a row.
#[derive(Clone, Copy)]
pub(crate) enum D {
    /// The function is linear: the tangent goes through it.
    Linear,
    /// Zero wherever it exists.
    Zero,
    /// `f(x, y, x_dot)`, linear in `x_dot`.
    Is(fn(&Tensor, &Tensor, &Tensor) -> Tensor),
}

pub(crate) struct Row {
    pub name: &'static str,
    pub schema: &'static str,
    pub domain: Domain,
    pub f64: fn(f64) -> f64,
    pub f32: fn(f32) -> f32,
    /// On integers, before wrapping to the dtype; `bool` is 0 and 1.
    pub i64: fn(i64) -> i64,
    pub derivative: D,
    /// Points beside the usual ones at which the tests look: kinks, poles, ends of the domain.
    pub kinks: &'static [f64],
    /// An interval inside the domain for numeric differences.
    pub interval: (f64, f64),
}

macro_rules! unary_ops {
    ($($(#[$m:meta])* $Case:ident = $row:expr),* $(,)?) => {
        /// An elementwise function of one operand, under ATen's name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Unary { $($(#[$m])* $Case),* }

        impl Unary {
            /// All cases.
            pub const ALL: &'static [Unary] = &[$(Unary::$Case),*];

            pub(crate) fn row(self) -> Row {
                match self { $(Unary::$Case => $row),* }
            }
        }
    };
}

/// A row of a float function: name, functions, derivative, kinks, interval.
macro_rules! float_row {
    ($name:literal, $f64:expr, $f32:expr, $d:expr, $kinks:expr, $interval:expr) => {
        Row {
            name: $name,
            schema: concat!("aten::", $name, "(Tensor self) -> Tensor"),
            domain: Domain::Float,
            f64: $f64,
            f32: $f32,
            i64: |x| x,
            derivative: $d,
            kinks: $kinks,
            interval: $interval,
        }
    };
}

const LN_2: f64 = std::f64::consts::LN_2;
const LN_10: f64 = std::f64::consts::LN_10;
const FRAC_2_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

unary_ops! {
    /// The negation; linear.
    Neg = Row { name: "neg", schema: "aten::neg(Tensor self) -> Tensor", domain: Domain::Number,
        f64: |x| -x, f32: |x| -x, i64: i64::wrapping_neg, derivative: D::Linear, kinks: &[0.0], interval: (-2.0, 2.0) },
    /// The absolute value. Derivative `sign(x)`: 0 at 0 and at NaN.
    Abs = Row { name: "abs", schema: "aten::abs(Tensor self) -> Tensor", domain: Domain::Number,
        f64: f64::abs, f32: f32::abs, i64: i64::wrapping_abs, derivative: D::Is(|x, _, t| t * x.sign()),
        kinks: &[0.0, -0.0], interval: (-2.0, 2.0) },
    /// -1, 0 or 1; 0 at NaN.
    Sign = Row { name: "sign", schema: "aten::sign(Tensor self) -> Tensor", domain: Domain::Number,
        f64: sign64, f32: |x| sign64(f64::from(x)) as f32, i64: i64::signum, derivative: D::Zero,
        kinks: &[0.0, -0.0], interval: (-2.0, 2.0) },
    /// The largest integer not above; the identity on integers.
    Floor = Row { name: "floor", schema: "aten::floor(Tensor self) -> Tensor", domain: Domain::Number,
        f64: f64::floor, f32: f32::floor, i64: |x| x, derivative: D::Zero, kinks: &[0.0, 1.0, -1.5], interval: (0.1, 0.9) },
    /// The smallest integer not below.
    Ceil = Row { name: "ceil", schema: "aten::ceil(Tensor self) -> Tensor", domain: Domain::Number,
        f64: f64::ceil, f32: f32::ceil, i64: |x| x, derivative: D::Zero, kinks: &[0.0, 1.0, -1.5], interval: (0.1, 0.9) },
    /// Towards zero.
    Trunc = Row { name: "trunc", schema: "aten::trunc(Tensor self) -> Tensor", domain: Domain::Number,
        f64: f64::trunc, f32: f32::trunc, i64: |x| x, derivative: D::Zero, kinks: &[0.0, 1.0, -1.5], interval: (0.1, 0.9) },
    /// To the nearest integer, halves to even.
    Round = Row { name: "round", schema: "aten::round(Tensor self) -> Tensor", domain: Domain::Number,
        f64: f64::round_ties_even, f32: f32::round_ties_even, i64: |x| x, derivative: D::Zero,
        kinks: &[0.5, 1.5, 2.5, -0.5], interval: (0.6, 0.9) },
    /// The complement of the bits; logical negation on `bool`.
    BitwiseNot = Row { name: "bitwise_not", schema: "aten::bitwise_not(Tensor self) -> Tensor", domain: Domain::Bits,
        f64: |x| x, f32: |x| x, i64: |x| !x, derivative: D::Zero, kinks: &[0.0], interval: (0.0, 1.0) },
    /// The identity through which no derivative passes: `stop_gradient`.
    Detach = Row { name: "detach", schema: "aten::detach(Tensor self) -> Tensor", domain: Domain::Any,
        f64: |x| x, f32: |x| x, i64: |x| x, derivative: D::Zero, kinks: &[0.0], interval: (-2.0, 2.0) },
    /// The square root; derivative ±inf at ±0.
    Sqrt = float_row!("sqrt", f64::sqrt, f32::sqrt, D::Is(|_, y, t| t / (y * 2.0)), &[0.0, -0.0, -1.0], (0.3, 3.0)),
    /// The reciprocal of the square root.
    Rsqrt = float_row!("rsqrt", |x| 1.0 / x.sqrt(), |x| 1.0 / x.sqrt(),
        D::Is(|_, y, t| t * (-0.5) * (y * y * y)), &[0.0, -1.0], (0.3, 3.0)),
    /// `1 / x`.
    Reciprocal = float_row!("reciprocal", |x| 1.0 / x, |x| 1.0 / x, D::Is(|_, y, t| -(t * (y * y))), &[0.0, -0.0], (0.3, 3.0)),
    /// The exponential.
    Exp = float_row!("exp", f64::exp, f32::exp, D::Is(|_, y, t| t * y), &[0.0], (-2.0, 2.0)),
    /// `2^x`.
    Exp2 = float_row!("exp2", f64::exp2, f32::exp2, D::Is(|_, y, t| t * (y * LN_2)), &[0.0], (-2.0, 2.0)),
    /// `e^x - 1`, exact near 0.
    Expm1 = float_row!("expm1", f64::exp_m1, f32::exp_m1, D::Is(|_, y, t| t * (y + 1.0)), &[0.0, 1e-12], (-2.0, 2.0)),
    /// The natural logarithm.
    Log = float_row!("log", f64::ln, f32::ln, D::Is(|x, _, t| t / x), &[0.0, -1.0], (0.3, 3.0)),
    /// `log(1 + x)`, exact near 0.
    Log1p = float_row!("log1p", f64::ln_1p, f32::ln_1p, D::Is(|x, _, t| t / (x + 1.0)), &[0.0, -1.0], (-0.5, 2.0)),
    /// The binary logarithm.
    Log2 = float_row!("log2", f64::log2, f32::log2, D::Is(|x, _, t| t / (x * LN_2)), &[0.0], (0.3, 3.0)),
    /// The decimal logarithm.
    Log10 = float_row!("log10", f64::log10, f32::log10, D::Is(|x, _, t| t / (x * LN_10)), &[0.0], (0.3, 3.0)),
    /// The sine.
    Sin = float_row!("sin", f64::sin, f32::sin, D::Is(|x, _, t| t * x.cos()), &[0.0], (-2.0, 2.0)),
    /// The cosine.
    Cos = float_row!("cos", f64::cos, f32::cos, D::Is(|x, _, t| t * -x.sin()), &[0.0], (-2.0, 2.0)),
    /// The tangent function.
    Tan = float_row!("tan", f64::tan, f32::tan, D::Is(|_, y, t| t * (y * y + 1.0)), &[0.0], (-1.2, 1.2)),
    /// The arc sine.
    Asin = float_row!("asin", f64::asin, f32::asin, D::Is(|x, _, t| t * (1.0 - x * x).rsqrt()), &[1.0, -1.0, 2.0], (-0.8, 0.8)),
    /// The arc cosine.
    Acos = float_row!("acos", f64::acos, f32::acos, D::Is(|x, _, t| t * -(1.0 - x * x).rsqrt()), &[1.0, -1.0, 2.0], (-0.8, 0.8)),
    /// The arc tangent.
    Atan = float_row!("atan", f64::atan, f32::atan, D::Is(|x, _, t| t / (x * x + 1.0)), &[0.0], (-2.0, 2.0)),
    /// The hyperbolic sine.
    Sinh = float_row!("sinh", f64::sinh, f32::sinh, D::Is(|x, _, t| t * x.cosh()), &[0.0], (-2.0, 2.0)),
    /// The hyperbolic cosine.
    Cosh = float_row!("cosh", f64::cosh, f32::cosh, D::Is(|x, _, t| t * x.sinh()), &[0.0], (-2.0, 2.0)),
    /// The hyperbolic tangent.
    Tanh = float_row!("tanh", f64::tanh, f32::tanh, D::Is(|_, y, t| t * (1.0 - y * y)), &[0.0], (-2.0, 2.0)),
    /// The inverse hyperbolic sine.
    Asinh = float_row!("asinh", f64::asinh, f32::asinh, D::Is(|x, _, t| t * (x * x + 1.0).rsqrt()), &[0.0, -0.0], (-2.0, 2.0)),
    /// The inverse hyperbolic cosine.
    Acosh = float_row!("acosh", f64::acosh, f32::acosh, D::Is(|x, _, t| t * (x * x - 1.0).rsqrt()), &[1.0, 0.5], (1.2, 3.0)),
    /// The inverse hyperbolic tangent.
    Atanh = float_row!("atanh", f64::atanh, f32::atanh, D::Is(|x, _, t| t / (1.0 - x * x)), &[1.0, -1.0, 2.0], (-0.8, 0.8)),
    /// The logistic function.
    Sigmoid = float_row!("sigmoid", |x| 1.0 / (1.0 + (-x).exp()), |x| 1.0 / (1.0 + (-x).exp()),
        D::Is(|_, y, t| t * ((1.0 - y) * y)), &[0.0, 1000.0, -1000.0], (-2.0, 2.0)),
    /// The error function.
    Erf = float_row!("erf", libm::erf, |x| libm::erf(f64::from(x)) as f32,
        D::Is(|x, _, t| t * ((-(x * x)).exp() * FRAC_2_SQRT_PI)), &[0.0], (-2.0, 2.0)),
    /// `1 - erf(x)`, exact for large `x`.
    Erfc = float_row!("erfc", libm::erfc, |x| libm::erfc(f64::from(x)) as f32,
        D::Is(|x, _, t| t * ((-(x * x)).exp() * -FRAC_2_SQRT_PI)), &[0.0, 5.0], (-2.0, 2.0)),
    /// The logarithm of the absolute value of the gamma function.
    Lgamma = float_row!("lgamma", libm::lgamma, |x| libm::lgamma(f64::from(x)) as f32,
        D::Zero, &[1.0, 0.0], (0.5, 3.0)),
}

/// The sign of `x`; 0 for zeros and NaN, as PyTorch has it.
fn sign64(x: f64) -> f64 {
    f64::from(u8::from(x > 0.0)) - f64::from(u8::from(x < 0.0))
}

impl Unary {
    /// The domain of the function.
    pub fn domain(self) -> Domain {
        self.row().domain
    }

    /// The function on `f64`.
    pub fn eval_f64(self, x: f64) -> f64 {
        (self.row().f64)(x)
    }
}

impl Primitive for Unary {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn schema(&self) -> &'static str {
        self.row().schema
    }

    fn attrs(&self) -> Attrs {
        Vec::new()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let domain = self.row().domain;
        if !domain.has(x.dtype) {
            return Err(InferError::Operand {
                label: "unary_c1",
                expected: domain.words().to_owned(),
                found: x.clone(),
            });
        }
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (row, x) = (self.row(), args[0]);
        Ok(vec![match x.dtype() {
            DType::F64 => Array::new(x.shape(), x.elems::<f64>().iter().map(|v| (row.f64)(*v)).collect()),
            DType::F32 => Array::new(x.shape(), x.elems::<f32>().iter().map(|v| (row.f32)(*v)).collect()),
            DType::BF16 | DType::F16 => self.eval(&[&x.cast(DType::F32)])?[0].cast(x.dtype()),
            DType::Bool if *self == Unary::BitwiseNot => {
                Array::new(x.shape(), x.elems::<bool>().iter().map(|v| !v).collect())
            }
            d @ (DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool) => {
                let apply = |v: i64| crate::ir::Scalar::Int((row.i64)(v));
                dispatch!(d, T => Array::new(
                    x.shape(),
                    x.elems::<T>().iter().map(|v| T::from_scalar(apply(v.to_scalar().to_i64()))).collect::<Vec<T>>()
                ))
            }
        }])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![match self.row().derivative {
            D::Zero => Tangent::Zero,
            D::Linear => x_dot[0].map(|t| t.unary(*self)),
            D::Is(f) => x_dot[0].map(|t| f(&x[0], &y[0], t)),
        }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        match self.row().derivative {
            D::Linear => transpose_unary(y_bar, args, |y_bar, _| y_bar.unary(*self)),
            D::Zero | D::Is(_) => nonlinear(self.name()),
        }
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.unary(*self))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Unary(*self))
    }
}

impl FromText for Unary {
    fn from_text(name: &str, _: &mut AttrReader) -> Option<Result<Self, AttrError>> {
        Unary::ALL.iter().find(|u| u.row().name == name).map(|u| Ok(*u))
    }
}

impl Samples for Unary {
    fn samples() -> Vec<Sample> {
        let mut out = Vec::new();
        for u in Unary::ALL {
            let row = u.row();
            let (lo, hi) = row.interval;
            let usual = |d| Array::from_f64_fn(&Aval::new(d, [2, 3]), |i| lo + (hi - lo) * (0.1 + 0.137 * i as f64));
            let (main, kinks) = match row.domain {
                Domain::Float | Domain::Number | Domain::Any => (DType::F64, row.kinks),
                Domain::Bits | Domain::I64 => (DType::I64, row.kinks),
            };
            // No derivative passes through the detached identity, though differences would show one.
            let smooth = if *u == Unary::Detach { Sample::kink } else { Sample::new };
            out.push(smooth("usual", *u, [usual(main)]));
            for k in kinks {
                out.push(Sample::kink("kink", *u, [Array::from_f64_fn(&Aval::new(main, [1]), |_| *k)]));
            }
            out.push(Sample::new("empty", *u, [Array::full(&Aval::new(main, [0, 2]), 1.0.into())]));
            out.push(smooth("scalar", *u, [usual(main).pick((), |_| 1)]));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_and_double_rows_agree() {
        for u in Unary::ALL.iter().filter(|u| u.domain().has(DType::F32)) {
            let (lo, hi) = u.row().interval;
            for i in 0..100 {
                let x = (lo + (hi - lo) * f64::from(i) / 100.0) as f32;
                let (a, b) = (f64::from((u.row().f32)(x)), (u.row().f64)(f64::from(x)));
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{} at {x}: {a} {b}", u.name());
            }
        }
    }
}
