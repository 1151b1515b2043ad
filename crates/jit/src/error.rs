//! What can go wrong in compiling a loop program and in calling it.

use cotangent_core::error::EvalError;
use cotangent_core::ir::Loc;

/// A loop program that does not become machine code.
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum JitError {
    /// The program breaks an invariant of [`cotangent_loops::ir`]: a bug of whoever made it.
    #[error("a loop program breaks {invariant}: {what}")]
    #[diagnostic(code(cotangent::jit::invariant))]
    Invariant {
        /// `P1` to `P5`.
        invariant: &'static str,
        /// What was found.
        what: String,
    },
    /// The operating system gives no memory for code.
    #[error("expected {bytes} bytes of executable memory, found: {reason}")]
    #[diagnostic(code(cotangent::jit::code_memory))]
    CodeMemory {
        /// How much was asked for.
        bytes: usize,
        /// The system's answer.
        reason: String,
    },
    /// A word in the environment that names no path.
    #[error("expected COTANGENT_PATH to be wide512, wide256, narrow128 or tiles, found `{found}`")]
    #[diagnostic(code(cotangent::jit::path_name), help("without the variable the best path of the machine is taken"))]
    UnknownPath {
        /// The word.
        found: String,
    },
    /// A path that this machine does not have.
    #[error("this machine cannot run the path {path}")]
    #[diagnostic(code(cotangent::jit::path), help("`Path::Auto` takes the best one that it has"))]
    NoSuchPath {
        /// The path.
        path: &'static str,
    },
}

/// A call that gives no results.
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum CallError {
    /// Another number of arguments.
    #[error("expected {expected} arguments, found {found}")]
    #[diagnostic(code(cotangent::call::arity))]
    Arity {
        /// What the program takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// An argument of another size.
    #[error("expected {expected} bytes for argument {arg}, found {found}")]
    #[diagnostic(code(cotangent::call::length))]
    Length {
        /// Which argument.
        arg: usize,
        /// The bytes of its buffer.
        expected: usize,
        /// The bytes given.
        found: usize,
    },
    /// An argument whose address is no multiple of its element's size.
    #[error("expected argument {arg} aligned to {align} bytes")]
    #[diagnostic(code(cotangent::call::alignment))]
    Alignment {
        /// Which argument.
        arg: usize,
        /// The size of an element.
        align: usize,
    },
    /// Another number of places for results.
    #[error("expected places for {expected} results, found {found}")]
    #[diagnostic(code(cotangent::call::results))]
    Results {
        /// What the program gives.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Memory that does not hold a result.
    #[error("expected {expected} bytes for result {result}, aligned to its elements, found {found}")]
    #[diagnostic(
        code(cotangent::call::output),
        help("`Output::InPlace` is for results that `Compiled::reused` names, of donated arguments")
    )]
    Output {
        /// Which result.
        result: usize,
        /// Its bytes.
        expected: usize,
        /// The bytes given.
        found: usize,
    },
    /// Data that an op cannot compute with.
    #[error("at {loc}: `{op}`: {source}")]
    #[diagnostic(code(cotangent::call::data))]
    Data {
        /// The user's line.
        loc: Loc,
        /// The op.
        op: String,
        /// What is wrong.
        source: EvalError,
    },
    /// A routine of ours failed: a bug.
    #[error("at {loc}: `{op}` panicked: {message}")]
    #[diagnostic(code(cotangent::call::panic))]
    Panic {
        /// The user's line.
        loc: Loc,
        /// The op.
        op: String,
        /// The panic's message.
        message: String,
    },
}
