//! Graphs as StableHLO: the text that XLA compiles for its accelerators, and that many machines read.
//!
//! [`module`] prints any graph. Every primitive has a form in StableHLO or its companion CHLO, or is composed of primitives that have
//! one; those that neither has are refused by name. Differences that the systems have by design are these: an index out of bounds is
//! clamped or dropped, not an error; of several sources of one place `scatter` takes any; `searchsorted` expects sorted
//! sequences; an integer divided by zero has some value.
//!
//! *Source*: the StableHLO specification, version 1.

#![forbid(unsafe_code)]

mod compose;
mod convolution;
mod elementwise;
mod emit;
mod error;
mod index;
mod linalg;
mod literal;
mod reduce;
mod writer;

pub use error::StableHloError;

use cotangent_core::ir::Graph;

use crate::writer::Writer;

/// The graph as a module whose function `main` takes the graph's parameters and returns its results, in order.
///
/// *Errors*: an operation that StableHLO cannot express, by name.
pub fn module(graph: &Graph) -> Result<String, StableHloError> {
    Writer::module(graph)
}
