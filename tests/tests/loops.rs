//! Loop programs: what lowering makes of every op, of random graphs, and of programs that must fuse.

use cotangent_core::array::Array;
use cotangent_core::ir::{DType, Graph};
use cotangent_core::ops::Op;
use cotangent_core::transform::eval::eval;
use cotangent_loops::interp::interpret;
use cotangent_loops::lower;
use cotangent_loops::verify::verify;
use cotangent_tests::numeric::{close, sample_graph};
use cotangent_tests::random_graph::{Config, random_args, random_graph};

/// Lowers, verifies, interprets, and compares with the reference; the message says what differs.
fn check(g: &Graph, args: &[Array]) -> Result<(), String> {
    let program = lower(g).map_err(|e| format!("{e}\n{g}"))?;
    verify(&program).map_err(|e| format!("{e}\n{g}\n{program:#?}"))?;
    let expected = match eval(g, args) {
        Ok(y) => y,
        // What the reference refuses, the loops refuse too.
        Err(e) => {
            return match interpret(&program, args) {
                Err(_) => Ok(()),
                Ok(_) => Err(format!("expected `{e}`")),
            };
        }
    };
    let got = interpret(&program, args).map_err(|e| e.to_string())?;
    for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
        let tol = match b.dtype() {
            DType::F64 => 1e-9,
            DType::F32 => 1e-4,
            DType::F16 => 2e-2,
            DType::BF16 => 1e-1,
            DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => 0.0,
        };
        if !close(&a.reshaped(b.shape()), b, tol) {
            return Err(format!("result {i}: got {a:?}, expected {b:?}\n{g}\n{program:#?}"));
        }
    }
    Ok(())
}

#[test]
fn every_op_sample() {
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

#[test]
fn random_graphs() {
    for seed in 0..600 {
        for config in [Config::ALL, Config::F64] {
            let g = random_graph(seed, config);
            let args = random_args(seed, &g);
            if let Err(e) = check(&g, &args) {
                panic!("seed {seed}: {e}");
            }
        }
    }
}
