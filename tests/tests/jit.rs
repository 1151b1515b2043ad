//! Compiled programs against the reference, on every path of the machine.

use cotangent_core::array::Array;
use cotangent_core::ir::Graph;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::inline::inline_all;
use cotangent_jit::{Block, CompileOptions, JitError, Path, compile_with};
use cotangent_loops::ir::LoopProgram;
use cotangent_loops::lower_as_is;
use cotangent_tests::each::{each_random_graph, each_sample};
use cotangent_tests::numeric::{close, hangs_on_last_places, tolerance};

fn block(a: &Array) -> Block {
    let bytes = a.to_le_bytes();
    let mut b = Block::new(bytes.len());
    b.bytes_mut().copy_from_slice(&bytes);
    b
}

/// Lowers, compiles, runs, and compares with the reference; the message says what differs.
fn check(g: &Graph, args: &[Array]) -> Result<(), String> {
    let inlined = inline_all(g).map_err(|e| format!("{e}\n{g}"))?;
    check_program(g, &inlined, &lower_as_is(&inlined).map_err(|e| format!("{e}\n{g}"))?, args)?;
    // Simplification is allowed to round; its own tests compare it with the graph as it was.
    let simple = simplify(&inlined);
    check_program(&simple, &inlined, &lower_as_is(&simple).map_err(|e| format!("{e}\n{g}"))?, args)
}

fn check_program(g: &Graph, inlined: &Graph, program: &LoopProgram, args: &[Array]) -> Result<(), String> {
    let expected = eval(g, args);
    let blocks: Vec<Block> = args.iter().map(block).collect();
    let inputs: Vec<&[u8]> = blocks.iter().map(Block::bytes).collect();
    for path in Path::ALL {
        let compiled = match compile_with(program, CompileOptions { path }) {
            Ok(c) => c,
            Err(JitError::NoSuchPath { .. }) => continue,
            Err(e) => return Err(e.to_string()),
        };
        let got = match (compiled.call(&inputs), &expected) {
            (Ok(got), Ok(_)) => got,
            (Err(_), Err(_)) => continue,
            (Ok(_), Err(e)) => return Err(format!("on {path:?}: expected `{e}`\n{g}")),
            (Err(e), Ok(_)) => return Err(format!("on {path:?}: {e}\n{g}")),
        };
        for (i, (a, b)) in got.iter().zip(expected.iter().flatten()).enumerate() {
            let a = Array::from_le_bytes(&b.aval(), a.bytes()).ok_or("a result of another length")?;
            let tol = tolerance(inlined, b.dtype());
            if !close(&a, b, tol) && !hangs_on_last_places(g, args, i, &a) {
                return Err(format!("result {i} on {path:?}: got {a:?}, expected {b:?}\n{g}\n{program:#?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_op_sample() {
    each_sample(check);
}

#[test]
fn random_graphs() {
    each_random_graph(2000, check);
}
