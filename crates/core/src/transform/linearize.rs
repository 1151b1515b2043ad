//! Linearization: a function split into its value at a point and the linear map of tangents there.
//!
//! `f(x) → (y, residuals)` and `(residuals, x_dot) → y_dot`. The tangents are traced in a trace nested in that of the
//! primals, so that a primal value used by a tangent's rule becomes a parameter of the linear graph: a residual.

use super::jvp::push_forward;
use super::prune::{keep, needed, prune};
use crate::error::Error;
use crate::ir::Graph;
use crate::ops::Tangent;
use crate::tensor::Tensor;
use crate::tensor::trace::{Level, Trace};

/// A graph that is linear in its last parameters.
///
/// - **L1** its params are residuals, then linear params;
/// - **L2** each node is linear in its linear arguments jointly.
///
/// Only [`linearize`] makes one, so that the transpose of a nonlinear graph cannot be asked for.
#[derive(Clone, Debug)]
pub struct LinearGraph {
    graph: Graph,
    residuals: usize,
    results: Vec<bool>,
}

impl LinearGraph {
    /// `(residual…, x_dot…) → y_dot…`, one tangent for each float result of the function, in order; a tangent that
    /// is symbolically zero is not among the graph's results.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The number of residuals.
    pub fn residuals(&self) -> usize {
        self.residuals
    }

    /// The same map with only the tangent of result `i` of the function as its result (none, if that is zero).
    pub fn of_result(&self, i: usize) -> LinearGraph {
        self.of_results(|k| k == i)
    }

    /// The same map with only the tangents of the first `n` results of the function.
    pub fn of_first(&self, n: usize) -> LinearGraph {
        self.of_results(|k| k < n)
    }

    fn of_results(&self, which: impl Fn(usize) -> bool) -> LinearGraph {
        let moving = (0..self.results.len()).filter(|k| self.results[*k]);
        let results = moving.zip(self.graph.results()).filter(|(k, _)| which(*k)).map(|(_, v)| *v).collect();
        let only = self.results.iter().enumerate().map(|(k, m)| *m && which(k)).collect();
        let graph = prune(&self.graph.clone().with_results(results));
        LinearGraph { graph, residuals: self.residuals, results: only }
    }

    /// For each result of the function, whether its tangent is a result of the graph (others are zero).
    pub fn moving(&self) -> &[bool] {
        &self.results
    }
}

/// A function's value and its linear map.
#[derive(Clone, Debug)]
pub struct Linearized {
    /// `x… → (y…, residual…)`.
    pub primal: Graph,
    /// The linear map of the tangents of the params in `wrt`.
    pub linear: LinearGraph,
}

/// Linearizes `graph` in the parameters `wrt`.
///
/// *Errors*: a parameter in `wrt` that is not of floats.
pub fn linearize(graph: &Graph, wrt: &[usize]) -> Result<Linearized, Error> {
    let avals = graph.param_avals();
    super::grad::check_float("linearize", &avals, wrt)?;
    let primal = Trace::new("linearize", Level::Pass);
    let tangent = primal.nested("tangent");
    let x: Vec<Tensor> = avals.iter().map(|a| primal.param(a)).collect();
    let mut x_dot = vec![Tangent::Zero; x.len()];
    for i in wrt {
        x_dot[*i] = Tangent::Is(tangent.param(&avals[*i]));
    }
    let (mut y, y_dot) = primal.enter(|| push_forward(graph, &x, &x_dot));
    let results: Vec<bool> = y_dot.iter().map(|t| matches!(t, Tangent::Is(_))).collect();
    let dots: Vec<Tensor> = y_dot
        .into_iter()
        .filter_map(|t| match t {
            Tangent::Is(t) => Some(t),
            Tangent::Zero => None,
        })
        .collect();
    let traced = tangent.finish("linear", &dots)?;
    // Tangents that no result needs would keep residuals alive that nothing reads.
    let wrt = wrt.len();
    let live = needed(&traced.graph, traced.graph.results());
    let read = reads(&traced.graph, &live);
    let params: Vec<bool> = traced.graph.params().iter().enumerate().map(|(i, v)| i < wrt || read[v.index()]).collect();
    let residual = traced.captures.into_iter().zip(&params[wrt..]).filter(|(_, keep)| **keep).map(|(t, _)| t);
    let before = y.len();
    y.extend(residual);
    let residuals = y.len() - before;
    let primal = primal.finish(graph.name(), &y)?;
    debug_assert!(primal.captures.is_empty(), "I7: linearize captured outer values");
    let graph = keep(&traced.graph, &live, &params).with_params_rotated(residuals);
    Ok(Linearized { primal: primal.graph, linear: LinearGraph { graph, residuals, results } })
}

/// For each value, whether a chosen node or a result reads it.
fn reads(graph: &Graph, nodes: &[bool]) -> Vec<bool> {
    let mut read = vec![false; graph.num_values()];
    let chosen = graph.nodes().iter().zip(nodes).filter(|(_, live)| **live);
    for v in chosen.flat_map(|(n, _)| &n.args).chain(graph.results()) {
        read[v.index()] = true;
    }
    read
}
