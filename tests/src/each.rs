//! Checks of every op's samples, and of many random graphs.

use cotangent_core::array::Array;
use cotangent_core::ir::Graph;
use cotangent_core::ops::Op;

use crate::numeric::sample_graph;
use crate::random_graph::{Config, random_args, random_graph, seeds};

/// Checks the samples of every op, or of the one that the environment variable `COTANGENT_OP` names.
///
/// *Panics*: with all failures, panics of `check` among them.
pub fn each_sample(check: impl Fn(&Graph, &[Array]) -> Result<(), String> + std::panic::RefUnwindSafe) {
    let only = std::env::var("COTANGENT_OP").ok();
    let mut failures = Vec::new();
    for s in Op::all_samples().iter().filter(|s| only.as_deref().is_none_or(|o| o == s.op.name())) {
        let g = sample_graph(s);
        match std::panic::catch_unwind(|| check(&g, &s.args)) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => failures.push(format!("{} ({}): {e}", s.op.name(), s.note)),
            Err(_) => failures.push(format!("{} ({}): panic", s.op.name(), s.note)),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Checks two kinds of random graphs for each of so many [`seeds`].
///
/// *Panics*: with the first failure.
pub fn each_random_graph(usual: u64, check: impl Fn(&Graph, &[Array]) -> Result<(), String>) {
    for seed in seeds(usual) {
        for config in [Config::ALL, Config::F64] {
            let g = random_graph(seed, config);
            let args = random_args(seed, &g);
            if let Err(e) = check(&g, &args) {
                panic!("seed {seed}: {e}");
            }
        }
    }
}
