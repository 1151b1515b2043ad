//! Text forms of a graph: typed IR text ([`ir`]) and JSON ([`json`]), which read back what they write, and the code that
//! PyTorch prints ([`Graph::code`](crate::ir::Graph::code)), which PyTorch runs.

mod apply;
mod code;
mod error;
pub mod fx;
pub mod ir;
pub mod json;
mod layout;
mod lex;
mod literal;
mod names;
pub mod number;
mod parse;
mod parts;
mod picture;
mod print;
mod pyrepr;
mod python;
mod readable;
mod schema;
mod shown;

pub use apply::{Application, Said};
pub use code::CodeStyle;
pub use error::{ParseError, Problem};
pub use names::argument_name;
pub use schema::{Schema, SchemaArg, Takes};
pub(crate) use shown::shown;
