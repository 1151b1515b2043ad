//! Comparisons, logic, tests of elements, selection and clamping.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;
use cotangent_core::tensor::Operand;

use super::{Answer, both, one, parts};
use crate::args::Call;

/// Names of ATen that mean the same as another one.
const ALIASES: &[(&str, &str)] = &[
    ("clip", "clamp"),
    ("greater", "gt"),
    ("greater_equal", "ge"),
    ("less", "lt"),
    ("less_equal", "le"),
    ("not_equal", "ne"),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let test: Option<fn(&Tensor) -> Tensor> = match name {
        "isnan" => Some(|x| x.isnan()),
        "isinf" => Some(|x| x.isinf()),
        "isposinf" => Some(|x| x.isposinf()),
        "isneginf" => Some(|x| x.isneginf()),
        "isfinite" => Some(|x| x.isfinite()),
        "isreal" => Some(|x| x.full_of(&cotangent_core::ir::Aval::new(DType::Bool, x.shape()), true)),
        "logical_not" => Some(|x| x.logical_not()),
        _ => None,
    };
    if let Some(f) = test {
        return one(f(&c.tensor("self")?));
    }
    let f: fn(&Tensor, Operand) -> Tensor = match name {
        "eq" => |x, y| x.eq(y),
        "ne" => |x, y| x.ne(y),
        "lt" => |x, y| x.lt(y),
        "le" => |x, y| x.le(y),
        "gt" => |x, y| x.gt(y),
        "ge" => |x, y| x.ge(y),
        "logical_and" | "logical_or" | "logical_xor" => {
            let (x, y) = (c.tensor("self")?, c.tensor("other")?);
            return one(match name {
                "logical_and" => x.logical_and(&y),
                "logical_or" => x.logical_or(&y),
                _ => x.logical_xor(&y),
            });
        }
        "isclose" => return isclose(c),
        "where" if overload != "default" => return choice(c),
        "clamp" => return clamp(c),
        "clamp_min" => return one(c.tensor("self")?.clamp_min(c.operand("min")?)),
        "clamp_max" => return one(c.tensor("self")?.clamp_max(c.operand("max")?)),
        "masked_fill" => {
            let (x, mask) = (c.tensor("self")?, c.tensor("mask")?);
            return one(x.masked_fill(&mask, c.operand("value")?));
        }
        "isin" => return isin(c, overload),
        _ => return Ok(None),
    };
    let (x, y) = both(c, "self", "other")?;
    one(f(&x, y))
}

fn isclose(c: &Call) -> Answer {
    let (x, y) = (c.tensor("self")?, c.tensor("other")?);
    let (rtol, atol) = (c.float_or("rtol", 1e-5)?, c.float_or("atol", 1e-8)?);
    let close = x.isclose(&y, rtol, atol);
    one(if c.bool_or("equal_nan", false)? { close.logical_or(&x.isnan().logical_and(&y.isnan())) } else { close })
}

fn choice(c: &Call) -> Answer {
    let condition = c.tensor("condition")?.convert(DType::Bool);
    let (x, y) = both(c, "self", "other")?;
    one(x.where_(&condition, y))
}

fn clamp(c: &Call) -> Answer {
    let x = c.tensor("self")?;
    one(match (c.opt_operand("min")?, c.opt_operand("max")?) {
        (Some(a), Some(b)) => x.clamp(a, b),
        (Some(a), None) => x.clamp_min(a),
        (None, Some(b)) => x.clamp_max(b),
        (None, None) => return Err(c.wrong("min", "at least one bound")),
    })
}

/// Whether each element is among those of another tensor: a table of all pairs.
fn isin(c: &Call, overload: &str) -> Answer {
    let (x, among) = match overload {
        "Scalar_Tensor" => both(c, "element", "test_elements")?,
        "Tensor_Scalar" => both(c, "elements", "test_element")?,
        _ => both(c, "elements", "test_elements")?,
    };
    let found = match among {
        Operand::Scalar(s) => x.eq(s),
        Operand::Tensor(t) => x.unsqueeze(-1).eq(t.view_to(&[t.numel()].into())).any(-1),
    };
    one(if c.bool_or("invert", false)? { found.logical_not() } else { found })
}
