//! Text forms of a graph.

mod error;
mod ir;
pub mod json;
pub mod number;

pub use error::ParseError;
