//! Elementwise functions.

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Unary, philox_arithmetic};

use crate::compose;
use crate::emit::chlo;
use crate::error::Refusal;
use crate::writer::{Val, Vals, Writer};

/// Special functions that neither dialect has.
const NO_FUNCTION: Refusal = Refusal::Reason("neither StableHLO nor CHLO has this special function");

/// A function of one operand.
pub(crate) fn unary(w: &mut Writer, f: Unary, x: &Val) -> Vals {
    let float = x.dtype().is_float();
    let hlo = |w: &mut Writer, name: &str| Ok(vec![w.elementwise(&format!("stablehlo.{name}"), &[x])]);
    let composed = |w: &mut Writer, f: fn(&Tensor) -> Tensor| w.compose(std::slice::from_ref(x), |x| vec![f(&x[0])]);
    match f {
        Unary::Detach => Ok(vec![x.clone()]),
        Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round if !float => Ok(vec![x.clone()]),
        Unary::Neg => hlo(w, "negate"),
        Unary::Abs if x.dtype() == DType::U8 => Ok(vec![x.clone()]),
        Unary::Abs => hlo(w, "abs"),
        Unary::Sign => composed(w, compose::sign),
        Unary::Floor => hlo(w, "floor"),
        Unary::Ceil => hlo(w, "ceil"),
        Unary::Trunc => composed(w, |x| x.ceil().where_(&x.lt(0i64), x.floor())),
        Unary::Round => hlo(w, "round_nearest_even"),
        Unary::BitwiseNot => hlo(w, "not"),
        Unary::Sqrt => hlo(w, "sqrt"),
        Unary::Rsqrt => hlo(w, "rsqrt"),
        Unary::Reciprocal => composed(w, |x| x.ones_like() / x),
        Unary::Exp => hlo(w, "exponential"),
        Unary::Exp2 => composed(w, |x| x.full_like(2i64).pow(x)),
        Unary::Expm1 => hlo(w, "exponential_minus_one"),
        Unary::Log => hlo(w, "log"),
        Unary::Log1p => hlo(w, "log_plus_one"),
        Unary::Log2 => composed(w, |x| x.log() / std::f64::consts::LN_2),
        Unary::Log10 => composed(w, |x| x.log() / std::f64::consts::LN_10),
        Unary::Sin => hlo(w, "sine"),
        Unary::Cos => hlo(w, "cosine"),
        Unary::Tan => hlo(w, "tan"),
        Unary::Tanh => hlo(w, "tanh"),
        Unary::Sigmoid => hlo(w, "logistic"),
        Unary::Signbit => signbit(w, x),
        Unary::Asin => Ok(vec![chlo(w, "asin", &[x])]),
        Unary::Acos => Ok(vec![chlo(w, "acos", &[x])]),
        Unary::Atan => Ok(vec![chlo(w, "atan", &[x])]),
        Unary::Sinh => Ok(vec![chlo(w, "sinh", &[x])]),
        Unary::Cosh => Ok(vec![chlo(w, "cosh", &[x])]),
        Unary::Asinh => Ok(vec![chlo(w, "asinh", &[x])]),
        Unary::Acosh => Ok(vec![chlo(w, "acosh", &[x])]),
        Unary::Atanh => Ok(vec![chlo(w, "atanh", &[x])]),
        Unary::Erf => Ok(vec![chlo(w, "erf", &[x])]),
        Unary::Erfc => Ok(vec![chlo(w, "erfc", &[x])]),
        Unary::Erfinv => Ok(vec![chlo(w, "erf_inv", &[x])]),
        Unary::Lgamma => Ok(vec![chlo(w, "lgamma", &[x])]),
        Unary::Digamma => Ok(vec![chlo(w, "digamma", &[x])]),
        Unary::I1e => Ok(vec![chlo(w, "bessel_i1e", &[x])]),
        Unary::I1 | Unary::ModifiedBesselI1 => composed(w, |x| x.unary(Unary::I1e) * x.abs().exp()),
        Unary::SphericalBesselJ0 => composed(w, compose::spherical_j0),
        Unary::Erfcx
        | Unary::Ndtri
        | Unary::LogNdtr
        | Unary::I0
        | Unary::I0e
        | Unary::BesselJ0
        | Unary::BesselJ1
        | Unary::BesselY0
        | Unary::BesselY1
        | Unary::ModifiedBesselI0
        | Unary::ModifiedBesselK0
        | Unary::ModifiedBesselK1
        | Unary::ScaledModifiedBesselK0
        | Unary::ScaledModifiedBesselK1
        | Unary::AiryAi => Err(NO_FUNCTION),
    }
}

/// The sign bit: that of a float is that of its bits as an integer.
fn signbit(w: &mut Writer, x: &Val) -> Vals {
    let bits = match x.dtype() {
        DType::F64 => Some(DType::I64),
        DType::F32 => Some(DType::I32),
        DType::BF16 | DType::F16 => Some(DType::I16),
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => None,
    };
    let x = match bits {
        Some(d) => w.typed("stablehlo.bitcast_convert", x, "", &x.aval.with_dtype(d)),
        None => x.clone(),
    };
    let zero = w.full(&x.aval, Scalar::Int(0));
    Ok(vec![w.compare("LT", &x, &zero)])
}

/// A function of two operands of one type.
pub(crate) fn binary(w: &mut Writer, f: Binary, a: &Val, b: &Val) -> Vals {
    let hlo = |w: &mut Writer, name: &str| Ok(vec![w.elementwise(&format!("stablehlo.{name}"), &[a, b])]);
    let compare = |w: &mut Writer, direction: &str| Ok(vec![w.compare(direction, a, b)]);
    let composed = |w: &mut Writer, f: fn(&Tensor, &Tensor) -> Tensor| {
        w.compose(&[a.clone(), b.clone()], |x| vec![f(&x[0], &x[1])])
    };
    let (float, truth) = (a.dtype().is_float(), a.dtype() == DType::Bool);
    match f {
        Binary::Add if truth => hlo(w, "or"),
        Binary::Mul if truth => hlo(w, "and"),
        Binary::Add => hlo(w, "add"),
        Binary::Sub => hlo(w, "subtract"),
        Binary::Mul => hlo(w, "multiply"),
        Binary::Div => hlo(w, "divide"),
        Binary::Fmod => hlo(w, "remainder"),
        Binary::Remainder => composed(w, compose::remainder),
        Binary::Pow => hlo(w, "power"),
        Binary::Atan2 => hlo(w, "atan2"),
        Binary::Maximum => hlo(w, "maximum"),
        Binary::Minimum => hlo(w, "minimum"),
        Binary::DivTrunc if float => composed(w, |a, b| (a / b).trunc()),
        Binary::DivTrunc => hlo(w, "divide"),
        Binary::DivFloor if float => composed(w, compose::div_floor),
        Binary::DivFloor => composed(w, compose::div_floor_int),
        Binary::Nextafter => Ok(vec![chlo(w, "next_after", &[a, b])]),
        Binary::Gcd => Ok(vec![gcd(w, a, b)]),
        Binary::Lcm => composed(w, compose::lcm),
        Binary::BitwiseLeftShift => hlo(w, "shift_left"),
        Binary::BitwiseRightShift if a.dtype() == DType::U8 => hlo(w, "shift_right_logical"),
        Binary::BitwiseRightShift => hlo(w, "shift_right_arithmetic"),
        Binary::Zeta => Ok(vec![chlo(w, "zeta", &[a, b])]),
        Binary::BitwiseAnd => hlo(w, "and"),
        Binary::BitwiseOr => hlo(w, "or"),
        Binary::BitwiseXor => hlo(w, "xor"),
        Binary::Philox => composed(w, philox_arithmetic),
        Binary::Eq => compare(w, "EQ"),
        Binary::Ne => compare(w, "NE"),
        Binary::Lt => compare(w, "LT"),
        Binary::Le => compare(w, "LE"),
        Binary::Gt => compare(w, "GT"),
        Binary::Ge => compare(w, "GE"),
        Binary::Igamma
        | Binary::Igammac
        | Binary::ChebyshevT
        | Binary::ChebyshevU
        | Binary::ChebyshevV
        | Binary::ChebyshevW
        | Binary::ShiftedChebyshevT
        | Binary::ShiftedChebyshevU
        | Binary::ShiftedChebyshevV
        | Binary::ShiftedChebyshevW
        | Binary::HermiteH
        | Binary::HermiteHe
        | Binary::LaguerreL
        | Binary::LegendreP => Err(NO_FUNCTION),
    }
}

/// Euclid's algorithm on all elements at once, until no remainder is left.
fn gcd(w: &mut Writer, a: &Val, b: &Val) -> Val {
    let start: Vec<Val> =
        [a, b].map(|x| if x.dtype() == DType::U8 { x.clone() } else { w.elementwise("stablehlo.abs", &[x]) }).to_vec();
    let [found, _] = w.repeat(
        [start[0].clone(), start[1].clone()],
        |w, [_, b]| {
            let zero = w.full(&b.aval, Scalar::Int(0));
            w.compare("NE", b, &zero)
        },
        |w, [a, b]| {
            let (zero, one) = (w.full(&b.aval, Scalar::Int(0)), w.full(&b.aval, Scalar::Int(1)));
            let done = w.compare("EQ", b, &zero);
            let divisor = w.select(&done, &one, b);
            let rest = w.elementwise("stablehlo.remainder", &[a, &divisor]);
            [w.select(&done, a, b), w.select(&done, &zero, &rest)]
        },
    );
    found
}
