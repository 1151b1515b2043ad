//! The graph and what it is made of.

mod attr;
mod aval;
mod dtype;
mod graph;
mod loc;
mod scalar;
mod tree;
pub mod verify;

pub use attr::{Attr, AttrError, AttrField, AttrReader, Attrs, attr_struct};
pub use aval::{Aval, Dim, MAX_ELEMENTS, Shape};
pub use dtype::{Category, DType, UnknownDType};
pub use graph::{Builder, Graph, LocId, Node, Signature, Value, Values, default_names};
pub use loc::{Derivation, Loc};
pub use scalar::Scalar;
pub use tree::TreeSpec;
