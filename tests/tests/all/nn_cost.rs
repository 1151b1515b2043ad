//! Modules cost nothing after tracing: a program written with modules and optimisers is the same graph, node by node, as
//! the one written with plain tensors. The programs are those on which cotangent is timed.

use cotangent::function::{Arguments, Function};
use cotangent::ir::Signature;
use cotangent::prelude::*;

#[path = "../../../benches/src/steps.rs"]
mod steps;

/// Compares the graphs of a pair.
struct Graphs;

impl steps::Visit for Graphs {
    fn f32s(&self, shape: &[usize]) -> Tensor {
        Tensor::abstract_(DType::F32, shape)
    }

    fn labels(&self, n: usize, _: i64) -> Tensor {
        Tensor::abstract_(DType::I64, [n])
    }

    fn pair<A, B, F, G>(&self, name: &str, with_modules: (F, A), with_tensors: (G, B))
    where
        A: Arguments + Clone,
        B: Arguments + Clone,
        F: Function<A>,
        G: Function<B>,
    {
        // The structure of the arguments differs; nodes and results may not.
        let code = |g: Result<Graph, Error>| {
            let g = g.expect("a graph");
            let flat = Signature::flat(g.params().len(), g.results().len());
            g.with_signature(flat).code()
        };
        let (f, g) = (make_fx(with_modules.0, with_modules.1), make_fx(with_tensors.0, with_tensors.1));
        assert_eq!(code(f), code(g), "{name}");
    }
}

macro_rules! same_graphs { ($($name:ident)*) => { $(
    #[test]
    fn $name() {
        steps::$name(&Graphs);
    }
)* } }
same_graphs! {
    mlp_train_step ensemble_train per_sample_grad_mlp per_sample_grad_cnn maml lj_net_grad ntk_contract_and_ntk_vps
}
