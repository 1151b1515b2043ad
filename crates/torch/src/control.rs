//! Higher-order operators: nodes that hold graphs of their own.
//!
//! A graph of cotangent has no branches and no loops. Both branches of `cond` are computed and their results chosen; `map` is a
//! batch; loops are written out, for which the number of their steps has to be known.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use crate::args::Value;
use crate::batched::over_batch;
use crate::env::{Check, Env, carrying};
use crate::error::{TorchError, malformed};
use crate::schema::{Argument, GraphJson, NodeJson, Size};

/// The most steps of all loops of a program, which stand one after another in its graph.
const MAX_STEPS: usize = 1 << 16;

const AUTOCAST: &str =
    "operators inside convert their operands; export with `run_decompositions()`, which writes that out";
const STEPS: &str = "the number of its steps depends on data, and graphs have no loops; use a fixed number of steps";
const BRANCHES: &str = "which of its graphs is computed depends on data; use cond or where";

impl<'g> Env<'g> {
    /// The results of the higher-order operator `target` of node `n`; `None` for an operator that is none, or holds no graph.
    pub(crate) fn higher_order(
        &mut self,
        n: &'g NodeJson,
        target: &str,
        depth: usize,
    ) -> Result<Option<Vec<Value>>, TorchError> {
        let Some(name) = target.strip_prefix("higher_order.") else { return Ok(None) };
        let refused = |reason: &str| TorchError::Refused {
            target: target.to_owned(),
            node: n.name.clone().unwrap_or_default(),
            reason: reason.to_owned(),
        };
        let outs = match name {
            // Gradients that are switched off inside the exported program: its value is that of the sub-graph, detached.
            "wrap_with_set_grad_enabled" if flag(n) == Some(false) => {
                self.wrapped(n, depth)?.into_iter().map(|t| t.detach()).collect()
            }
            "wrap_with_autocast" if flag(n) == Some(true) => return Err(refused(AUTOCAST)),
            "wrap_with_set_grad_enabled" | "wrap_with_autocast" | "invoke_subgraph" | "tag_activation_checkpoint" => {
                self.wrapped(n, depth)?
            }
            "cond" => self.cond(n, depth)?,
            "map_impl" => self.map(n, depth)?,
            "scan" => self.scan(n, depth)?,
            "associative_scan" => self.associative_scan(n, depth)?,
            "while_loop" => self.while_loop(n, depth)?.ok_or_else(|| refused(STEPS))?,
            "switch" => return Err(refused(BRANCHES)),
            _ => return Ok(None),
        };
        Ok(Some(outs.into_iter().map(Value::Tensor).collect()))
    }

    /// The results of the graph of `n` on the operands beside it.
    fn wrapped(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Tensor>, TorchError> {
        let [graph] = graphs(n)?;
        let operands = self.lists(n)?.concat();
        self.apply_checked(graph, operands, depth)
    }

    /// A choice between the results of both branches.
    ///
    /// The branch that is not taken sees its operands detached: the derivatives in it may be infinite, and the cotangents of its
    /// results are zeros.
    fn cond(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Tensor>, TorchError> {
        let [taken, otherwise] = graphs(n)?;
        let operands: Vec<Value> = self.lists(n)?.into_iter().skip(1).flatten().collect();
        let condition = match n.inputs.first().map(|a| &a.arg) {
            Some(Argument::Tensor(t)) => self.tensor(t)?.convert(DType::Bool).view_to(&().into()),
            Some(Argument::Bool(true)) => return self.apply_checked(taken, operands, depth),
            Some(Argument::Bool(false)) => return self.apply_checked(otherwise, operands, depth),
            Some(Argument::SymInt(s)) => {
                let branch = if self.size(s)? != 0 { taken } else { otherwise };
                return self.apply_checked(branch, operands, depth);
            }
            Some(_) | None => return Err(malformed("the condition of `cond` is no truth value")),
        };
        let mut branch = |graph: &'g GraphJson, holds: &Tensor| {
            let seen = |v: &Value| match v {
                Value::Tensor(t) if t.dtype().is_float() => Value::Tensor(t.where_(holds, t.detach())),
                v => v.clone(),
            };
            let (outs, checks) = self.apply(graph, operands.iter().map(seen).collect(), depth)?;
            let fails = holds.logical_not();
            self.checks.extend(checks.into_iter().map(|(c, message)| (c.bitwise_or(&fails), message)));
            Ok::<_, TorchError>(outs)
        };
        let (a, b) = (branch(taken, &condition)?, branch(otherwise, &condition.logical_not())?);
        if a.len() != b.len() {
            return Err(malformed("the branches of `cond` have different numbers of results"));
        }
        Ok(a.iter().zip(b).map(|(a, b)| a.where_(&condition, b)).collect())
    }

    /// The graph on each element of the leading dims of the first operands, all at once.
    fn map(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Tensor>, TorchError> {
        let [body] = graphs(n)?;
        let [xs, shared] = self.lists_of(n)?;
        let size = leading(&xs)?;
        let mapped = xs.len();
        let operands = [xs, shared].concat();
        let place = |(i, v): (usize, &Value)| Some((tensor(v)?.clone(), (i < mapped).then_some(0)));
        let tensors: Vec<_> = operands.iter().enumerate().filter_map(place).collect();
        over_batch(
            "map",
            &tensors,
            size,
            |_, _| 0,
            |args| {
                let mut args = args.iter();
                let given = operands.iter().map(|v| match v {
                    Value::Tensor(t) => Value::Tensor(args.next().unwrap_or(t).clone()),
                    v => v.clone(),
                });
                let (outs, checks) = self.apply(body, given.collect(), depth)?;
                Ok(outs.into_iter().map(|t| carrying(t, &checks)).collect())
            },
        )
    }

    /// The last carried values of the loop over the leading dim, then the stacked results of its steps.
    fn scan(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Tensor>, TorchError> {
        let [body] = graphs(n)?;
        let [mut carried, xs, shared] = self.lists_of(n)?;
        let steps = leading(&xs)?;
        if steps == 0 {
            return Err(malformed("`scan` over no elements: the shapes of its results are not known"));
        }
        self.count(steps)?;
        let mut stacks: Vec<Vec<Tensor>> = Vec::new();
        for i in 0..steps {
            let operands = [carried.clone(), elements(&xs, i), shared.clone()].concat();
            let mut outs = self.apply_checked(body, operands, depth)?;
            if outs.len() < carried.len() {
                return Err(malformed("the body of `scan` has fewer results than carried values"));
            }
            let made = outs.split_off(carried.len());
            carried = outs.into_iter().map(Value::Tensor).collect();
            stacks.resize_with(made.len(), Vec::new);
            stacks.iter_mut().zip(made).for_each(|(stack, t)| stack.push(t));
        }
        let last = carried.iter().filter_map(tensor).cloned();
        Ok(last.chain(stacks.iter().map(|s| stacked(s))).collect())
    }

    /// The results of combining each element with what the elements before it came to.
    fn associative_scan(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Tensor>, TorchError> {
        let [combine] = graphs(n)?;
        let [xs, shared] = self.lists_of(n)?;
        let mut stacks: Vec<Vec<Tensor>> = vec![Vec::new(); xs.len()];
        let mut so_far = Vec::new();
        let steps = leading(&xs)?;
        self.count(steps)?;
        for i in 0..steps {
            let next = elements(&xs, i);
            so_far = match i {
                0 => next,
                _ => self
                    .apply_checked(combine, [so_far, next, shared.clone()].concat(), depth)?
                    .into_iter()
                    .map(Value::Tensor)
                    .collect(),
            };
            if so_far.len() != xs.len() {
                return Err(malformed("the graph of `associative_scan` has another number of results than operands"));
            }
            stacks.iter_mut().zip(so_far.iter().filter_map(tensor)).for_each(|(stack, t)| stack.push(t.clone()));
        }
        let whole = xs.iter().filter_map(tensor);
        Ok(stacks.iter().zip(whole).map(|(s, x)| if s.is_empty() { x.clone() } else { stacked(s) }).collect())
    }

    /// The carried values after the last step; `None` where it depends on the program's arguments which step that is.
    fn while_loop(&mut self, n: &'g NodeJson, depth: usize) -> Result<Option<Vec<Tensor>>, TorchError> {
        let [condition, body] = graphs(n)?;
        let [mut carried, shared] = self.lists_of(n)?;
        loop {
            let operands = [carried.clone(), shared.clone()].concat();
            let holds = self.apply_checked(condition, operands.clone(), depth)?;
            let [holds] = holds.as_slice() else {
                return Err(malformed("the condition of `while_loop` is not one truth value"));
            };
            let Ok(holds) = holds.to_array() else { return Ok(None) };
            if holds.to_f64_vec().iter().all(|x| *x == 0.0) {
                return Ok(Some(carried.iter().filter_map(tensor).cloned().collect()));
            }
            self.count(1)?;
            carried = self.apply_checked(body, operands, depth)?.into_iter().map(Value::Tensor).collect();
        }
    }

    /// Counts steps of loops.
    ///
    /// *Errors*: there are too many.
    fn count(&mut self, steps: usize) -> Result<(), TorchError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS {
            return Err(malformed(format!("expected at most {MAX_STEPS} steps of loops, found {}", self.steps)));
        }
        Ok(())
    }

    /// The results of `graph`, whose checks have to hold.
    fn apply_checked(
        &mut self,
        graph: &'g GraphJson,
        operands: Vec<Value>,
        depth: usize,
    ) -> Result<Vec<Tensor>, TorchError> {
        let (outs, checks) = self.apply(graph, operands, depth)?;
        self.checks.extend(checks);
        Ok(outs)
    }

    /// The results of `graph` on `operands`, and what has to hold for it to have them.
    fn apply(
        &mut self,
        graph: &'g GraphJson,
        operands: Vec<Value>,
        depth: usize,
    ) -> Result<(Vec<Tensor>, Vec<Check>), TorchError> {
        if graph.inputs.len() != operands.len() {
            let (wanted, found) = (graph.inputs.len(), operands.len());
            return Err(malformed(format!("a sub-graph of {wanted} inputs stands beside {found} operands")));
        }
        let mut inner = self.inner();
        for (input, operand) in graph.inputs.iter().zip(operands) {
            match (input, operand) {
                (Argument::Tensor(name), value @ Value::Tensor(_)) => inner.bind(name, value),
                (Argument::SymInt(Size::Name(name, _)), value @ Value::Int(_)) => inner.bind(name, value),
                (Argument::Int(_) | Argument::SymInt(Size::Int(_)), Value::Int(_)) => {}
                (input, operand) => {
                    return Err(malformed(format!("a sub-graph's input {input:?} for {operand:?}")));
                }
            }
        }
        inner.run(graph, depth + 1)?;
        self.steps = inner.steps;
        let result = |o: &Argument| match o {
            Argument::Tensor(name) => inner.tensor(name),
            o => Err(malformed(format!("a sub-graph's output that is no tensor: {o:?}"))),
        };
        let outs = graph.outputs.iter().map(result).collect::<Result<_, _>>()?;
        Ok((outs, inner.checks))
    }

    /// The operands of `n`, a list for each argument; a graph and an option are empty ones.
    fn lists(&self, n: &NodeJson) -> Result<Vec<Vec<Value>>, TorchError> {
        let tensors = |v: &[String]| v.iter().map(|t| Ok(Value::Tensor(self.tensor(t)?))).collect();
        let sizes = |v: &[Size]| v.iter().map(|s| Ok(Value::Int(self.size(s)?))).collect();
        let list = |a: &Argument| match a {
            Argument::Tensor(t) => tensors(std::slice::from_ref(t)),
            Argument::Tensors(v) => tensors(v),
            Argument::Int(i) => Ok(vec![Value::Int(*i)]),
            Argument::Ints(v) => Ok(v.iter().map(|i| Value::Int(*i)).collect()),
            Argument::SymInt(s) => sizes(std::slice::from_ref(s)),
            Argument::SymInts(v) => sizes(v),
            Argument::Graph(_)
            | Argument::Bool(_)
            | Argument::Str(_)
            | Argument::None
            | Argument::ScalarType(_)
            | Argument::Meaningless => Ok(Vec::new()),
            Argument::OptionalTensors(_)
            | Argument::Float(_)
            | Argument::Floats(_)
            | Argument::Bools(_)
            | Argument::Operator(_)
            | Argument::Unknown(_) => Err(malformed(format!("node `{}`: an operand that is no tensor", n.target))),
        };
        n.inputs.iter().map(|a| list(&a.arg)).collect()
    }

    /// The operands after the graphs of `n`, of which there are `N` lists; the last ones may be left out.
    fn lists_of<const N: usize>(&self, n: &NodeJson) -> Result<[Vec<Value>; N], TorchError> {
        let graphs = n.inputs.iter().take_while(|a| matches!(a.arg, Argument::Graph(_))).count();
        let mut lists = self.lists(n)?.into_iter().skip(graphs);
        let taken = std::array::from_fn(|_| lists.next().unwrap_or_default());
        match lists.next() {
            None => Ok(taken),
            Some(_) => Err(malformed(format!("node `{}`: expected {N} lists of operands", n.target))),
        }
    }
}

/// The first truth value among the arguments: whether a wrapper switches something on.
fn flag(n: &NodeJson) -> Option<bool> {
    n.inputs.iter().find_map(|a| if let Argument::Bool(b) = a.arg { Some(b) } else { None })
}

/// The `N` graphs of `n`.
fn graphs<const N: usize>(n: &NodeJson) -> Result<[&GraphJson; N], TorchError> {
    let found = n.inputs.iter().filter_map(|a| if let Argument::Graph(g) = &a.arg { Some(&**g) } else { None });
    let found: Vec<&GraphJson> = found.collect();
    found.try_into().map_err(|_| malformed(format!("node `{}`: expected {N} graphs", n.target)))
}

fn tensor(v: &Value) -> Option<&Tensor> {
    if let Value::Tensor(t) = v { Some(t) } else { None }
}

/// The size of the leading dim, which all of `xs` have.
fn leading(xs: &[Value]) -> Result<usize, TorchError> {
    let size = |v: &Value| tensor(v)?.shape().dims().first().map(|d| d.get());
    match xs.first().and_then(size) {
        Some(n) if xs.iter().all(|v| size(v) == Some(n)) => Ok(n),
        Some(_) | None => Err(malformed("expected operands with one leading dim of equal size")),
    }
}

/// Element `i` of each of `xs`.
fn elements(xs: &[Value], i: usize) -> Vec<Value> {
    xs.iter().filter_map(tensor).map(|t| Value::Tensor(t.select(0, i as i64))).collect()
}

fn stacked(tensors: &[Tensor]) -> Tensor {
    stack(tensors, 0)
}
