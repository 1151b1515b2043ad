//! Composable function transforms for Rust: `grad`, `vmap`, `jvp`, `vjp`, jacobians, `make_fx`.

mod apply;
pub mod argnums;
pub mod auxiliary;
mod call;
mod capture;
mod check;
pub mod checkpoint;
pub mod custom_jvp;
pub mod custom_vjp;
pub mod dims;
pub mod eval_shape;
pub mod function;
pub mod grad;
pub mod hessian;
pub mod jacobian;
pub mod jvp;
pub mod linearize;
pub mod make_fx;
pub mod ndarray;
pub mod pipeline;
pub mod prelude;
pub mod random;
pub mod stop_gradient;
pub mod tree;
mod tree_impls;
pub mod vjp;
pub mod vmap;

pub use cotangent_core as core;
pub use cotangent_core::{Error, Tensor};
pub use cotangent_derive::Tree;
pub use tree::Tree;
