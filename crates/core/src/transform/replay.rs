//! Replaying a graph: each node is applied to tensors, in whatever trace they are.

use crate::error::Error;
use crate::ir::{Graph, Node, Value};
use crate::tensor::trace::{at, build};
use crate::tensor::{Tensor, emit_all};

/// The tensors that stand for the values of a graph during a walk over its nodes.
pub(crate) struct Env<T>(Vec<Option<T>>);

impl<T: Clone> Env<T> {
    /// An environment in which the parameters of `graph` stand for `args`.
    pub fn new(graph: &Graph, args: impl IntoIterator<Item = T>) -> Self {
        let mut env = Env(vec![None; graph.num_values()]);
        for (p, a) in graph.params().iter().zip(args) {
            env.0[p.index()] = Some(a);
        }
        env
    }

    /// An environment in which nothing is known.
    pub fn empty(graph: &Graph) -> Self {
        Env(vec![None; graph.num_values()])
    }

    /// What stands for `v`.
    pub fn get(&self, v: Value) -> &T {
        self.0[v.index()].as_ref().expect("I1: defined before use")
    }

    /// What stands for `v`, if it is known.
    pub fn find(&self, v: Value) -> Option<&T> {
        self.0[v.index()].as_ref()
    }

    /// Takes what stands for `v` out.
    pub fn take(&mut self, v: Value) -> Option<T> {
        self.0[v.index()].take()
    }

    /// What stands for `values`.
    pub fn read(&self, values: &[Value]) -> Vec<T> {
        values.iter().map(|v| self.get(*v).clone()).collect()
    }

    /// Lets `x` stand for `v`.
    pub fn set(&mut self, v: Value, x: T) {
        self.0[v.index()] = Some(x);
    }

    /// Lets `xs` stand for `values`.
    pub fn write(&mut self, values: &[Value], xs: impl IntoIterator<Item = T>) {
        for (v, x) in values.iter().zip(xs) {
            self.set(*v, x);
        }
    }
}

/// The results of `graph` at `args`, which have the avals of its parameters; nodes keep their locations.
pub fn replay(graph: &Graph, args: &[Tensor]) -> Vec<Tensor> {
    replay_with(graph, args, |n, args| emit_all(n.op.clone(), args))
}

/// As [`replay`], with `apply` for the results of each node.
fn replay_with(graph: &Graph, args: &[Tensor], apply: impl Fn(&Node, &[&Tensor]) -> Vec<Tensor>) -> Vec<Tensor> {
    let mut env = Env::new(graph, args.iter().cloned());
    for n in graph.nodes() {
        let results = {
            let args: smallvec::SmallVec<[&Tensor; 3]> = n.args.iter().map(|v| env.get(*v)).collect();
            at(graph.loc(n).clone(), || apply(n, &args))
        };
        env.write(&n.results, results);
    }
    env.read(graph.results())
}

/// The graph anew, with `apply` for the results of each node; signature and locations stay.
///
/// *Errors*: those of what `apply` makes.
pub fn rebuild(graph: &Graph, apply: impl Fn(&Node, &[&Tensor]) -> Vec<Tensor>) -> Result<Graph, Error> {
    let out = build(graph.name(), |t| {
        let params: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        Ok(replay_with(graph, &params, apply))
    })?;
    Ok(out.with_signature(graph.signature().clone()))
}

/// As [`replay`], with the first error in place of tensors that stand for it.
pub fn try_replay(graph: &Graph, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    replay(graph, args).into_iter().map(Tensor::ok).collect()
}
