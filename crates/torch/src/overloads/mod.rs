//! ATen's overloads, by name, as functions over cotangent's tensors.
//!
//! One theme a file; each has a function `call` that answers `None` to targets that are not of its theme. What ATen
//! computes is the business of `cotangent_aten`; here arguments are read and overloads told apart.

mod binary;
mod compare;
mod convert;
mod creation;
mod index;
mod matmul;
mod order;
mod pad;
mod piece;
mod reduce;
mod refused;
mod scan;
mod scatter;
mod size;
mod special;
mod split;
mod stats;
mod unary;
mod view;
mod window;

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, Scalar};
use cotangent_core::tensor::{Operand, result_type};

use crate::args::{Call, Value};
use crate::error::TorchError;

/// What a theme answers: `None` for a target that it does not have.
type Answer = Result<Option<Vec<Value>>, TorchError>;

/// The themes, the most frequent first.
const THEMES: &[fn(&Call) -> Answer] = &[
    unary::call,
    binary::call,
    view::call,
    compare::call,
    convert::call,
    reduce::call,
    creation::call,
    matmul::call,
    piece::call,
    split::call,
    index::call,
    scatter::call,
    scan::call,
    order::call,
    stats::call,
    special::call,
    pad::call,
    window::call,
    size::call,
    refused::call,
];

/// Applies the overload that `call` names.
pub(crate) fn call(call: &Call) -> Result<Vec<Value>, TorchError> {
    for theme in THEMES {
        if let Some(outs) = theme(call)? {
            return Ok(outs);
        }
    }
    Err(TorchError::Unsupported { target: call.target.to_owned(), node: call.node.to_owned() })
}

/// Name and overload of an operator of ATen.
fn parts<'a>(c: &Call<'a>) -> Option<(&'a str, &'a str)> {
    c.target.strip_prefix("aten.")?.split_once('.')
}

/// One tensor.
fn one(t: Tensor) -> Answer {
    Ok(Some(vec![Value::Tensor(t)]))
}

/// Two tensors.
fn two((a, b): (Tensor, Tensor)) -> Answer {
    Ok(Some(vec![Value::Tensor(a), Value::Tensor(b)]))
}

/// A list of tensors, as one value.
fn list(v: Vec<Tensor>) -> Answer {
    Ok(Some(vec![Value::Tensors(v)]))
}

/// A number as a tensor of rank 0 in the dtype in which it meets `x`, where it promotes as a number does.
fn beside(s: Scalar, x: &Tensor) -> Tensor {
    let dtype = result_type(&[&Operand::Tensor(x.clone()), &Operand::Scalar(s)]);
    x.full_of(&Aval::new(dtype, ()), s.cast(dtype))
}

/// Two operands of which the first may be a number.
fn both(c: &Call, first: &str, second: &str) -> Result<(Tensor, Operand), TorchError> {
    match (c.operand(first)?, c.operand(second)?) {
        (Operand::Tensor(x), y) => Ok((x, y)),
        (Operand::Scalar(s), Operand::Tensor(y)) => Ok((beside(s, &y), Operand::Tensor(y))),
        (Operand::Scalar(_), Operand::Scalar(_)) => Err(c.wrong(second, "a tensor beside a number")),
    }
}
