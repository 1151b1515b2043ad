//! Operands that lie across the rows of a nest: copied by blocks, or straight to their places.

use crate::common::{Pointwise, access, check, data, nest, stage};
use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;
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
