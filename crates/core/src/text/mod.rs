//! Text forms of a graph: typed IR text ([`ir`]) and JSON ([`json`]), which read back what they write.

mod error;
pub mod ir;
pub mod json;
mod lex;
mod literal;
pub mod number;
mod parse;
mod parts;
mod print;

pub use error::{ParseError, Problem};
