//! What programs import: `use cotangent::prelude::*;`.

pub use crate::argnums::At;
pub use crate::checkpoint::checkpoint;
pub use crate::custom_jvp::custom_jvp;
pub use crate::custom_vjp::custom_vjp;
pub use crate::eval_shape::eval_shape;
pub use crate::function::Function;
pub use crate::grad::{grad, grad_and_value, value_and_grad};
pub use crate::hessian::hessian;
pub use crate::jacobian::{jacfwd, jacrev};
pub use crate::jit::jit;
pub use crate::jvp::{jvp, jvp_has_aux, jvp_strict};
pub use crate::linearize::linearize;
pub use crate::make_fx::{CaptureOptions, make_fx, make_fx_with};
pub use crate::ndarray::Ndarray;
pub use crate::random::{self, Key};
pub use crate::snapshot::SnapshotOptions;
pub use crate::stop_gradient::stop_gradient;
pub use crate::tree::Tree;
pub use crate::vjp::{vjp, vjp_has_aux};
pub use crate::vmap::vmap;
pub use cotangent_aten::prelude::*;
pub use cotangent_core::error::Error;
pub use cotangent_core::ir::{DType, Graph};
pub use cotangent_core::tensor::trace::Randomness;
pub use cotangent_core::text::CodeStyle;
pub use cotangent_core::{Tensor, ir::Shape};
pub use cotangent_derive::Tree;
