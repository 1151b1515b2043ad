//! The heart of cotangent: graph, primitives with all their rules, transforms, simplification and text.
//!
//! The life of a program: a function over [`tensor::Tensor`]s is traced ([`tensor::trace`]) into an [`ir::Graph`];
//! passes of [`transform`] make other graphs of it by calling the rules of [`ops`]; [`simplify`] cleans the result;
//! [`text`] shows it; [`transform::eval`] computes it on host arrays ([`array`]).

#![forbid(unsafe_code)]

pub mod array;
pub mod error;
pub mod ir;
pub mod ops;
pub mod simplify;
pub mod tensor;
pub mod text;
pub mod transform;

pub use error::Error;
pub use tensor::Tensor;
