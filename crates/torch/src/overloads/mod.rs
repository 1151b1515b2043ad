//! ATen's overloads, by name, as functions over cotangent's tensors.
//!
//! One theme a file; each has a function `call` that answers `None` to targets that are not of its theme.

mod elementwise;

use crate::args::{Call, Value};
use crate::error::TorchError;

/// What a theme answers: `None` for a target that it does not have.
type Answer = Result<Option<Vec<Value>>, TorchError>;

/// Applies the overload that `call` names.
pub(crate) fn call(call: &Call) -> Result<Vec<Value>, TorchError> {
    for theme in [elementwise::call] {
        if let Some(outs) = theme(call)? {
            return Ok(outs);
        }
    }
    Err(TorchError::Unsupported { target: call.target.to_owned(), node: call.node.to_owned() })
}

/// One tensor.
fn one(t: cotangent_core::Tensor) -> Answer {
    Ok(Some(vec![Value::Tensor(t)]))
}
