//! PyTorch's files: programs of `torch.export.save` (`.pt2`) and safetensors.
//!
//! [`Program::read`] reads a program; [`Program::graph`] makes a graph of it for given shapes, which every transform of cotangent
//! takes; [`write_program`] writes any graph as such a program. Files from outside are hostile: whatever is wrong in them is a [`TorchError`] that says where.

#![forbid(unsafe_code)]

mod archive;
pub mod args;
mod batched;
mod control;
pub mod corpus;
mod env;
mod error;
mod export;
mod mutation;
mod overloads;
mod pickle;
mod program;
mod provenance;
mod recompose;
mod scalar_type;
mod schema;
mod strided;
mod weights;

pub use cotangent_safetensors::{FileError, parse_safetensors, read_safetensors, write_safetensors};
pub use error::TorchError;
pub use export::{Stored, write_program};
pub use program::{Input, InputKind, Program};
