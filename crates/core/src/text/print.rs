//! The printer of IR text.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lex::{is_word, quoted};
use super::literal::elements;
use crate::array::Array;
use crate::ir::{Attr, Graph, Loc, Node, TreeSpec, Value, default_names};

/// What the printer writes beside the graph's meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether nodes show their source lines and derivations: `loc("src/main.rs":12 via tangent)`.
    pub locations: bool,
    /// Constant arrays of at most this many elements are written as numbers, larger ones as base64.
    pub max_elements: usize,
}

impl Default for Options {
    /// The canonical text: no locations, numbers up to 64 elements.
    fn default() -> Self {
        Options { locations: false, max_elements: 64 }
    }
}

impl Options {
    /// As the canonical text, with locations.
    pub fn with_locations() -> Self {
        Options { locations: true, ..Options::default() }
    }
}

/// The canonical text of `graph`.
pub fn print(graph: &Graph) -> String {
    print_with(graph, Options::default())
}

/// The text of `graph`.
pub fn print_with(graph: &Graph, options: Options) -> String {
    let mut out = String::new();
    write(&mut out, graph, &options).expect("writing to a string succeeds");
    out
}

/// Writes `graph`, without a line end after it.
pub(crate) fn write(out: &mut impl Write, graph: &Graph, options: &Options) -> fmt::Result {
    Printer { out, options, indent: 0 }.graph(graph)
}

struct Printer<'a, W> {
    out: &'a mut W,
    options: &'a Options,
    /// The number of graphs around what is being written.
    indent: usize,
}

impl<W: Write> Printer<'_, W> {
    fn graph(&mut self, g: &Graph) -> fmt::Result {
        write!(self.out, "graph {}(", name(g.name()))?;
        let signature = g.signature();
        // Default names say nothing, so that they are left out.
        let named = signature.names != default_names(signature.names.len());
        let mut leaves = g.params().iter();
        for (i, (n, tree)) in signature.names.iter().zip(&signature.params).enumerate() {
            self.comma(i)?;
            if named {
                write!(self.out, "{} = ", name(n))?;
            }
            self.tree(tree, &mut |p| {
                let v = leaves.next().expect("I7: leaves of the signature's params");
                write!(p.out, "{v}: {}", g.aval(*v))
            })?;
        }
        self.out.write_str(") {\n")?;
        self.indent += 1;
        for n in g.nodes() {
            self.margin()?;
            self.node(g, n)?;
            self.out.write_char('\n')?;
        }
        self.margin()?;
        self.out.write_str("return ")?;
        let mut leaves = g.results().iter();
        self.tree(&signature.result, &mut |p| {
            let v = leaves.next().expect("I7: leaves of the signature's result");
            write!(p.out, "{v}")
        })?;
        self.out.write_char('\n')?;
        self.indent -= 1;
        self.margin()?;
        self.out.write_char('}')
    }

    fn node(&mut self, g: &Graph, n: &Node) -> fmt::Result {
        let typed = |(i, v): (usize, &Value)| format!("{}{v}: {}", if i > 0 { ", " } else { "" }, g.aval(*v));
        for r in n.results.iter().enumerate() {
            self.out.write_str(&typed(r))?;
        }
        if !n.results.is_empty() {
            self.out.write_str(" = ")?;
        }
        write!(self.out, "{}(", n.op.name())?;
        for (i, v) in n.args.iter().enumerate() {
            self.comma(i)?;
            write!(self.out, "{v}")?;
        }
        for (i, (k, a)) in n.op.prim().attrs().iter().enumerate() {
            self.comma(n.args.len() + i)?;
            write!(self.out, "{k}=")?;
            self.attr(a)?;
        }
        self.out.write_char(')')?;
        if self.options.locations {
            self.loc(g.loc(n))?;
        }
        Ok(())
    }

    fn attr(&mut self, attr: &Attr) -> fmt::Result {
        match attr {
            Attr::None => self.out.write_str("none"),
            Attr::Scalar(s) => write!(self.out, "{s}"),
            Attr::DType(d) => write!(self.out, "{d}"),
            Attr::Str(s) => self.out.write_str(&quoted(s)),
            Attr::List(items) => {
                self.out.write_char('[')?;
                for (i, a) in items.iter().enumerate() {
                    self.comma(i)?;
                    self.attr(a)?;
                }
                self.out.write_char(']')
            }
            Attr::Array(a) => self.array(a),
            Attr::Graph(g) => self.graph(g),
        }
    }

    fn array(&mut self, a: &Array) -> fmt::Result {
        write!(self.out, "{}", a.aval())?;
        if a.numel() > self.options.max_elements {
            return write!(self.out, " base64\"{}\"", STANDARD.encode(a.to_le_bytes()));
        }
        write!(self.out, "{{{}}}", elements(a).join(", "))
    }

    fn loc(&mut self, loc: &Loc) -> fmt::Result {
        if !loc.is_known() && loc.chain.is_empty() {
            return Ok(());
        }
        self.out.write_str(" loc(")?;
        if loc.is_known() {
            write!(self.out, "{}:{}", quoted(&loc.file), loc.line)?;
        } else {
            self.out.write_str("unknown")?;
        }
        for (i, step) in loc.chain.iter().enumerate() {
            write!(self.out, "{}{}", if i == 0 { " via " } else { ", " }, step.name())?;
        }
        self.out.write_char(')')
    }

    fn tree(&mut self, tree: &TreeSpec, leaf: &mut dyn FnMut(&mut Self) -> fmt::Result) -> fmt::Result {
        match tree {
            TreeSpec::Leaf => leaf(self),
            TreeSpec::None => self.out.write_str("none"),
            TreeSpec::Tuple(items) => {
                self.out.write_char('(')?;
                self.trees(items, leaf)?;
                self.out.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            TreeSpec::List(items) => {
                self.out.write_char('[')?;
                self.trees(items, leaf)?;
                self.out.write_char(']')
            }
            TreeSpec::Dict(fields) => self.fields(fields, leaf),
            TreeSpec::Struct(n, fields) => {
                // A struct of this name would read as the absence of one.
                self.out.write_str(&if n == "none" { quoted(n) } else { name(n) })?;
                self.fields(fields, leaf)
            }
        }
    }

    fn trees(&mut self, items: &[TreeSpec], leaf: &mut dyn FnMut(&mut Self) -> fmt::Result) -> fmt::Result {
        for (i, t) in items.iter().enumerate() {
            self.comma(i)?;
            self.tree(t, leaf)?;
        }
        Ok(())
    }

    fn fields(&mut self, fields: &[(String, TreeSpec)], leaf: &mut dyn FnMut(&mut Self) -> fmt::Result) -> fmt::Result {
        self.out.write_char('{')?;
        for (i, (k, t)) in fields.iter().enumerate() {
            self.comma(i)?;
            write!(self.out, "{} = ", name(k))?;
            self.tree(t, leaf)?;
        }
        self.out.write_char('}')
    }

    fn comma(&mut self, i: usize) -> fmt::Result {
        if i > 0 { self.out.write_str(", ") } else { Ok(()) }
    }

    fn margin(&mut self) -> fmt::Result {
        for _ in 0..self.indent {
            self.out.write_str("  ")?;
        }
        Ok(())
    }
}

/// A name, in quotes unless it is a word.
fn name(text: &str) -> String {
    if is_word(text) { text.to_owned() } else { quoted(text) }
}
