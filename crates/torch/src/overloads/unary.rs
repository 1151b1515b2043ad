//! Elementwise functions of one operand.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;
use cotangent_core::ops::{Primitive, Unary};
use cotangent_core::tensor::float_of;

use super::{Answer, one, parts, two};
use crate::args::Call;

/// Names of ATen that mean the same as another one.
const ALIASES: &[(&str, &str)] = &[
    ("absolute", "abs"),
    ("arccos", "acos"),
    ("arccosh", "acosh"),
    ("arcsin", "asin"),
    ("arcsinh", "asinh"),
    ("arctan", "atan"),
    ("arctanh", "atanh"),
    ("fix", "trunc"),
    ("negative", "neg"),
    ("sgn", "sign"),
    ("special_digamma", "digamma"),
    ("special_erf", "erf"),
    ("special_erfc", "erfc"),
    ("special_erfinv", "erfinv"),
    ("special_exp2", "exp2"),
    ("special_expit", "sigmoid"),
    ("special_expm1", "expm1"),
    ("special_gammaln", "lgamma"),
    ("special_i0", "i0"),
    ("special_log1p", "log1p"),
    ("special_logit", "logit"),
    ("special_psi", "digamma"),
    ("special_round", "round"),
    ("special_sinc", "sinc"),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    match (name, overload) {
        ("round", "decimals") => {
            let decimals = c.int_or("decimals", 0)?;
            let decimals = i32::try_from(decimals).map_err(|_| c.wrong("decimals", "a number of digits"))?;
            return one(c.tensor("self")?.round_decimals(decimals));
        }
        ("frexp", "Tensor") => return two(c.tensor("self")?.frexp()),
        // `detach` is an operation of the graph; its copies are the same here.
        ("detach_copy", "default") => return one(c.tensor("self")?.detach()),
        (_, "default") => {}
        (_, _) => return Ok(None),
    }
    if let Some(op) = Unary::ALL.iter().find(|u| u.name() == name) {
        let x = c.tensor(if c.get("self").is_some() { "self" } else { "x" })?;
        return one(applied(&x, *op));
    }
    let f: fn(&Tensor) -> Tensor = match name {
        "angle" => |x| x.angle(),
        "deg2rad" => |x| floating(x).deg2rad(),
        "frac" => |x| x.frac(),
        "logit" => {
            let (x, eps) = (c.tensor("self")?, c.opt_float("eps")?);
            return one(x.logit(eps));
        }
        "nan_to_num" => {
            let (x, nan) = (c.tensor("self")?, c.float_or("nan", 0.0)?);
            return one(x.nan_to_num(nan, c.opt_float("posinf")?, c.opt_float("neginf")?));
        }
        "positive" => |x| x.positive(),
        "rad2deg" => |x| floating(x).rad2deg(),
        "sinc" => |x| x.sinc(),
        "square" => |x| x.square(),
        "special_entr" => |x| floating(x).entr(),
        "special_ndtr" => |x| floating(x).ndtr(),
        _ => return Ok(None),
    };
    one(f(&c.tensor("self")?))
}

/// Float functions of integers are computed in `f32`; the others keep their dtype.
fn applied(x: &Tensor, op: Unary) -> Tensor {
    match x.dtype() {
        // The absolute value of a truth value is itself, though it is no number.
        DType::Bool if op == Unary::Abs => x.clone(),
        d if !op.domain().has(d) && op.domain().has(DType::F32) && !op.domain().has(DType::I64) => {
            x.convert(float_of(d)).unary(op)
        }
        _ => x.unary(op),
    }
}

/// The operand in floats.
pub(super) fn floating(x: &Tensor) -> Tensor {
    x.convert(float_of(x.dtype()))
}
