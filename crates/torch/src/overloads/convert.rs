//! Change of dtype, copies and identities.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;
use cotangent_core::tensor::Operand;

use super::{Answer, one, parts};
use crate::args::Call;

/// Operators whose result is their operand: there is no memory that could be shared, laid out or moved.
const IDENTITIES: &[&str] = &[
    "_conj",
    "_conj_physical",
    "alias",
    "alias_copy",
    "clone",
    "conj",
    "conj_physical",
    "contiguous",
    "cpu",
    "lift",
    "lift_fresh",
    "lift_fresh_copy",
    "pin_memory",
    "real",
    "resolve_conj",
    "resolve_neg",
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    if overload == "default" && IDENTITIES.contains(&name) {
        return one(c.tensor("self")?);
    }
    match (name, overload) {
        ("_to_copy", "default") | ("to", "dtype" | "dtype_layout" | "device") => {
            let dtype = c.dtype("dtype")?;
            one(match c.operand("self")? {
                Operand::Tensor(x) => x.to(dtype.unwrap_or(x.dtype())),
                // `make_fx` of a derivative writes numbers of the program where PyTorch made tensors of them.
                Operand::Scalar(s) => scalar_tensor(s, dtype.unwrap_or(s.default_dtype())),
            })
        }
        ("to", "other") => one(c.tensor("self")?.type_as(&c.tensor("other")?)),
        ("type_as", "default") => one(c.tensor("self")?.type_as(&c.tensor("other")?)),
        ("copy", "default") => one(copied(&c.tensor("self")?, &c.tensor("src")?)),
        ("fill", "Scalar") => one(c.tensor("self")?.full_like(c.scalar("value")?)),
        ("fill", "Tensor") => one(copied(&c.tensor("self")?, &c.tensor("value")?)),
        ("zero", "default") => one(c.tensor("self")?.zeros_like()),
        (_, "default") => match cast(name) {
            Some(dtype) => one(c.tensor("self")?.to(dtype)),
            None => Ok(None),
        },
        (_, _) => Ok(None),
    }
}

/// The values of `src` in the dtype and shape of `x`.
fn copied(x: &Tensor, src: &Tensor) -> Tensor {
    src.convert(x.dtype()).broadcast_to(x.shape())
}

/// The dtype of ATen's old casting operators.
fn cast(name: &str) -> Option<DType> {
    Some(match name.strip_prefix("_cast_")? {
        "Float" => DType::F32,
        "Double" => DType::F64,
        "Half" => DType::F16,
        "Long" => DType::I64,
        "Int" => DType::I32,
        "Short" => DType::I16,
        "Char" => DType::I8,
        "Byte" => DType::U8,
        _ => return None,
    })
}
