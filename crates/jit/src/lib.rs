//! Machine code for loop programs.
//!
//! [`compile`] takes a [`LoopProgram`] and gives a [`Compiled`], which many threads may call at once. Bodies become vector instructions by
//! an emitter of our own ([`Path::Wide512`], [`Path::Wide256`]) or by Cranelift ([`Path::Narrow128`]), or run on tiles where the CPU is another one
//! ([`Path::Tiles`]); all execute the same lane code.
//! This is the only crate with `unsafe`; what makes it sound are the invariants P1 to P5 of [`cotangent_loops::ir`] and the lengths that
//! [`Compiled::call`] checks.

mod across;
mod arithmetic;
mod array;
mod blocks;
mod chain;
mod compile;
mod disassembly;
mod error;
mod failure;
mod frame;
mod join;
mod kernel;
mod lane;
mod loops;
mod machine;
mod matrices;
mod memory;
mod narrow;
mod operand;
mod pages;
mod path;
mod place;
mod program;
mod raw;
mod routine;
mod run;
mod sharing;
mod stream;
pub mod threads;
mod tile;
mod turned;
mod turning;
mod wide;

pub use array::array;
pub use compile::{CompileOptions, compile, compile_with};
pub use error::{CallError, JitError};
pub use memory::{Block, kept_bytes, trim};
pub use operand::{Input, Output};
pub use path::Path;
pub use program::{Compiled, Timed};
pub use raw::{Raw, RawEntry, RawStatus};

#[cfg(doc)]
use cotangent_loops::ir::LoopProgram;
