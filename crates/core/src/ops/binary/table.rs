//! The rows: for each function its name, domain, reference, derivative and kinks.

use super::super::special;
use super::float::{
    div_floor32, div_floor64 as div_floor, div_trunc32, div_trunc64 as div_trunc, nextafter32, nextafter64,
    remainder32, remainder64,
};
use super::rules::{atan2_part, extreme_part, gamma_density, pow_base, pow_exponent};
use super::{integer, philox};
use crate::ops::Domain;
use crate::tensor::Tensor;

/// `f(a, b, y, t)`, linear in the tangent `t`.
type Rule = fn(&Tensor, &Tensor, &Tensor, &Tensor) -> Tensor;

/// The part of the derivative that belongs to one operand.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Zero wherever it exists.
    Zero,
    /// This one.
    Is(Rule),
    /// It exists and is unknown here, as in PyTorch: a tangent is rejected with a typed error.
    Missing,
}

/// The derivative and linearity of a row.
#[derive(Clone, Copy)]
pub(crate) enum D {
    /// Zero wherever it exists.
    Zero,
    /// Linear in both operands jointly; the second one enters with this sign.
    Joint(f64),
    /// Linear in each operand while the other is fixed: the product.
    Bilinear,
    /// Linear in the first operand; the part of the second.
    LinearInFirst(Rule),
    /// The parts of both operands.
    Parts(Part, Part),
}

pub(crate) struct Row {
    pub name: &'static str,
    pub schema: &'static str,
    pub domain: Domain,
    pub f: Fns,
    pub derivative: D,
    /// Points beside the usual ones at which the tests look: kinks, ties, poles.
    pub kinks: &'static [(f64, f64)],
    /// An interval inside the domain of both operands for numeric differences.
    pub interval: (f64, f64),
}

/// The function on each kind of number.
#[derive(Clone, Copy)]
pub(crate) enum Fns {
    /// The result has the operands' dtype; integers wrap to it, and `None` is a division by zero; `bool` is 0 and 1.
    Same { f64: fn(f64, f64) -> f64, f32: fn(f32, f32) -> f32, i64: fn(i64, i64) -> Option<i64> },
    /// The result is `bool`.
    Compare { f64: fn(&f64, &f64) -> bool, i64: fn(&i64, &i64) -> bool },
}

macro_rules! binary_ops {
    ($($(#[$m:meta])* $Case:ident = $row:expr),* $(,)?) => {
        /// An elementwise function of two operands, under ATen's name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Binary { $($(#[$m])* $Case),* }

        impl Binary {
            /// All cases.
            pub const ALL: &'static [Binary] = &[$(Binary::$Case),*];

            pub(crate) fn row(self) -> Row {
                match self { $(Binary::$Case => $row),* }
            }
        }
    };
}

macro_rules! row {
    ($name:literal, $overload:literal, $domain:expr, $f64:expr, $f32:expr, $i64:expr, $d:expr, $kinks:expr, $interval:expr) => {
        Row {
            name: $name,
            schema: concat!("aten::", $name, $overload, "(Tensor self, Tensor other) -> Tensor"),
            domain: $domain,
            f: Fns::Same { f64: $f64, f32: $f32, i64: $i64 },
            derivative: $d,
            kinks: $kinks,
            interval: $interval,
        }
    };
}

/// A row of a quotient that is rounded; its derivative is 0 wherever it exists.
macro_rules! mode_row {
    ($f64:expr, $f32:expr, $i64:expr, $kinks:expr) => {
        Row {
            name: "div",
            schema: "aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor",
            domain: Domain::Number,
            f: Fns::Same { f64: $f64, f32: $f32, i64: $i64 },
            derivative: D::Zero,
            kinks: $kinks,
            interval: (0.4, 2.0),
        }
    };
}

/// A row on integers alone.
macro_rules! int_row {
    ($name:literal, $schema:literal, $i64:expr, $kinks:expr, $interval:expr) => {
        Row {
            name: $name,
            schema: $schema,
            domain: Domain::Int,
            f: Fns::Same { f64: |a, _| a, f32: |a, _| a, i64: $i64 },
            derivative: D::Zero,
            kinks: $kinks,
            interval: $interval,
        }
    };
}

/// A row of a special function on `f64`, which is also that of `f32`.
macro_rules! special_row {
    ($name:literal, $overload:literal, $f64:expr, $d:expr, $kinks:expr, $interval:expr) => {
        row!(
            $name,
            $overload,
            Domain::Float,
            $f64,
            |a, b| $f64(f64::from(a), f64::from(b)) as f32,
            |_, _| None,
            $d,
            $kinks,
            $interval
        )
    };
}

/// A row of an orthogonal polynomial: the point, and the degree. PyTorch has no derivative in either operand.
macro_rules! polynomial_row {
    ($name:literal, $f64:expr, $f32:expr) => {
        Row {
            schema: concat!("aten::", $name, "(Tensor x, Tensor n) -> Tensor"),
            ..row!(
                $name,
                "",
                Domain::Float,
                $f64,
                |x, n| $f32(f64::from(x), f64::from(n)) as f32,
                |_, _| None,
                D::Parts(Part::Missing, Part::Missing),
                &[(0.5, -1.0), (1.0, 3.0), (-1.0, 3.0), (0.0, 2.0), (0.25, 9.0), (1.5, 4.9), (f64::NAN, 2.0)],
                (0.1, 4.0)
            )
        }
    };
    ($name:literal, $f:expr) => {
        polynomial_row!($name, $f, $f)
    };
}

macro_rules! compare_row {
    ($name:literal, $op:tt) => {
        Row {
            name: $name,
            schema: concat!("aten::", $name, ".Tensor(Tensor self, Tensor other) -> Tensor"),
            domain: Domain::Any,
            f: Fns::Compare { f64: |a, b| a $op b, i64: |a, b| a $op b },
            derivative: D::Zero,
            kinks: &[(0.0, 0.0), (f64::NAN, 1.0)],
            interval: (-2.0, 2.0),
        }
    };
}

binary_ops! {
    /// The sum; `or` on `bool`.
    Add = Row { name: "add", schema: "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        domain: Domain::Any, f: Fns::Same { f64: |a, b| a + b, f32: |a, b| a + b, i64: |a, b| Some(a.wrapping_add(b)) },
        derivative: D::Joint(1.0), kinks: &[(0.0, -0.0)], interval: (-2.0, 2.0) },
    /// The difference.
    Sub = Row { name: "sub", schema: "aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        domain: Domain::Number, f: Fns::Same { f64: |a, b| a - b, f32: |a, b| a - b, i64: |a, b| Some(a.wrapping_sub(b)) },
        derivative: D::Joint(-1.0), kinks: &[(0.0, 0.0)], interval: (-2.0, 2.0) },
    /// The product; `and` on `bool`.
    Mul = row!("mul", ".Tensor", Domain::Any, |a, b| a * b, |a, b| a * b, |a, b| Some(a.wrapping_mul(b)),
        D::Bilinear, &[(0.0, 0.0)], (-2.0, 2.0)),
    /// The quotient of floats.
    Div = row!("div", ".Tensor", Domain::Float, |a, b| a / b, |a, b| a / b, |_, _| None,
        D::LinearInFirst(|_, b, y, t| -(t * (y / b))), &[(0.0, 0.0), (1.0, 0.0)], (0.4, 2.0)),
    /// The remainder with the dividend's sign; integers by zero are errors.
    Fmod = row!("fmod", ".Tensor", Domain::Number, |a, b| a % b, |a, b| a % b,
        |a, b| if b == 0 { None } else { Some(a.wrapping_rem(b)) },
        D::LinearInFirst(|a, b, _, t| -(t * a.binary(Binary::DivTrunc, b))), &[(-3.0, 3.0), (1.0, 0.0)], (0.4, 2.0)),
    /// The remainder with the divisor's sign; integers by zero are errors.
    Remainder = row!("remainder", ".Tensor", Domain::Number, remainder64, remainder32,
        |a, b| if b == 0 { None } else { Some(integer::remainder(a, b)) },
        D::LinearInFirst(|a, b, _, t| -(t * a.binary(Binary::DivFloor, b))), &[(-3.0, 3.0), (1.0, 0.0), (-1.0, f64::INFINITY)], (0.4, 2.0)),
    /// The power. 0⁰ is 1; see the spec for the derivatives at base 0.
    Pow = Row { name: "pow", schema: "aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
        domain: Domain::Number, f: Fns::Same { f64: f64::powf, f32: f32::powf, i64: integer::pow },
        derivative: D::Parts(Part::Is(pow_base), Part::Is(pow_exponent)),
        kinks: &[(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (0.0, -1.0), (-2.0, 2.0), (-2.0, 0.5)], interval: (0.4, 2.0) },
    /// The angle of `(other, self)`; derivative 0 at the origin.
    Atan2 = Row { name: "atan2", schema: "aten::atan2(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Float, f: Fns::Same { f64: f64::atan2, f32: f32::atan2, i64: |_, _| None },
        derivative: D::Parts(
            Part::Is(|a, b, _, t| t * atan2_part(b, a, b)),
            Part::Is(|a, b, _, t| t * -atan2_part(a, a, b))),
        kinks: &[(0.0, 0.0), (0.0, -0.0), (-0.0, -0.0), (0.0, -1.0)], interval: (0.4, 2.0) },
    /// The larger; NaN if either is. A tie shares the derivative; with NaN both get it.
    Maximum = Row { name: "maximum", schema: "aten::maximum(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Any, f: Fns::Same { f64: |a, b| if a.is_nan() || a >= b { a } else { b }, f32: |a, b| if a.is_nan() || a >= b { a } else { b }, i64: |a, b| Some(a.max(b)) },
        derivative: D::Parts(
            Part::Is(|a, b, _, t| extreme_part(t, &a.eq(b), &a.lt(b))),
            Part::Is(|a, b, _, t| extreme_part(t, &a.eq(b), &a.gt(b)))),
        kinks: &[(1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)], interval: (-2.0, 2.0) },
    /// The smaller; NaN if either is. A tie shares the derivative; with NaN both get it.
    Minimum = Row { name: "minimum", schema: "aten::minimum(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Any, f: Fns::Same { f64: |a, b| if a.is_nan() || a <= b { a } else { b }, f32: |a, b| if a.is_nan() || a <= b { a } else { b }, i64: |a, b| Some(a.min(b)) },
        derivative: D::Parts(
            Part::Is(|a, b, _, t| extreme_part(t, &a.eq(b), &a.gt(b))),
            Part::Is(|a, b, _, t| extreme_part(t, &a.eq(b), &a.lt(b)))),
        kinks: &[(1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)], interval: (-2.0, 2.0) },
    /// The quotient rounded towards zero; integers by zero are errors.
    DivTrunc = mode_row!(div_trunc, div_trunc32, integer::div_trunc, &[(1.0, 0.0), (-1.0, 2.0)]),
    /// The quotient rounded down, as Python's `//`; integers by zero are errors.
    DivFloor = mode_row!(div_floor, div_floor32, integer::div_floor, &[(1.0, 0.0), (-1.0, 2.0), (1.0, 0.1)]),
    /// The neighbour of `self` towards `other`, in the operands' own dtype. The derivative is
    /// that of `self`, and 0 where both are equal.
    Nextafter = Row { name: "nextafter", schema: "aten::nextafter(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Float, f: Fns::Same { f64: nextafter64, f32: nextafter32, i64: |_, _| None },
        derivative: D::Parts(Part::Is(|a, b, _, t| t.zeros_like().where_(&a.eq(b), t)), Part::Zero),
        kinks: &[(0.0, 1.0), (-0.0, -1.0), (1.0, 1.0), (f64::NAN, 1.0)], interval: (-2.0, 2.0) },
    /// The greatest common divisor, not negative; 0 for two zeros.
    Gcd = int_row!("gcd", "aten::gcd(Tensor self, Tensor other) -> Tensor", |a, b| Some(integer::gcd(a, b)), &[(0.0, 0.0), (-4.0, 6.0)], (0.0, 99.0)),
    /// The least common multiple, not negative; 0 if an operand is.
    Lcm = int_row!("lcm", "aten::lcm(Tensor self, Tensor other) -> Tensor", |a, b| Some(integer::lcm(a, b)), &[(0.0, 0.0), (-4.0, 6.0)], (0.0, 99.0)),
    /// Bits moved up; 0 if the distance is negative or not below the width.
    BitwiseLeftShift = int_row!("bitwise_left_shift", "aten::bitwise_left_shift.Tensor(Tensor self, Tensor other) -> Tensor",
        |a, b| Some(integer::left_shift(a, b)), &[(1.0, 64.0), (1.0, -1.0)], (0.0, 9.0)),
    /// Bits moved down, filled with the sign; a negative distance is like one beyond the width.
    BitwiseRightShift = int_row!("bitwise_right_shift", "aten::bitwise_right_shift.Tensor(Tensor self, Tensor other) -> Tensor",
        |a, b| Some(integer::right_shift(a, b)), &[(-8.0, 64.0), (-8.0, -1.0)], (0.0, 9.0)),
    /// The regularized lower incomplete gamma function. No derivative in `self`: PyTorch has none either.
    Igamma = special_row!("igamma", "", special::igamma,
        D::Parts(Part::Missing, Part::Is(|a, b, _, t| t * gamma_density(a, b))), &[(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (-1.0, 1.0)], (0.5, 4.0)),
    /// The regularized upper incomplete gamma function. No derivative in `self`: PyTorch has none either.
    Igammac = special_row!("igammac", "", special::igammac,
        D::Parts(Part::Missing, Part::Is(|a, b, _, t| t * -gamma_density(a, b))), &[(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (-1.0, 1.0)], (0.5, 4.0)),
    /// Hurwitz's zeta function. No derivative in `self`: PyTorch has none either.
    Zeta = special_row!("special_zeta", "", special::zeta,
        D::Parts(Part::Missing, Part::Is(|a, b, _, t| t * -(a * (a + 1.0).binary(Binary::Zeta, b)))), &[(1.0, 2.0), (2.0, 0.0), (2.0, -0.5), (2.5, -0.5), (0.5, 1.0)], (1.5, 4.0)),
    /// Chebyshev's polynomial of the first kind and degree `other`.
    ChebyshevT = polynomial_row!("special_chebyshev_polynomial_t", special::chebyshev_t),
    /// Chebyshev's polynomial of the second kind.
    ChebyshevU = polynomial_row!("special_chebyshev_polynomial_u", special::chebyshev_u),
    /// Chebyshev's polynomial of the third kind.
    ChebyshevV = polynomial_row!("special_chebyshev_polynomial_v", special::chebyshev_v),
    /// Chebyshev's polynomial of the fourth kind.
    ChebyshevW = polynomial_row!("special_chebyshev_polynomial_w", special::chebyshev_w),
    /// Chebyshev's polynomial of the first kind on [0, 1].
    ShiftedChebyshevT = polynomial_row!("special_shifted_chebyshev_polynomial_t", special::shifted_chebyshev_t),
    /// Chebyshev's polynomial of the second kind on [0, 1].
    ShiftedChebyshevU = polynomial_row!("special_shifted_chebyshev_polynomial_u", special::shifted_chebyshev_u),
    /// Chebyshev's polynomial of the third kind on [0, 1].
    ShiftedChebyshevV = polynomial_row!("special_shifted_chebyshev_polynomial_v", special::shifted_chebyshev_v),
    /// Chebyshev's polynomial of the fourth kind on [0, 1].
    ShiftedChebyshevW = polynomial_row!("special_shifted_chebyshev_polynomial_w", special::shifted_chebyshev_w),
    /// Hermite's polynomial of physicists; NaN beyond degree 512 (128 in `f32` and halves).
    HermiteH = polynomial_row!("special_hermite_polynomial_h",
        |x, n| special::hermite_h(x, n, special::HERMITE_LIMITS.0), |x, n| special::hermite_h(x, n, special::HERMITE_LIMITS.1)),
    /// Hermite's polynomial of probabilists; NaN beyond degree 512 (128 in `f32` and halves).
    HermiteHe = polynomial_row!("special_hermite_polynomial_he",
        |x, n| special::hermite_he(x, n, special::HERMITE_LIMITS.0), |x, n| special::hermite_he(x, n, special::HERMITE_LIMITS.1)),
    /// Laguerre's polynomial.
    LaguerreL = polynomial_row!("special_laguerre_polynomial_l", special::laguerre_l),
    /// Legendre's polynomial.
    LegendreP = polynomial_row!("special_legendre_polynomial_p", special::legendre_p),
    /// Bitwise and; logical on `bool`.
    BitwiseAnd = row!("bitwise_and", ".Tensor", Domain::Bits, |a, _| a, |a, _| a, |a, b| Some(a & b), D::Zero, &[(1.0, 1.0)], (0.0, 9.0)),
    /// Bitwise or; logical on `bool`.
    BitwiseOr = row!("bitwise_or", ".Tensor", Domain::Bits, |a, _| a, |a, _| a, |a, b| Some(a | b), D::Zero, &[(1.0, 1.0)], (0.0, 9.0)),
    /// Bitwise exclusive or; logical on `bool`.
    BitwiseXor = row!("bitwise_xor", ".Tensor", Domain::Bits, |a, _| a, |a, _| a, |a, b| Some(a ^ b), D::Zero, &[(1.0, 1.0)], (0.0, 9.0)),
    /// 64 random bits for a key and a counter: Philox4x32-10.
    Philox = Row { name: "philox", schema: "cotangent::philox(Tensor self, Tensor other) -> Tensor", domain: Domain::I64,
        f: Fns::Same { f64: |a, _| a, f32: |a, _| a, i64: |key, counter| Some(philox::philox(key, counter)) },
        derivative: D::Zero, kinks: &[(-1.0, -1.0)], interval: (0.0, 99.0) },
    /// Equality; NaN equals nothing.
    Eq = compare_row!("eq", ==),
    /// Inequality.
    Ne = compare_row!("ne", !=),
    /// Less.
    Lt = compare_row!("lt", <),
    /// Less or equal.
    Le = compare_row!("le", <=),
    /// Greater.
    Gt = compare_row!("gt", >),
    /// Greater or equal.
    Ge = compare_row!("ge", >=),
}
