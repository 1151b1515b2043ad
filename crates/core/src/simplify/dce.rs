//! Dead code: nodes that no result needs.

use super::{Apply, Class, Rule};

pub(super) static RULES: &[Rule] = &[Rule {
    name: "dead-code",
    class: Class::Exact,
    law: "what no result needs disappears (and with it errors of its evaluation)",
    apply: Apply::Engine,
}];
