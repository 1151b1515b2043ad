//! The rows: for each function its name, domain, reference, derivative and kinks.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI, LN_2, LN_10, PI};

use super::super::special;
use crate::ops::Domain;
use crate::tensor::Tensor;

/// The derivative of a row.
#[derive(Clone, Copy)]
pub(crate) enum D {
    /// The function is linear: the tangent goes through it.
    Linear,
    /// Zero wherever it exists.
    Zero,
    /// `f(x, y, x_dot)`, linear in `x_dot`.
    Is(fn(&Tensor, &Tensor, &Tensor) -> Tensor),
    /// It exists and is unknown here, as in PyTorch: a tangent is rejected with a typed error.
    Missing,
}

pub(crate) struct Row {
    pub name: &'static str,
    pub schema: &'static str,
    pub domain: Domain,
    pub f: Fns,
    pub derivative: D,
    /// Points beside the usual ones at which the tests look: kinks, poles, ends of the domain.
    pub kinks: &'static [f64],
    /// An interval inside the domain for numeric differences.
    pub interval: (f64, f64),
}

/// The function on each kind of number.
#[derive(Clone, Copy)]
pub(crate) enum Fns {
    /// The result has the operand's dtype; integers wrap to it; `bool` is 0 and 1.
    Same { f64: fn(f64) -> f64, f32: fn(f32) -> f32, i64: fn(i64) -> i64 },
    /// The result is `bool`.
    Predicate { f64: fn(f64) -> bool, i64: fn(i64) -> bool },
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
            f: Fns::Same { f64: $f64, f32: $f32, i64: |x| x },
            derivative: $d,
            kinks: $kinks,
            interval: $interval,
        }
    };
}

/// A row of a special function on `f64`, which is also that of `f32`.
macro_rules! special_row {
    ($name:literal, $f64:expr, $d:expr, $kinks:expr, $interval:expr) => {
        float_row!($name, $f64, |x| $f64(f64::from(x)) as f32, $d, $kinks, $interval)
    };
}

/// A row of the scaled functions of the second kind, whose operand PyTorch calls `x`.
macro_rules! scaled_row {
    ($name:literal, $f64:expr, $d:expr) => {
        Row {
            schema: concat!("aten::", $name, "(Tensor x) -> Tensor"),
            ..special_row!($name, $f64, $d, &[0.0, -1.0, 800.0], (0.5, 4.0))
        }
    };
}

unary_ops! {
    /// The negation; linear.
    Neg = Row { name: "neg", schema: "aten::neg(Tensor self) -> Tensor", domain: Domain::Number,
        f: Fns::Same { f64: |x| -x, f32: |x| -x, i64: i64::wrapping_neg }, derivative: D::Linear, kinks: &[0.0], interval: (-2.0, 2.0) },
    /// The absolute value. Derivative `sign(x)`: 0 at 0 and at NaN.
    Abs = Row { name: "abs", schema: "aten::abs(Tensor self) -> Tensor", domain: Domain::Number,
        f: Fns::Same { f64: f64::abs, f32: f32::abs, i64: i64::wrapping_abs }, derivative: D::Is(|x, _, t| t * x.sign()),
        kinks: &[0.0, -0.0], interval: (-2.0, 2.0) },
    /// -1, 0 or 1; 0 at NaN.
    Sign = Row { name: "sign", schema: "aten::sign(Tensor self) -> Tensor", domain: Domain::Any,
        f: Fns::Same { f64: sign64, f32: |x| sign64(f64::from(x)) as f32, i64: i64::signum }, derivative: D::Zero,
        kinks: &[0.0, -0.0], interval: (-2.0, 2.0) },
    /// The largest integer not above; the identity on integers.
    Floor = Row { name: "floor", schema: "aten::floor(Tensor self) -> Tensor", domain: Domain::Number,
        f: Fns::Same { f64: f64::floor, f32: f32::floor, i64: |x| x }, derivative: D::Zero, kinks: &[0.0, 1.0, -1.5], interval: (0.1, 0.9) },
    /// The smallest integer not below.
    Ceil = Row { name: "ceil", schema: "aten::ceil(Tensor self) -> Tensor", domain: Domain::Number,
        f: Fns::Same { f64: f64::ceil, f32: f32::ceil, i64: |x| x }, derivative: D::Zero, kinks: &[0.0, 1.0, -1.5], interval: (0.1, 0.9) },
    /// Towards zero.
    Trunc = Row { name: "trunc", schema: "aten::trunc(Tensor self) -> Tensor", domain: Domain::Number,
        f: Fns::Same { f64: f64::trunc, f32: f32::trunc, i64: |x| x }, derivative: D::Zero, kinks: &[0.0, 1.0, -1.5], interval: (0.1, 0.9) },
    /// To the nearest integer, halves to even.
    Round = Row { name: "round", schema: "aten::round(Tensor self) -> Tensor", domain: Domain::Number,
        f: Fns::Same { f64: f64::round_ties_even, f32: f32::round_ties_even, i64: |x| x }, derivative: D::Zero,
        kinks: &[0.5, 1.5, 2.5, -0.5], interval: (0.6, 0.9) },
    /// The complement of the bits; logical negation on `bool`.
    BitwiseNot = Row { name: "bitwise_not", schema: "aten::bitwise_not(Tensor self) -> Tensor", domain: Domain::Bits,
        f: Fns::Same { f64: |x| x, f32: |x| x, i64: |x| !x }, derivative: D::Zero, kinks: &[0.0], interval: (0.0, 1.0) },
    /// The identity through which no derivative passes: `stop_gradient`.
    Detach = Row { name: "detach", schema: "aten::detach(Tensor self) -> Tensor", domain: Domain::Any,
        f: Fns::Same { f64: |x| x, f32: |x| x, i64: |x| x }, derivative: D::Zero, kinks: &[0.0], interval: (-2.0, 2.0) },
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
    Asinh = float_row!("asinh", libm::asinh, libm::asinhf, D::Is(|x, _, t| t * (x * x + 1.0).rsqrt()), &[0.0, -0.0], (-2.0, 2.0)),
    /// The inverse hyperbolic cosine.
    // (libm's of negative numbers is not NaN.)
    Acosh = float_row!("acosh", |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) },
        |x| if x < 1.0 { f32::NAN } else { libm::acoshf(x) }, D::Is(|x, _, t| t * (x * x - 1.0).rsqrt()), &[1.0, 0.5], (1.2, 3.0)),
    /// The inverse hyperbolic tangent.
    Atanh = float_row!("atanh", libm::atanh, libm::atanhf, D::Is(|x, _, t| t / (1.0 - x * x)), &[1.0, -1.0, 2.0], (-0.8, 0.8)),
    /// The logistic function.
    // (By `exp(-x)` alone it would be zero where that overflows.)
    Sigmoid = float_row!("sigmoid", |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) },
        |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) },
        D::Is(|_, y, t| t * ((1.0 - y) * y)), &[0.0, 1000.0, -1000.0], (-2.0, 2.0)),
    /// Whether the sign bit is set, of NaN and zeros too; a `bool`.
    Signbit = Row { name: "signbit", schema: "aten::signbit(Tensor self) -> Tensor", domain: Domain::Any,
        f: Fns::Predicate { f64: f64::is_sign_negative, i64: |x| x < 0 }, derivative: D::Zero,
        kinks: &[0.0, -0.0, f64::NAN], interval: (-2.0, 2.0) },
    /// The error function.
    Erf = special_row!("erf", libm::erf, D::Is(|x, _, t| t * ((-(x * x)).exp() * FRAC_2_SQRT_PI)), &[0.0], (-2.0, 2.0)),
    /// `1 - erf(x)`, exact for large `x`.
    Erfc = special_row!("erfc", libm::erfc, D::Is(|x, _, t| t * ((-(x * x)).exp() * -FRAC_2_SQRT_PI)), &[0.0, 5.0], (-2.0, 2.0)),
    /// The inverse of the error function; ±inf at ±1.
    Erfinv = special_row!("erfinv", special::erfinv,
        D::Is(|_, y, t| t * ((y * y).exp() / FRAC_2_SQRT_PI)), &[0.0, 1.0, -1.0, 1.5], (-0.9, 0.9)),
    /// `e^(x²) erfc(x)`.
    Erfcx = special_row!("special_erfcx", special::erfcx,
        D::Is(|x, y, t| t * (x * y * 2.0 - FRAC_2_SQRT_PI)), &[0.0, -30.0, 1e10], (-2.0, 2.0)),
    /// The inverse of the normal distribution function; ±inf at 1 and 0.
    Ndtri = special_row!("special_ndtri", special::ndtri,
        D::Is(|_, y, t| t * ((y * y * 0.5).exp() * (2.0 * PI).sqrt())), &[0.0, 0.5, 1.0, 2.0], (0.05, 0.95)),
    /// The logarithm of the normal distribution function.
    LogNdtr = special_row!("special_log_ndtr", special::log_ndtr,
        D::Is(|x, _, t| t * FRAC_2_PI.sqrt() / (x * -FRAC_1_SQRT_2).unary(Unary::Erfcx)), &[0.0, -1.0, -40.0, 40.0], (-3.0, 3.0)),
    /// The logarithm of the absolute value of the gamma function.
    Lgamma = special_row!("lgamma", libm::lgamma,
        D::Is(|x, _, t| t * x.unary(Unary::Digamma)), &[1.0, 2.0, 0.0, -1.0, -0.5], (0.5, 3.0)),
    /// The logarithmic derivative of the gamma function; ∓inf at ±0, NaN at the negative integers.
    Digamma = special_row!("digamma", special::digamma,
        D::Is(|x, _, t| t * x.polygamma(1)), &[0.0, -0.0, -1.0, -0.5], (0.5, 3.0)),
    /// The modified Bessel function of the first kind of order 0.
    I0 = special_row!("i0", special::i0, D::Is(|x, _, t| t * x.unary(Unary::I1)), &[0.0, 800.0], (-3.0, 3.0)),
    /// `e^-|x| I0(x)`; derivative 0 at 0.
    I0e = special_row!("special_i0e", special::i0e,
        D::Is(|x, y, t| t * (x.unary(Unary::I1e) - x.sign() * y)), &[0.0, 800.0], (0.2, 3.0)),
    /// The modified Bessel function of the first kind of order 1.
    I1 = special_row!("special_i1", special::i1,
        D::Is(|x, y, t| t * away_from_zero(x, 0.5, |x| x.unary(Unary::I0) - y / x)), &[0.0, 800.0], (-3.0, 3.0)),
    /// `e^-|x| I1(x)`; derivative ½ at 0.
    I1e = special_row!("special_i1e", special::i1e,
        D::Is(|x, y, t| t * away_from_zero(x, 0.5, |x| x.unary(Unary::I0e) - y * (x.sign() + x.reciprocal()))),
        &[0.0, 800.0], (0.2, 3.0)),
    /// The Bessel function of the first kind of order 0.
    BesselJ0 = special_row!("special_bessel_j0", special::j0, D::Is(|x, _, t| t * -x.unary(Unary::BesselJ1)), &[0.0], (-6.0, 6.0)),
    /// The Bessel function of the first kind of order 1; derivative ½ at 0.
    BesselJ1 = special_row!("special_bessel_j1", special::j1,
        D::Is(|x, y, t| t * away_from_zero(x, 0.5, |x| x.unary(Unary::BesselJ0) - y / x)), &[0.0], (-6.0, 6.0)),
    /// The Bessel function of the second kind of order 0; -inf at 0, NaN below.
    BesselY0 = special_row!("special_bessel_y0", special::y0, D::Is(|x, _, t| t * -x.unary(Unary::BesselY1)), &[0.0, -1.0], (0.5, 6.0)),
    /// The Bessel function of the second kind of order 1; -inf at 0, NaN below.
    BesselY1 = special_row!("special_bessel_y1", special::y1,
        D::Is(|x, y, t| t * away_from_zero(x, f64::INFINITY, |x| x.unary(Unary::BesselY0) - y / x)), &[0.0, -1.0], (0.5, 6.0)),
    /// The modified Bessel function of the first kind of order 0: the same as [`Unary::I0`], under its other name.
    ModifiedBesselI0 = special_row!("special_modified_bessel_i0", special::i0,
        D::Is(|x, _, t| t * x.unary(Unary::ModifiedBesselI1)), &[0.0], (-3.0, 3.0)),
    /// The modified Bessel function of the first kind of order 1: the same as [`Unary::I1`], under its other name.
    ModifiedBesselI1 = special_row!("special_modified_bessel_i1", special::i1,
        D::Is(|x, y, t| t * away_from_zero(x, 0.5, |x| x.unary(Unary::ModifiedBesselI0) - y / x)), &[0.0], (-3.0, 3.0)),
    /// The modified Bessel function of the second kind of order 0; +inf at 0, NaN below.
    ModifiedBesselK0 = special_row!("special_modified_bessel_k0", special::k0,
        D::Is(|x, _, t| t * -x.unary(Unary::ModifiedBesselK1)), &[0.0, -1.0], (0.5, 4.0)),
    /// The modified Bessel function of the second kind of order 1; +inf at 0, NaN below.
    ModifiedBesselK1 = special_row!("special_modified_bessel_k1", special::k1,
        D::Is(|x, y, t| t * (-x.unary(Unary::ModifiedBesselK0) - y / x)), &[0.0, -1.0], (0.5, 4.0)),
    /// `e^x K0(x)`. PyTorch lets no derivative through; here it has the one that its family gives.
    ScaledModifiedBesselK0 = scaled_row!("special_scaled_modified_bessel_k0", special::k0e,
        D::Is(|x, y, t| t * away_from_zero(x, f64::NEG_INFINITY, |x| y - x.unary(Unary::ScaledModifiedBesselK1)))),
    /// `e^x K1(x)`. PyTorch lets no derivative through; here it has the one that its family gives.
    ScaledModifiedBesselK1 = scaled_row!("special_scaled_modified_bessel_k1", special::k1e,
        D::Is(|x, y, t| t * away_from_zero(x, f64::NEG_INFINITY, |x| y - x.unary(Unary::ScaledModifiedBesselK0) - y / x))),
    /// `sin(x) / x`, 1 at 0. PyTorch lets no derivative through; here it has one.
    SphericalBesselJ0 = Row { schema: "aten::special_spherical_bessel_j0(Tensor x) -> Tensor",
        ..special_row!("special_spherical_bessel_j0", special::spherical_j0,
            D::Is(|x, y, t| t * spherical_slope(x, y)), &[0.0, -0.0, 1e-3, 0.03], (-6.0, 6.0)) },
    /// The Airy function of the first kind. No row has its derivative, and PyTorch has none either.
    AiryAi = Row { schema: "aten::special_airy_ai(Tensor x) -> Tensor",
        ..special_row!("special_airy_ai", special::airy_ai, D::Missing, &[0.0], (-5.0, 5.0)) },
}

/// `f(x)`, and `limit` where `x` is 0. There `f` sees 1, so that its poles do not reach the derivatives of this.
fn away_from_zero(x: &Tensor, limit: f64, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let zero = x.eq(0.0);
    let y = f(&x.ones_like().where_(&zero, x));
    y.full_like(limit).where_(&zero, &y)
}

/// `(cos(x) - y) / x` where `y = sin(x) / x`; by its series where that cancels.
fn spherical_slope(x: &Tensor, y: &Tensor) -> Tensor {
    let near = x.abs().lt(0.03);
    let square = x * x;
    let series = x * (&square * (&square * (-1.0 / 840.0) + 1.0 / 30.0) - 1.0 / 3.0);
    let far = (x.cos() - y) / x.ones_like().where_(&near, x);
    series.where_(&near, &far)
}

/// The sign of `x`; 0 for zeros and NaN, as PyTorch has it.
fn sign64(x: f64) -> f64 {
    f64::from(u8::from(x > 0.0)) - f64::from(u8::from(x < 0.0))
}
