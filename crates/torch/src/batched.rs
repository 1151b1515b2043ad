//! What `vmap` of the exported function left in a program: its examples, between two marks.
//!
//! Between `_vmap_increment_nesting` and `_vmap_decrement_nesting` nodes have the shapes of one example. They are traced as a graph of
//! their own, of which the results over the batch are those of cotangent's `vmap`.

use std::collections::HashSet;

use cotangent_core::Tensor;
use cotangent_core::ir::Dim;
use cotangent_core::transform::replay::replay;
use cotangent_core::transform::vmap::vmap;

use crate::args::Value;
use crate::env::{Env, traced};
use crate::error::{TorchError, malformed};
use crate::schema::{Argument, NodeJson};

/// The module of the marks.
const MARKS: &str = "torch._functorch.predispatch.";

/// What a node says about examples and batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// What follows has the shapes of one example.
    Begin,
    /// The end of what the last [`Mark::Begin`] began.
    End,
    /// The examples of a batch.
    Split,
    /// The batch of examples.
    Join,
    /// No more than a note to PyTorch.
    Nothing,
}

/// The mark that `n` is.
pub(crate) fn mark(n: &NodeJson) -> Option<Mark> {
    match n.target.strip_prefix(MARKS)? {
        "_vmap_increment_nesting" => Some(Mark::Begin),
        "_vmap_decrement_nesting" => Some(Mark::End),
        "_add_batch_dim" => Some(Mark::Split),
        "_remove_batch_dim" => Some(Mark::Join),
        "lazy_load_decompositions" => Some(Mark::Nothing),
        _ => None,
    }
}

/// How many of `nodes`, which follow a [`Mark::Begin`], stand before its end.
///
/// *Errors*: there is no end.
pub(crate) fn examples(nodes: &[NodeJson]) -> Result<usize, TorchError> {
    let mut depth = 0;
    for (i, n) in nodes.iter().enumerate() {
        match mark(n) {
            Some(Mark::Begin) => depth += 1,
            Some(Mark::End) if depth == 0 => return Ok(i),
            Some(Mark::End) => depth -= 1,
            Some(Mark::Split | Mark::Join | Mark::Nothing) | None => {}
        }
    }
    Err(malformed("a vmap that does not end"))
}

/// The results of `f` for each example, with the batch of result `i` of rank `r` at `out_dim(i, r)`.
///
/// Each operand is shared by all examples, or has its batch of `size` at the given dim.
///
/// *Errors*: those of `f`; dims beyond the rank, or a batch of another size.
pub(crate) fn over_batch(
    name: &str,
    operands: &[(Tensor, Option<usize>)],
    size: usize,
    out_dim: impl Fn(usize, usize) -> usize,
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>, TorchError>,
) -> Result<Vec<Tensor>, TorchError> {
    let one = |(t, d): &(Tensor, Option<usize>)| match d {
        Some(d) if t.shape().dims().get(*d).is_some_and(|n| n.get() == size) => {
            Ok(t.aval().with_shape(t.shape().removed(*d)))
        }
        Some(d) => Err(malformed(format!("expected a batch of {size} at dim {d}, found {}", t.aval()))),
        None => Ok(t.aval()),
    };
    let avals = operands.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let graph = traced(name, &avals, f)?;
    let ranks = graph.results().iter().map(|v| graph.aval(*v).rank());
    let out_dims: Vec<usize> = ranks.enumerate().map(|(i, r)| out_dim(i, r)).collect();
    let in_dims: Vec<Option<usize>> = operands.iter().map(|o| o.1).collect();
    let batched = vmap(&graph, &in_dims, &out_dims, Dim::new(size))?;
    let tensors: Vec<Tensor> = operands.iter().map(|o| o.0.clone()).collect();
    Ok(replay(&batched, &tensors))
}

impl<'g> Env<'g> {
    /// Applies `nodes`, which stand between the mark `begin` and its end, to all examples.
    pub(crate) fn run_examples(
        &mut self,
        begin: &NodeJson,
        nodes: &'g [NodeJson],
        depth: usize,
    ) -> Result<(), TorchError> {
        let size = usize::try_from(self.int(begin, 0)?).map_err(|_| malformed("a vmap over a negative size"))?;
        let (mut names, mut operands) = (Vec::new(), Vec::new());
        let (mut joined, mut results, mut out_dims) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = HashSet::new();
        let mut level = 0;
        for n in nodes {
            match mark(n) {
                Some(Mark::Begin) => level += 1,
                Some(Mark::End) => level -= 1,
                Some(Mark::Split) if level == 0 => {
                    let dim = usize::try_from(self.int(n, 1)?).map_err(|_| malformed("a negative batch dim"))?;
                    operands.push((self.tensor(operand(n)?)?, Some(dim)));
                    names.push(output(n)?);
                    known.insert(output(n)?);
                    continue;
                }
                Some(Mark::Join) if level == 0 => {
                    results.push(operand(n)?);
                    joined.push(output(n)?);
                    out_dims.push(self.int(n, 3)?);
                }
                Some(Mark::Split | Mark::Join | Mark::Nothing) | None => {}
            }
            for name in n.inputs.iter().flat_map(|a| tensors(&a.arg)) {
                if self.is_tensor(name) && known.insert(name) {
                    operands.push((self.tensor(name)?, None));
                    names.push(name);
                }
            }
        }
        let place = |i: usize, rank: usize| {
            let dim = out_dims.get(i).copied().unwrap_or(0);
            if dim < 0 { (rank + 1).saturating_sub(dim.unsigned_abs() as usize) } else { dim as usize }
        };
        let made = over_batch("vmap", &operands, size, place, |args| {
            let mut inner = self.inner();
            for (name, arg) in names.iter().zip(args) {
                inner.bind(name, Value::Tensor(arg.clone()));
            }
            inner.run_nodes(nodes, depth + 1)?;
            self.steps = inner.steps;
            inner.results(results.iter().copied())
        })?;
        for (name, t) in joined.iter().zip(made) {
            self.bind(name, Value::Tensor(t));
        }
        Ok(())
    }

    /// Argument `i` of `n`, an integer.
    fn int(&self, n: &NodeJson, i: usize) -> Result<i64, TorchError> {
        match n.inputs.get(i).map(|a| &a.arg) {
            Some(Argument::Int(v)) => Ok(*v),
            Some(Argument::SymInt(s)) => self.size(s),
            Some(_) | None => Err(malformed(format!("`{}`: expected an integer as argument {i}", n.target))),
        }
    }
}

/// The tensors that an argument names.
fn tensors(a: &Argument) -> Vec<&str> {
    match a {
        Argument::Tensor(n) => vec![n],
        Argument::Tensors(v) => v.iter().map(String::as_str).collect(),
        Argument::OptionalTensors(v) => v.iter().flatten().map(String::as_str).collect(),
        Argument::None
        | Argument::Int(_)
        | Argument::Ints(_)
        | Argument::Float(_)
        | Argument::Floats(_)
        | Argument::Bool(_)
        | Argument::Bools(_)
        | Argument::Str(_)
        | Argument::SymInt(_)
        | Argument::SymInts(_)
        | Argument::ScalarType(_)
        | Argument::Operator(_)
        | Argument::Graph(_)
        | Argument::Meaningless
        | Argument::Unknown(_) => Vec::new(),
    }
}

/// The tensor that `n` splits or joins.
fn operand(n: &NodeJson) -> Result<&str, TorchError> {
    one_name(n, n.inputs.first().map(|a| &a.arg))
}

/// The name of its result.
fn output(n: &NodeJson) -> Result<&str, TorchError> {
    one_name(n, n.outputs.first())
}

fn one_name<'n>(n: &NodeJson, a: Option<&'n Argument>) -> Result<&'n str, TorchError> {
    match a.map(tensors).as_deref() {
        Some([name]) => Ok(name),
        Some(_) | None => Err(malformed(format!("`{}`: expected one tensor", n.target))),
    }
}
