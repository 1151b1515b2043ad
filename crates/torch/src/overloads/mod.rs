//! ATen's overloads, by name, as functions over cotangent's tensors.
//!
//! One theme a file; each has a function `call` that answers `None` to targets that are not of its theme.

mod activation;
mod attention;
mod check;
mod conv;
mod distance;
mod elementwise;
mod embedding;
mod factor;
mod gradient;
mod loss;
mod matrix_norm;
mod norm;
mod pool;
mod random;
mod recurrent;
mod resample;
mod solve;

use crate::args::{Call, Value};
use crate::error::TorchError;

/// What a theme answers: `None` for a target that it does not have.
type Answer = Result<Option<Vec<Value>>, TorchError>;

/// Applies the overload that `call` names.
pub(crate) fn call(call: &Call) -> Result<Vec<Value>, TorchError> {
    for theme in [
        elementwise::call,
        activation::call,
        attention::call,
        check::call,
        conv::call,
        distance::call,
        embedding::call,
        factor::call,
        gradient::call,
        loss::call,
        matrix_norm::call,
        norm::call,
        pool::call,
        random::call,
        recurrent::call,
        resample::call,
        solve::call,
    ] {
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
fn one(t: cotangent_core::Tensor) -> Answer {
    Ok(Some(vec![Value::Tensor(t)]))
}

/// Several tensors.
fn many(t: impl IntoIterator<Item = cotangent_core::Tensor>) -> Answer {
    Ok(Some(t.into_iter().map(Value::Tensor).collect()))
}
