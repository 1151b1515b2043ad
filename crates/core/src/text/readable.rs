//! Printed code with types and source lines: [`Graph::readable`].

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::code::{CodeStyle, expression, freed, prologue, returned};
use super::fx::{Fx, Id};
use super::names::identifier;
use super::shown::shown;
use crate::ir::{Graph, Loc};

/// The styles of the parts of the text.
struct Palette {
    comment: Style,
    aval: Style,
    keyword: Style,
    freed: Style,
}

impl Palette {
    const PLAIN: Palette =
        Palette { comment: Style::new(), aval: Style::new(), keyword: Style::new(), freed: Style::new() };
    const COLORS: Palette = Palette {
        comment: Style::new().dimmed(),
        aval: AnsiColor::Blue.on_default(),
        keyword: AnsiColor::Magenta.on_default(),
        freed: Style::new().dimmed(),
    };
}

fn paint(style: Style, text: &str) -> String {
    if style == Style::new() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

impl Graph {
    /// The code with the aval of each statement, grouped by the source lines from which the statements come.
    ///
    /// *Source*: `torch.fx.GraphModule.print_readable`.
    pub fn readable(&self) -> String {
        let mut out = String::new();
        class(&mut out, &shown(self), &identifier(self.name()), 0, &Palette::PLAIN);
        out
    }

    /// As [`Graph::readable`], with colors for a terminal.
    pub fn readable_colored(&self) -> String {
        let mut out = String::new();
        class(&mut out, &shown(self), &identifier(self.name()), 0, &Palette::COLORS);
        out
    }
}

/// A class and, inside it, those of its sub-modules.
fn class(out: &mut String, graph: &Graph, name: &str, indent: usize, colors: &Palette) {
    let fx = Fx::new(graph, CodeStyle::Today);
    let (outer, inner) = (" ".repeat(4 * indent), " ".repeat(4 * indent + 8));
    let typed = |id: Id| match fx.values[id] {
        Some(v) => format!("{}: {}", fx.names[id], paint(colors.aval, &format!("\"{}\"", graph.aval(v)))),
        None => fx.names[id].clone(),
    };
    let params: Vec<String> = match &fx.trees {
        Some(arguments) => arguments.clone(),
        None => (0..fx.placeholders).map(typed).collect(),
    };
    let _ = writeln!(out, "{outer}{} {name}(torch.nn.Module):", paint(colors.keyword, "class"));
    let params = ["self".to_owned()].into_iter().chain(params).collect::<Vec<_>>().join(", ");
    let _ = writeln!(out, "{outer}    {} forward({params}):", paint(colors.keyword, "def"));
    if let Some(line) = prologue(&fx) {
        let _ = writeln!(out, "{inner}{line}");
        for id in (0..fx.placeholders).filter(|id| fx.values[*id].is_some()) {
            let _ = writeln!(out, "{inner}{}", typed(id));
        }
    }
    let mut at: Option<&Loc> = None;
    for (i, (s, dead)) in fx.stmts.iter().zip(fx.last_uses()).enumerate() {
        let loc = s.node.map(|n| graph.loc(&graph.nodes()[n]));
        if loc.is_some() && loc != at {
            let gap = if i > 0 { "\n" } else { "" };
            let _ = writeln!(out, "{gap}{inner}{}", paint(colors.comment, &comment(loc.unwrap_or(&Loc::default()))));
            at = loc;
        }
        let freed = paint(colors.freed, &freed(&fx, &dead));
        let _ = writeln!(out, "{inner}{} = {}{freed}", typed(s.id), expression(&fx, s));
    }
    let line = returned(&fx);
    let value = line.strip_prefix("return").unwrap_or(&line);
    let _ = writeln!(out, "{inner}{}{value}", paint(colors.keyword, "return"));
    for (name, call) in &fx.modules {
        out.push('\n');
        class(out, &call.body, name, indent + 1, colors);
    }
}

/// `# File: src/main.rs:12 via tangent`.
fn comment(loc: &Loc) -> String {
    if loc.is_known() {
        format!("# File: {loc}")
    } else {
        format!("# No source line found for following nodes{}", via(loc))
    }
}

fn via(loc: &Loc) -> String {
    let steps: Vec<&str> = loc.chain.iter().map(|d| d.name()).collect();
    if steps.is_empty() { String::new() } else { format!(" via {}", steps.join(", ")) }
}
