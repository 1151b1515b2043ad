//! Matrix products of every shape, layout and dtype against the interpreter.

use crate::common::{check, on_threads, paths, run};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Loc};
use cotangent_jit::Path;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::*;

/// Products of matrices whose elements stand where `lhs` and `rhs` say, in buffers of as many elements as they reach.
fn product(d: DType, batch: usize, [m, k, n]: [usize; 3], lhs: Matrix, rhs: Matrix) -> LoopProgram {
    let reach = |x: &Matrix, rows: usize, cols: usize| {
        let far = |stride: i64, count: usize| (stride * (count.max(1) as i64 - 1)).max(0);
        (x.offset + far(x.batch, batch) + far(x.row, rows) + far(x.col, cols) + 1) as usize
    };
    let buffer = |len, role| Buffer { dtype: d, len, role };
    LoopProgram {
        buffers: vec![
            buffer(reach(&lhs, m, k), Role::Param),
            buffer(reach(&rhs, k, n), Role::Param),
            buffer(batch * m * n, Role::Result),
        ],
        params: vec![BufferId(0), BufferId(1)],
        results: vec![BufferId(2)],
        steps: vec![Step::Routine(Routine {
            kind: RoutineKind::MatMul { batch, m, k, n, lhs, rhs },
            inputs: vec![BufferId(0), BufferId(1)],
            outputs: vec![BufferId(2)],
            loc: Loc::default(),
            name: "mm".to_owned(),
        })],
    }
}

fn rows(rows: usize, cols: usize) -> Matrix {
    Matrix { offset: 0, batch: (rows * cols) as i64, row: cols as i64, col: 1 }
}

fn transposed(rows: usize, cols: usize) -> Matrix {
    Matrix { offset: 0, batch: (rows * cols) as i64, row: 1, col: rows as i64 }
}

/// Small integers: sums are exact in every dtype that holds them, in any order.
fn args(p: &LoopProgram) -> Vec<Array> {
    let of = |b: &BufferId, seed: usize| {
        let b = &p.buffers[b.0 as usize];
        Array::from_f64_fn(&Aval::new(b.dtype, [b.len]), |i| ((i * 37 + seed) % 7) as f64 - 3.0)
    };
    p.params.iter().enumerate().map(|(i, b)| of(b, 11 * i)).collect()
}

#[test]
fn sizes_around_tiles() {
    for d in [DType::F32, DType::F64] {
        for m in [1, 2, 3, 5, 6, 7, 13] {
            for n in [1, 3, 4, 5, 8, 9, 15, 16, 17, 24, 35] {
                for k in [1, 2, 7, 8, 17] {
                    let p = product(d, 1, [m, k, n], rows(m, k), rows(k, n));
                    check(&format!("{d} {m} {k} {n}"), &p, &args(&p), 0.0);
                }
            }
        }
    }
}

/// Whole vectors and rests of both sizes, whichever dim of the large matrix lies in lines, and rows whose elements are apart.
#[test]
fn few_rows_and_a_large_matrix() {
    let of = |t: usize, r: usize, c: usize| if t == 0 { rows(r, c) } else { transposed(r, c) };
    let sizes = (2..=8).map(|m| (1, [m, 259, 261]));
    for (batch, [m, k, n]) in sizes.chain([(3, [4, 64, 1100]), (1, [3, 1100, 65]), (9, [2, 259, 261])]) {
        for d in [DType::F32, DType::F64] {
            for right in [0, 1] {
                let p = product(d, batch, [m, k, n], of((m + right) % 2, m, k), of(right, k, n));
                check(&format!("{d} {batch} {m} {k} {n} {right}"), &p, &args(&p), 0.0);
            }
        }
    }
}

#[test]
fn layouts() {
    for d in [DType::F32, DType::F64] {
        for [m, k, n] in
            [[6, 8, 16], [7, 9, 17], [20, 33, 40], [98, 260, 70], [130, 20, 1100], [3, 300, 530], [64, 1100, 60]]
        {
            for (left, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let of = |t: usize, r: usize, c: usize| if t == 0 { rows(r, c) } else { transposed(r, c) };
                let p = product(d, 1, [m, k, n], of(left, m, k), of(right, k, n));
                check(&format!("{d} {m} {k} {n} {left}{right}"), &p, &args(&p), 0.0);
            }
            // Every stride of its own: reversed columns, gaps, an offset.
            let lhs = Matrix { offset: 2 * k as i64, batch: 0, row: 3 * k as i64, col: -2 };
            let rhs = Matrix { offset: 1, batch: 0, row: 2 * n as i64 + 3, col: 2 };
            let p = product(d, 1, [m, k, n], lhs, rhs);
            check(&format!("{d} {m} {k} {n} strided"), &p, &args(&p), 0.0);
        }
    }
}

/// Products of a vector and a matrix whose rows lie as the result does, of more columns than are summed at once.
#[test]
fn vectors_across_rows() {
    for d in [DType::F32, DType::F64] {
        for [k, n] in [[2, 2], [3, 40], [70, 9], [300, 260], [33, 5000], [1025, 2500]] {
            let p = product(d, 1, [1, k, n], rows(1, k), rows(k, n));
            check(&format!("{d} a row {k} {n}"), &p, &args(&p), 0.0);
            let gaps = Matrix { offset: 3, batch: 0, row: n as i64 + 5, col: 1 };
            let apart = Matrix { offset: 0, batch: 0, row: 1, col: 2 };
            let p = product(d, 1, [1, k, n], apart, gaps);
            check(&format!("{d} a row {k} {n} with gaps"), &p, &args(&p), 0.0);
            let p = product(d, 1, [n, k, 1], transposed(n, k), rows(k, 1));
            check(&format!("{d} a column {k} {n}"), &p, &args(&p), 0.0);
        }
    }
}

/// Matrices whose lines lie along the inner dim, times vectors: lines of one group in one matrix and in several, whole vectors and rests, matrices and vectors
/// with gaps, vectors whose elements are apart, and one for all.
#[test]
fn lines_with_vectors() {
    for d in [DType::F32, DType::F64, DType::I32, DType::I64] {
        for (batch, m) in [(1, 37), (3, 16), (29, 3), (5, 33), (40, 1), (0, 5), (2, 0)] {
            for k in [1, 3, 8, 16, 21, 45, 128] {
                let gaps = Matrix { offset: 2, batch: (m * (k + 3)) as i64 + 1, row: k as i64 + 3, col: 1 };
                let apart = Matrix { offset: 1, batch: 2 * k as i64, row: 2, col: 7 };
                let one = Matrix { batch: 0, ..rows(k, 1) };
                for (lhs, rhs) in [(rows(m, k), rows(k, 1)), (gaps, apart), (rows(m, k), one)] {
                    let turned = |x: Matrix| Matrix { row: x.col, col: x.row, ..x };
                    let p = product(d, batch, [m, k, 1], lhs, rhs);
                    check(&format!("{d} {batch} of {m} {k}, columns"), &p, &args(&p), 0.0);
                    let p = product(d, batch, [1, k, m], turned(rhs), turned(lhs));
                    check(&format!("{d} {batch} of {m} {k}, rows"), &p, &args(&p), 0.0);
                }
            }
        }
    }
}

/// The same with a result of `f32`.
fn wider(mut p: LoopProgram) -> LoopProgram {
    p.buffers[2].dtype = DType::F32;
    p
}

/// Products of `bf16` into `f32`: pairs as they lie, copied in either order, and with a half behind the last.
#[test]
fn halves_into_floats() {
    let of = |t: usize, r: usize, c: usize| if t == 0 { rows(r, c) } else { transposed(r, c) };
    for (batch, [m, k, n]) in [
        (1, [64, 64, 64]),
        (3, [13, 35, 33]),
        (2, [4, 300, 520]),
        (1, [70, 513, 130]),
        (20, [8, 8, 8]),
        (9, [3, 5, 2]),
        (2, [5, 0, 3]),
        (0, [5, 4, 3]),
        (4, [1, 50, 60]),
    ] {
        for side in 0..4 {
            let (lhs, rhs) = (of(side % 2, m, k), of(side / 2, k, n));
            let p = wider(product(DType::BF16, batch, [m, k, n], lhs, rhs));
            check(&format!("{batch} of {m} {k} {n} {side}"), &p, &args(&p), 0.0);
            let one = Matrix { batch: 0, ..rhs };
            let gaps = Matrix { offset: 1, batch: 0, row: 2 * k as i64 + 3, col: 2 };
            let p = wider(product(DType::BF16, batch, [m, k, n], gaps, one));
            check(&format!("{batch} of {m} {k} {n} {side}, with gaps"), &p, &args(&p), 0.0);
        }
    }
}

/// What is below the smallest normal number counts, in operands, in products and in sums.
#[test]
fn small_halves_count() {
    let p = wider(product(DType::BF16, 1, [20, 40, 24], rows(20, 40), transposed(40, 24)));
    for (small, large) in [(1e-39, 1e37), (3e-20, 2e-20), (1e-38, 1.0), (1e-39, 1.0)] {
        let of = |b: usize, x: f64| {
            let aval = Aval::new(DType::BF16, [p.buffers[b].len]);
            Array::from_f64_fn(&aval, |i| x * ((i * 37 + b) % 7) as f64)
        };
        for args in [[of(0, small), of(1, large)], [of(0, large), of(1, small)]] {
            let want = interpret(&p, &args).expect("a product")[0].to_f64_vec();
            for path in paths() {
                let got = run(&p, &args, path)[0].to_f64_vec();
                let near = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-5 * y.abs() + 1e-43;
                assert!(got.iter().zip(&want).all(near), "{small} times {large} on {path:?}");
                assert!(want.iter().any(|x| *x != 0.0));
            }
        }
    }
}

/// Cut in all dims, with 2100 inner elements shared panels in two rounds, and of many rows; the portable path is a library's.
#[test]
fn large_ones() {
    for d in [DType::F32, DType::F64] {
        let all = [(0, 0), (0, 1), (1, 0)].map(|sides| (sides, [515, 521, 531]));
        let more = [((0, 1), [192, 2100, 510]), ((0, 0), [1030, 300, 530]), ((0, 0), [1030, 520, 531])];
        for ((left, right), [m, k, n]) in all.into_iter().chain(more) {
            let of = |t: usize, r: usize, c: usize| if t == 0 { rows(r, c) } else { transposed(r, c) };
            let p = product(d, 1, [m, k, n], of(left, m, k), of(right, k, n));
            let args = args(&p);
            let want = run(&p, &args, Path::Tiles);
            for path in paths() {
                let same = run(&p, &args, path)[0].to_le_bytes() == want[0].to_le_bytes();
                assert!(same, "{d} {m} {k} {n} {left}{right} on {path:?}");
            }
        }
    }
}

/// Parts of a long inner dim, which no size divides, have results of their own: of whole pieces and vectors, and of rests.
#[test]
fn long_inner_dims() {
    let of = |t: usize, r: usize, c: usize| if t == 0 { rows(r, c) } else { transposed(r, c) };
    for d in [DType::F32, DType::F64, DType::I32, DType::I64, DType::BF16] {
        for [m, k, n] in [[0, 9001, 2], [2, 9001, 0], [1, 9001, 2], [2, 2051, 5], [5, 2055, 7], [70, 2103, 31]] {
            for (left, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let p = product(d, 1, [m, k, n], of(left, m, k), of(right, k, n));
                let p = if d == DType::BF16 { wider(p) } else { p };
                check(&format!("{d} {m} {k} {n} {left}{right}"), &p, &args(&p), 0.0);
            }
        }
    }
}

#[test]
fn batches() {
    for d in [DType::F32, DType::F64, DType::I64, DType::I32, DType::U8, DType::F16, DType::BF16] {
        for [batch, m, k, n] in [
            [1, 4, 3, 5],
            [70, 4, 5, 3],
            [300, 8, 8, 8],
            [41, 4, 4, 4],
            [30, 5, 7, 6],
            [5, 64, 65, 66],
            [3, 1, 40, 40],
            [90, 3, 3, 3],
            [7, 9, 1, 8],
            [5, 2, 0, 3],
            [33, 1, 16, 16],
        ] {
            let (l, r) = (rows(m, k), transposed(k, n));
            let shared = [(Matrix { batch: 0, ..l }, r), (l, Matrix { batch: 0, ..r })];
            for (lhs, rhs) in [(l, r), (l, rows(k, n)), (transposed(m, k), r)].into_iter().chain(shared) {
                let p = product(d, batch, [m, k, n], lhs, rhs);
                check(&format!("{d} {batch} of {m} {k} {n}"), &p, &args(&p), 0.0);
            }
        }
    }
}

/// Integers of all bits: what does not fit is cut, on every path and in every form of a product.
#[test]
fn integers_wrap() {
    let of = |t: usize, r: usize, c: usize| if t == 0 { rows(r, c) } else { transposed(r, c) };
    let sizes = [[1, 40, 70], [3, 259, 300], [5, 6, 7], [13, 35, 33], [70, 70, 1], [64, 300, 130], [8, 8, 8]];
    for d in [DType::I32, DType::I64] {
        for ([m, k, n], side) in sizes.into_iter().flat_map(|s| [(s, 0), (s, 1), (s, 2)]) {
            let p = product(d, 3, [m, k, n], of(side % 2, m, k), of(side / 2, k, n));
            let numbers = |(i, b): (usize, &BufferId)| {
                let len = p.buffers[b.0 as usize].len;
                let of = |j: usize| ((j * 2 + i + 1) as i64).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
                match d {
                    DType::I32 => Array::new([len], (0..len).map(|j| (of(j) >> 32) as i32).collect()),
                    _ => Array::new([len], (0..len).map(of).collect()),
                }
            };
            let args: Vec<Array> = p.params.iter().enumerate().map(numbers).collect();
            check(&format!("{d} {m} {k} {n} {side}"), &p, &args, 0.0);
        }
    }
}

/// Rounding: the order of additions is that of the inner dim, whatever is cut.
#[test]
fn the_number_of_threads_changes_no_bit() {
    let few_rows = product(DType::F32, 1, [64, 784, 512], rows(64, 784), transposed(784, 512));
    // The panels of a transposed right operand are shared, and those of 2100 inner elements are made in two rounds.
    let large = product(DType::F32, 1, [192, 2100, 510], rows(192, 2100), transposed(2100, 510));
    let long = product(DType::F32, 1, [64, 4096, 64], transposed(64, 4096), rows(4096, 64));
    let longer = product(DType::F32, 1, [33, 9001, 130], rows(33, 9001), transposed(9001, 130));
    // Two threads have more blocks of rows that share panels than one; the first rows pack them.
    let high = product(DType::F32, 1, [1030, 520, 530], rows(1030, 520), rows(520, 530));
    let two = product(DType::F32, 2, [200, 700, 300], rows(200, 700), transposed(700, 300));
    let vector = product(DType::F32, 1, [1, 1000, 2100], rows(1, 1000), rows(1000, 2100));
    let lines = product(DType::F32, 300, [20, 70, 1], rows(20, 70), rows(70, 1));
    let halves = wider(product(DType::BF16, 1, [200, 700, 300], rows(200, 700), rows(700, 300)));
    for p in [two, few_rows, large, long, longer, high, vector, lines, halves] {
        let of = |(i, b): (usize, &BufferId)| {
            let b = &p.buffers[b.0 as usize];
            let aval = Aval::new(b.dtype, [b.len]);
            Array::from_f64_fn(&aval, |j| ((j * 7919 + i) % 1009) as f64 / 504.5 - 1.0)
        };
        let args: Vec<Array> = p.params.iter().enumerate().map(of).collect();
        for path in paths() {
            let mut seen = Vec::new();
            for threads in [1, 2, 5] {
                seen.push(on_threads(threads, || run(&p, &args, path))[0].to_le_bytes());
            }
            assert!(seen.windows(2).all(|w| w[0] == w[1]), "results differ between numbers of threads on {path:?}");
        }
    }
}
