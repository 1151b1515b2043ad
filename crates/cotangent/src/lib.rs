//! Composable function transforms for Rust: `grad`, `vmap`, `jvp`, `vjp`, jacobians, `make_fx`.

mod apply;
pub mod argnums;
pub mod auxiliary;
mod capture;
pub mod dims;
pub mod function;
pub mod grad;
pub mod make_fx;
pub mod pipeline;
pub mod prelude;
pub mod tree;
mod tree_impls;
pub mod vmap;

pub use cotangent_core as core;
pub use cotangent_core::{Error, Tensor};
pub use cotangent_derive::Tree;
pub use tree::Tree;
