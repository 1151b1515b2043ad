//! Loop programs: what lowering makes of every op, of random graphs, and of programs that must fuse.

mod choices;
mod convolutions;
mod every;
mod lookups;
mod masks;
mod pieces;
mod pointwise;
mod rows;
mod sizes;

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ir::Aval;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::inline::inline_all;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{LoopProgram, Role, Step};
use cotangent_loops::plan::plan;
use cotangent_loops::text::{parse, print};
use cotangent_loops::verify::verify;
use cotangent_loops::{lower, lower_as_is};
use cotangent_tests::numeric::{Rng, close, tolerance};
use cotangent_tests::snapshot::snapshot;

/// Lowers, verifies, interprets, and compares with the reference; the message says what differs.
fn check(g: &Graph, args: &[Array]) -> Result<(), String> {
    let inlined = inline_all(g).map_err(|e| format!("{e}\n{g}"))?;
    check_program(g, &inlined, &lower_as_is(&inlined).map_err(|e| format!("{e}\n{g}"))?, args)?;
    // Simplification is allowed to round; its own tests compare it with the graph as it was.
    let simple = simplify(&inlined);
    check_program(&simple, &inlined, &lower(g).map_err(|e| format!("{e}\n{g}"))?, args)
}

fn check_program(g: &Graph, inlined: &Graph, program: &LoopProgram, args: &[Array]) -> Result<(), String> {
    verify(program).map_err(|e| format!("{e}\n{g}\n{program}"))?;
    let text = print(program);
    match parse(&text) {
        Ok(again) if again == *program && print(&again) == text => {}
        Ok(again) => return Err(format!("the text reads back otherwise:\n{text}\n{again}\n{program:#?}\n{again:#?}")),
        Err(e) => return Err(format!("{e}\n{text}")),
    }
    check_plan(program)?;
    let expected = match eval(g, args) {
        Ok(y) => y,
        // What the reference refuses, the loops refuse too.
        Err(e) => {
            return match interpret(program, args) {
                Err(_) => Ok(()),
                Ok(_) => Err(format!("expected `{e}`")),
            };
        }
    };
    let got = interpret(program, args).map_err(|e| e.to_string())?;
    for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
        let tol = tolerance(inlined, b.dtype());
        if !close(&a.reshaped(b.shape()), b, tol) {
            return Err(format!("result {i}: got {a:?}, expected {b:?}\n{g}\n{program}"));
        }
    }
    Ok(())
}

/// No two temporaries that are alive together overlap, unless one is written in place of the other.
fn check_plan(program: &LoopProgram) -> Result<(), String> {
    let plan = plan(program);
    let mut alive = vec![None; program.buffers.len()];
    for (i, step) in program.steps.iter().enumerate() {
        let used: Vec<usize> = match step {
            Step::Nest(n) => n
                .stages
                .iter()
                .flat_map(|s| &s.accesses)
                .filter_map(|a| match a.memory {
                    cotangent_loops::ir::Memory::Buffer(b) => Some(b.0 as usize),
                    cotangent_loops::ir::Memory::Scratch(_) => None,
                })
                .collect(),
            Step::Routine(r) => r.inputs.iter().chain(&r.outputs).map(|b| b.0 as usize).collect(),
        };
        for b in used {
            let (first, _) = alive[b].unwrap_or((i, i));
            alive[b] = Some((first, i));
        }
    }
    let temps: Vec<(usize, usize, usize, usize)> = (0..alive.len())
        .filter(|b| program.buffers[*b].role == Role::Temp && program.buffers[*b].len > 0)
        .filter_map(|b| {
            let size = program.buffers[b].len * program.buffers[b].dtype.size_bytes();
            Some((plan.offsets[b]?, size, alive[b]?.0, alive[b]?.1))
        })
        .collect();
    for (k, x) in temps.iter().enumerate() {
        if x.0 + x.1 > plan.arena || x.0 % 64 != 0 {
            return Err(format!("a temporary at {} of {} bytes in {} bytes", x.0, x.1, plan.arena));
        }
        for y in &temps[k + 1..] {
            let overlap = x.0 < y.0 + y.1 && y.0 < x.0 + x.1;
            // In place: one ends in the very step in which the other begins.
            let together = x.2 < y.3 && y.2 < x.3;
            if overlap && together {
                return Err(format!("temporaries overlap: {x:?} and {y:?}\n{program}"));
            }
        }
    }
    Ok(())
}

/// Arguments for a graph: small normal numbers, or indices below `classes` for integers.
fn args_of(g: &Graph, classes: usize) -> Vec<Array> {
    let mut rng = Rng(7);
    let array = |a: &Aval| {
        let data: Vec<f64> = (0..a.shape.numel())
            .map(|_| if a.dtype.is_float() { rng.unit() } else { rng.below(classes) as f64 })
            .collect();
        Array::from_f64_fn(a, |i| data[i])
    };
    g.param_avals().iter().map(array).collect()
}

/// Checks numbers, takes a snapshot of the loops, and counts nests and routines.
fn fused(name: &str, g: &Graph, nests: usize, routines: usize) {
    let program = lower(g).unwrap();
    let is_nest = |s: &&Step| matches!(s, Step::Nest(_));
    let found = program.steps.iter().filter(is_nest).count();
    let mut shown = program.clone();
    for step in &mut shown.steps {
        match step {
            Step::Nest(n) => n.locs.clear(),
            Step::Routine(r) => r.loc = Default::default(),
        }
    }
    check(g, &args_of(g, 10)).unwrap_or_else(|e| panic!("{name}: {e}"));
    snapshot("loops", name, &print(&shown));
    assert_eq!((found, program.steps.len() - found), (nests, routines), "{name}: nests and routines\n{g}\n{shown}");
}

fn f32s(shape: &[usize]) -> Tensor {
    let aval = Aval::new(DType::F32, shape);
    Tensor::from_array(Array::from_f64_fn(&aval, |i| (i as f64 * 0.37).sin()))
}

/// The pullback of a graph with all its parameters.
fn pullback_of(g: &Graph) -> Graph {
    vjp(g, &(0..g.params().len()).collect::<Vec<_>>()).unwrap()
}
