//! What fills vectors: where temporaries of batches of small arrays stand, how pieces of them are computed, and what is computed once for each row.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::transform::eval::eval;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{Access, Buffer, LoopProgram, Memory, Role, Stage, Step};
use cotangent_loops::lower;
use cotangent_loops::verify::verify;
use cotangent_tests::numeric::{close, tolerance};

/// The loops of `graph`, whose results are those of the reference.
fn loops(graph: &Graph) -> LoopProgram {
    let program = lower(graph).expect("lowers");
    verify(&program).unwrap_or_else(|e| panic!("{e}\n{program}"));
    let args: Vec<Array> = graph
        .params()
        .iter()
        .map(|p| Array::from_f64_fn(graph.aval(*p), |i| ((i * 37 % 101) as f64 - 50.0) / 40.0))
        .collect();
    let got = interpret(&program, &args).expect("interprets");
    for (x, y) in got.iter().zip(&eval(graph, &args).expect("evaluates")) {
        assert!(close(&x.reshaped(y.shape()), y, tolerance(graph, y.dtype())), "{graph}\n{program}");
    }
    program
}

fn stages(program: &LoopProgram) -> impl Iterator<Item = &Stage> {
    let nests = program.steps.iter().filter_map(|s| if let Step::Nest(n) = s { Some(n) } else { None });
    nests.flat_map(|n| &n.stages)
}

/// How many accesses of temporaries have lanes that lie apart.
fn apart(program: &LoopProgram) -> usize {
    let accesses = stages(program).flat_map(|s| &s.accesses);
    let is_apart = |a: &&Access| match a.memory {
        Memory::Buffer(b) => program.buffers[b.0 as usize].role == Role::Temp && a.lane.abs() > 1,
        Memory::Scratch(_) => false,
    };
    accesses.filter(is_apart).count()
}

fn temps(program: &LoopProgram) -> usize {
    program.buffers.iter().filter(|b| b.role == Role::Temp).count()
}

/// Rosenbrock's function.
fn valley(x: Tensor) -> Tensor {
    let n = x.shape().sizes()[0];
    let (a, b) = (x.narrow(0, 1, n - 1), x.narrow(0, 0, n - 1));
    (100.0 * (a - b.square()).square() + (1.0 - b).square()).sum()
}

#[test]
fn temporaries_of_batches_have_the_batch_last() {
    let graph = make_fx(vmap(hessian(valley)), (zeros([200, 5]),)).expect("traces");
    let program = loops(&graph);
    assert!(temps(&program) > 0, "{program}");
    assert_eq!(apart(&program), 0, "{program}");
}

/// A product reads its operands as they are, and a result is row-major.
#[test]
fn memory_that_others_read_is_row_major() {
    let f = |x: Tensor, w: Tensor| {
        let y = (x.exp() + 1.0).softmax(1);
        (y.matmul(&w), y)
    };
    let graph = make_fx(f, (zeros([256, 4]), zeros([4, 64]))).expect("traces");
    loops(&graph);
}

#[test]
fn pieces_of_batches_are_computed_piece_by_piece() {
    // The gradient of parts of rows of 3 is padding and sums.
    let f = |x: Tensor| {
        let c = |k: i64| x.select(1, k);
        (c(0) * c(1).sin() + c(2) * c(0).cos()).square().sum()
    };
    let graph = make_fx(grad(f), (zeros([500, 3]),)).expect("traces");
    let program = loops(&graph);
    // No part is padded to the size of the whole before it is added.
    let whole = |b: &&Buffer| b.role == Role::Temp && b.len == 1500;
    assert_eq!(program.buffers.iter().filter(whole).count(), 0, "{program}");
}

/// Labels are integers of 64 bits: what they say of a row does not halve the lanes of its numbers.
#[test]
fn wide_work_on_rows_leaves_lanes_narrow() {
    let f = |x: Tensor, k: Tensor| {
        let k = k.unsqueeze(1);
        x.exp().where_(&k.ne(3i64), &x * k.convert(DType::F32))
    };
    for (len, rows) in [(512, 1), (16, 0)] {
        let args = (zeros([7, len]), zeros([7]).convert(DType::I64));
        let program = loops(&make_fx(f, args).expect("traces"));
        let narrow = |s: &Stage| s.lanes == len && s.body.ops.iter().all(|(_, d)| *d != DType::I64);
        assert_eq!(stages(&program).filter(|s| narrow(s)).count(), rows, "{program}");
    }
}
