//! Typed IR text, the form that reads back: grammar in `ir-spec/text.md`.
//!
//! `parse(print(g)) == g` for every graph, and `print(parse(t)) == t` for canonical text. Neither side names an op:
//! attributes travel in their generic form ([`crate::ir::Attr`]).

use std::fmt;

pub use super::parse::{parse, parse_all};
pub use super::print::{Options, print, print_with};
use crate::ir::Graph;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::print::write(f, self, &Options::default())
    }
}
