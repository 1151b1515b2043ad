//! Tables of values at points: lines `op<attribute>(operands) = value : derivative in each operand`.

use cotangent_core::array::Array;
use cotangent_core::ir::{Attr, Graph, Scalar};
use cotangent_core::ops::Op;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;

use crate::numeric::graph_of;

/// A line of a table: what an elementwise op gives for some `f64`.
#[derive(Debug)]
pub struct Point {
    /// The line up to the value, by which the point is known.
    pub call: &'static str,
    /// The op.
    pub op: Op,
    /// The operands.
    pub x: Vec<f64>,
    /// The value; 0 and 1 for truth values.
    pub y: f64,
    /// The derivatives, where the line has them; `None` for `-`.
    pub x_bar: Vec<Option<f64>>,
}

/// The points of a table; lines that start with `#` are comments.
pub fn points(table: &'static str) -> Vec<Point> {
    table.lines().filter(|l| !l.starts_with('#')).map(parse).collect()
}

fn number(s: &str) -> f64 {
    s.parse().unwrap_or_else(|e| panic!("{s}: {e}"))
}

/// The op written `name` or `name<attribute>`.
pub fn op_of(name: &str) -> Op {
    let (name, attr) =
        name.strip_suffix('>').and_then(|n| n.split_once('<')).map_or((name, None), |(n, a)| (n, Some(a)));
    // The two ops with an attribute: the order of `polygamma` and the rounding of `div`.
    let attr = attr.map(|a| match a.parse() {
        Ok(n) => ("n".to_owned(), Attr::Scalar(Scalar::Int(n))),
        Err(_) => ("rounding_mode".to_owned(), Attr::Str(a.to_owned())),
    });
    Op::from_text(name, attr.into_iter().collect()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn parse(line: &'static str) -> Point {
    let (rest, x_bar) = line.split_once(" : ").map_or((line, None), |(rest, d)| (rest, Some(d)));
    let parts = rest.split_once(" = ").and_then(|(call, y)| {
        let (name, x) = call.strip_suffix(')')?.split_once('(')?;
        Some((call, name, x, y))
    });
    let (call, name, x, y) = parts.unwrap_or_else(|| panic!("malformed line: {line}"));
    Point {
        call,
        op: op_of(name),
        x: x.split(", ").map(number).collect(),
        y: number(y),
        x_bar: x_bar.map_or_else(Vec::new, |d| d.split(", ").map(|d| (d != "-").then(|| number(d))).collect()),
    }
}

impl Point {
    fn args(&self) -> Vec<Array> {
        self.x.iter().map(|x| Array::scalar(*x)).collect()
    }

    fn graph(&self) -> Graph {
        let avals: Vec<_> = self.args().iter().map(Array::aval).collect();
        graph_of(&self.op, &avals).unwrap_or_else(|e| panic!("{}: {e}", self.call))
    }

    /// What cotangent computes.
    pub fn value(&self) -> f64 {
        let y = eval(&self.graph(), &self.args()).unwrap_or_else(|e| panic!("{}: {e}", self.call));
        y[0].to_f64_vec()[0]
    }

    /// The derivative in operand `i` that cotangent computes; `None` where there is none.
    pub fn derivative(&self, i: usize) -> Option<f64> {
        let g = self.graph();
        if !g.result_avals()[0].dtype.is_float() {
            return None;
        }
        let mut args = self.args();
        args.push(Array::scalar(1.0));
        let y = eval(&vjp(&g, &[i]).ok()?, &args).unwrap_or_else(|e| panic!("{}: {e}", self.call));
        Some(y[1].to_f64_vec()[0])
    }
}
