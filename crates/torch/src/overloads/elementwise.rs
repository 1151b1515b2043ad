//! Elementwise functions.

use cotangent_core::ir::Scalar;
use cotangent_core::ops::Unary;
use cotangent_core::tensor::Operand;

use super::{Answer, one};
use crate::args::Call;

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = c.target.strip_prefix("aten.").and_then(|t| t.split_once('.')) else {
        return Ok(None);
    };
    if overload == "default"
        && let Some(op) = Unary::ALL.iter().find(|u| cotangent_core::ops::Primitive::name(*u) == name)
    {
        let x = c.tensor("self")?;
        // Float functions of integers are computed in f32; the others keep their dtype.
        let float_only = !op.domain().has(x.dtype()) && op.domain().has(cotangent_core::ir::DType::F32);
        return one(if float_only {
            x.convert(cotangent_core::tensor::float_of(x.dtype())).unary(*op)
        } else {
            x.unary(*op)
        });
    }
    let other = |name: &str| -> Result<Operand, crate::error::TorchError> {
        match c.opt_scalar(name) {
            Ok(Some(s)) => Ok(Operand::Scalar(s)),
            Ok(None) | Err(_) => c.tensor(name).map(Operand::Tensor),
        }
    };
    match c.target {
        "aten.add.Tensor" | "aten.add.Scalar" | "aten.sub.Tensor" | "aten.sub.Scalar" => {
            let x = c.tensor("self")?;
            let alpha = c.scalar_or("alpha", 1)?;
            let y = match (other("other")?, alpha) {
                (y, Scalar::Int(1)) => y,
                (Operand::Tensor(y), a) => Operand::Tensor(y.mul(a)),
                (Operand::Scalar(Scalar::Int(y)), Scalar::Int(a)) => Operand::Scalar(Scalar::Int(y.wrapping_mul(a))),
                (Operand::Scalar(y), a) => Operand::Scalar(Scalar::Float(y.to_f64() * a.to_f64())),
            };
            one(if name == "add" { x.add(y) } else { x.sub(y) })
        }
        "aten.mul.Tensor" | "aten.mul.Scalar" => one(c.tensor("self")?.mul(other("other")?)),
        _ => Ok(None),
    }
}
