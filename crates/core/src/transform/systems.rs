//! Systems of equations by factors: what stands for `_linalg_solve_ex` and `linalg_inv_ex` where they are computed.
//!
//! Derivatives solve systems of a matrix and of its transpose. A matrix is factored once for all systems of itself, of
//! its transpose and of its broadcasts.

use rustc_hash::FxHashMap;

use super::replay::Env;
use crate::error::Error;
use crate::ir::{Graph, Node, Value};
use crate::ops::{Eye, Op, Permute};
use crate::tensor::trace::{at, build};
use crate::tensor::{Tensor, emit_all};

/// The graph without `_linalg_solve_ex` and `linalg_inv_ex`; signature and locations stay.
pub(crate) fn factor_systems(graph: &Graph) -> Result<Graph, Error> {
    let is_system = |n: &Node| matches!(n.op, Op::Solve(_) | Op::Inverse(_));
    if !graph.nodes().iter().any(is_system) {
        return Ok(graph.clone());
    }
    let mut known = Known { graph, defs: graph.definitions(), factors: FxHashMap::default() };
    let counts = graph.use_counts();
    let out = build(graph.name(), |t| {
        let params: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        let mut env = Env::new(graph, params);
        for n in graph.nodes() {
            let args: Vec<Tensor> = env.read(&n.args);
            let results = at(graph.loc(n).clone(), || {
                if !is_system(n) {
                    return emit_all(n.op.clone(), &args.iter().collect::<Vec<_>>());
                }
                // Factors that are seen are those of the matrix as it stands.
                let seen = n.results[1..].iter().any(|r| counts[r.index()] > 0);
                let factors = if seen { known.own(n.args[0], &env) } else { known.any(n.args[0], &env) };
                solved(&n.op, &args, factors)
            });
            env.write(&n.results, results);
        }
        Ok(env.read(graph.results()))
    })?;
    Ok(out.with_signature(graph.signature().clone()))
}

/// The results of a system's node `op` at `args`, by factors of its own.
///
/// # Panics
/// If `op` is no system.
pub fn solve_by_factors(op: &Op, args: &[Tensor]) -> Vec<Tensor> {
    solved(op, args, Factors { of: args[0].lu_factor_exact(), transposed: false })
}

/// The packed factors, pivots and info of a matrix, or of the transposed one.
#[derive(Clone)]
struct Factors {
    of: [Tensor; 3],
    transposed: bool,
}

/// What is factored already, by the source of the matrix.
struct Known<'a> {
    graph: &'a Graph,
    defs: Vec<Option<(usize, usize)>>,
    factors: FxHashMap<Value, Factors>,
}

impl Known<'_> {
    /// The factors of `matrix` as it stands.
    fn own(&mut self, matrix: Value, env: &Env<Tensor>) -> Factors {
        let (source, transposed) = self.source(matrix);
        let usable = |f: &&Factors| f.transposed == transposed && f.of[0].shape() == env.get(matrix).shape();
        if let Some(f) = self.factors.get(&source).filter(usable) {
            return Factors { of: f.of.clone(), transposed: false };
        }
        let of = env.get(matrix).lu_factor_exact();
        self.factors.entry(source).or_insert_with(|| Factors { of: of.clone(), transposed });
        Factors { of, transposed: false }
    }

    /// Factors of `matrix` or its transpose.
    fn any(&mut self, matrix: Value, env: &Env<Tensor>) -> Factors {
        let (source, transposed) = self.source(matrix);
        let make = || Factors { of: env.get(source).lu_factor_exact(), transposed: false };
        let f = self.factors.entry(source).or_insert_with(make);
        Factors { of: f.of.clone(), transposed: f.transposed != transposed }
    }

    /// The value of which `matrix` is a broadcast, or the transpose of one.
    fn source(&self, matrix: Value) -> (Value, bool) {
        let (mut v, mut transposed) = (matrix, false);
        while let Some((node, _)) = self.defs[v.index()] {
            let n = &self.graph.nodes()[node];
            match &n.op {
                Op::Permute(Permute { dims }) if exchanges_last(dims) => transposed = !transposed,
                Op::Expand(_) if self.last_sizes(n.args[0]) == self.last_sizes(v) => {}
                _ => break,
            }
            v = n.args[0];
        }
        (v, transposed)
    }

    fn last_sizes(&self, v: Value) -> Option<Vec<usize>> {
        let sizes = self.graph.aval(v).shape.sizes();
        sizes.len().checked_sub(2).map(|lead| sizes[lead..].to_vec())
    }
}

/// Whether the order is that of transposed matrices.
fn exchanges_last(dims: &[usize]) -> bool {
    let Some(lead) = dims.len().checked_sub(2) else { return false };
    dims.iter().copied().eq((0..lead).chain([lead + 1, lead]))
}

/// The results of a system, given factors of its matrix.
fn solved(op: &Op, args: &[Tensor], factors: Factors) -> Vec<Tensor> {
    let (a, [lu, pivots, info]) = (&args[0], factors.of);
    let batch = a.shape().slice(0, a.rank() - 2);
    let wide = lu.expand_to(a.shape());
    let rows = pivots.expand_to(&a.shape().removed(a.rank() - 1));
    match op {
        Op::Solve(s) => {
            let vector = args[1].rank() < a.rank();
            let b = if vector { args[1].column() } else { args[1].clone() };
            let x = wide.solve_factored(&rows, &b, s.left, factors.transposed);
            vec![x.view_to(args[1].shape()), wide, rows, info.expand_to(&batch)]
        }
        Op::Inverse(_) => {
            let n = a.shape()[a.rank() - 1];
            let eye = Tensor::generate(Eye { n, m: n, dtype: a.dtype() }, Some(a)).expand_to(a.shape());
            vec![wide.solve_factored(&rows, &eye, true, factors.transposed), info.expand_to(&batch)]
        }
        op => panic!("`{}` is no system of equations", op.name()),
    }
}
