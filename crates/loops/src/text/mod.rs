//! The text form of loop programs, which reads back what it writes. Grammar and meaning: `ir-spec/loops.md`.

mod parse;
mod print;

pub use parse::{LoopParseError, parse};
pub use print::print;

use cotangent_core::ir::Attr;
use cotangent_core::ops::{Monoid, Op};

/// The word of an elementwise function: its name, with the modes that overloads of one name have (`div.floor`).
fn word(op: &Op) -> String {
    let mut word = op.name().to_owned();
    for (_, value) in op.prim().attrs() {
        if let Attr::Str(mode) = value {
            word.push('.');
            word.push_str(&mode);
        }
    }
    word
}

/// The words of monoids.
const MONOIDS: [(Monoid, &str); 5] = [
    (Monoid::Sum, "sum"),
    (Monoid::Prod, "prod"),
    (Monoid::Max, "max"),
    (Monoid::Min, "min"),
    (Monoid::LogAddExp, "logaddexp"),
];
