//! Transforms: passes from graph to graph.
//!
//! Each pass is an environment and one loop over the nodes that calls the nodes' rules. A pass never names an
//! elementwise or structured op; the only op that passes look into is the call of a composite, which is inlined by the
//! first pass that needs a rule for it.

mod added;
pub mod decompose;
pub mod eval;
mod examples;
pub mod grad;
pub mod inline;
pub mod jacobian;
pub mod jvp;
pub mod lazy;
pub mod linearize;
pub mod masked;
pub mod places;
pub mod products;
pub mod prune;
pub mod reciprocal;
pub mod replay;
pub mod systems;
pub mod transpose;
pub mod vmap;

pub use crate::tensor::trace::build;
