//! The heart of cotangent.

#![forbid(unsafe_code)]

pub mod array;
pub mod ir;
pub mod text;
