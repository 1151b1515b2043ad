//! Common subexpressions: two nodes of one op with equal operands are one.
//!
//! All ops are pure (I5), constants and random draws by key included, so that equality of op and operands is enough.
//! Operands of commutative functions may be exchanged.

use super::{Apply, Class, Rule};

pub(super) static RULES: &[Rule] =
    &[Rule { name: "cse", class: Class::Exact, law: "equal nodes are one", apply: Apply::Engine }];
