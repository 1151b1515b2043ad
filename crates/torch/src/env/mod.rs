//! The values of a program while its nodes are applied.

mod memory;

use std::collections::{BTreeMap, HashMap};

use cotangent_core::ir::{Aval, DType, Graph, Loc, Shape};
use cotangent_core::tensor::trace::at;
use cotangent_core::transform::build;
use cotangent_core::{Error, Tensor};

use crate::args::{Arg, Call, Value};
use crate::batched::{Mark, examples, mark};
use crate::error::{TorchError, malformed};
use crate::mutation::{self, View};
use crate::overloads;
use crate::provenance;
use crate::scalar_type;
use crate::schema::{Argument, GraphJson, NodeJson, Size, TensorMeta};

/// How deep sub-graphs may nest.
const MAX_DEPTH: usize = 16;
/// The operator that scales rows of an embedding where they stand, of what is detached.
const RESCALED: &str = "aten.embedding_renorm.default";

/// The values of a program while it runs.
#[derive(Default)]
pub(crate) struct Env<'g> {
    values: HashMap<String, Value>,
    /// Symbolic sizes, bound to those of the inputs.
    sizes: HashMap<String, i64>,
    /// Conditions that have to hold, with what it means if they do not.
    pub(super) checks: Vec<Check>,
    /// The nodes of several outputs, by these.
    makers: HashMap<&'g str, &'g NodeJson>,
    /// Names for shared memory, in order.
    views: Vec<View<'g>>,
    /// How many times bodies of loops were applied.
    pub(super) steps: usize,
    /// What was recorded of the tensors of the graph that runs.
    recorded: Option<&'g BTreeMap<String, TensorMeta>>,
}

/// A condition that has to hold, and what it means if it does not.
pub(crate) type Check = (Tensor, String);

/// `t`, which has a value only where `checks` hold.
pub(crate) fn carrying(t: Tensor, checks: &[Check]) -> Tensor {
    checks.iter().fold(t, |t, (condition, message)| t.assert_that(condition, message))
}

/// The graph that `f` traces on arguments of `avals`.
///
/// *Errors*: those of `f`.
pub(crate) fn traced(
    name: &str,
    avals: &[Aval],
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>, TorchError>,
) -> Result<Graph, TorchError> {
    let mut failure = None;
    let built = build(name, |t| {
        let args: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        f(&args).map_err(|e| {
            let message = e.to_string();
            failure = Some(e);
            Error::user(message)
        })
    });
    match failure {
        Some(e) => Err(e),
        None => Ok(built?),
    }
}

impl<'g> Env<'g> {
    /// The values of a graph inside this one, which knows the same symbolic sizes.
    pub(super) fn inner(&self) -> Self {
        Env { sizes: self.sizes.clone(), steps: self.steps, recorded: self.recorded, ..Env::default() }
    }

    /// Gives `name` a value.
    pub(crate) fn bind(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// Binds the symbolic sizes of `meta` to those of `shape`.
    ///
    /// *Errors*: other fixed sizes, or two values of one symbol.
    pub(crate) fn bind_sizes(
        &mut self,
        meta: Option<&TensorMeta>,
        shape: &Shape,
        input: &str,
    ) -> Result<(), TorchError> {
        let Some(meta) = meta else { return Ok(()) };
        if meta.sizes.len() != shape.rank() {
            return Err(malformed(format!("input `{input}`: expected {} dims, found {shape}", meta.sizes.len())));
        }
        for (size, d) in meta.sizes.iter().zip(shape.dims()) {
            let found = d.get() as i64;
            let expected = match size {
                Size::Int(i) => *i,
                Size::Name(n, _) => *self.sizes.entry(n.clone()).or_insert(found),
            };
            if expected != found {
                return Err(malformed(format!("input `{input}`: expected a size of {expected}, found {shape}")));
            }
        }
        Ok(())
    }

    /// The tensors of these names. A check has no value that others could use: the results carry it.
    pub(crate) fn results<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<Vec<Tensor>, TorchError> {
        names.map(|n| Ok(carrying(self.tensor(n)?, &self.checks))).collect()
    }

    /// Whether this is the name of a tensor.
    pub(super) fn is_tensor(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Tensor(_)))
    }

    /// The tensor of this name.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, TorchError> {
        match self.values.get(name) {
            Some(Value::Tensor(t)) => match t.error() {
                None => Ok(t.clone()),
                Some(e) => Err(e.clone().into()),
            },
            Some(Value::Tensors(_) | Value::Int(_) | Value::Number(_) | Value::None | Value::Check { .. }) => {
                Err(malformed(format!("`{name}` is no tensor")))
            }
            None => Err(malformed(format!("`{name}` is used before it is defined"))),
        }
    }

    /// The value of a size.
    pub(super) fn size(&self, size: &Size) -> Result<i64, TorchError> {
        match size {
            Size::Int(i) => Ok(*i),
            Size::Name(n, _) => match (self.values.get(n), self.sizes.get(n)) {
                (Some(Value::Int(i)), _) | (_, Some(i)) => Ok(*i),
                (_, None) => Err(malformed(format!("size `{n}` is not known"))),
            },
        }
    }

    /// The number that depends on data, if this names one.
    fn number(&self, size: &Size) -> Option<&Tensor> {
        match size {
            Size::Name(n, _) => match self.values.get(n) {
                Some(Value::Number(t)) => Some(t),
                Some(Value::Tensor(_) | Value::Tensors(_) | Value::Int(_) | Value::None | Value::Check { .. })
                | None => None,
            },
            Size::Int(_) => None,
        }
    }

    fn arg(&self, target: &str, node: &str, a: &Argument) -> Result<Arg, TorchError> {
        let tensors = |v: &Vec<String>| v.iter().map(|n| self.tensor(n)).collect::<Result<Vec<_>, _>>();
        Ok(match a {
            Argument::None => Arg::None,
            Argument::Tensor(n) => match self.values.get(n) {
                Some(Value::None) => Arg::None,
                Some(Value::Tensor(_) | Value::Tensors(_) | Value::Int(_) | Value::Number(_) | Value::Check { .. })
                | None => Arg::Tensor(self.tensor(n)?),
            },
            Argument::Tensors(v) => Arg::Tensors(tensors(v)?),
            Argument::OptionalTensors(v) => {
                let one = |n: &Option<String>| n.as_ref().map(|n| self.tensor(n)).transpose();
                Arg::OptionalTensors(v.iter().map(one).collect::<Result<_, _>>()?)
            }
            Argument::Int(i) => Arg::Int(*i),
            Argument::Ints(v) => Arg::Ints(v.clone()),
            Argument::Float(x) => Arg::Float(*x),
            Argument::Floats(v) => Arg::Floats(v.clone()),
            Argument::Bool(b) => Arg::Bool(*b),
            Argument::Bools(v) => Arg::Bools(v.clone()),
            Argument::Str(s) => Arg::Str(s.clone()),
            Argument::SymInt(s) => match self.number(s) {
                Some(t) => Arg::Number(t.clone()),
                None => Arg::Int(self.size(s)?),
            },
            Argument::SymInts(v) => Arg::Ints(v.iter().map(|s| self.size(s)).collect::<Result<_, _>>()?),
            Argument::ScalarType(code) => Arg::DType(scalar_type::named(target, node, *code)?),
            Argument::Operator(name) => Arg::Str(name.clone()),
            Argument::Graph(_) | Argument::Meaningless => Arg::Meaningless,
            Argument::Unknown(kind) => return Err(malformed(format!("unsupported kind of argument `{kind}`"))),
        })
    }

    /// Applies the nodes of `graph`, which is `depth` graphs deep.
    pub(crate) fn run(&mut self, graph: &'g GraphJson, depth: usize) -> Result<(), TorchError> {
        self.recorded = Some(&graph.tensor_values);
        self.run_nodes(&graph.nodes, depth)
    }

    /// Applies `nodes`, which are `depth` graphs deep.
    pub(crate) fn run_nodes(&mut self, nodes: &'g [NodeJson], depth: usize) -> Result<(), TorchError> {
        if depth > MAX_DEPTH {
            return Err(malformed(format!("expected at most {MAX_DEPTH} nested graphs")));
        }
        let mut rest = nodes;
        while let Some((n, after)) = rest.split_first() {
            rest = after;
            match mark(n) {
                Some(Mark::Begin) => {
                    let (inside, end) = after.split_at(examples(after)?);
                    at(location(n), || self.run_examples(n, inside, depth))?;
                    rest = end;
                }
                Some(Mark::End | Mark::Split | Mark::Join | Mark::Nothing) => {}
                None => self.run_node(n, depth)?,
            }
        }
        Ok(())
    }

    fn run_node(&mut self, n: &'g NodeJson, depth: usize) -> Result<(), TorchError> {
        let outs = at(location(n), || self.node(n, depth))?;
        let outs = outs.into_iter().map(|v| match v {
            Value::Check { condition, message, token } => {
                self.check(n, condition, message, depth);
                token.map_or(Value::None, Value::Tensor)
            }
            v @ (Value::Tensor(_) | Value::Tensors(_) | Value::Int(_) | Value::Number(_) | Value::None) => v,
        });
        let outs = outs.collect();
        self.define(n, outs)?;
        if n.outputs.len() > 1 {
            self.makers.extend(n.outputs.iter().filter_map(named).map(|name| (name, n)));
        }
        Ok(())
    }

    /// Lets what a condition of node `n` is about depend on it: the factors or solutions beside the `info` that is checked,
    /// else all results of the program. Inside a sub-graph it is for the operator around it to say when the condition counts.
    fn check(&mut self, n: &NodeJson, condition: Tensor, message: String, depth: usize) {
        let beside = n.inputs.iter().filter(|_| depth == 0).filter_map(|a| self.makers.get(named(&a.arg)?));
        let mut found = false;
        for name in beside.flat_map(|m| &m.outputs).filter_map(named) {
            if let Some(Value::Tensor(t)) = self.values.get_mut(name)
                && t.dtype().is_float()
            {
                *t = t.assert_that(&condition, &message);
                found = true;
            }
        }
        if !found {
            self.checks.push((condition, message));
        }
    }

    fn node(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Value>, TorchError> {
        let target = provenance::target(n);
        if let Some(outs) = self.higher_order(n, target, depth)? {
            return Ok(outs);
        }
        let functional = mutation::functional(target);
        let first = if functional.as_deref().unwrap_or(target) == RESCALED { self.undetached(n)? } else { None };
        let outs = self.call(n, functional.as_deref().unwrap_or(target), first.as_ref())?;
        if functional.is_some()
            && let (Some(written), Some(Value::Tensor(value))) = (mutation::first_tensor(n), outs.first())
        {
            // What is written keeps its dtype.
            let value = value.convert(self.tensor(written)?.dtype());
            self.write(written, value.clone())?;
            self.views.extend(mutation::views(n, target));
            return Ok(vec![Value::Tensor(value)]);
        }
        self.views.extend(mutation::views(n, target));
        Ok(outs)
    }

    /// The results of `target` on the arguments of `n`, or with another first operand.
    fn call(&self, n: &NodeJson, target: &str, first: Option<&Tensor>) -> Result<Vec<Value>, TorchError> {
        let name = n.name.as_deref().unwrap_or("?");
        let mut args = Vec::with_capacity(n.inputs.len());
        for (i, a) in n.inputs.iter().enumerate() {
            let arg = match first.filter(|_| i == 0) {
                Some(t) => Arg::Tensor(t.clone()),
                None => self.arg(target, name, &a.arg)?,
            };
            args.push((a.name.as_str(), arg));
        }
        if overloads::has_default_dtype(target) && !args.iter().any(|(n, a)| *n == "dtype" && !matches!(a, Arg::None)) {
            args.retain(|(n, _)| *n != "dtype");
            args.extend(self.recorded_dtype(n).map(|dtype| ("dtype", Arg::DType(dtype))));
        }
        let outs = overloads::call(&Call { target, node: name, args })?;
        for v in &outs {
            let tensors: &[Tensor] = match v {
                Value::Tensor(t) | Value::Number(t) | Value::Check { condition: t, .. } => std::slice::from_ref(t),
                Value::Tensors(v) => v,
                Value::Int(_) | Value::None => &[],
            };
            if let Some(e) = tensors.iter().find_map(Tensor::error) {
                return Err(TorchError::Node { node: name.to_owned(), source: Box::new(e.clone()) });
            }
        }
        Ok(outs)
    }

    /// The dtype that was recorded of the first result of a node.
    fn recorded_dtype(&self, n: &NodeJson) -> Option<DType> {
        let meta = self.recorded?.get(n.outputs.first().and_then(named)?)?;
        scalar_type::dtype(meta.dtype)
    }

    fn define(&mut self, n: &NodeJson, outs: Vec<Value>) -> Result<(), TorchError> {
        if outs.len() < n.outputs.len() {
            return Err(malformed(format!(
                "node `{}` has {} outputs, expected {}",
                n.target,
                n.outputs.len(),
                outs.len()
            )));
        }
        for (name, value) in n.outputs.iter().zip(outs) {
            match (name, value) {
                (Argument::Tensor(name), value) => {
                    self.values.insert(name.clone(), value);
                }
                (Argument::Tensors(names), Value::Tensors(values)) if names.len() == values.len() => {
                    self.values.extend(names.iter().cloned().zip(values.into_iter().map(Value::Tensor)));
                }
                (Argument::SymInt(Size::Name(name, _)), value @ (Value::Int(_) | Value::Number(_))) => {
                    self.values.insert(name.clone(), value);
                }
                (Argument::None, _) => {}
                (name, value) => return Err(malformed(format!("node `{}`: output {name:?} for {value:?}", n.target))),
            }
        }
        Ok(())
    }
}

/// The name of a tensor.
fn named(a: &Argument) -> Option<&str> {
    if let Argument::Tensor(name) = a { Some(name) } else { None }
}

/// The innermost frame of PyTorch's stack trace.
fn location(n: &NodeJson) -> Loc {
    let trace = n.metadata.get("stack_trace").and_then(|v| v.as_str()).unwrap_or_default();
    let frame = trace.lines().rev().find_map(|line| {
        let rest = line.trim_start().strip_prefix("File \"")?;
        let (file, rest) = rest.split_once("\", line ")?;
        let line = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some((file.to_owned(), line))
    });
    frame.map_or_else(Loc::default, |(file, line)| Loc { file: file.into(), line, ..Loc::default() })
}
