//! Reading graphs from files.

use std::io::Read;
use std::path::{Path, PathBuf};

use cotangent::ir::Graph;
use cotangent::text;
use miette::{Diagnostic, Report};

use crate::say::say;

/// Larger files are refused before they are read.
const MAX_BYTES: u64 = 1 << 30;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum InputError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    #[diagnostic(code(cotangent::cli::read))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("expected at most {MAX_BYTES} bytes in {}, found more", path.display())]
    #[diagnostic(code(cotangent::cli::size))]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no graph of that name.
    #[error("expected a graph named `{name}`, found {found}")]
    #[diagnostic(code(cotangent::cli::graph))]
    NoGraph {
        /// The name asked for.
        name: String,
        /// The names in the file.
        found: String,
    },
}

/// The graphs of a file, in order.
pub fn graphs(path: &Path) -> Result<Vec<Graph>, Report> {
    let source = |source| InputError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text).map_err(source)?;
    } else {
        let file = std::fs::File::open(path).map_err(source)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(source)?;
    }
    if text.len() as u64 > MAX_BYTES {
        return Err(InputError::TooLarge { path: path.to_owned() }.into());
    }
    let name = path.display().to_string();
    let is_json = path.extension().is_some_and(|e| e == "json") || text.trim_start().starts_with('{');
    if is_json { Ok(vec![text::json::from_json(&name, &text)?]) } else { Ok(text::ir::parse_all(&name, &text)?) }
}

/// The graph called `name`, or the last one: a file's earlier graphs are those that it uses.
pub fn graph(path: &Path, name: Option<&str>) -> Result<Graph, Report> {
    let mut all = graphs(path)?;
    let found = all.iter().map(|g| format!("`{}`", g.name())).collect::<Vec<_>>().join(", ");
    let at = match name {
        Some(name) => all.iter().position(|g| g.name() == name),
        None => all.len().checked_sub(1),
    };
    let missing = || InputError::NoGraph { name: name.unwrap_or("any").to_owned(), found };
    at.map(|i| all.swap_remove(i)).ok_or_else(|| missing().into())
}

/// Reads and verifies every graph of a file, and says what it holds.
pub fn check(path: &Path) -> Result<(), Report> {
    for g in graphs(path)? {
        say!(
            "{}: {} params, {} nodes, {} results: well-formed",
            g.name(),
            g.params().len(),
            g.len(),
            g.results().len()
        );
    }
    Ok(())
}
