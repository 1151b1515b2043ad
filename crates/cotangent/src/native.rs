//! Eager calls of transformed graphs as machine code, which the next call of an equal graph finds again.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::error::Error;
use cotangent_core::ir::{Builder, Graph, Value};
use cotangent_core::ops::Op;
use rustc_hash::FxHasher;

use crate::jit::Executable;
use crate::programs::Programs;

/// Elements that the nodes of a graph make, from which on compiling it pays at the first call. It depends on shapes only, so that
/// calls with equal arguments have equal results.
const WORTH: usize = 1 << 14;
/// A graph with its source lines, which errors name.
#[derive(Clone)]
struct Key {
    hash: u64,
    graph: Arc<Graph>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        let (a, b) = (&self.graph, &other.graph);
        let locs = || a.nodes().iter().zip(b.nodes()).all(|(m, n)| a.loc(m) == b.loc(n));
        self.hash == other.hash && a == b && locs()
    }
}

/// A compiled graph.
struct Program {
    key: Key,
    executable: Executable,
}

static PROGRAMS: LazyLock<Programs<Key, Program>> = LazyLock::new(Programs::default);

/// Whether `graph` computes enough to be compiled.
pub(crate) fn pays(graph: &Graph) -> bool {
    let made = |v: &Value| graph.aval(*v).shape.numel();
    let mut total = 0usize;
    graph.nodes().iter().flat_map(|n| &n.results).any(|v| {
        total = total.saturating_add(made(v));
        total >= WORTH
    })
}

/// The results of `graph` at arrays of its parameters' avals.
///
/// *Errors*: as for a compiled function.
pub(crate) fn run(graph: &Graph, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let (graph, stored) = hoisted(graph);
    let mut hasher = FxHasher::default();
    graph.hash(&mut hasher);
    let key = Key { hash: hasher.finish(), graph: Arc::new(graph) };
    let args: Vec<Tensor> = args.iter().cloned().chain(stored).collect();
    if let Some(results) = PROGRAMS.find_map(|p| (p.key == key).then(|| p.executable.call(&args))) {
        return results;
    }
    let make = || Ok::<_, Error>(Some(Program { key: key.clone(), executable: Executable::new(&key.graph)? }));
    let program = PROGRAMS.or_make(key.clone(), |p| p.key == key, make)?;
    program.expect("a graph becomes a program").executable.call(&args)
}

/// The graph with its stored arrays as further parameters, so that functions which capture other data share a program.
fn hoisted(graph: &Graph) -> (Graph, Vec<Tensor>) {
    let stored = |op: &Op| match op {
        Op::Constant(c) if c.value.numel() > 1 => Some(c.value.clone()),
        _ => None,
    };
    let values: Vec<Arc<Array>> = graph.nodes().iter().filter_map(|n| stored(&n.op)).collect();
    let mut out = Builder::new();
    let mut new: Vec<Option<Value>> = vec![None; graph.num_values()];
    for p in graph.params() {
        new[p.index()] = Some(out.param(graph.aval(*p).clone()));
    }
    for n in graph.nodes().iter().filter(|n| stored(&n.op).is_some()) {
        new[n.results[0].index()] = Some(out.param(graph.aval(n.results[0]).clone()));
    }
    let of = |new: &[Option<Value>], v: &Value| new[v.index()].expect("I1: defined before use");
    for n in graph.nodes().iter().filter(|n| stored(&n.op).is_none()) {
        let args = n.args.iter().map(|v| of(&new, v)).collect();
        let avals = n.results.iter().map(|v| graph.aval(*v).clone());
        let results = out.node(n.op.clone(), args, avals, graph.loc(n));
        for (v, r) in n.results.iter().zip(results) {
            new[v.index()] = Some(r);
        }
    }
    let results = graph.results().iter().map(|v| of(&new, v)).collect();
    (out.finish(graph.name(), results), values.into_iter().map(Tensor::from_shared).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn gradient(scale: f32, x: &Tensor) -> Tensor {
        let captured = Tensor::from_vec(vec![scale; x.numel()], [x.numel()]);
        grad(move |x: Tensor| (x.square() * &captured).sum()).call((x.clone(),)).expect("differentiable")
    }

    #[test]
    fn functions_that_capture_other_data_share_a_program() {
        let x = Tensor::from_vec((0..WORTH).map(|i| i as f32).collect::<Vec<_>>(), [WORTH]);
        let before = PROGRAMS.made();
        for scale in [1.0f32, 3.0, 5.0] {
            let dx = gradient(scale, &x).to_vec::<f32>().expect("floats");
            assert!(dx.iter().enumerate().all(|(i, d)| *d == 2.0 * scale * i as f32));
        }
        assert_eq!(PROGRAMS.made(), before + 1);
        let small = Tensor::from([1.0f32, 2.0]);
        assert_eq!(gradient(2.0, &small).to_vec::<f32>().expect("floats"), [4.0, 8.0]);
        assert_eq!(PROGRAMS.made(), before + 1, "two elements are evaluated");
    }
}
