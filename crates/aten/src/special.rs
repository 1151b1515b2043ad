//! Rounded quotients, functions of integers, and special functions.

use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::DType;
use cotangent_core::ops::{Binary, Unary};
use cotangent_core::tensor::{IntoOperand, float_of, reject};

use crate::arg::{AsTensor, At, at, attempt};
use crate::call::by_result;
use crate::log_factor::{LogFactor, times_log};
use crate::pointwise::{meeting, pair};
use crate::schema;

/// How a quotient is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounding {
    /// Down, as Python's `//`.
    Floor,
    /// Towards zero.
    Trunc,
}

macro_rules! special_functions {
    ($($(#[$m:meta])* $name:ident = $Op:ident),* $(,)?) => { $(
        $(#[$m])*
        #[track_caller]
        fn $name(&self) -> Tensor {
            let x = self.tensor();
            x.convert(float_of(x.dtype())).unary(Unary::$Op)
        }
    )* };
}

macro_rules! functions_of_two {
    ($($(#[$m:meta])* $name:ident = $Op:ident, $label:literal, $to:expr),* $(,)?) => { $(
        $(#[$m])*
        #[track_caller]
        fn $name(&self, other: impl IntoOperand) -> Tensor {
            attempt!(binary(at!($label, 1), at!($label, 2), self.tensor(), other, Binary::$Op, $to))
        }
    )* };
}

/// Rounded quotients, functions of integers and special functions under PyTorch's names.
///
/// *Errors*: `gcd_c1`, `lcm_c1`, `bitwise_left_shift_c1`, `bitwise_right_shift_c1`, `nextafter_c1`, `igamma_c1`,
/// `igammac_c1`, `zeta_c1`, `ldexp_c1`, `xlog1py_c1` shapes that do not broadcast; `gcd_c2`, `lcm_c2`,
/// `bitwise_left_shift_c2`, `bitwise_right_shift_c2`, `nextafter_c2`, `igamma_c2`, `igammac_c2`, `zeta_c2` a dtype
/// that the function does not take.
pub trait Specials: AsTensor {
    /// The quotient rounded down, as Python's `//`; integers by zero are errors when evaluated. Derivative 0.
    ///
    /// *Errors*: `floor_divide_c1` shapes that do not broadcast; `floor_divide_c2` operands of `bool`.
    #[track_caller]
    fn floor_divide(&self, other: impl IntoOperand) -> Tensor {
        let (first, second) = (at!("floor_divide", 1), at!("floor_divide", 2));
        attempt!(binary(first, second, self.tensor(), other, Binary::DivFloor, |d| d))
    }

    /// The quotient, rounded; integers stay integers, and those by zero are errors when evaluated. Derivative 0.
    ///
    /// *Errors*: `div_c1` shapes that do not broadcast; `div_c2` operands of `bool`.
    #[track_caller]
    fn div_rounded(&self, other: impl IntoOperand, rounding: Rounding) -> Tensor {
        let op = match rounding {
            Rounding::Floor => Binary::DivFloor,
            Rounding::Trunc => Binary::DivTrunc,
        };
        attempt!(binary(at!("div", 1), at!("div", 2), self.tensor(), other, op, |d| d))
    }

    /// The quotient; integers are divided in `f32`.
    #[track_caller]
    fn true_divide(&self, other: impl IntoOperand) -> Tensor {
        self.tensor().div(other)
    }

    functions_of_two! {
        /// The greatest common divisor, not negative.
        gcd = Gcd, "gcd", |d| d,
        /// The least common multiple, not negative.
        lcm = Lcm, "lcm", |d| d,
        /// Bits moved up; 0 beyond the width.
        bitwise_left_shift = BitwiseLeftShift, "bitwise_left_shift", |d| d,
        /// Bits moved down, filled with the sign.
        bitwise_right_shift = BitwiseRightShift, "bitwise_right_shift", |d| d,
        /// The neighbour of each element towards `other`.
        nextafter = Nextafter, "nextafter", |d| d,
        /// The regularized lower incomplete gamma function.
        igamma = Igamma, "igamma", float_of,
        /// The regularized upper incomplete gamma function.
        igammac = Igammac, "igammac", float_of,
        /// Hurwitz's zeta function.
        zeta = Zeta, "zeta", float_of,
    }

    special_functions! {
        /// The inverse of the error function.
        erfinv = Erfinv,
        /// `exp(x²) erfc(x)`.
        erfcx = Erfcx,
        /// The inverse of [`ndtr`](crate::pointwise::Pointwise::ndtr).
        ndtri = Ndtri,
        /// The logarithm of [`ndtr`](crate::pointwise::Pointwise::ndtr).
        log_ndtr = LogNdtr,
        /// The derivative of [`lgamma`](Tensor::lgamma).
        digamma = Digamma,
        /// The modified Bessel function of the first kind and order 0.
        i0 = I0,
        /// [`i0`](Specials::i0) times `exp(-|x|)`.
        i0e = I0e,
        /// The modified Bessel function of the first kind and order 1.
        i1 = I1,
        /// [`i1`](Specials::i1) times `exp(-|x|)`.
        i1e = I1e,
        /// The Bessel function of the first kind and order 0.
        bessel_j0 = BesselJ0,
        /// The Bessel function of the first kind and order 1.
        bessel_j1 = BesselJ1,
        /// The Bessel function of the second kind and order 0.
        bessel_y0 = BesselY0,
        /// The Bessel function of the second kind and order 1.
        bessel_y1 = BesselY1,
    }

    /// Whether the sign bit is set: of -0.0 too.
    #[track_caller]
    fn signbit(&self) -> Tensor {
        self.tensor().unary(Unary::Signbit)
    }

    /// The sign of each element; that of a complex number is its direction.
    #[track_caller]
    fn sgn(&self) -> Tensor {
        self.tensor().sign()
    }

    /// The absolute value with the sign of `other`, also of its zeros; derivative 0 at 0.
    ///
    /// *Errors*: `copysign_c1` shapes that do not broadcast.
    #[track_caller]
    fn copysign(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("copysign", 1), self.tensor(), other));
        let value = |a: &[Tensor]| {
            let d = float_of(meeting(&a[0], &a[1]));
            let size = a[0].convert(d).abs();
            [(-&size).where_(&a[1].convert(d).unary(Unary::Signbit), &size)]
        };
        let [z] = by_result(schema::COPYSIGN_TENSOR, &[], &[&x, &y], value, |a, z, t| {
            let x = a[0].convert(z[0].dtype());
            let ratio = &z[0] / &x;
            vec![t[0].convert(z[0].dtype()) * ratio.zeros_like().where_(&x.eq(0.0), ratio)]
        });
        z
    }

    /// `x · 2^other`.
    #[track_caller]
    fn ldexp(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("ldexp", 1), self.tensor(), other));
        let d = float_of(meeting(&x, &y));
        x.convert(d) * y.convert(d).exp2()
    }

    /// `x log(1 + y)`, and 0 where `x` is 0 and `y` is no NaN.
    ///
    /// *Derivative*: `log(1 + y)` in `x`, but 0 where `x` is 0 and `y` is at most -1; `x / (1 + y)` in `y`, which is NaN at (0, -1).
    #[track_caller]
    fn xlog1py(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("xlog1py", 1), self.tensor(), other));
        times_log(schema::SPECIAL_XLOG1PY, &x, &y, LogFactor { log: Tensor::log1p, pole: -1.0, from_pole: |y| y + 1.0 })
    }
}

impl Specials for Tensor {}

/// A binary primitive in the dtype in which the operands meet.
#[track_caller]
fn binary(
    shapes: At,
    dtypes: At,
    x: &Tensor,
    other: impl IntoOperand,
    op: Binary,
    to: fn(DType) -> DType,
) -> Result<Tensor, Tensor> {
    let (x, y) = pair(shapes, x, other)?;
    let d = to(meeting(&x, &y));
    if !op.domain().has(d) {
        let e = InferError::Mismatch {
            label: dtypes.label,
            expected: op.domain().words().to_owned(),
            lhs: x.aval(),
            rhs: y.aval(),
        };
        return Err(reject(dtypes.op, &[&x, &y], e, None));
    }
    let shape = cotangent_core::tensor::broadcast_shapes(x.shape(), y.shape()).expect("checked by `pair`");
    let wide = |t: &Tensor| t.convert(d).expand_to(&shape);
    Ok(wide(&x).binary(op, &wide(&y)))
}
