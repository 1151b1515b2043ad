//! The graph and what it is made of.

mod aval;
mod dtype;
mod scalar;

pub use aval::{Aval, Dim, MAX_ELEMENTS, Shape};
pub use dtype::{Category, DType, UnknownDType};
pub use scalar::Scalar;
