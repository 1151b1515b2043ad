//! Linear algebra: against PyTorch, by identities, at singular matrices, and in second derivatives.

use cotangent::function::Function as _;
use cotangent::grad::grad;
use cotangent_aten::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::ops::{QrMode, SolveTriangular, Triangle};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::inline::inline_all;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::{Error, Tensor};
use cotangent_tests::numeric::{Rng, axpy, close};
use cotangent_tests::oracle::{Except, Function, Row, check_in, row, row_except, traced};

use Triangle::{Lower, Upper};

fn check(theme: &str, rows: &[Row]) {
    check_in("linalg", theme, rows);
}

fn sym(x: &Tensor) -> Tensor {
    (x + x.mt()) * 0.5
}

fn abs<const N: usize>(x: [Tensor; N]) -> Vec<Tensor> {
    x.iter().map(Tensor::abs).collect()
}

#[test]
fn factorizations() {
    check(
        "factor",
        &[
            row_except("cholesky", Except::Modes, |a| vec![a[0].cholesky(Lower)]),
            row_except("cholesky_upper", Except::Modes, |a| vec![a[0].cholesky(Upper)]),
            row_except("cholesky_ex", Except::Modes, |a| a[0].cholesky_ex(Lower).into()),
            row("cholesky_solve", |a| vec![a[0].cholesky_solve(&a[1].lower(0), Lower)]),
            row("cholesky_solve_upper", |a| vec![a[0].cholesky_solve(&a[1].upper(0), Upper)]),
            row_except("cholesky_inverse", Except::Modes, |a| vec![a[0].lower(0).cholesky_inverse(Lower)]),
            row("lu", |a| a[0].lu().into()),
            row("lu_factor", |a| a[0].lu_factor().into()),
            row("lu_factor_ex", |a| a[0].lu_factor_ex().into()),
            row("lu_unpack", |a| a[0].lu_unpack(&a[1]).into()),
            row("qr", |a| a[0].qr(QrMode::Reduced).into()),
            row("qr_complete", |a| a[0].qr(QrMode::Complete).into()),
            row("qr_complete_tall", |a| a[0].qr(QrMode::Complete).into()),
            row("eigh_abs", |a| abs(sym(&a[0]).eigh(Lower))),
            row_except("eigvalsh", Except::Modes, |a| vec![a[0].eigvalsh(Lower)]),
            row_except("eigvalsh_upper", Except::Modes, |a| vec![a[0].eigvalsh(Upper)]),
            row("svd_abs", |a| abs(a[0].svd())),
            row("svd_full_values", |a| vec![a[0].svd_full()[1].clone()]),
            row("svdvals", |a| vec![a[0].svdvals()]),
        ],
    );
}

const PIVOTS: [i32; 3] = [2, 3, 3];

fn lu_solve(a: &[Tensor], side: Side, adjoint: Adjoint) -> Vec<Tensor> {
    vec![a[0].lu_solve(&Tensor::from(PIVOTS), &a[1], side, adjoint)]
}

#[test]
fn systems() {
    check(
        "solve",
        &[
            row("inv", |a| vec![a[0].inv()]),
            row("inv_ex", |a| a[0].inv_ex().into()),
            row("solve", |a| vec![a[0].solve(&a[1])]),
            row("solve_right", |a| vec![a[0].solve_on(&a[1], Side::Right)]),
            row("solve_ex", |a| a[0].solve_ex(&a[1], Side::Left).into()),
            row("solve_triangular", |a| {
                let op = SolveTriangular { upper: false, left: true, unitriangular: false };
                vec![a[0].solve_triangular(&a[1], op)]
            }),
            row("solve_triangular_unit", |a| {
                let op = SolveTriangular { upper: true, left: false, unitriangular: true };
                vec![a[0].solve_triangular(&a[1], op)]
            }),
            row("lu_solve", |a| lu_solve(a, Side::Left, Adjoint::No)),
            row("lu_solve_adjoint", |a| lu_solve(a, Side::Left, Adjoint::Yes)),
            row("lu_solve_right", |a| lu_solve(a, Side::Right, Adjoint::No)),
            row("lu_solve_right_adjoint", |a| lu_solve(a, Side::Right, Adjoint::Yes)),
            row("tensorinv", |a| vec![a[0].tensorinv(1)]),
            row("tensorsolve", |a| vec![a[0].tensorsolve(&a[1], &[])]),
            row("tensorsolve_dims", |a| vec![a[0].tensorsolve(&a[1], &[0, 2])]),
        ],
    );
}

#[test]
fn determinants() {
    check(
        "det",
        &[
            row("det", |a| vec![a[0].det()]),
            row("det_factors", |a| a[0].det_factors().into()),
            row("slogdet", |a| a[0].slogdet().into()),
            row("slogdet_singular", |a| a[0].slogdet().map(|y| y.detach()).into()),
            row("logdet", |a| vec![a[0].logdet()]),
        ],
    );
}

fn tolerances(atol: Option<f64>, rtol: Option<f64>) -> Tolerance {
    Tolerance { atol: atol.map(Tensor::scalar), rtol: rtol.map(Tensor::scalar) }
}

#[test]
fn functions() {
    check(
        "function",
        &[
            row("matrix_power", |a| vec![a[0].matrix_power(5)]),
            row("matrix_power_0", |a| vec![a[0].matrix_power(0)]),
            row("matrix_power_negative", |a| vec![a[0].matrix_power(-3)]),
            row("matrix_exp", |a| vec![a[0].matrix_exp()]),
            row("matrix_sqrth", |a| vec![a[0].matrix_sqrth()]),
            row("polar", |a| a[0].polar().into()),
            row("cond", |a| vec![a[0].cond(None)]),
            row("cond_minus_2", |a| vec![a[0].cond(MatrixOrd::Number(-2.0))]),
            row("cond_1", |a| vec![a[0].cond(MatrixOrd::Number(1.0))]),
            row("cond_1_singular", |a| vec![a[0].cond(MatrixOrd::Number(1.0)).detach()]),
            row("cond_fro", |a| vec![a[0].cond(MatrixOrd::Fro)]),
            row("pinv", |a| vec![a[0].pinv(Tolerance::default())]),
            row("pinv_tolerance", |a| vec![a[0].pinv(tolerances(Some(0.5), Some(0.1)))]),
            row("pinv_hermitian", |a| vec![sym(&a[0]).pinv_hermitian(Tolerance::default())]),
            row("matrix_rank", |a| vec![a[0].matrix_rank(Tolerance::default())]),
            row("matrix_rank_hermitian", |a| vec![sym(&a[0]).matrix_rank_hermitian(Tolerance::default())]),
            row("lstsq", |a| vec![a[0].lstsq(&a[1], Tolerance::default())[0].clone()]),
            row("householder_product", |a| vec![a[0].householder_product(&a[1])]),
            row("ormqr", |a| vec![a[0].ormqr(&a[1], &a[2], Side::Left, Adjoint::No)]),
            row("ormqr_right_adjoint", |a| vec![a[0].ormqr(&a[1], &a[2], Side::Right, Adjoint::Yes)]),
        ],
    );
}

#[test]
fn norms_and_products() {
    use MatrixOrd::{Fro, Nuc, Number};
    check(
        "norm",
        &[
            row("matrix_norm_fro", |a| vec![a[0].matrix_norm(Fro, ())]),
            row("matrix_norm_nuc", |a| vec![a[0].matrix_norm(Nuc, ())]),
            row("matrix_norm_1", |a| vec![a[0].matrix_norm(1.0, ())]),
            row("matrix_norm_minus_1", |a| vec![a[0].matrix_norm(-1.0, ())]),
            row("matrix_norm_inf", |a| vec![a[0].matrix_norm(f64::INFINITY, ())]),
            row("matrix_norm_minus_inf", |a| vec![a[0].matrix_norm(f64::NEG_INFINITY, ())]),
            row("matrix_norm_2", |a| vec![a[0].matrix_norm(2.0, ())]),
            row("matrix_norm_minus_2", |a| vec![a[0].matrix_norm(-2.0, ())]),
            row("matrix_norm_fro_zero", |a| vec![a[0].matrix_norm(Fro, ())]),
            row("matrix_norm_dims", |a| vec![a[0].matrix_norm(1.0, keepdim([2, 0]))]),
            row("matrix_norm_dims_inf", |a| vec![a[0].matrix_norm(f64::INFINITY, [0, 2])]),
            row("matrix_norm_nuc_dims", |a| vec![a[0].matrix_norm(Nuc, [0, -1])]),
            row("norm_all", |a| vec![a[0].linalg_norm(None, ())]),
            row("norm_vector", |a| vec![a[0].linalg_norm(Number(3.0), -1)]),
            row("norm_matrix", |a| vec![a[0].linalg_norm(Number(f64::INFINITY), ())]),
            row("vecdot", |a| vec![a[0].vecdot(&a[1], 0)]),
            row("vander", |a| vec![a[0].vander(None)]),
            row("vander_n", |a| vec![a[0].vander(5)]),
            row("multi_dot", |a| vec![multi_dot(a)]),
        ],
    );
}

/// Columns beyond the reflections are not read; there may be more of them than rows.
#[test]
fn reflections_need_no_tall_matrix() {
    let mut rng = Rng(7);
    let mut of = |shape: [usize; 2]| rng.array(&Aval::new(DType::F64, shape));
    let (wide, tau, other) = (of([2, 5]), of([1, 2]).reshaped([2]), of([5, 2]));
    let [wide, tau, other] = [wide, tau, other].map(Tensor::from_array);
    let product = |a: &Tensor| a.ormqr(&tau, &other, Side::Right, Adjoint::No).to_array().unwrap();
    assert_eq!(product(&wide), product(&wide.narrow(1, 0, 2)));
}

/// A well-conditioned matrix without symmetry.
fn regular(n: usize, m: usize) -> Tensor {
    let x = Array::from_f64_fn(&Aval::new(DType::F64, [n, m]), |i| {
        let (r, c) = (i / m, i % m);
        (1.7 * r as f64 + 2.3 * c as f64 + 1.0).sin() + if r == c { 2.0 + r as f64 } else { 0.0 }
    });
    Tensor::from_array(x)
}

fn assert_close(what: &str, a: &Tensor, b: &Tensor) {
    let (a, b) = (a.to_array().expect("values"), b.to_array().expect("values"));
    assert!(close(&a, &b, 1e-12), "{what}: {a} and {b}");
}

#[test]
fn factors_multiply_to_the_matrix() {
    for (m, n) in [(3, 3), (4, 2), (2, 4), (1, 1), (0, 0)] {
        let a = regular(m, n);
        let [p, l, u] = a.lu();
        assert_close("P L U", &p.mm(&l).mm(&u), &a);
        for mode in [QrMode::Reduced, QrMode::Complete] {
            let [q, r] = a.qr(mode);
            assert_close("Q R", &q.mm(&r), &a);
            assert_close("Qᵀ Q", &q.mt().mm(&q), &eye_of(q.size(1), q.size(1), DType::F64));
        }
        let [u, s, vh] = a.svd();
        assert_close("U S Vh", &(u * s.row()).mm(&vh), &a);
        let [u, _, vh] = a.svd_full();
        assert_close("Uᵀ U", &u.mt().mm(&u), &eye_of(m, m, DType::F64));
        assert_close("Vh Vhᵀ", &vh.mm(&vh.mt()), &eye_of(n, n, DType::F64));
        let p = a.pinv(Tolerance::default());
        assert_close("A A⁺ A", &a.mm(&p).mm(&a), &a);
    }
    let a = regular(3, 3);
    let spd = a.mm(&a.mt());
    let l = spd.cholesky(Lower);
    assert_close("L Lᵀ", &l.mm(&l.mt()), &spd);
    let u = spd.cholesky(Upper);
    assert_close("Uᵀ U", &u.mt().mm(&u), &spd);
    let [w, v] = spd.eigh(Upper);
    assert_close("V w Vᵀ", &(&v * w.row()).mm(&v.mt()), &spd);
    assert_close("A A⁻¹", &a.mm(&a.inv()), &eye_of(3, 3, DType::F64));
    assert_close("det = exp logabsdet", &a.det(), &{
        let [sign, log] = a.slogdet();
        sign * log.exp()
    });
    assert_close("exp(A) exp(-A)", &a.matrix_exp().mm(&(-&a).matrix_exp()), &eye_of(3, 3, DType::F64));
}

fn message(t: &Tensor) -> (String, bool) {
    match t.error() {
        Some(Error::Eval { source, .. }) => {
            (source.to_string(), matches!(source, EvalError::Linalg(_) | EvalError::Assertion { .. }))
        }
        other => panic!("expected an evaluation error, found {other:?}"),
    }
}

#[test]
fn singular_and_indefinite_matrices_are_errors() {
    let singular = Tensor::from([[1.0, 2.0], [2.0, 4.0]]);
    let (inv, _) = message(&singular.inv());
    assert!(inv.contains("linalg.inv") && inv.contains("singular"), "{inv}");
    let (solve, _) = message(&singular.solve(&Tensor::from([1.0, 2.0])));
    assert!(solve.contains("the solver failed"), "{solve}");
    message(&singular.lu_factor()[0]);
    let indefinite = Tensor::from_vec(vec![1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 1.0], [2, 2, 2]);
    let (cholesky, _) = message(&indefinite.cholesky(Lower));
    let expected = "(Batch element 1): the factorization could not be completed because the input is not \
                    positive-definite (the leading minor of order 2 is not positive-definite)";
    assert_eq!(cholesky, expected);
    let nan = Tensor::from([[f64::NAN]]);
    message(&nan.cholesky(Lower));
    message(&nan.svd()[1]);
    assert!(nan.eigh(Lower)[0].to_vec::<f64>().expect("values")[0].is_nan());
    // Only what the op reads counts.
    let upper_garbage = Tensor::from([[4.0, f64::NAN], [2.0, 3.0]]);
    assert!(upper_garbage.cholesky(Lower).ok().is_ok());
}

#[test]
fn operands_that_do_not_fit_are_labelled_errors() {
    let label = |t: &Tensor| match t.error() {
        Some(Error::Infer { source, .. }) => source.to_string(),
        other => panic!("expected an inference error, found {other:?}"),
    };
    let vector = Tensor::from([1.0, 2.0]);
    let wide = regular(2, 3);
    let half = regular(2, 2).convert(DType::F16);
    for (t, expected) in [
        (vector.inv(), "linalg_c1"),
        (half.cholesky(Lower), "linalg_c2"),
        (Tensor::from([[1i64, 2], [3, 4]]).det(), "linalg_c2"),
        (wide.inv(), "linalg_c3"),
        (wide.eigvalsh(Lower), "linalg_c3"),
        (regular(2, 2).solve(&regular(3, 1)), "linalg_solve_c1"),
        (regular(2, 2).solve_on(&vector, Side::Right), "linalg_solve_c2"),
        (regular(2, 2).lu_solve(&Tensor::from([1i32]), &regular(2, 1), Side::Left, Adjoint::No), "lu_solve_c1"),
        (regular(2, 2).lu_unpack(&vector)[0].clone(), "lu_unpack_c1"),
        (wide.polar()[0].clone(), "linalg_polar_c1"),
        (wide.matrix_norm(3.0, ()), "matrix_norm_c3"),
        (wide.matrix_norm(MatrixOrd::Fro, 0), "matrix_norm_c1"),
        (wide.householder_product(&vector), "householder_product_c1"),
        (wide.matrix_power(2), "matrix_power_c1"),
        (wide.tensorinv(0), "tensorinv_c1"),
        (vector.vander(1), "vander_c2"),
        (multi_dot(std::slice::from_ref(&wide)), "multi_dot_c1"),
    ] {
        let found = label(&t);
        assert!(found.ends_with(&format!("({expected})")), "{expected}: {found}");
    }
    // An integer that is no row is an error of the data.
    let bad = regular(2, 2).lu_unpack(&Tensor::from([1i32, 3]))[0].clone();
    assert!(matches!(bad.error(), Some(Error::Eval { source: EvalError::Index { .. }, .. })));
}

fn arrays(x: &[&Tensor]) -> Vec<Array> {
    x.iter().map(|t| t.to_array().expect("values")).collect()
}

/// The derivative of the reverse mode, in forward mode and by differences.
fn second_derivative(what: &str, f: Function, x: &[Array]) {
    let g = traced(f, x).unwrap_or_else(|e| panic!("{what}: {e}"));
    let wrt: Vec<usize> = (0..x.len()).collect();
    let mut rng = Rng(11);
    let x_dot: Vec<Array> = x.iter().map(|a| rng.array(&a.aval())).collect();
    let n = g.results().len();
    let y_bar: Vec<Array> = g.result_avals().iter().filter(|a| a.dtype.is_float()).map(|a| rng.array(a)).collect();
    let reverse = vjp(&g, &wrt).expect("a reverse mode");
    let both = jvp(&reverse, &wrt).expect("a second derivative");
    let args: Vec<Array> = x.iter().chain(&y_bar).cloned().collect();
    let all: Vec<Array> = args.iter().chain(&x_dot).cloned().collect();
    let got = eval(&both, &all).unwrap_or_else(|e| panic!("{what}: {e}"));
    let got = &got[got.len() - x.len()..];
    let moved = |h: f64| {
        let mut args = args.clone();
        for (a, t) in args.iter_mut().zip(&x_dot) {
            *a = axpy(a, h, t);
        }
        eval(&reverse, &args).unwrap_or_else(|e| panic!("{what}: {e}")).split_off(n)
    };
    let h = 1e-5;
    for ((hi, lo), got) in moved(h).iter().zip(&moved(-h)).zip(got) {
        let (a, b) = (hi.to_f64_vec(), lo.to_f64_vec());
        let expected = Array::from_f64_fn(&hi.aval(), |i| (a[i] - b[i]) / (2.0 * h));
        assert!(close(got, &expected, 1e-5), "{what}: got {got}, differences give {expected}");
    }
}

#[test]
fn second_derivatives_agree_with_differences() {
    let (a, b) = (regular(3, 3), regular(3, 2));
    let one = arrays(&[&a]);
    let two = arrays(&[&a, &b]);
    second_derivative("inv", |x| vec![x[0].inv()], &one);
    second_derivative("solve", |x| vec![x[0].solve(&x[1])], &two);
    second_derivative("det", |x| vec![x[0].det()], &one);
    second_derivative("slogdet", |x| vec![x[0].slogdet()[1].clone()], &one);
    second_derivative("lu", |x| x[0].lu()[1..].to_vec(), &one);
    second_derivative("matrix_exp", |x| vec![x[0].matrix_exp()], &one);
    second_derivative("matrix_sqrth", |x| vec![sym(&x[0].mm(&x[0].mt())).matrix_sqrth()], &one);
    second_derivative("polar", |x| x[0].polar().into(), &one);
    second_derivative("polar tall", |x| x[1].polar().into(), &two);
    second_derivative("pinv", |x| vec![x[1].pinv(Tolerance::default())], &two);
    second_derivative("pinv wide", |x| vec![x[1].mt().pinv(Tolerance::default())], &two);
    second_derivative("svdvals", |x| vec![x[1].svdvals()], &two);
    second_derivative("svd_full", |x| x[1].svd_full().into(), &two);
    second_derivative("cond", |x| vec![x[1].cond(None)], &two);
    second_derivative(
        "householder",
        |x| vec![x[1].householder_product(&x[0].main_diagonal().slice_dim(0, 0, 2, 1))],
        &two,
    );
}

/// The determinant is a polynomial: its derivatives at singular matrices are those of the explicit formula.
#[test]
fn determinants_of_singular_matrices_have_exact_derivatives() {
    let explicit: Function = |x| {
        let at = |i: usize, j: usize| x[0].slice_dim(0, i, i + 1, 1).slice_dim(1, j, j + 1, 1).sum();
        vec![at(0, 0) * at(1, 1) - at(0, 1) * at(1, 0)]
    };
    for m in [[[1.0, 2.0], [2.0, 4.0]], [[0.0, 1.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 0.0]]] {
        let x = arrays(&[&Tensor::from(m)]);
        let hessian = |f: Function| {
            let g = traced(f, &x).expect("a graph");
            let both = jvp(&vjp(&g, &[0]).expect("reverse"), &[0]).expect("forward over reverse");
            let x_dot = Rng(3).array(&x[0].aval());
            let args = [x[0].clone(), Array::scalar(1.0f64), x_dot];
            eval(&both, &args).expect("values")
        };
        for (got, expected) in hessian(|x| vec![x[0].det()]).iter().zip(&hessian(explicit)) {
            assert!(close(got, expected, 1e-12), "{m:?}: got {got}, expected {expected}");
        }
    }
}

/// Values have derivatives where vectors have none.
/// PyTorch's rule: what is above the factor's diagonal has a derivative, though the value does not depend on it.
#[test]
fn derivatives_along_a_factor_read_both_triangles() {
    let factor = Tensor::from([[2.0, 0.0], [1.0, 3.0]]);
    let ones = |y: Tensor| y.sum();
    let solved = grad(move |l: Tensor| ones(Tensor::from([[1.0], [2.0]]).cholesky_solve(&l, Lower)));
    let close = |x: Tensor, expected: [f64; 4]| {
        let x = x.to_vec::<f64>().expect("floats");
        assert!(x.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-12), "{x:?}, expected {expected:?}");
    };
    let by_factor = solved.call((factor.clone(),)).expect("a gradient");
    close(by_factor, [-21.0 / 108.0, -15.0 / 108.0, -12.0 / 108.0, -6.0 / 108.0]);
    let inverse = |triangle| grad(move |l: Tensor| ones(l.cholesky_inverse(triangle)));
    let lower = inverse(Lower).call((factor.clone(),)).expect("a gradient");
    close(lower, [-2.0 / 9.0, -2.0 / 27.0, -1.0 / 18.0, -1.0 / 54.0]);
    let upper = inverse(Upper).call((factor.mt(),)).expect("a gradient");
    close(upper, [-2.0 / 9.0, -1.0 / 18.0, -2.0 / 27.0, -1.0 / 54.0]);
}

#[test]
fn repeated_values_have_finite_gradients() {
    let eye = arrays(&[&eye_of(3, 3, DType::F64)]);
    let cases: [(&str, Function); 4] = [
        ("eigvalsh", |x| vec![x[0].eigvalsh(Lower)]),
        ("svdvals", |x| vec![x[0].svdvals()]),
        ("nuclear norm", |x| vec![x[0].matrix_norm(MatrixOrd::Nuc, ())]),
        ("pinv", |x| vec![x[0].pinv(Tolerance::default())]),
    ];
    for (what, f) in cases {
        let g = traced(f, &eye).expect("a graph");
        let aval = g.result_avals()[0].clone();
        let y_bar = Array::full(&aval, 1.0.into());
        let x_bar = eval(&vjp(&g, &[0]).expect("reverse"), &[eye[0].clone(), y_bar]).expect("values");
        assert!(x_bar[1].to_f64_vec().iter().all(|v| v.is_finite()), "{what}: {}", x_bar[1]);
    }
    let g = traced(|x| x[0].eigh(Lower).into(), &eye).expect("a graph");
    let ones: Vec<Array> = g.result_avals().iter().map(|a| Array::full(a, 1.0.into())).collect();
    let args: Vec<Array> = eye.iter().chain(&ones).cloned().collect();
    let x_bar = eval(&vjp(&g, &[0]).expect("reverse"), &args).expect("values").pop().expect("a gradient");
    assert!(x_bar.to_f64_vec().iter().any(|v| !v.is_finite()), "eigenvectors: {x_bar}");
}

/// Composites stand in captured graphs as one call of PyTorch's operator.
#[test]
fn composites_are_calls_of_atens_names() {
    let x = arrays(&[&regular(2, 2)]);
    let g = traced(|x| vec![x[0].det() + x[0].slogdet()[1].clone() + x[0].svdvals().sum()], &x).expect("a graph");
    let text = g.to_string();
    for name in ["aten::linalg_det(", "aten::_linalg_slogdet(", "aten::linalg_svdvals("] {
        assert!(text.contains(name), "{name}\n{text}");
    }
}

fn count(g: &Graph, name: &str) -> usize {
    g.nodes().iter().filter(|n| n.op.name() == name).count()
}

/// Systems of a matrix, of its transpose and of its broadcasts share one factorization where they are computed.
#[test]
fn a_matrix_is_factored_once() {
    let vector: Function = |a| vec![a[0].solve(&a[1]).square().sum_over(&[0])];
    let wide: Function = |a| vec![a[0].solve(&a[1]).square().sum_over(&[0, 1, 2])];
    let mixed: Function = |a| {
        let [x, ..] = a[0].mt().solve_ex(&a[1].row().expand_to(a[0].shape()), Side::Right);
        vec![a[0].inv() + x]
    };
    let matrix = regular(3, 3).to_array().expect("values");
    let numbers = |shape: &[usize]| Array::from_f64_fn(&Aval::new(DType::F64, shape), |i| (i as f64).sin());
    for (f, b) in [(vector, numbers(&[3])), (wide, numbers(&[4, 3, 2])), (mixed, numbers(&[3]))] {
        let args = [matrix.clone(), b];
        let g = vjp(&traced(f, &args).expect("a graph"), &[0, 1]).expect("reverse");
        let whole = simplify(&inline_all(&g).expect("no calls"));
        assert_eq!((count(&whole, "linalg_lu_factor_ex"), count(&whole, "_linalg_solve_ex")), (1, 0), "{g}\n{whole}");
        let bars = g.param_avals()[2..].iter().map(|a| Array::full(a, 1.0.into())).collect::<Vec<_>>();
        let args = [args.to_vec(), bars].concat();
        for (x, y) in eval(&g, &args).expect("values").iter().zip(&eval(&whole, &args).expect("values")) {
            assert!(close(x, y, 1e-9), "{x:?} {y:?}");
        }
    }
}
