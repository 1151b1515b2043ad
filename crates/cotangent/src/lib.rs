//! Placeholder.
pub mod pipeline;
