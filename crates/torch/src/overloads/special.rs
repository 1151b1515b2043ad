//! Special functions beyond those of one operand.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ops::{Binary, Primitive};
use cotangent_core::tensor::{Operand, broadcast_shapes, float_of, result_type};

use super::{Answer, beside, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    match (name, overload) {
        ("polygamma" | "special_polygamma", "default") => one(c.tensor("self")?.polygamma(c.int("n")?)),
        ("mvlgamma" | "special_multigammaln", "default") => {
            let x = c.tensor("self")?;
            one(x.convert(float_of(x.dtype())).mvlgamma(c.size("p")?))
        }
        (_, "default" | "x_scalar" | "n_scalar") if name.contains("_polynomial_") => {
            let Some(op) = Binary::ALL.iter().find(|b| b.name() == name) else { return Ok(None) };
            one(polynomial(c, *op)?)
        }
        (_, _) => Ok(None),
    }
}

/// An orthogonal polynomial of the degree `n` at `x`, of which one may be a number.
fn polynomial(c: &Call, op: Binary) -> Read<Tensor> {
    let (x, n) = match (c.operand("x")?, c.operand("n")?) {
        (Operand::Tensor(x), Operand::Tensor(n)) => (x, n),
        (Operand::Tensor(x), Operand::Scalar(n)) => (x.clone(), beside(n, &x)),
        (Operand::Scalar(x), Operand::Tensor(n)) => (beside(x, &n), n),
        (Operand::Scalar(_), Operand::Scalar(_)) => return Err(c.wrong("n", "a tensor beside a number")),
    };
    let dtype = float_of(result_type(&[&Operand::Tensor(x.clone()), &Operand::Tensor(n.clone())]));
    let shape = broadcast_shapes(x.shape(), n.shape()).ok_or_else(|| c.wrong("n", "a shape that broadcasts"))?;
    Ok(x.convert(dtype).expand_to(&shape).binary(op, &n.convert(dtype).expand_to(&shape)))
}
