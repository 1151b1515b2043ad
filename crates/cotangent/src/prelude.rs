//! What programs import: `use cotangent::prelude::*;`.

pub use crate::argnums::At;
pub use crate::function::Function;
pub use crate::grad::{grad, grad_and_value, value_and_grad};
pub use crate::make_fx::{CaptureOptions, make_fx, make_fx_with};
pub use crate::tree::Tree;
pub use crate::vmap::vmap;
pub use cotangent_core::error::Error;
pub use cotangent_core::ir::{DType, Graph};
pub use cotangent_core::tensor::trace::Randomness;
pub use cotangent_core::{Tensor, ir::Shape};
pub use cotangent_derive::Tree;
