//! Text forms of a graph.

pub mod json;
pub mod number;
