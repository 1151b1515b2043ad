//! Modules as PyTorch prints them.

use std::fmt;

use super::module::{Kind, Module, Part, walk};

/// Writes `module` as PyTorch prints it; the alternate form `{:#}` adds the number of parameters to each line.
///
/// `#[derive(Module)]` makes a `Display` of it.
pub fn print(module: &dyn Module, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_module(module, 0, f.alternate(), f)
}

/// A module as text, without the help of a `Display` impl.
pub(crate) struct Printed<'a>(pub &'a dyn Module);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, f)
    }
}

fn write_module(module: &dyn Module, indent: usize, counts: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut children: Vec<(String, &dyn Module)> = Vec::new();
    for (name, part) in module.members() {
        if let Part::Module(m) = part {
            children.push((name, m));
        }
    }
    write!(f, "{}({}", module.class_name(), module.extra_repr())?;
    if children.is_empty() {
        f.write_str(")")?;
        return if counts { count(module, f) } else { Ok(()) };
    }
    if counts {
        count(module, f)?;
    }
    for (name, text) in lines(module, &children, indent + 2, counts) {
        write!(f, "\n{:1$}({name}): {text}", "", indent + 2)?;
    }
    write!(f, "\n{:1$})", "", indent)
}

/// A name and a text for each child; equal neighbours in a list are one: `(0-2): 3 x Linear(…)`.
fn lines(
    module: &dyn Module,
    children: &[(String, &dyn Module)],
    indent: usize,
    counts: bool,
) -> Vec<(String, String)> {
    let text = |child: &dyn Module| Indented { module: child, indent, counts }.to_string();
    let list = module.class_name() == "ModuleList";
    let mut runs: Vec<(&str, &str, usize, String)> = Vec::new();
    for (name, child) in children {
        let text = text(*child);
        match runs.last_mut() {
            Some((_, last, n, former)) if list && *former == text => (*last, *n) = (name, *n + 1),
            Some(_) | None => runs.push((name, name, 1, text)),
        }
    }
    let line = |(first, last, n, text): (&str, &str, usize, String)| match n {
        1 => (first.to_owned(), text),
        n => (format!("{first}-{last}"), format!("{n} x {text}")),
    };
    runs.into_iter().map(line).collect()
}

/// A module below another one.
struct Indented<'a> {
    module: &'a dyn Module,
    indent: usize,
    counts: bool,
}

impl fmt::Display for Indented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_module(self.module, self.indent, self.counts, f)
    }
}

fn count(module: &dyn Module, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut n = 0;
    walk(module, "", &mut |_, kind, x| n += if kind == Kind::Parameter { x.numel() } else { 0 });
    match n {
        0 => Ok(()),
        1 => f.write_str("  # 1 parameter"),
        n => write!(f, "  # {} parameters", grouped(n)),
    }
}

/// `12,345`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let parts: Vec<&str> = (0..digits.len().div_ceil(3))
        .rev()
        .map(|i| {
            let end = digits.len() - 3 * i;
            &digits[end.saturating_sub(3)..end]
        })
        .collect();
    parts.join(",")
}
