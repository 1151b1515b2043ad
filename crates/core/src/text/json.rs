//! Graphs as JSON, for tools that should not have to parse IR text; the schema is `ir-spec/graph.schema.json`.
//!
//! The round trip is exact, as that of IR text: floats that JSON has no number for are strings, arrays are their
//! little-endian bytes in base64.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lex::shortened;
use super::parse::MAX_DEPTH;
use super::parts::{Parts, RawNode};
use super::{ParseError, Problem};
use crate::array::Array;
use crate::ir::{Attr, Aval, DType, Graph, Loc, Scalar, Signature};
use crate::ops::Op;

/// `f64` in JSON: a number, or the text of [`super::number::float_text`] where JSON has no number for it.
pub mod float {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::text::number::{float_text, parse_float};

    /// Writes `x`.
    pub fn serialize<S: Serializer>(x: &f64, s: S) -> Result<S::Ok, S::Error> {
        if x.is_finite() { s.serialize_f64(*x) } else { s.serialize_str(&float_text(*x)) }
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Text(String),
        }
        match Form::deserialize(d)? {
            Form::Number(x) => Ok(x),
            Form::Text(t) => parse_float(&t).ok_or_else(|| de::Error::custom(format!("`{t}` is no float"))),
        }
    }
}

/// The version of the form; readers refuse others.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct GraphOut<'g> {
    version: u32,
    name: &'g str,
    signature: &'g Signature,
    params: Vec<TypedJson>,
    nodes: Vec<NodeOut<'g>>,
    results: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedJson {
    value: u32,
    dtype: DType,
    shape: crate::ir::Shape,
}

#[derive(Serialize)]
struct NodeOut<'g> {
    op: &'g str,
    args: Vec<u32>,
    attrs: Vec<(&'g str, AttrOut)>,
    results: Vec<TypedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loc: Option<&'g Loc>,
}

/// An attribute under the name of its kind: `{"int": 3}`, `{"list": […]}`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum AttrOut {
    None,
    Bool(bool),
    Int(i64),
    Float(#[serde(with = "float")] f64),
    DType(DType),
    Str(String),
    List(Vec<AttrOut>),
    Array(ArrayJson),
    Graph(Box<RawValue>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArrayJson {
    dtype: DType,
    shape: crate::ir::Shape,
    base64: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphIn<'t> {
    version: u32,
    name: String,
    #[serde(borrow)]
    signature: &'t RawValue,
    #[serde(borrow)]
    params: Vec<&'t RawValue>,
    #[serde(borrow)]
    nodes: Vec<&'t RawValue>,
    results: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeIn<'t> {
    #[serde(borrow)]
    op: Cow<'t, str>,
    args: Vec<u32>,
    #[serde(borrow)]
    attrs: Vec<(Cow<'t, str>, &'t RawValue)>,
    results: Vec<TypedJson>,
    #[serde(default)]
    loc: Option<Loc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AttrIn<'t> {
    None,
    Bool(bool),
    Int(i64),
    Float(#[serde(with = "float")] f64),
    DType(DType),
    Str(String),
    List(#[serde(borrow)] Vec<&'t RawValue>),
    Array(ArrayJson),
    Graph(#[serde(borrow)] &'t RawValue),
}

/// The JSON of `graph`, with locations.
pub fn to_json(graph: &Graph) -> String {
    let typed = |v: &crate::ir::Value| {
        let aval = graph.aval(*v).clone();
        TypedJson { value: number(*v), dtype: aval.dtype, shape: aval.shape }
    };
    let nodes = graph.nodes().iter().map(|n| NodeOut {
        op: n.op.name(),
        args: n.args.iter().copied().map(number).collect(),
        attrs: n.op.prim().attrs().iter().map(|(k, a)| (*k, attr_out(a))).collect(),
        results: n.results.iter().map(typed).collect(),
        loc: Some(graph.loc(n)).filter(|l| **l != Loc::default()),
    });
    let out = GraphOut {
        version: VERSION,
        name: graph.name(),
        signature: graph.signature(),
        params: graph.params().iter().map(typed).collect(),
        nodes: nodes.collect(),
        results: graph.results().iter().copied().map(number).collect(),
    };
    serde_json::to_string(&out).expect("strings, numbers and lists are JSON")
}

fn number(v: crate::ir::Value) -> u32 {
    u32::try_from(v.index()).expect("fewer than 2^32 values")
}

fn attr_out(attr: &Attr) -> AttrOut {
    match attr {
        Attr::None => AttrOut::None,
        Attr::Scalar(Scalar::Bool(b)) => AttrOut::Bool(*b),
        Attr::Scalar(Scalar::Int(i)) => AttrOut::Int(*i),
        Attr::Scalar(Scalar::Float(x)) => AttrOut::Float(*x),
        Attr::DType(d) => AttrOut::DType(*d),
        Attr::Str(s) => AttrOut::Str(s.clone()),
        Attr::List(items) => AttrOut::List(items.iter().map(attr_out).collect()),
        Attr::Array(a) => {
            let base64 = STANDARD.encode(a.to_le_bytes());
            AttrOut::Array(ArrayJson { dtype: a.dtype(), shape: a.shape().clone(), base64 })
        }
        Attr::Graph(g) => AttrOut::Graph(RawValue::from_string(to_json(g)).expect("a graph is JSON")),
    }
}

/// The graph in the JSON `text`, which comes from the file `name`.
///
/// *Errors*: the first place where the text is no JSON or no graph, or all the invariants that the graph breaks, at
/// their nodes.
pub fn from_json(name: &str, text: &str) -> Result<Graph, ParseError> {
    let mut reader = Reader { text, problems: Vec::new() };
    let read =
        reader.graph(text, 0).and_then(|g| if reader.problems.is_empty() { Ok(g) } else { Err(reader.problems) });
    read.map_err(|problems| ParseError::of(name, text, problems))
}

type Parsed<T> = Result<T, Vec<Problem>>;

struct Reader<'t> {
    text: &'t str,
    /// The broken invariants of the graphs read so far.
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    /// Where `part`, a slice of the text, stands in it.
    fn span(&self, part: &str) -> Range<usize> {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        start..start + part.len()
    }

    /// Reads `part`, a slice of the text, and says where in the text an error is.
    fn read<T: Deserialize<'t>>(&self, part: &'t str) -> Parsed<T> {
        serde_json::from_str(part).map_err(|e| {
            let at = self.span(part).start + offset(part, e.line(), e.column());
            let found = self.text[at..].chars().next().map_or(0, char::len_utf8);
            let message = e.to_string();
            // The place is told by the label, in bytes of the whole text.
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(m, _)| m);
            vec![Problem::new(at..at + found, message).with_help("the form stands in ir-spec/graph.schema.json")]
        })
    }

    fn fail<T>(&self, part: &str, message: String) -> Parsed<T> {
        Err(vec![Problem::new(self.span(part), message)])
    }

    fn graph(&mut self, part: &'t str, depth: usize) -> Parsed<Graph> {
        if depth == MAX_DEPTH {
            return self.fail(part, format!("expected at most {MAX_DEPTH} graphs and lists inside each other"));
        }
        let g: GraphIn = self.read(part)?;
        if g.version != VERSION {
            return self.fail(&part[..1], format!("expected version {VERSION}, found {}", g.version));
        }
        let start = self.span(part).start;
        let header = start..self.span(g.signature.get()).end;
        let signature: Signature = self.read(g.signature.get())?;
        let mut parts = Parts { name: g.name, header: header.clone(), signature, ..Parts::default() };
        for p in g.params {
            let span = self.span(p.get());
            let (v, aval) = self.typed(self.read(p.get())?, p.get())?;
            parts.params.push((v, aval, span));
        }
        for n in g.nodes {
            let node = self.node(n.get(), depth)?;
            parts.nodes.push(node);
        }
        parts.results = g.results.into_iter().map(|v| (v, header.clone())).collect();
        let (graph, problems) = parts.assemble()?;
        self.problems.extend(problems);
        Ok(graph)
    }

    fn typed(&self, t: TypedJson, part: &str) -> Parsed<(u32, Aval)> {
        Ok((t.value, self.aval(t.dtype, t.shape, part)?))
    }

    fn aval(&self, dtype: DType, shape: crate::ir::Shape, part: &str) -> Parsed<Aval> {
        if shape.checked_numel().is_none() {
            return self
                .fail(part, format!("expected at most 2^47 elements, found shape {}", shortened(&shape.to_string())));
        }
        Ok(Aval { dtype, shape })
    }

    fn node(&mut self, part: &'t str, depth: usize) -> Parsed<RawNode> {
        let n: NodeIn = self.read(part)?;
        let span = self.span(part);
        let mut attrs = Vec::with_capacity(n.attrs.len());
        let mut seen = HashSet::new();
        for (k, a) in n.attrs {
            if !seen.insert(k.clone()) {
                let message = format!("expected each attribute once, found `{}` again", shortened(&k));
                return self.fail(a.get(), message);
            }
            attrs.push((k.into_owned(), self.attr(a.get(), depth + 1)?));
        }
        let op = match Op::from_text(&n.op, attrs) {
            Ok(op) => op,
            Err(e) => return self.fail(part, format!("`{}`: {e}", shortened(&n.op))),
        };
        let mut results = Vec::with_capacity(n.results.len());
        for r in n.results {
            let (v, aval) = self.typed(r, part)?;
            results.push((v, aval, span.clone()));
        }
        let args = n.args.into_iter().map(|v| (v, span.clone())).collect();
        Ok(RawNode { op, args, results, loc: n.loc.unwrap_or_default(), span })
    }

    fn attr(&mut self, part: &'t str, depth: usize) -> Parsed<Attr> {
        if depth == MAX_DEPTH {
            return self.fail(part, format!("expected at most {MAX_DEPTH} graphs and lists inside each other"));
        }
        Ok(match self.read(part)? {
            AttrIn::None => Attr::None,
            AttrIn::Bool(b) => Attr::Scalar(Scalar::Bool(b)),
            AttrIn::Int(i) => Attr::Scalar(Scalar::Int(i)),
            AttrIn::Float(x) => Attr::Scalar(Scalar::Float(x)),
            AttrIn::DType(d) => Attr::DType(d),
            AttrIn::Str(s) => Attr::Str(s),
            AttrIn::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for i in items {
                    out.push(self.attr(i.get(), depth + 1)?);
                }
                Attr::List(out)
            }
            AttrIn::Array(a) => Attr::Array(Arc::new(self.array(a, part)?)),
            AttrIn::Graph(g) => Attr::Graph(Arc::new(self.graph(g.get(), depth + 1)?)),
        })
    }

    fn array(&self, a: ArrayJson, part: &str) -> Parsed<Array> {
        let aval = self.aval(a.dtype, a.shape, part)?;
        let bytes = match STANDARD.decode(&a.base64) {
            Ok(bytes) => bytes,
            Err(e) => return self.fail(part, format!("expected base64: {e}")),
        };
        match Array::from_le_bytes(&aval, &bytes) {
            Some(array) => Ok(array),
            None => self.fail(part, format!("expected the bytes of {aval}, found {} bytes", bytes.len())),
        }
    }
}

/// The byte at a line and column of serde_json, which count from 1 and name the byte that was read last.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
