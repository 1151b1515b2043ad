//! Nests whose lanes lie apart with rows between them: a part of the lanes goes through all rows at a time.

use crate::common::{Pointwise, access, check, data, nest, on_threads, paths, run, stage};
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Monoid};
use cotangent_loops::ir::*;

const V: fn(u32) -> BodyValue = BodyValue;

/// `y[l, i, j] = max(x[l, i] · w[j, l], l + 3 i)` for arrays of `batch` in the lanes, of `[rows, cols]` each.
fn products(d: DType, [batch, rows, cols]: [usize; 3]) -> LoopProgram {
    let index = |of, scale| (BodyOp::Index { of, scale, offset: 0 }, d);
    let ops = vec![
        (BodyOp::Load(0), d),
        (BodyOp::Load(1), d),
        (BodyOp::Binary(Binary::Mul, V(0), V(1)), d),
        index(Loop::Lane, 1),
        index(Loop::Outer(0), 3),
        (BodyOp::Binary(Binary::Add, V(3), V(4)), d),
        (BodyOp::Binary(Binary::Maximum, V(2), V(5)), d),
        (BodyOp::Store(2, V(6)), d),
    ];
    let [b, r, c] = [batch, rows, cols].map(|n| n as i64);
    let accesses =
        vec![access(0, 0, &[1, 0], &[], r), access(1, 0, &[0, b], &[], 1), access(2, 0, &[c, 1], &[], r * c)];
    Pointwise {
        inputs: vec![(d, batch * rows), (d, cols * batch)],
        outputs: vec![(d, batch * rows * cols)],
        nest: nest(&[rows, cols], &[], vec![stage(batch, accesses, ops)]),
    }
    .program()
}

/// The sums over the middle dim of `[batch, height, cols]`, with the batch in the lanes, and their squares by way of scratch rows.
fn sums([batch, height, cols]: [usize; 3]) -> LoopProgram {
    let d = DType::F32;
    let [h, c] = [height, cols].map(|n| n as i64);
    let scratch =
        |lane| Access { memory: Memory::Scratch(0), offset: 0, outer: vec![0], serial: vec![], lane, aim: None };
    let sum = Stage {
        serial: vec![height],
        lanes: batch,
        columns: vec![(Monoid::Sum, d)],
        accesses: vec![access(0, 0, &[1], &[c], h * c), Access { serial: vec![0], ..scratch(1) }],
        body: Body { ops: vec![(BodyOp::Load(0), d), (BodyOp::ReduceSerial(0, V(0)), d)] },
        after: Body { ops: vec![(BodyOp::Column(0), d), (BodyOp::Store(1, V(0)), d)] },
    };
    let square = vec![(BodyOp::Load(0), d), (BodyOp::Binary(Binary::Mul, V(0), V(0)), d), (BodyOp::Store(1, V(1)), d)];
    let end = stage(batch, vec![scratch(1), access(1, 0, &[1], &[], c)], square);
    let nest = Nest { scratch: vec![(d, batch)], ..nest(&[cols], &[], vec![sum, end]) };
    Pointwise { inputs: vec![(d, batch * height * cols)], outputs: vec![(d, batch * cols)], nest }.program()
}

/// The sums of short rows that lie in memory, and of their squares less those sums, with the rows in the lanes: both stages read the same transposed copy.
fn sums_of_rows([batch, rows, row]: [usize; 3]) -> LoopProgram {
    let d = DType::F32;
    let [b, r] = [batch, row].map(|n| n as i64);
    let own =
        |memory, lane, outer: i64| Access { memory, offset: 0, outer: vec![outer], serial: vec![], lane, aim: None };
    let scratch = |serial: &[i64]| Access { serial: serial.to_vec(), ..own(Memory::Scratch(0), 1, 0) };
    let lying = || access(0, 0, &[b * r], &[1], r);
    let end = |to| Body { ops: vec![(BodyOp::Column(0), d), (BodyOp::Store(to, V(0)), d)] };
    let column = |accesses, ops, after| Stage {
        serial: vec![row],
        lanes: batch,
        columns: vec![(Monoid::Sum, d)],
        accesses,
        body: Body { ops },
        after,
    };
    let sum =
        column(vec![lying(), scratch(&[0])], vec![(BodyOp::Load(0), d), (BodyOp::ReduceSerial(0, V(0)), d)], end(1));
    let squares = vec![
        (BodyOp::Load(0), d),
        (BodyOp::Load(1), d),
        (BodyOp::Binary(Binary::Mul, V(0), V(0)), d),
        (BodyOp::Binary(Binary::Sub, V(2), V(1)), d),
        (BodyOp::ReduceSerial(0, V(3)), d),
    ];
    let squares = column(vec![lying(), scratch(&[0]), access(1, 0, &[b], &[0], 1)], squares, end(2));
    let nest = Nest { scratch: vec![(d, batch)], ..nest(&[rows], &[], vec![sum, squares]) };
    Pointwise { inputs: vec![(d, batch * rows * row)], outputs: vec![(d, batch * rows)], nest }.program()
}

/// The squares of distances from `rows` points to `batch` others, and what these are less one in a nest of its own: all rows share a transposed copy, and where
/// both nests go through a few rows at a time, one thread makes it for all lanes.
fn distances([batch, rows, dims]: [usize; 3], is_single: bool) -> LoopProgram {
    let d = DType::F32;
    let [b, k] = [batch, dims].map(|n| n as i64);
    let squares = Stage {
        serial: vec![dims],
        lanes: batch,
        columns: vec![(Monoid::Sum, d)],
        accesses: vec![access(0, 0, &[k], &[1], 0), access(1, 0, &[0], &[1], k), access(2, 0, &[b], &[0], 1)],
        body: Body {
            ops: vec![
                (BodyOp::Load(0), d),
                (BodyOp::Load(1), d),
                (BodyOp::Binary(Binary::Sub, V(0), V(1)), d),
                (BodyOp::Binary(Binary::Mul, V(2), V(2)), d),
                (BodyOp::ReduceSerial(0, V(3)), d),
            ],
        },
        after: Body { ops: vec![(BodyOp::Column(0), d), (BodyOp::Store(2, V(0)), d)] },
    };
    let inputs = vec![(d, rows * dims), (d, batch * dims)];
    let mut p =
        Pointwise { inputs, outputs: vec![(d, batch * rows)], nest: nest(&[rows], &[], vec![squares]) }.program();
    if !is_single {
        p.buffers[2].role = Role::Temp;
        p.buffers.push(Buffer { dtype: d, len: batch * rows, role: Role::Result });
        p.results = vec![BufferId(3)];
        let less = vec![
            (BodyOp::Load(0), d),
            (BodyOp::Const(Scalar::Float(1.0)), d),
            (BodyOp::Binary(Binary::Sub, V(0), V(1)), d),
            (BodyOp::Store(1, V(2)), d),
        ];
        let end = stage(batch, vec![access(2, 0, &[b], &[], 1), access(3, 0, &[b], &[], 1)], less);
        p.steps.push(Step::Nest(nest(&[rows], &[], vec![end])));
    }
    p
}

#[test]
fn all_rows_share_a_copy() {
    for sizes in [[300, 2, 20], [200, 1, 33], [700, 100, 32], [1000, 40, 9], [129, 64, 40], [64, 30, 100]] {
        for is_single in [true, false] {
            // Sums of small whole numbers have no rounding.
            let x = [sizes[1] * sizes[2], sizes[0] * sizes[2]].map(|n| data(DType::I64, n, 5).cast(DType::F32));
            check(&format!("{sizes:?}, {is_single}"), &distances(sizes, is_single), &x, 1e-6);
        }
    }
}

#[test]
fn short_rows_in_lanes() {
    // Nests of so little work that one thread does it at once have parts of lanes too.
    let short = [[90, 1, 40], [130, 1, 33], [300, 1, 12], [200, 3, 8], [65, 7, 16], [64, 2, 9]];
    for sizes in short.into_iter().chain([[4099, 1, 33], [1000, 2, 20], [20_011, 1, 16], [70_001, 1, 9]]) {
        // Sums of small whole numbers have no rounding.
        let x = data(DType::I64, sizes.iter().product(), 5).cast(DType::F32);
        check(&format!("{sizes:?}"), &sums_of_rows(sizes), &[x], 1e-6);
    }
}

#[test]
fn lanes_between_rows() {
    for sizes in [
        [1000, 5, 5],
        [1024, 3, 1],
        [777, 1, 7],
        [4099, 2, 2],
        [130, 4, 4],
        [200, 8, 1],
        [300, 6, 1],
        [64, 3, 3],
        [0, 2, 2],
    ] {
        for d in [DType::F32, DType::F64, DType::I64, DType::I32, DType::U8, DType::BF16] {
            let args = [data(d, sizes[0] * sizes[1], 3), data(d, sizes[2] * sizes[0], 4)];
            check(&format!("{d} {sizes:?}"), &products(d, sizes), &args, 1e-6);
        }
    }
}

#[test]
fn columns_between_rows() {
    for sizes in [[1000, 9, 3], [4099, 20, 2], [300, 33, 5]] {
        // Sums of small whole numbers have no rounding.
        let x = data(DType::I64, sizes.iter().product(), 5).cast(DType::F32);
        check(&format!("{sizes:?}"), &sums(sizes), &[x], 1e-6);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let program = products(DType::F32, [20_011, 5, 5]);
    let args = [data(DType::F32, 20_011 * 5, 3), data(DType::F32, 5 * 20_011, 4)];
    for path in paths() {
        let one = on_threads(1, || run(&program, &args, path));
        for t in [2, 4] {
            let same = on_threads(t, || run(&program, &args, path))
                .iter()
                .zip(&one)
                .all(|(a, b)| a.to_le_bytes() == b.to_le_bytes());
            assert!(same, "{path:?}, {t} threads");
        }
    }
}
