//! Replaying a linearized function so that each residual is computed where the backward pass first reads it.
//!
//! What the results need, and what the user wrote for nothing, comes first and in the user's order; what only a
//! derivative rule needs comes later. So the gradient of `sum(sin(x))` reads sin, sum, and then cos.

use super::linearize::Linearized;
use super::prune::needed;
use super::replay::Env;
use crate::ir::{Graph, Value};
use crate::tensor::trace::at;
use crate::tensor::{Tensor, emit_all};

/// A primal graph of which only the results have been computed so far.
pub(crate) struct Lazy<'a> {
    graph: &'a Graph,
    env: Env<Tensor>,
    definition: Vec<Option<usize>>,
    emitted: Vec<bool>,
}

impl<'a> Lazy<'a> {
    /// Computes the first `results` results of `primal` at `x`, and all nodes that only other results do not need.
    pub fn new(primal: &'a Graph, results: usize, x: &[Tensor]) -> Self {
        let (y, residuals) = primal.results().split_at(results);
        let for_y = needed(primal, y);
        let for_residuals = needed(primal, residuals);
        let definition = primal.definitions().into_iter().map(|d| d.map(|(node, _)| node)).collect();
        let mut lazy = Lazy {
            graph: primal,
            env: Env::new(primal, x.iter().cloned()),
            definition,
            emitted: vec![false; primal.len()],
        };
        for i in (0..primal.len()).filter(|i| for_y[*i] || !for_residuals[*i]) {
            lazy.compute(primal.nodes()[i].results[0]);
        }
        lazy
    }

    /// What stands for `v`, computed if it has not been.
    pub fn compute(&mut self, v: Value) -> Tensor {
        let mut todo = Vec::new();
        let mut stack: Vec<usize> = self.missing(v).into_iter().collect();
        while let Some(i) = stack.pop() {
            if std::mem::replace(&mut self.emitted[i], true) {
                continue;
            }
            todo.push(i);
            stack.extend(self.graph.nodes()[i].args.iter().filter_map(|a| self.missing(*a)));
        }
        todo.sort_unstable();
        for i in todo {
            let n = &self.graph.nodes()[i];
            let args = self.env.read(&n.args);
            let results = at(self.graph.loc(n).clone(), || emit_all(n.op.clone(), &args.iter().collect::<Vec<_>>()));
            self.env.write(&n.results, results);
        }
        self.env.get(v).clone()
    }

    fn missing(&self, v: Value) -> Option<usize> {
        self.definition[v.index()].filter(|i| !self.emitted[*i])
    }
}

/// The results of a linearized function's primal graph at `x`, where what its first `results` results need is computed
/// before what only residuals need.
pub fn replay_results_first(primal: &Graph, results: usize, x: &[Tensor]) -> Vec<Tensor> {
    let mut lazy = Lazy::new(primal, results, x);
    primal.results().iter().map(|v| lazy.compute(*v)).collect()
}

/// The results of a linearized function, and those of a graph of `(residual…, arg…)` beside it, where `args` is made
/// of the results.
pub(crate) fn replay_with_residuals(
    lin: &Linearized,
    results: usize,
    x: &[Tensor],
    backward: &Graph,
    args: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut lazy = Lazy::new(&lin.primal, results, x);
    let (y, residuals) = lin.primal.results().split_at(results);
    let y: Vec<Tensor> = y.iter().map(|v| lazy.compute(*v)).collect();
    let (residual_params, arg_params) = backward.params().split_at(residuals.len());
    let mut env = Env::empty(backward);
    env.write(arg_params, args(&y));
    let mut source = vec![None; backward.num_values()];
    for (p, r) in residual_params.iter().zip(residuals) {
        source[p.index()] = Some(*r);
    }
    let mut read = |env: &mut Env<Tensor>, v: Value| match env.find(v) {
        Some(t) => t.clone(),
        None => {
            let t = lazy.compute(source[v.index()].expect("I1: defined before use"));
            env.set(v, t.clone());
            t
        }
    };
    for n in backward.nodes() {
        let args: Vec<Tensor> = n.args.iter().map(|v| read(&mut env, *v)).collect();
        let out = at(backward.loc(n).clone(), || emit_all(n.op.clone(), &args.iter().collect::<Vec<_>>()));
        env.write(&n.results, out);
    }
    let out = backward.results().iter().map(|v| read(&mut env, *v)).collect();
    (y, out)
}
