//! A graph as boxes and arrows, for [`Graph::dot`] and [`Graph::svg`].

use std::fmt::Write;

use super::layout::{GAP, Layout, Place, layout};
use super::lex::shortened;
use crate::ir::{Attr, Graph, Node};
use crate::ops::Op;

/// What a box stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Param,
    Node,
    Constant,
    Result,
}

impl Kind {
    /// The fill color.
    const fn fill(self) -> &'static str {
        match self {
            Kind::Param => "#dcebff",
            Kind::Node => "#ffffff",
            Kind::Constant => "#fff3d6",
            Kind::Result => "#dff5e1",
        }
    }
}

/// A box with lines of text.
struct Block {
    kind: Kind,
    lines: Vec<String>,
    /// Where the source is: told when one points at the box.
    title: String,
}

/// An arrow between boxes with the aval that it carries.
struct Arrow {
    from: usize,
    to: usize,
    aval: String,
}

struct Picture {
    blocks: Vec<Block>,
    arrows: Vec<Arrow>,
}

fn picture(g: &Graph) -> Picture {
    let mut blocks = Vec::new();
    let mut arrows = Vec::new();
    let mut home = vec![0; g.num_values()];
    let names = leaf_names(g);
    for (v, name) in g.params().iter().zip(names) {
        home[v.index()] = blocks.len();
        blocks.push(Block { kind: Kind::Param, lines: vec![name, g.aval(*v).to_string()], title: String::new() });
    }
    for n in g.nodes() {
        let at = blocks.len();
        let avals: Vec<String> = n.results.iter().map(|v| g.aval(*v).to_string()).collect();
        let kind = if n.args.is_empty() { Kind::Constant } else { Kind::Node };
        let loc = g.loc(n);
        let title = if loc.is_known() || !loc.chain.is_empty() { loc.to_string() } else { String::new() };
        blocks.push(Block { kind, lines: vec![label(n), shortened(&avals.join(", "))], title });
        for v in &n.args {
            arrows.push(Arrow { from: home[v.index()], to: at, aval: g.aval(*v).to_string() });
        }
        for v in &n.results {
            home[v.index()] = at;
        }
    }
    for (i, v) in g.results().iter().enumerate() {
        let name = if g.results().len() == 1 { "return".to_owned() } else { format!("return [{i}]") };
        arrows.push(Arrow { from: home[v.index()], to: blocks.len(), aval: g.aval(*v).to_string() });
        blocks.push(Block { kind: Kind::Result, lines: vec![name, g.aval(*v).to_string()], title: String::new() });
    }
    Picture { blocks, arrows }
}

/// The op with its attributes, shortened.
fn label(n: &Node) -> String {
    if let Op::Call(call) = &n.op {
        return shortened(call.function());
    }
    let shown = |(k, a): &(&str, Attr)| match a {
        Attr::None | Attr::Array(_) | Attr::Graph(_) => None,
        Attr::Scalar(_) | Attr::DType(_) | Attr::Str(_) | Attr::List(_) => Some(format!("{k}={a}")),
    };
    let attrs: Vec<String> = n.op.prim().attrs().iter().filter_map(shown).collect();
    let text = if attrs.is_empty() { n.op.name().to_owned() } else { format!("{} {}", n.op.name(), attrs.join(" ")) };
    shortened(&text)
}

/// A name for each parameter: that of the argument, with a number where it is a tree.
fn leaf_names(g: &Graph) -> Vec<String> {
    let signature = g.signature();
    let mut out = Vec::with_capacity(g.params().len());
    for (name, tree) in signature.names.iter().zip(&signature.params) {
        match tree.num_leaves() {
            1 => out.push(shortened(name)),
            n => out.extend((0..n).map(|i| format!("{}[{i}]", shortened(name)))),
        }
    }
    out
}

impl Graph {
    /// The graph in Graphviz's language: a box for each node, an arrow for each operand with its aval.
    pub fn dot(&self) -> String {
        let p = picture(self);
        let mut out = format!("digraph {} {{\n  rankdir=TB;\n", dot_string(self.name()));
        out.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"monospace\", fontsize=11];\n");
        out.push_str("  edge [fontname=\"monospace\", fontsize=9];\n");
        for (i, b) in p.blocks.iter().enumerate() {
            let title = if b.title.is_empty() { String::new() } else { format!(", tooltip={}", dot_string(&b.title)) };
            let label = dot_string(&b.lines.join("\n"));
            let _ = writeln!(out, "  n{i} [label={label}, fillcolor=\"{}\"{title}];", b.kind.fill());
        }
        for a in &p.arrows {
            let _ = writeln!(out, "  n{} -> n{} [label={}];", a.from, a.to, dot_string(&a.aval));
        }
        out.push_str("}\n");
        out
    }

    /// The graph as a picture: boxes in layers, operands above their users, the aval of each value in its box.
    ///
    /// The same graph gives the same bytes.
    pub fn svg(&self) -> String {
        let p = picture(self);
        let sizes: Vec<(f64, f64)> = p.blocks.iter().map(size).collect();
        let arrows: Vec<(usize, usize)> = p.arrows.iter().map(|a| (a.from, a.to)).collect();
        draw(self, &p, &layout(&sizes, &arrows))
    }
}

/// The box's size: 7 units for a character of the monospaced font, 16 for a line.
fn size(b: &Block) -> (f64, f64) {
    let chars = b.lines.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    (chars as f64 * 7.0 + 16.0, b.lines.len() as f64 * 16.0 + 8.0)
}

fn draw(g: &Graph, p: &Picture, l: &Layout) -> String {
    let (w, h) = (l.width, l.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w:.0}\" height=\"{h:.0}\" viewBox=\"0 0 {w:.0} {h:.0}\" font-family=\"monospace\" font-size=\"11\">\n"
    );
    let _ = writeln!(out, "<title>{}</title>", xml(g.name()));
    out.push_str("<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n");
    let _ = writeln!(out, "<rect width=\"{w:.0}\" height=\"{h:.0}\" fill=\"#fff\"/>");
    for (a, bends) in p.arrows.iter().zip(&l.arrows) {
        let _ = writeln!(
            out,
            "<path d=\"{}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#tip)\"><title>{}</title></path>",
            path(bends),
            xml(&a.aval)
        );
    }
    for (b, at) in p.blocks.iter().zip(&l.blocks) {
        let Place { x, y, w, h } = *at;
        out.push_str("<g>");
        if !b.title.is_empty() {
            let _ = write!(out, "<title>{}</title>", xml(&b.title));
        }
        let fill = b.kind.fill();
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"5\" fill=\"{fill}\" stroke=\"#555\"/>",
            x - w / 2.0
        );
        for (i, line) in b.lines.iter().enumerate() {
            let color = if i == 0 { "#000" } else { "#0550ae" };
            let _ = write!(
                out,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{color}\">{}</text>",
                y + 16.0 * (i as f64 + 1.0),
                xml(line)
            );
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

/// A curve through points, vertical at each of them.
fn path(points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        if i == 0 {
            let _ = write!(out, "M{x:.1} {y:.1}");
            continue;
        }
        let (px, py) = points[i - 1];
        let bend = ((y - py) / 2.0).min(GAP);
        let _ = write!(out, "C{px:.1} {:.1} {x:.1} {:.1} {x:.1} {y:.1}", py + bend, y - bend);
    }
    out
}

fn dot_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // XML has no other control characters, not even escaped.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
