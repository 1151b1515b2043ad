//! The derivative rules that are being traced, so that a rule which calls its own function ends.

use std::cell::RefCell;

use crate::error::{Error, TransformError};

/// How many rules may be traced inside one another: what a thread's stack of 2 MiB holds with room to spare.
const DEEPEST: usize = 16;

thread_local! {
static RULES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f`, which traces the rule of a function with this `name`; `key` says which call of it the rule belongs to.
///
/// *Errors*: rules inside one another without end.
pub fn in_rule<R>(name: &str, key: String, f: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            RULES.with_borrow_mut(|r| {
                r.pop();
            });
        }
    }
    if RULES.with_borrow(|r| r.len() >= DEEPEST) {
        let problem =
            format!("{DEEPEST} rules are being traced inside one another; a rule should not call its own function");
        return Err(TransformError::CustomRule { name: name.to_owned(), problem }.into());
    }
    RULES.with_borrow_mut(|r| r.push(key));
    let _leave = Leave;
    f()
}

/// Whether the rule of this very call is being traced.
pub(crate) fn is_in_rule(key: &str) -> bool {
    RULES.with_borrow(|r| r.iter().any(|k| k == key))
}
