//! From graphs to loops: fusion, lowering, and an interpreter of loop programs.

#![forbid(unsafe_code)]

mod affine;
pub mod cost;
pub mod interp;
pub mod ir;
pub mod lower;
pub mod plan;
pub mod pointwise;
pub mod text;
pub mod verify;

pub use lower::{LowerError, explain, lower, lower_as_is, lower_explained};
