//! Names in printed code, by the rules of `torch.fx`'s namespace.

use rustc_hash::{FxHashMap, FxHashSet};

/// Names that are given once each.
#[derive(Default)]
pub(crate) struct Namespace {
    used: FxHashSet<String>,
    counts: FxHashMap<String, u64>,
}

impl Namespace {
    /// A new name made from `candidate`: itself where it is free, else its base with a number.
    ///
    /// *Source*: `torch.fx.graph._Namespace.create_name`.
    pub fn create(&mut self, candidate: &str) -> String {
        let mut name = identifier(candidate);
        let (base, number) = split(&name);
        let base = base.to_owned();
        let mut number = match number {
            Some(n) if !self.used.contains(&name) => n,
            Some(_) | None => {
                let mut n = self.counts.get(&base).copied().unwrap_or(0);
                if is_reserved(&name) {
                    n += 1;
                    name = format!("{base}_{n}");
                }
                n
            }
        };
        while self.used.contains(&name) {
            number += 1;
            name = format!("{base}_{number}");
        }
        self.used.insert(name.clone());
        self.counts.insert(base, number);
        name
    }
}

/// The text with runs of characters that Python's identifiers do not have replaced by `_`.
pub(crate) fn identifier(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut illegal = false;
    for c in text.chars() {
        let legal = c.is_ascii_alphanumeric() || c == '_';
        match (legal, illegal) {
            (true, _) => out.push(c),
            (false, false) => out.push('_'),
            (false, true) => {}
        }
        illegal = !legal;
    }
    match out.chars().next() {
        None => "_unnamed".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("_{out}"),
        Some(_) => out,
    }
}

/// The name without its number, and the number: `mul_3` is `mul` and 3.
fn split(name: &str) -> (&str, Option<u64>) {
    match name.rsplit_once('_') {
        Some((base, digits))
            if !base.is_empty() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) =>
        {
            match digits.parse() {
                Ok(n) => (base, Some(n)),
                Err(_) => (name, None),
            }
        }
        Some(_) | None => (name, None),
    }
}

/// A name with a `_` before each capital letter that follows a small one, in small letters.
pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut small = false;
    for c in name.chars() {
        if small && c.is_ascii_uppercase() {
            out.push('_');
        }
        small = c.is_ascii_lowercase();
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The name of an argument of Python's function.
pub fn argument_name(text: &str) -> String {
    let name = identifier(text);
    if is_reserved(&name) { format!("{name}_") } else { name }
}

/// Whether Python or `torch.fx` gives the name a meaning.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}

/// Python's keywords and builtins, and the names that `torch.fx` imports into printed code; sorted.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "BaseExceptionGroup", "BlockingIOError",
    "BrokenPipeError", "BufferError", "BytesWarning", "ChildProcessError", "ConnectionAbortedError",
    "ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "DeprecationWarning", "EOFError",
    "Ellipsis", "EncodingWarning", "EnvironmentError", "Exception", "ExceptionGroup", "False", "FileExistsError",
    "FileNotFoundError", "FloatingPointError", "FutureWarning", "GeneratorExit", "IOError", "ImportError",
    "ImportWarning", "IndentationError", "IndexError", "InterruptedError", "IsADirectoryError", "KeyError",
    "KeyboardInterrupt", "LookupError", "MemoryError", "ModuleNotFoundError", "NameError", "None", "NoneType",
    "NotADirectoryError", "NotImplemented", "NotImplementedError", "OSError", "OverflowError",
    "PendingDeprecationWarning", "PermissionError", "ProcessLookupError", "RecursionError", "ReferenceError",
    "ResourceWarning", "RuntimeError", "RuntimeWarning", "StopAsyncIteration", "StopIteration", "SyntaxError",
    "SyntaxWarning", "SystemError", "SystemExit", "TabError", "TimeoutError", "True", "TypeError",
    "UnboundLocalError", "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "UnicodeTranslateError",
    "UnicodeWarning", "UserWarning", "ValueError", "Warning", "ZeroDivisionError", "__build_class__", "__debug__",
    "__doc__", "__import__", "__loader__", "__name__", "__package__", "__spec__", "abs", "aiter", "all", "and",
    "anext", "any", "as", "ascii", "assert", "async", "await", "bin", "bool", "break", "breakpoint", "bytearray",
    "bytes", "callable", "chr", "class", "classmethod", "compile", "complex", "continue", "copyright", "credits",
    "def", "del", "delattr", "device", "dict", "dir", "divmod", "elif", "else", "enumerate", "eval", "except",
    "exec", "exit", "filter", "finally", "float", "for", "format", "from", "frozenset", "fx_pytree", "getattr",
    "global", "globals", "hasattr", "hash", "help", "hex", "id", "if", "import", "in", "inf", "input", "int", "is",
    "isinstance", "issubclass", "iter", "lambda", "len", "license", "list", "locals", "map", "max", "memoryview",
    "min", "nan", "next", "nonlocal", "not", "object", "oct", "open", "or", "ord", "pass", "pow", "print",
    "property", "pytree", "quit", "raise", "range", "repr", "return", "reversed", "round", "set", "setattr", "slice",
    "sorted", "staticmethod", "str", "sum", "super", "torch", "try", "tuple", "type", "vars", "while", "with",
    "yield", "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_sorted() {
        assert!(RESERVED.is_sorted());
        assert!(is_reserved("sum") && is_reserved("fx_pytree") && !is_reserved("sin"));
    }

    #[test]
    fn names_follow_fx() {
        let mut names = Namespace::default();
        let got: Vec<String> = [
            "sin", "sin", "sum", "sum", "slice_1", "slice", "fill_", "fill_", "x_1", "x", "a b", "1", "", "_softmax",
            "sin_1",
        ]
        .into_iter()
        .map(|c| names.create(c))
        .collect();
        let expected = [
            "sin", "sin_1", "sum_1", "sum_2", "slice_1", "slice_2", "fill_", "fill__1", "x_1", "x", "a_b", "_1",
            "_unnamed", "_softmax", "sin_2",
        ];
        assert_eq!(got, expected);
        assert_eq!(snake_case("linalgLU"), "linalg_lu");
    }
}
