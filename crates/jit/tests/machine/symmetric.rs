//! Decompositions of symmetric matrices, and of those whose squares are, by what they are.

use crate::common::{check, on_threads, paths, routine, run};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::ops::{Eigh, Svd, Triangle};
use cotangent_loops::interp::interpret;

/// Odd sizes, whole steps and vectors, and more than a block of anything.
const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 33, 64, 75, 130];

fn aval(d: DType, shape: &[usize]) -> Aval {
    Aval::new(d, shape.iter().copied().collect::<Shape>())
}

/// Numbers from -1 to 1 in no order.
fn noise(i: usize) -> f64 {
    ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453 % 1.0
}

/// What a decomposition reads of `a`, and what it must find: `A · V = V · diag(w)`, `Vᵀ · V = I`, and the evaluator's values.
fn decomposes(what: &str, a: &Array, triangle: Triangle) {
    let x = a.aval();
    let n = x.shape[x.rank() - 1].get();
    let p = routine(Eigh { UPLO: triangle }.into(), std::slice::from_ref(&x));
    let expected = interpret(&p, std::slice::from_ref(a)).unwrap()[0].to_f64_vec();
    let eps = if x.dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for path in paths() {
        let found = run(&p, std::slice::from_ref(a), path);
        let [w, v] = [&found[0], &found[1]].map(Array::to_f64_vec);
        for (b, a) in a.to_f64_vec().chunks(n * n).enumerate() {
            let (w, v, expected) = (&w[b * n..][..n], &v[b * n * n..][..n * n], &expected[b * n..][..n]);
            let read =
                |i: usize, j: usize| if (i < j) == (triangle == Triangle::Upper) { a[i * n + j] } else { a[j * n + i] };
            let size = expected.iter().fold(0.0, |s: f64, x| s.max(x.abs()));
            let room = eps * (8.0 + n as f64) * 2.0;
            assert!(w.is_sorted(), "{what} on {path:?}: {w:?}");
            for i in 0..n {
                assert!(
                    (w[i] - expected[i]).abs() <= room * size,
                    "{what} on {path:?}: value {i} {} {}",
                    w[i],
                    expected[i]
                );
                for j in 0..n {
                    let image: f64 = (0..n).map(|k| read(i, k) * v[k * n + j]).sum();
                    let error = (image - w[j] * v[i * n + j]).abs();
                    assert!(error <= room * size, "{what} on {path:?}, matrix {b} at {i}, {j}: {error:e}");
                    let dot: f64 = (0..n).map(|k| v[k * n + i] * v[k * n + j]).sum();
                    let error = (dot - f64::from(u8::from(i == j))).abs();
                    assert!(error <= room, "{what} on {path:?}, columns {i} and {j} of matrix {b}: {error:e}");
                }
                let column = || (0..n).map(|k| v[k * n + i]);
                let most = column().fold(0.0, |m: f64, x| m.max(x.abs()));
                let lead = column().find(|x| x.abs() >= most * (1.0 - 1e-6)).unwrap();
                assert!(lead > 0.0, "{what} on {path:?}: the sign of column {i}");
            }
        }
    }
}

#[test]
fn symmetric_matrices() {
    for d in [DType::F32, DType::F64] {
        for triangle in [Triangle::Lower, Triangle::Upper] {
            for n in SIZES {
                for count in [1, 5] {
                    if count * n < 200 {
                        let a = Array::from_f64_fn(&aval(d, &[count, n, n]), noise);
                        decomposes(&format!("{count} of {n} in {d}, {triangle:?}"), &a, triangle);
                    }
                }
            }
        }
    }
}

/// Matrices with repeated values, of parts, and with values that differ by little.
#[test]
fn values_that_are_not_apart() {
    let n = 21;
    let of = |f: &dyn Fn(usize, usize) -> f64| Array::from_f64_fn(&aval(DType::F64, &[n, n]), |i| f(i / n, i % n));
    let unit = |i: usize, j: usize| f64::from(u8::from(i == j));
    for (what, a) in [
        ("zero", of(&|_, _| 0.0)),
        ("the identity", of(&unit)),
        ("a diagonal", of(&|i, j| unit(i, j) * noise(i))),
        ("rank one", of(&|i, j| noise(i) * noise(j))),
        ("rank three", of(&|i, j| (0..3).map(|k| noise(i + 100 * k) * noise(j + 100 * k)).sum())),
        ("ones", of(&|_, _| 1.0)),
        ("parts of four", of(&|i, j| if i / 4 == j / 4 { noise(i.max(j) * n + i.min(j)) } else { 0.0 })),
        ("equal parts", of(&|i, j| if i / 4 == j / 4 { noise(i.max(j) % 4 * n + i.min(j) % 4) } else { 0.0 })),
        ("parts all but apart", of(&|i, j| unit(i, j) * (i / 7) as f64 + 1e-9 * noise(i.max(j) * n + i.min(j)))),
        ("a path's Laplacian", of(&|i, j| if i == j { 2.0 } else { -f64::from(u8::from(i.abs_diff(j) == 1)) })),
        (
            "a circle's",
            of(&|i, j| if i == j { 2.0 } else { -f64::from(u8::from([1, n - 1].contains(&i.abs_diff(j)))) }),
        ),
        (
            "Wilkinson's",
            of(&|i, j| if i == j { i.abs_diff(10) as f64 } else { f64::from(u8::from(i.abs_diff(j) == 1)) }),
        ),
        ("graded", of(&|i, j| 10f64.powi(-((i + j) as i32)) * (1.0 + noise(i.max(j) * n + i.min(j))))),
        ("huge", of(&|i, j| 1e150 * noise(i.max(j) * n + i.min(j)))),
        ("tiny", of(&|i, j| 1e-150 * noise(i.max(j) * n + i.min(j)))),
    ] {
        decomposes(what, &a, Triangle::Lower);
    }
}

/// `A = U · diag(s) · Vᵀ` with orthonormal columns, and the evaluator's values.
#[test]
fn singular_vectors() {
    for d in [DType::F32, DType::F64] {
        for [m, n] in [[1, 1], [2, 2], [5, 3], [3, 5], [8, 8], [17, 9], [9, 17], [64, 64], [70, 33], [1, 20], [20, 1]] {
            for count in [1, 5] {
                let x = aval(d, &[count, m, n]);
                let diagonal = |i: usize| if i / n % m == i % n { 3.0 } else { 0.0 };
                let a = Array::from_f64_fn(&x, |i| noise(i) + diagonal(i));
                singular(&a, [m, n]);
            }
        }
        // Matrices that the reference sees, between others.
        let x = aval(d, &[7, 10, 10]);
        singular(
            &Array::from_f64_fn(&x, |i| if i / 100 % 3 == 1 { noise(i / 10) * noise(i % 10) } else { noise(i) }),
            [10, 10],
        );
        decomposes(
            "some equal",
            &Array::from_f64_fn(
                &x,
                |i| if i / 100 % 3 == 1 { 1.0 + 1e-3 * noise(i % 10 + i / 10 % 10) } else { noise(i) },
            ),
            Triangle::Lower,
        );
        // Values that are equal, or far from one another, or none.
        for n in [3, 12] {
            let of = |f: &dyn Fn(usize, usize) -> f64| Array::from_f64_fn(&aval(d, &[1, n, n]), |i| f(i / n, i % n));
            singular(&of(&|i, j| f64::from(u8::from(i == j))), [n, n]);
            singular(&of(&|i, j| if i == j { -1.0 - i as f64 } else { 0.0 }), [n, n]);
            singular(&of(&|i, j| noise(i * n + j) * 10f64.powi(-(i as i32))), [n, n]);
            singular(&of(&|i, j| noise(i) * noise(j)), [n, n]);
        }
    }
}

fn singular(a: &Array, [m, n]: [usize; 2]) {
    let (x, k) = (a.aval(), m.min(n));
    let p = routine(Svd { full_matrices: false }.into(), std::slice::from_ref(&x));
    let expected = interpret(&p, std::slice::from_ref(a)).unwrap()[1].to_f64_vec();
    let eps = if x.dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for path in paths() {
        let found = run(&p, std::slice::from_ref(a), path);
        let [u, s, vh] = [0, 1, 2].map(|i| found[i].to_f64_vec());
        for (b, a) in a.to_f64_vec().chunks(m * n).enumerate() {
            let (u, vh) = (&u[b * m * k..][..m * k], &vh[b * k * n..][..k * n]);
            let (s, expected) = (&s[b * k..][..k], &expected[b * k..][..k]);
            let (size, room) = (expected[0], eps * (8.0 + (m + n) as f64) * 2.0);
            let near = |x: f64, y: f64, size: f64, what: &str| {
                assert!((x - y).abs() <= room * size, "{what} on {path:?}, {m} by {n}: {x}, {y}");
            };
            for (x, y) in s.iter().zip(expected) {
                near(*x, *y, size, "values");
            }
            for i in 0..m {
                for j in 0..n {
                    near((0..k).map(|c| u[i * k + c] * s[c] * vh[c * n + j]).sum(), a[i * n + j], size, "product");
                }
            }
            for i in 0..k {
                for j in 0..k {
                    let one = f64::from(u8::from(i == j));
                    near((0..m).map(|r| u[r * k + i] * u[r * k + j]).sum(), one, 1.0, "left vectors");
                    near((0..n).map(|c| vh[i * n + c] * vh[j * n + c]).sum(), one, 1.0, "right vectors");
                }
                let column = || (0..m).map(|r| u[r * k + i]);
                let most = column().fold(0.0, |most: f64, x| most.max(x.abs()));
                let lead = column().find(|x| x.abs() >= most * (1.0 - 1e-6)).unwrap();
                assert!(lead > 0.0, "the sign of column {i} on {path:?}, {m} by {n}");
            }
        }
    }
}

#[test]
fn no_numbers_and_no_matrices() {
    for shape in [[0, 3, 3], [2, 0, 0], [0, 0, 0]] {
        let x = aval(DType::F32, &shape);
        check(
            "nothing",
            &routine(Eigh { UPLO: Triangle::Lower }.into(), std::slice::from_ref(&x)),
            &[Array::from_f64_fn(&x, noise)],
            0.0,
        );
    }
    let x = aval(DType::F64, &[3, 9, 9]);
    for special in [f64::NAN, f64::INFINITY] {
        let args = [Array::from_f64_fn(&x, |i| if i == 100 { special } else { noise(i) })];
        check("no numbers", &routine(Eigh { UPLO: Triangle::Lower }.into(), std::slice::from_ref(&x)), &args, 1e-8);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for (d, shape) in [(DType::F32, [40, 9, 9]), (DType::F64, [1, 150, 150]), (DType::F32, [2, 70, 70])] {
        let x = aval(d, &shape);
        let (p, args) =
            (routine(Eigh { UPLO: Triangle::Lower }.into(), std::slice::from_ref(&x)), [Array::from_f64_fn(&x, noise)]);
        for path in paths() {
            let of = |n| on_threads(n, || run(&p, &args, path)).iter().map(Array::to_le_bytes).collect::<Vec<_>>();
            let one = of(1);
            assert!([2, 4].into_iter().all(|n| of(n) == one), "{shape:?} on {path:?}");
        }
    }
}
