//! What the tests of cotangent share.

pub mod filetest;
pub mod numeric;
pub mod random_graph;
