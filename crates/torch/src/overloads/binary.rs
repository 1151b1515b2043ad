//! Elementwise arithmetic of several operands.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::tensor::Operand;

use super::{Answer, both, one, parts};
use crate::args::{Call, Read};

/// Names of ATen that mean the same as another one.
const ALIASES: &[(&str, &str)] = &[
    ("__and__", "bitwise_and"),
    ("__or__", "bitwise_or"),
    ("__xor__", "bitwise_xor"),
    ("__lshift__", "bitwise_left_shift"),
    ("__rshift__", "bitwise_right_shift"),
    ("arctan2", "atan2"),
    ("divide", "div"),
    ("multiply", "mul"),
    ("special_gammainc", "igamma"),
    ("special_gammaincc", "igammac"),
    ("special_xlogy", "xlogy"),
    ("subtract", "sub"),
    ("true_divide", "div"),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let f: fn(&Tensor, Operand) -> Tensor = match name {
        "add" | "sub" => return sum(c, name == "add"),
        "rsub" => {
            let x = c.tensor("self")?;
            let y = scaled_operand(c.operand("other")?, c.scalar_or("alpha", 1)?, &x);
            return one(y.0.sub(&y.1));
        }
        "div" => return quotient(c, "rounding_mode"),
        "pow" => return power(c, |x, e| x.pow(e)),
        "float_power" => return power(c, |x, e| x.float_power(wide(e))),
        "addcmul" | "addcdiv" => return fused(c, name == "addcmul"),
        "lerp" => {
            let (x, end) = (c.tensor("self")?, c.tensor("end")?);
            return one(x.lerp(&end, c.operand("weight")?));
        }
        "max" | "min" if overload == "other" => {
            let (x, y) = both(c, "self", "other")?;
            return one(if name == "max" { x.maximum(y) } else { x.minimum(y) });
        }
        "heaviside" => return one(c.tensor("self")?.heaviside(c.operand("values")?)),
        "mul" => |x, y| x.mul(y),
        "fmod" => |x, y| x.fmod(y),
        "remainder" => |x, y| x.remainder(y),
        "floor_divide" => |x, y| x.floor_divide(y),
        "atan2" => |x, y| x.atan2(y),
        "maximum" => |x, y| x.maximum(y),
        "minimum" => |x, y| x.minimum(y),
        "fmax" => |x, y| x.fmax(y),
        "fmin" => |x, y| x.fmin(y),
        "hypot" => |x, y| x.hypot(y),
        "copysign" => |x, y| x.copysign(y),
        "nextafter" => |x, y| x.nextafter(y),
        "gcd" => |x, y| x.gcd(y),
        "lcm" => |x, y| x.lcm(y),
        "ldexp" => |x, y| x.ldexp(y),
        "logaddexp" => |x, y| x.logaddexp(y),
        "logaddexp2" => |x, y| x.logaddexp2(y),
        "xlogy" => |x, y| x.xlogy(y),
        "special_xlog1py" => |x, y| x.xlog1py(y),
        "special_zeta" => |x, y| x.zeta(y),
        "igamma" => |x, y| x.igamma(y),
        "igammac" => |x, y| x.igammac(y),
        "bitwise_and" => |x, y| x.bitwise_and(y),
        "bitwise_or" => |x, y| x.bitwise_or(y),
        "bitwise_xor" => |x, y| x.bitwise_xor(y),
        "bitwise_left_shift" => |x, y| x.bitwise_left_shift(y),
        "bitwise_right_shift" => |x, y| x.bitwise_right_shift(y),
        _ => return Ok(None),
    };
    let (x, y) = both(c, "self", "other")?;
    one(f(&x, y))
}

/// `x ± alpha · y`.
fn sum(c: &Call, plus: bool) -> Answer {
    let (x, y) = both(c, "self", "other")?;
    let alpha = c.scalar_or("alpha", 1)?;
    let y = match (y, alpha) {
        (y, Scalar::Int(1)) => y,
        (y, Scalar::Float(1.0)) => y,
        (Operand::Tensor(y), a) => Operand::Tensor(y.mul(a)),
        (Operand::Scalar(y), a) => Operand::Scalar(product(y, a)),
    };
    one(if plus { x.add(y) } else { x.sub(y) })
}

/// `y` and `alpha · x`, for `rsub`.
fn scaled_operand(y: Operand, alpha: Scalar, x: &Tensor) -> (Tensor, Tensor) {
    let x = if alpha.to_f64() == 1.0 { x.clone() } else { x.mul(alpha) };
    match y {
        Operand::Tensor(y) => (y, x),
        Operand::Scalar(s) => (super::beside(s, &x), x),
    }
}

fn product(a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Float(_), _) | (_, Scalar::Float(_)) => Scalar::Float(a.to_f64() * b.to_f64()),
        (_, _) => Scalar::Int(a.to_i64().wrapping_mul(b.to_i64())),
    }
}

/// `div`, rounded or not.
fn quotient(c: &Call, mode: &str) -> Answer {
    let (x, y) = both(c, "self", "other")?;
    one(match c.str_or(mode, "")? {
        "" => x.div(y),
        "floor" => x.div_rounded(y, Rounding::Floor),
        "trunc" => x.div_rounded(y, Rounding::Trunc),
        _ => return Err(c.wrong(mode, "\"floor\", \"trunc\" or nothing")),
    })
}

fn power(c: &Call, f: fn(&Tensor, Operand) -> Tensor) -> Answer {
    let (x, e) = both(c, "self", "exponent")?;
    one(f(&x, e))
}

/// An exponent in `f64`.
fn wide(e: Operand) -> Operand {
    match e {
        Operand::Tensor(t) => Operand::Tensor(t.convert(DType::F64)),
        Operand::Scalar(s) => Operand::Scalar(Scalar::Float(s.to_f64())),
    }
}

fn fused(c: &Call, product: bool) -> Answer {
    let (x, a, b) = (c.tensor("self")?, c.tensor("tensor1")?, c.tensor("tensor2")?);
    let value: Read<Scalar> = c.scalar_or("value", 1);
    one(if product { x.addcmul(&a, &b, value?) } else { x.addcdiv(&a, &b, value?) })
}
