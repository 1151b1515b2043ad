//! Factorizations and triangular systems, of many small matrices and of large ones, against the evaluator.

use crate::common::{check, on_threads, paths, routine, run};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::ops::{
    Cholesky, Eigh, LuFactor, LuUnpack, Op, Qr, QrMode, SolveTriangular, Spectral, Svd, Triangle,
};
use cotangent_jit::{CompileOptions, compile_with};
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{Buffer, BufferId, LoopProgram, Role, RoutineKind, Step};
use cotangent_loops::verify::verify;

/// Batches: one matrix, fewer than a vector has lanes, full vectors, and a rest.
const COUNTS: [usize; 4] = [0, 1, 5, 19];

fn aval(d: DType, shape: &[usize]) -> Aval {
    Aval::new(d, shape.iter().copied().collect::<Shape>())
}

/// Numbers from -1 to 1 in no order.
fn noise(i: usize) -> f64 {
    ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453 % 1.0
}

/// Matrices with `diagonal` added to their diagonal.
fn matrices(x: &Aval, diagonal: f64) -> Array {
    let [rows, cols] = [x.rank() - 2, x.rank() - 1].map(|d| x.shape[d].get());
    Array::from_f64_fn(x, |i| noise(i) + if i / cols % rows == i % cols { diagonal } else { 0.0 })
}

/// `f` for both dtypes and each batch of matrices of `sizes`.
fn batches(sizes: &[[usize; 2]], mut f: impl FnMut(&Aval)) {
    for d in [DType::F32, DType::F64] {
        for [m, n] in sizes {
            for count in COUNTS {
                f(&aval(d, &[count, *m, *n]));
            }
        }
    }
}

fn lu_factor() -> Op {
    LuFactor { pivot: true, check_errors: false }.into()
}

#[test]
fn factors_by_elimination() {
    let square = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15].map(|n| [n, n]);
    batches(&[&square[..], &[[7, 4], [4, 7], [40, 15], [9, 33]]].concat(), |x| {
        check(&format!("lu of {x}"), &routine(lu_factor(), std::slice::from_ref(x)), &[matrices(x, 0.0)], 0.0)
    });
}

/// Products of halves are rounded once for each number, but the same rows are exchanged.
#[test]
fn factors_by_elimination_in_halves() {
    batches(&[[16, 16], [17, 17], [64, 64], [40, 25], [21, 33], [101, 79]], |x| {
        check(&format!("lu of {x}"), &routine(lu_factor(), std::slice::from_ref(x)), &[matrices(x, 0.0)], 1e-6)
    });
}

/// Zero pivots, equal ones, and elements that are no numbers.
#[test]
fn factors_of_singular_matrices() {
    for (count, n) in [(1, 4), (9, 4), (9, 7), (9, 10), (2, 19)] {
        let x = aval(DType::F64, &[count, n, n]);
        for (what, special) in [("zero", 0.0), ("one", 1.0), ("infinite", f64::INFINITY), ("nan", f64::NAN)] {
            for column in 0..n {
                let args = [Array::from_f64_fn(&x, |i| if i % n == column { special } else { (i % 3) as f64 - 1.0 })];
                check(
                    &format!("{count} of {n} with column {column} {what}"),
                    &routine(lu_factor(), std::slice::from_ref(&x)),
                    &args,
                    0.0,
                );
            }
        }
    }
}

#[test]
fn orthonormal_factors() {
    for mode in [QrMode::Reduced, QrMode::Complete] {
        let qr = |x: &Aval| routine(Qr { mode }.into(), std::slice::from_ref(x));
        batches(
            &[[0, 0], [1, 1], [3, 3], [8, 8], [7, 4], [4, 7], [3, 0], [32, 32], [45, 20], [33, 33], [64, 64]],
            |x| {
                check(&format!("{mode:?} qr of {x}"), &qr(x), &[matrices(x, 3.0)], 1e-5);
            },
        );
        // Whole blocks of columns and rests, more rows or columns, and few of either.
        for sizes in [[150, 150], [130, 65], [65, 130], [200, 9], [9, 200], [100, 0], [0, 100]] {
            let x = aval(DType::F64, &[1, sizes[0], sizes[1]]);
            check(&format!("{mode:?} qr of {x}"), &qr(&x), &[matrices(&x, 3.0)], 1e-6);
        }
        // Nothing to reflect, lengths whose squares are out of range, and elements that are no numbers.
        let x = aval(DType::F64, &[9, 5, 4]);
        let of = |f: &dyn Fn(usize, usize) -> f64| [Array::from_f64_fn(&x, |i| f(i / 4 % 5, i % 4))];
        for (what, args) in [
            ("zero", of(&|_, _| 0.0)),
            ("triangular", of(&|i, j| if i <= j { j as f64 - 1.5 } else { 0.0 })),
            ("huge", of(&|i, j| 1e200 * noise(7 * i + j))),
            ("tiny", of(&|i, j| 1e-200 * noise(7 * i + j))),
            ("infinite", of(&|i, j| if i == 3 && j == 1 { f64::INFINITY } else { noise(7 * i + j) })),
        ] {
            check(&format!("{mode:?} qr of {what}"), &qr(&x), &args, 1e-9);
        }
        // A column of zeros is not reflected: what PyTorch has there is what the other reflections make of a unit vector.
        let x = aval(DType::F64, &[1, 5, 4]);
        let zeros = [Array::from_f64_fn(&x, |i| if i % 4 == 2 { 0.0 } else { noise(7 * (i / 4) + i % 4) })];
        for path in paths() {
            let q = &run(&qr(&x), &zeros, path)[0].to_f64_vec();
            let column = q.iter().skip(2).step_by(q.len() / 5);
            let expected = [-0.125945689, 0.644931705, 0.693106807, 0.136037166, -0.263244417];
            assert!(column.zip(expected).all(|(x, y)| (x - y).abs() < 1e-8), "{path:?}: {q:?}");
        }
    }
}

#[test]
fn parts_of_factors() {
    batches(&[[0, 0], [1, 1], [3, 3], [8, 8], [4, 2], [2, 5], [20, 20]], |x| {
        let (m, n) = (x.shape[1].get(), x.shape[2].get());
        let (count, k) = (x.shape[0].get(), m.min(n));
        let pivots = aval(DType::I32, &[count, k]);
        let unpack = LuUnpack { unpack_data: true, unpack_pivots: true };
        let p = routine(unpack.into(), &[x.clone(), pivots.clone()]);
        let rows = Array::from_f64_fn(&pivots, |i| (i % k + 1 + i * 7 % (m - i % k)) as f64);
        check(&format!("parts of {x}"), &p, &[matrices(x, 0.0), rows], 0.0);
        // A pivot that is no row's number is the reference's error.
        if count * k > 0 {
            for wrong in [0.0, m as f64 + 1.0] {
                let args = [matrices(x, 0.0), Array::from_f64_fn(&pivots, |_| wrong)];
                let bytes = args.each_ref().map(Array::to_le_bytes);
                let expected = interpret(&p, &args).unwrap_err().to_string();
                let call = compile_with(&p, CompileOptions::default()).unwrap().call(&[&bytes[0], &bytes[1]]);
                assert!(call.unwrap_err().to_string().contains(&expected), "{expected}");
            }
        }
    });
}

fn positive(x: &Aval) -> Array {
    let n = x.shape[1].get();
    Array::from_f64_fn(x, |e| {
        let (i, j) = (e / n % n, e % n);
        noise(i.min(j) * n + i.max(j) + e / (n * n)) + if i == j { 2.0 * n as f64 } else { 0.0 }
    })
}

#[test]
fn factors_of_positive_matrices() {
    batches(&[[0, 0], [1, 1], [2, 2], [3, 3], [8, 8], [11, 11], [16, 16], [33, 33], [70, 70]], |x| {
        for upper in [false, true] {
            let p = routine(Cholesky { upper }.into(), std::slice::from_ref(x));
            check(&format!("cholesky of {x}, upper: {upper}"), &p, &[positive(x)], 1e-6);
            if x.shape.numel() > 1 {
                let mut indefinite = positive(x).to_f64_vec();
                indefinite[x.shape.numel() - 1] = -1.0;
                let args = [Array::from_f64_fn(x, |i| indefinite[i])];
                let expected = interpret(&p, &args).unwrap_err().to_string();
                let bytes = args[0].to_le_bytes();
                let call = compile_with(&p, CompileOptions::default()).unwrap().call(&[&bytes]);
                assert!(call.unwrap_err().to_string().contains(&expected), "{expected}");
            }
        }
    });
}

#[test]
fn triangular_systems() {
    for k in [0, 1, 2, 33] {
        batches(&[[0, 0], [1, 1], [3, 3], [8, 8], [9, 9], [30, 30], [50, 50]], |a| {
            for form in 0..8 {
                let [upper, left, unitriangular] = [1, 2, 4].map(|bit| form & bit != 0);
                let (count, n) = (a.shape[0].get(), a.shape[1].get());
                let b = aval(a.dtype, &if left { [count, n, k] } else { [count, k, n] });
                let op = SolveTriangular { upper, left, unitriangular };
                let args = [matrices(a, 3.0 * n as f64), Array::from_f64_fn(&b, noise)];
                let what = format!("{op:?} of {a} and {b}");
                check(&what, &routine(op.into(), &[a.clone(), b]), &args, 1e-5);
            }
        });
    }
}

/// The program of a decomposition whose vectors nobody reads.
fn values_of(of: Spectral, x: &Aval) -> LoopProgram {
    let mut p = routine(of.op(), std::slice::from_ref(x));
    let Step::Routine(r) = &mut p.steps[0] else { unreachable!("one routine") };
    let RoutineKind::Op { results, .. } = &r.kind else { unreachable!("an op") };
    let (results, len) = (results.clone(), results[of.result()].shape.numel());
    p.buffers.truncate(1);
    p.buffers.push(Buffer { dtype: x.dtype, len, role: Role::Result });
    (r.outputs, p.results) = (vec![BufferId(1)], vec![BufferId(1)]);
    r.kind = RoutineKind::Values { of, x: x.clone(), results };
    verify(&p).unwrap_or_else(|e| panic!("{e}"));
    p
}

#[test]
fn values_without_vectors() {
    let singular = Spectral::Svd(Svd { full_matrices: false });
    batches(&[[0, 0], [1, 1], [3, 3], [7, 2], [2, 5], [9, 17], [40, 40], [70, 30], [0, 3]], |x| {
        check(&format!("singular values of {x}"), &values_of(singular.clone(), x), &[matrices(x, 3.0)], 1e-6);
    });
    // Ranks below the size, and values far from one another.
    let kinds = [("rank 3", 3, 1.0), ("rank 8", 8, 1e-4), ("small ones", 12, 0.1)];
    for (d, (what, rank, ratio)) in [DType::F32, DType::F64].into_iter().flat_map(|d| kinds.map(|kind| (d, kind))) {
        let x = aval(d, &[1, 12, 20]);
        let of = |i: usize| {
            let (row, col) = (i / 20, i % 20);
            (0..rank).map(|k| noise(row + 50 * k) * noise(col + 70 * k) * f64::powi(ratio, k as i32)).sum::<f64>()
        };
        let args = [Array::from_f64_fn(&x, of)];
        let (p, most) = (values_of(singular.clone(), &x), 12.0);
        let expected = interpret(&p, &args).unwrap()[0].to_f64_vec();
        for path in paths() {
            let found = run(&p, &args, path)[0].to_f64_vec();
            let near = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-6 * y.abs() + 1e-14 * most;
            assert!(found.iter().zip(&expected).all(near), "{what} on {path:?}: {found:?}, {expected:?}");
        }
    }
    for side in [Triangle::Lower, Triangle::Upper] {
        let eigen = Spectral::Eigh(Eigh { UPLO: side });
        batches(&[[0, 0], [1, 1], [2, 2], [5, 5], [40, 40]], |x| {
            check(&format!("eigenvalues of {x}"), &values_of(eigen.clone(), x), &[matrices(x, 30.0)], 1e-6);
        });
        let x = aval(DType::F64, &[2, 3, 3]);
        let args = [Array::from_f64_fn(&x, |i| if i < 9 { f64::NAN } else { noise(i) })];
        check("eigenvalues of no numbers", &values_of(eigen, &x), &args, 1e-6);
    }
    let x = aval(DType::F64, &[2, 3, 3]);
    let args = [Array::from_f64_fn(&x, |i| if i == 12 { f64::INFINITY } else { noise(i) })];
    let p = values_of(singular, &x);
    let expected = interpret(&p, &args).unwrap_err().to_string();
    let call = compile_with(&p, CompileOptions::default()).unwrap().call(&[&args[0].to_le_bytes()]);
    assert!(call.unwrap_err().to_string().contains(&expected), "{expected}");
}

/// By reflections: as exact as the reference's, whatever steps and groups are left over.
#[test]
fn singular_values_of_wide_floats() {
    let singular = Spectral::Svd(Svd { full_matrices: false });
    for [m, n] in [[1, 1], [2, 2], [1, 9], [9, 1], [5, 3], [8, 8], [16, 17], [33, 64], [64, 64], [131, 70]] {
        for size in [1.0, 1e-30, 1e30, 1e-200] {
            let x = aval(DType::F64, &[2, m, n]);
            let a = Array::from_f64_fn(&x, |i| noise(i) * size);
            let p = values_of(singular.clone(), &x);
            let expected = interpret(&p, std::slice::from_ref(&a)).unwrap()[0].to_f64_vec();
            for path in paths() {
                let found = run(&p, std::slice::from_ref(&a), path)[0].to_f64_vec();
                for (found, expected) in found.chunks(m.min(n)).zip(expected.chunks(m.min(n))) {
                    let near = |(x, y): (&f64, &f64)| (x - y).abs() <= 16.0 * f64::EPSILON * expected[0];
                    let all = found.iter().zip(expected).all(near);
                    assert!(all, "{m} by {n}, {size:e} on {path:?}: {found:?}, {expected:?}");
                }
            }
        }
    }
}

#[test]
fn threads_do_not_change_bits() {
    let (x, large) = (aval(DType::F32, &[300, 5, 5]), aval(DType::F64, &[2, 150, 150]));
    let one_op = |op: Op, x: &Aval| (routine(op, std::slice::from_ref(x)), vec![positive(x)]);
    let values = [
        (values_of(Spectral::Svd(Svd { full_matrices: false }), &x), vec![positive(&x)]),
        (values_of(Spectral::Eigh(Eigh { UPLO: Triangle::Lower }), &x), vec![positive(&x)]),
    ];
    let systems = SolveTriangular { upper: false, left: true, unitriangular: false };
    let systems = routine(systems.into(), &[large.clone(), large.clone()]);
    let factors = [&x, &large].map(|x| [one_op(lu_factor(), x), one_op(Cholesky { upper: false }.into(), x)]);
    let reflections = [&x, &large].map(|x| one_op(Qr { mode: QrMode::Reduced }.into(), x));
    let all = factors.into_iter().flatten().chain(values).chain(reflections);
    for (p, args) in all.chain([(systems, vec![positive(&large), matrices(&large, 0.0)])]) {
        for path in paths() {
            let of = |n| on_threads(n, || run(&p, &args, path)).iter().map(Array::to_le_bytes).collect::<Vec<_>>();
            let one = of(1);
            assert!([2, 4].into_iter().all(|n| of(n) == one), "{path:?}");
        }
    }
}
