//! Transforms of a graph given as text: `vmap(grad, in_dims=(None, 0), size=8)`.
//!
//! A name stands for the transform of the program itself, `grad` for `grad(f)`; the innermost `f` may be written. Arguments are
//! those of the program's signature, by number (negative from the end) or by name.
//!
//! | transform | keys |
//! |---|---|
//! | `grad`, `grad_and_value`, `value_and_grad`, `vjp`, `jvp`, `jacrev`, `jacfwd`, `hessian` | `argnums=0`, `argnums=(0, 2)`, `argnums=w` (default 0; for `vjp` and `jvp` all float arguments) |
//! | `vmap` | `in_dims=0`, `in_dims=(None, 0)`, `out_dims=0`, `size=N` (the number of examples) |

use std::ops::Range;

use cotangent_core::Error;
use cotangent_core::ir::{Aval, Graph, Signature, TreeSpec};
use cotangent_core::transform::{grad, jacobian, jvp, vmap};

/// How deep transforms may nest in a text.
const MAX_DEPTH: usize = 32;

/// What is wrong with a text of transforms.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
#[error("{message}")]
#[diagnostic(code(cotangent::pipeline))]
pub struct PipelineError {
    /// What was expected and what was found.
    pub message: String,
    /// The text.
    #[source_code]
    pub text: miette::NamedSource<String>,
    /// Where in the text, in bytes.
    #[label("here")]
    pub span: miette::SourceSpan,
    /// How to mend it.
    #[help]
    pub help: Option<String>,
}

/// A text of transforms that could not be read or applied.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
pub enum TransformTextError {
    /// The text itself.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Text(#[from] Box<PipelineError>),
    /// A transform that the program does not allow.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Transform(Box<Error>),
}

impl From<Error> for TransformTextError {
    fn from(e: Error) -> Self {
        TransformTextError::Transform(Box::new(e))
    }
}

/// The program `graph` under the transforms of `text`.
///
/// *Errors*: a text that is no transform, with the place in it; a transform that the program does not allow.
pub fn transform(graph: &Graph, text: &str) -> Result<Graph, TransformTextError> {
    let mut p = Parser { text, at: 0 };
    let pipeline = p.expr(0)?;
    p.skip();
    if p.at < text.len() {
        return Err(p.error(p.at..text.len(), "expected the end of the text", None).into());
    }
    pipeline.apply(graph, text)
}

enum Pipeline {
    Program,
    Apply { name: Name, inner: Box<Pipeline>, keys: Vec<Key>, span: Range<usize> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Derivative(Derivative),
    Vmap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Derivative {
    Grad,
    GradAndValue,
    Vjp,
    Jvp,
    Jacrev,
    Jacfwd,
    Hessian,
}

const NAMES: [(&str, Name); 9] = [
    ("grad", Name::Derivative(Derivative::Grad)),
    ("grad_and_value", Name::Derivative(Derivative::GradAndValue)),
    ("value_and_grad", Name::Derivative(Derivative::GradAndValue)),
    ("vjp", Name::Derivative(Derivative::Vjp)),
    ("jvp", Name::Derivative(Derivative::Jvp)),
    ("jacrev", Name::Derivative(Derivative::Jacrev)),
    ("jacfwd", Name::Derivative(Derivative::Jacfwd)),
    ("hessian", Name::Derivative(Derivative::Hessian)),
    ("vmap", Name::Vmap),
];

/// Whether `word` is the name of a transform that differentiates.
pub fn is_derivative(word: &str) -> bool {
    NAMES.iter().any(|(name, what)| *name == word && matches!(what, Name::Derivative(_)))
}

struct Key {
    name: String,
    value: Value,
    span: Range<usize>,
}

#[derive(Clone, PartialEq, Debug)]
enum Value {
    None,
    Int(i64),
    Word(String),
    List(Vec<Value>),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, Box<PipelineError>>;

fn error(text: &str, span: Range<usize>, message: impl Into<String>, help: Option<String>) -> Box<PipelineError> {
    let text = miette::NamedSource::new("--transform", text.to_owned());
    Box::new(PipelineError { message: message.into(), text, span: span.into(), help })
}

impl Parser<'_> {
    fn error(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) -> Box<PipelineError> {
        error(self.text, span, message, help)
    }

    fn skip(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        let found = self.text[self.at..].starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Parsed<()> {
        if self.eat(c) { Ok(()) } else { Err(self.error(self.here(), format!("expected `{c}`"), None)) }
    }

    /// The character at which the parser stands, as a span.
    fn here(&self) -> Range<usize> {
        let width = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        self.at..self.at + width
    }

    fn word(&mut self) -> Option<(String, Range<usize>)> {
        self.skip();
        let rest = &self.text[self.at..];
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
        let span = self.at..self.at + len;
        self.at = span.end;
        (len > 0).then(|| (rest[..len].to_owned(), span))
    }

    fn expr(&mut self, depth: usize) -> Parsed<Pipeline> {
        if depth > MAX_DEPTH {
            return Err(self.error(self.here(), format!("expected at most {MAX_DEPTH} nested transforms"), None));
        }
        let names = NAMES.map(|(n, _)| n).join(", ");
        let Some((word, span)) = self.word() else {
            return Err(self.error(self.here(), format!("expected a transform ({names})"), None));
        };
        if word == "f" {
            return Ok(Pipeline::Program);
        }
        let Some((_, name)) = NAMES.iter().find(|(n, _)| *n == word) else {
            return Err(self.error(span, format!("expected a transform ({names}), found `{word}`"), None));
        };
        let (mut inner, mut keys) = (Pipeline::Program, Vec::new());
        if self.eat('(') {
            while !self.eat(')') {
                let start = self.at;
                let is_key = self.word().is_some() && self.eat('=');
                self.at = start;
                if is_key {
                    keys.push(self.key()?);
                } else if keys.is_empty() && matches!(inner, Pipeline::Program) {
                    inner = self.expr(depth + 1)?;
                } else {
                    self.skip();
                    return Err(self.error(self.here(), "expected a `key=value` pair", None));
                }
                if !self.eat(',') {
                    self.expect(')')?;
                    break;
                }
            }
        }
        Ok(Pipeline::Apply { name: *name, inner: Box::new(inner), keys, span })
    }

    fn key(&mut self) -> Parsed<Key> {
        let (name, span) = self.word().expect("a word was seen");
        self.expect('=')?;
        let value = self.value(0)?;
        Ok(Key { name, value, span: span.start..self.at })
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        for (open, close) in [('(', ')'), ('[', ']')] {
            if self.eat(open) {
                if depth > MAX_DEPTH {
                    return Err(self.error(self.here(), "expected fewer nested lists", None));
                }
                let mut items = Vec::new();
                while !self.eat(close) {
                    items.push(self.value(depth + 1)?);
                    if !self.eat(',') {
                        self.expect(close)?;
                        break;
                    }
                }
                return Ok(Value::List(items));
            }
        }
        let negative = self.eat('-');
        let start = self.at;
        let Some((word, span)) = self.word() else {
            return Err(self.error(self.here(), "expected a number, a name, `None` or a list", None));
        };
        match word.parse::<i64>() {
            Ok(n) => Ok(Value::Int(if negative { -n } else { n })),
            Err(_) if negative || word.starts_with(|c: char| c.is_ascii_digit()) => {
                Err(self.error(start..span.end, format!("expected an integer, found `{word}`"), None))
            }
            Err(_) if word == "None" => Ok(Value::None),
            Err(_) => Ok(Value::Word(word)),
        }
    }
}

impl Pipeline {
    fn apply(&self, graph: &Graph, text: &str) -> Result<Graph, TransformTextError> {
        match self {
            Pipeline::Program => Ok(graph.clone()),
            Pipeline::Apply { name, inner, keys, span } => {
                let g = inner.apply(graph, text)?;
                let keys = Keys { keys, text, span: span.clone() };
                match name {
                    Name::Vmap => batch(&g, &keys),
                    Name::Derivative(d) => differentiate(&g, *d, &keys),
                }
            }
        }
    }
}

struct Keys<'a> {
    keys: &'a [Key],
    text: &'a str,
    span: Range<usize>,
}

impl Keys<'_> {
    fn get(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    fn only(&self, allowed: &[&str]) -> Parsed<()> {
        match self.keys.iter().find(|k| !allowed.contains(&k.name.as_str())) {
            None => Ok(()),
            Some(k) => {
                let message = format!("expected one of the keys {}, found `{}`", allowed.join(", "), k.name);
                Err(error(self.text, k.span.clone(), message, None))
            }
        }
    }

    fn wrong(&self, key: Option<&Key>, message: impl Into<String>) -> Box<PipelineError> {
        error(self.text, key.map_or(self.span.clone(), |k| k.span.clone()), message, None)
    }
}

/// The flat parameters of each argument.
fn leaves(signature: &Signature) -> Vec<Range<usize>> {
    let mut at = 0;
    let range = |t: &TreeSpec| {
        let start = at;
        at += t.num_leaves();
        start..at
    };
    signature.params.iter().map(range).collect()
}

/// The positions of the arguments that `argnums` names, or `None` where the key is absent.
fn argnums(g: &Graph, keys: &Keys) -> Parsed<Option<(Vec<usize>, bool)>> {
    let Some(key) = keys.get("argnums") else { return Ok(None) };
    let (items, several) = match &key.value {
        Value::List(items) => (items.as_slice(), true),
        one @ (Value::None | Value::Int(_) | Value::Word(_)) => (std::slice::from_ref(one), false),
    };
    let names = &g.signature().names;
    let n = names.len() as i64;
    let mut out = Vec::new();
    for item in items {
        let found = match item {
            Value::Int(i) if (-n..n).contains(i) => usize::try_from(i.rem_euclid(n)).ok(),
            Value::Word(w) => names.iter().position(|m| m == w),
            Value::Int(_) | Value::None | Value::List(_) => None,
        };
        match found {
            Some(i) if out.contains(&i) => return Err(keys.wrong(Some(key), "argnums elements must be unique")),
            Some(i) => out.push(i),
            None => {
                let message = format!(
                    "expected arguments of the program by number (0 to {}) or name ({})",
                    n - 1,
                    names.join(", ")
                );
                return Err(keys.wrong(Some(key), message));
            }
        }
    }
    if out.is_empty() {
        return Err(keys.wrong(Some(key), "argnums must be non-empty"));
    }
    Ok(Some((out, several)))
}

fn differentiate(g: &Graph, name: Derivative, keys: &Keys) -> Result<Graph, TransformTextError> {
    keys.only(&["argnums"])?;
    let signature = g.signature().clone();
    let ranges = leaves(&signature);
    let avals = g.param_avals();
    let given = argnums(g, keys)?;
    let all_floats = || {
        let float = |i: &usize| ranges[*i].clone().all(|l| avals[l].dtype.is_float());
        ((0..ranges.len()).filter(float).collect::<Vec<_>>(), true)
    };
    let (args, several) = match (given, name) {
        (Some(given), _) => given,
        (None, Derivative::Vjp | Derivative::Jvp) => all_floats(),
        (
            None,
            Derivative::Grad | Derivative::GradAndValue | Derivative::Jacrev | Derivative::Jacfwd | Derivative::Hessian,
        ) if !ranges.is_empty() => (vec![0], false),
        (None, _) => return Err(keys.wrong(None, "expected a program with arguments").into()),
    };
    let wrt: Vec<usize> = args.iter().flat_map(|i| ranges[*i].clone()).collect();
    let of_args = |leaf: &TreeSpec| -> TreeSpec {
        let tree = |i: &usize| replace_leaves(&signature.params[*i], leaf);
        if several { TreeSpec::Tuple(args.iter().map(tree).collect()) } else { tree(&args[0]) }
    };
    let (names, params) = (signature.names.clone(), signature.params.clone());
    let float_results: Vec<Aval> = g.result_avals().into_iter().filter(|a| a.dtype.is_float()).collect();
    let pair = |a: TreeSpec, b: TreeSpec| TreeSpec::Tuple(vec![a, b]);
    let floats = TreeSpec::Tuple(vec![TreeSpec::Leaf; float_results.len()]);
    let jacobian = |g: Graph, block: TreeSpec| {
        let result = if float_results.len() == 1 { block } else { TreeSpec::Tuple(vec![block; float_results.len()]) };
        g.with_signature(Signature { names: signature.names.clone(), params: signature.params.clone(), result })
    };
    Ok(match name {
        Derivative::Grad => {
            let full = grad::grad_and_value(g, &wrt)?;
            let n = wrt.len();
            full.with_only_results(n).with_signature(Signature { names, params, result: of_args(&TreeSpec::Leaf) })
        }
        Derivative::GradAndValue => {
            let result = pair(of_args(&TreeSpec::Leaf), signature.result.clone());
            grad::grad_and_value(g, &wrt)?.with_signature(Signature { names, params, result })
        }
        Derivative::Vjp => {
            let mut s = Signature { names, params, result: pair(signature.result.clone(), of_args(&TreeSpec::Leaf)) };
            s.names.extend((0..float_results.len()).map(|i| format!("cotangent{i}")));
            s.params.extend(vec![TreeSpec::Leaf; float_results.len()]);
            grad::vjp(g, &wrt)?.with_signature(s)
        }
        Derivative::Jvp => {
            let mut s = Signature { names, params, result: pair(signature.result.clone(), floats) };
            for i in &args {
                s.names.push(format!("{}_tangent", signature.names[*i]));
                s.params.push(signature.params[*i].clone());
            }
            jvp::jvp(g, &wrt)?.with_signature(s)
        }
        Derivative::Jacrev => jacobian(jacobian::jacrev(g, &wrt)?, of_args(&TreeSpec::Leaf)),
        Derivative::Jacfwd => jacobian(jacobian::jacfwd(g, &wrt)?, of_args(&TreeSpec::Leaf)),
        Derivative::Hessian => jacobian(jacobian::hessian(g, &wrt)?, of_args(&of_args(&TreeSpec::Leaf))),
    })
}

fn replace_leaves(tree: &TreeSpec, leaf: &TreeSpec) -> TreeSpec {
    let all = |v: &[TreeSpec]| v.iter().map(|t| replace_leaves(t, leaf)).collect();
    let named = |v: &[(String, TreeSpec)]| v.iter().map(|(k, t)| (k.clone(), replace_leaves(t, leaf))).collect();
    match tree {
        TreeSpec::Leaf => leaf.clone(),
        TreeSpec::None => TreeSpec::None,
        TreeSpec::Tuple(v) => TreeSpec::Tuple(all(v)),
        TreeSpec::List(v) => TreeSpec::List(all(v)),
        TreeSpec::Dict(v) => TreeSpec::Dict(named(v)),
        TreeSpec::Struct(n, v) => TreeSpec::Struct(n.clone(), named(v)),
    }
}

fn batch(g: &Graph, keys: &Keys) -> Result<Graph, TransformTextError> {
    keys.only(&["in_dims", "out_dims", "size"])?;
    let signature = g.signature().clone();
    let size = match keys.get("size").map(|k| (&k.value, k)) {
        Some((Value::Int(n), _)) if *n >= 0 => *n as usize,
        Some((_, key)) => return Err(keys.wrong(Some(key), "expected a number of examples").into()),
        None => {
            let message =
                "vmap: expected `size=N`, the number of examples: the program's shapes are those of one example";
            return Err(keys.wrong(None, message).into());
        }
    };
    let dims = |key: &str, n: usize| -> Parsed<Vec<Option<i64>>> {
        let k = keys.get(key);
        let one = |v: &Value| match v {
            Value::None if key == "in_dims" => Ok(None),
            Value::Int(i) => Ok(Some(*i)),
            Value::None | Value::Word(_) | Value::List(_) => {
                Err(keys.wrong(k, format!("expected {key} to hold integers (or None for in_dims)")))
            }
        };
        match k.map(|k| &k.value) {
            None => Ok(vec![Some(0); n]),
            Some(Value::List(items)) if items.len() == n => items.iter().map(one).collect(),
            Some(Value::List(items)) => {
                Err(keys.wrong(k, format!("expected {n} entries in {key}, found {}", items.len())))
            }
            Some(v) => Ok(vec![one(v)?; n]),
        }
    };
    let normal = |d: i64, a: &Aval, key: &str| -> Parsed<usize> {
        let rank = a.rank() as i64 + 1;
        let at = if d < 0 { d + rank } else { d };
        usize::try_from(at).ok().filter(|at| *at < rank as usize).ok_or_else(|| {
            keys.wrong(keys.get(key), format!("expected a dim in [{}, {}] for {a}, found {d}", -rank, rank - 1))
        })
    };
    let (params, results) = (g.param_avals(), g.result_avals());
    let mut in_dims = Vec::new();
    for (range, d) in leaves(&signature).into_iter().zip(dims("in_dims", signature.params.len())?) {
        for leaf in range {
            in_dims.push(d.map(|d| normal(d, &params[leaf], "in_dims")).transpose()?);
        }
    }
    if in_dims.iter().all(Option::is_none) {
        return Err(keys.wrong(keys.get("in_dims"), "expected at least one mapped argument").into());
    }
    let mut out_dims = Vec::new();
    for (a, d) in results.iter().zip(dims("out_dims", results.len())?) {
        out_dims.push(normal(d.unwrap_or(0), a, "out_dims")?);
    }
    Ok(vmap::vmap(g, &in_dims, &out_dims, size.into())?.with_signature(signature))
}
