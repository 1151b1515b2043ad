//! The steps of graphs in IR text, with the shortest time that each takes: `explain GRAPH.txt…`.

use cotangent_core::array::Array;
use cotangent_core::text::ir::parse;
use cotangent_jit::{Block, Timed, compile};
use cotangent_loops::ir::{Nest, RoutineKind, Step};
use cotangent_loops::lower_explained;

fn nest(n: &Nest) -> String {
    let stage = |s: &cotangent_loops::ir::Stage| {
        let strides: Vec<i64> = s.accesses.iter().map(|a| a.lane).collect();
        format!("{:?}x{} of {} ops, strides {strides:?}", s.serial, s.lanes, s.body.ops.len() + s.after.ops.len())
    };
    format!("nest {:?}: {}", n.outer, n.stages.iter().map(stage).collect::<Vec<_>>().join("; "))
}

fn main() {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let graph = parse(&path, &text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let (program, nodes) = lower_explained(&graph).expect("lowers");
        let compiled = compile(&program).expect("compiles");
        let input = |p: &cotangent_core::ir::Value| {
            let aval = graph.aval(*p);
            let x = Array::from_f64_fn(aval, |i| {
                let unit = ((i as u64).wrapping_mul(2_654_435_761) % 4_294_967_296) as f64 / 4_294_967_296.0 - 0.5;
                if aval.dtype.is_float() { unit + 0.01 } else { 0.0 }
            });
            let bytes = x.to_le_bytes();
            let mut block = Block::new(bytes.len());
            block.bytes_mut().copy_from_slice(&bytes);
            block
        };
        let inputs: Vec<Block> = graph.params().iter().map(input).collect();
        let args: Vec<&[u8]> = inputs.iter().map(Block::bytes).collect();
        let mut times: Vec<Timed> = compiled.call_timed(&args).expect("runs").1;
        for _ in 0..12 {
            for (best, t) in times.iter_mut().zip(compiled.call_timed(&args).expect("runs").1) {
                best.time = best.time.min(t.time);
            }
        }
        let total: f64 = times.iter().map(|t| t.time.as_secs_f64()).sum();
        println!("== {path}: {} steps, {:.1} us, {} bytes", program.steps.len(), total * 1e6, compiled.peak_bytes());
        times.sort_by_key(|t| std::cmp::Reverse(t.time));
        for Timed { steps, time, .. } in times.into_iter().take(14) {
            println!("{:>10.1} us", time.as_secs_f64() * 1e6);
            for i in steps {
                let what = match &program.steps[i] {
                    Step::Nest(n) => nest(n),
                    Step::Routine(r) => match &r.kind {
                        RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => {
                            format!("{batch} products {m} x {k} x {n}, {lhs:?} {rhs:?}")
                        }
                        RoutineKind::Places { x, places, .. } => format!("places {places:?} of a sort of {x}"),
                        RoutineKind::Ranked { x, index, .. } => format!("ranks {index} of a sort of {x}"),
                        RoutineKind::Extremes { dim, x, .. } => format!("extremes along {dim} of {x}"),
                        RoutineKind::Values { x, .. } => format!("values of {} {x}", r.name),
                        RoutineKind::Lines { x, index, .. } => format!("lines of {x} {index}"),
                        RoutineKind::Exchanged { args, y, .. } => {
                            format!("{} {} {} exchanged to {y}", r.name, args[0], args[1])
                        }
                        RoutineKind::Rows { args, .. } | RoutineKind::Op { args, .. } => {
                            format!("{} {}", r.name, args.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
                        }
                    },
                };
                let names: Vec<&str> = nodes[i].iter().map(|n| n.0).collect();
                println!("      {i:>3} {what} <- {}", names.join(" "));
            }
        }
    }
}
