//! Operands that lie across the rows of a nest: copied by blocks, or straight to their places.

use crate::common::{Pointwise, access, blocks, check, data, nest, on_threads, paths, stage};
use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;
use cotangent_jit::{Block, CallError, CompileOptions, compile_with};
use cotangent_loops::ir::*;

/// `y[o, r, l] = x[o, l, r]`, plus itself if `twice`.
fn turned(d: DType, [outer, rows, lanes]: [usize; 3], twice: bool) -> LoopProgram {
    let mut ops = vec![(BodyOp::Load(0), d)];
    if twice {
        ops.push((BodyOp::Binary(Binary::Add, BodyValue(0), BodyValue(0)), d));
    }
    let last = BodyValue(ops.len() as u32 - 1);
    ops.push((BodyOp::Store(1, last), d));
    let [n, r, l] = [rows * lanes, rows, lanes].map(|n| n as i64);
    let accesses = vec![access(0, 0, &[n, 1], &[], r), access(1, 0, &[n, l], &[], 1)];
    Pointwise {
        inputs: vec![(d, outer * rows * lanes)],
        outputs: vec![(d, outer * rows * lanes)],
        nest: nest(&[outer, rows], &[], vec![stage(lanes, accesses, ops)]),
    }
    .program()
}

fn checks(d: DType, shape: [usize; 3], twice: bool) {
    let what = format!("{d:?} {shape:?}, twice: {twice}");
    check(&what, &turned(d, shape, twice), &[data(d, shape.iter().product(), 3)], 0.0);
}

#[test]
fn blocks_and_what_is_left_of_them() {
    for d in [DType::F32, DType::F64, DType::BF16, DType::I32, DType::I8] {
        for shape in [[1, 8, 8], [2, 9, 17], [3, 40, 64], [1, 16, 1100], [1, 1024, 33], [2, 7, 5], [0, 16, 16]] {
            [false, true].into_iter().for_each(|twice| checks(d, shape, twice));
        }
    }
}

/// More than the nearest caches hold: cache lines are written whole, also where rows are a multiple of a page apart.
#[test]
fn whole_lines_of_large_arrays() {
    checks(DType::F32, [1, 1061, 1003], false);
    checks(DType::F32, [2, 530, 1024], false);
    checks(DType::F64, [1, 523, 1030], false);
}

/// Runs of rows that blocks do not divide, shared by threads; also where lanes are cut.
#[test]
fn pieces_of_whole_blocks() {
    checks(DType::F32, [1, 500, 500], true);
    checks(DType::F32, [3, 130, 1024], true);
    checks(DType::F64, [2, 257, 600], true);
}

/// Matrices side by side, of which one row is made each: rows that fill vectors and do not, copies that are more than a block, one and several threads.
#[test]
fn batches_of_small_matrices() {
    for d in [DType::F32, DType::F64, DType::BF16, DType::I32, DType::I8] {
        for shape in
            [[16, 8, 8], [40, 8, 17], [333, 9, 12], [100, 16, 16], [20, 33, 60], [64, 8, 64], [15, 10, 10], [0, 10, 10]]
        {
            [false, true].into_iter().for_each(|twice| checks(d, shape, twice));
        }
    }
    for n in [1, 2, 4] {
        on_threads(n, || checks(DType::F32, [5000, 10, 10], true));
    }
}

/// `z = x / y` of integers, in the order of `z` with these outer loops, where `y` has other strides; zeros at some places of `y`.
fn divides(outer: [usize; 2], lanes: usize, [o, r, l]: [i64; 3], zeros: &[usize]) {
    let n = outer[0] * outer[1] * lanes;
    let ops = vec![
        (BodyOp::Load(0), DType::I32),
        (BodyOp::Load(1), DType::I32),
        (BodyOp::Binary(Binary::DivFloor, BodyValue(0), BodyValue(1)), DType::I32),
        (BodyOp::Store(2, BodyValue(2)), DType::I32),
    ];
    let dense = [(outer[1] * lanes) as i64, lanes as i64];
    let accesses = vec![access(0, 0, &dense, &[], 1), access(1, 0, &[o, r], &[], l), access(2, 0, &dense, &[], 1)];
    let p = Pointwise {
        inputs: vec![(DType::I32, n), (DType::I32, n)],
        outputs: vec![(DType::I32, n)],
        nest: nest(&outer, &[], vec![stage(lanes, accesses, ops)]),
    }
    .program();
    let aval = data(DType::I32, n, 1).aval().clone();
    let y = Array::from_f64_fn(&aval, |i| if zeros.contains(&i) { 0.0 } else { 3.0 });
    let args = [data(DType::I32, n, 1), y];
    let y_of = |at: usize| {
        let [i, j, k] = [at / (outer[1] * lanes), at / lanes % outer[1], at % lanes].map(|i| i as i64);
        (o * i + r * j + l * k) as usize
    };
    let first = (0..n).find(|at| zeros.contains(&y_of(*at))).expect("a zero");
    for path in paths() {
        let compiled = compile_with(&p, CompileOptions { path }).expect("compiles");
        match compiled.call(&blocks(&args).iter().map(Block::bytes).collect::<Vec<_>>()) {
            Err(CallError::Data { source, .. }) => {
                let expected = EvalError::ZeroDivision { at: first };
                assert_eq!(source, expected, "{path:?} {outer:?} {lanes} {o} {r} {l}");
            }
            other => panic!("expected a division by zero, found {other:?}"),
        }
    }
}

/// However loops are ordered, cut or joined, the first point that fails is the one that is named.
#[test]
fn the_first_point_that_fails() {
    for zeros in [&[4000, 130][..], &[7, 5021], &[5999, 3001, 59]] {
        // Dense; transposed; with the first loop innermost; lanes between rows; short rows.
        divides([10, 20], 30, [600, 30, 1], zeros);
        divides([10, 20], 30, [600, 1, 20], zeros);
        divides([10, 20], 30, [1, 10, 200], zeros);
        divides([20, 5], 60, [5, 1, 100], zeros);
        divides([300, 5], 4, [20, 4, 1], zeros);
        divides([300, 4], 5, [20, 1, 4], zeros);
        divides([60, 10], 10, [100, 1, 10], zeros);
    }
    divides([1, 600], 700, [0, 1, 600], &[400_300, 600_020]);
    divides([1, 600], 700, [0, 1, 600], &[20, 601, 7]);
}
