//! Derivatives by matrices of which forward and reverse mode differ in PyTorch: each mode is PyTorch's here, and so are
//! second derivatives, forward over reverse and reverse over reverse.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ops::{SolveTriangular, Triangle};
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::jvp::jvp;
use cotangent_tests::oracle::{Function, traced};

use Triangle::{Lower, Upper};

/// A function with what PyTorch 2.15 gives: the tangent, and the second derivatives of the cotangents.
struct Case {
    name: &'static str,
    f: Function,
    jvp: &'static [f64],
    jvp_vjp: &'static [f64],
    vjp_vjp: &'static [f64],
}

fn matrix(shape: &[usize], values: &[f64]) -> Array {
    Array::new(shape, values.to_vec())
}

fn expect(what: &str, got: &[Array], expected: &[f64]) {
    let got: Vec<f64> = got.iter().flat_map(Array::to_f64_vec).collect();
    let near = got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near, "{what}: {got:?}, expected {expected:?}");
}

/// Compares the case at `x` along `x_dot`, with the cotangents `y_bar` of its result.
fn check(case: &Case, x: &[Array], x_dot: &[Array], y_bar: &Array) {
    let g = traced(case.f, x).expect("a graph");
    let wrt: Vec<usize> = (0..x.len()).collect();
    let expect = |what: &str, got: &[Array], expected: &[f64]| expect(&format!("{} {what}", case.name), got, expected);
    let forward = eval(&jvp(&g, &wrt).expect("forward mode"), &[x, x_dot].concat()).expect("values");
    expect("jvp", &forward[1..], case.jvp);
    let reverse = vjp(&g, &wrt).expect("reverse mode");
    let at = [x, std::slice::from_ref(y_bar)].concat();
    let n = 1 + x.len();
    let both = eval(&jvp(&reverse, &wrt).expect("forward over reverse"), &[&at[..], x_dot].concat()).expect("values");
    expect("jvp_vjp", &both[n + 1..], case.jvp_vjp);
    // The cotangents of the value are zero.
    let bars = [&[Array::full(&both[0].aval(), 0.0.into())], x_dot].concat();
    let twice = eval(&vjp(&reverse, &wrt).expect("reverse over reverse"), &[at, bars].concat()).expect("values");
    expect("vjp_vjp", &twice[n..], case.vjp_vjp);
}

#[test]
fn tangents_are_taken_for_symmetric() {
    let x = [matrix(&[2, 2], &[4.0, 1.0, 1.0, 3.0])];
    let x_dot = [matrix(&[2, 2], &[1.0, 2.0, -1.0, 0.5])];
    let y_bar = matrix(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let lower = Case {
        name: "cholesky",
        f: |a| vec![a[0].cholesky(Lower)],
        jvp: &[0.25, 0.0, -0.5625, 0.09422229518055114],
        jvp_vjp: &[0.033835078039781794, 0.3002705071186683, 0.30027050711866843, -0.06852530558585537],
        vjp_vjp: &[-0.021281413526895505, -0.15199650974797704, -0.15199650974797702, -0.0685253055858554],
    };
    check(&lower, &x, &x_dot, &y_bar);
    let upper = Case {
        name: "cholesky upper",
        f: |a| vec![a[0].cholesky(Upper)],
        jvp: &[0.25, -0.5625, 0.0, 0.09422229518055114],
        jvp_vjp: &[-0.05210242196021825, 0.33152050711866843, 0.33152050711866843, -0.06852530558585537],
        vjp_vjp: &[-0.013468913526895512, -0.12074650974797702, -0.12074650974797703, -0.06852530558585541],
    };
    check(&upper, &x, &x_dot, &y_bar);
    let values = Case {
        name: "eigvalsh",
        f: |a| vec![a[0].eigvalsh(Lower)],
        jvp: &[0.19098300562505255, 1.3090169943749472],
        jvp_vjp: &[-0.6, 0.3, 0.3, 0.6],
        vjp_vjp: &[0.0, 0.0, 0.0, 0.0],
    };
    check(&values, &x, &x_dot, &matrix(&[2], &[1.0, -2.0]));
}

#[test]
fn derivatives_along_a_factor_read_both_triangles_at_every_order() {
    let x = [matrix(&[2, 1], &[1.0, 2.0]), matrix(&[2, 2], &[2.0, 0.5, 1.0, 3.0])];
    let x_dot = [matrix(&[2, 1], &[0.5, -1.0]), matrix(&[2, 2], &[1.0, 2.0, -1.0, 0.5])];
    let y_bar = matrix(&[2, 1], &[1.0, -2.0]);
    const BY_LOWER: &[f64] = &[
        -0.14506172839506173,
        -0.14737654320987653,
        0.4359567901234568,
        -0.041923868312757157,
        -0.08024691358024688,
        -0.07780349794238688,
    ];
    let lower = Case {
        name: "cholesky_solve",
        f: |a| vec![a[0].cholesky_solve(&a[1], Lower)],
        jvp: &[-0.2685185185185185, -0.150462962962963],
        jvp_vjp: BY_LOWER,
        vjp_vjp: BY_LOWER,
    };
    check(&lower, &x, &x_dot, &y_bar);
    const BY_UPPER: &[f64] = &[
        -0.04947916666666667,
        0.07291666666666667,
        -0.05931712962962962,
        0.2511574074074074,
        0.36407696759259256,
        -0.33709490740740744,
    ];
    let upper = Case {
        name: "cholesky_solve upper",
        f: |a| vec![a[0].cholesky_solve(&a[1], Upper)],
        jvp: &[-0.008969907407407426, -0.25578703703703703],
        jvp_vjp: BY_UPPER,
        vjp_vjp: BY_UPPER,
    };
    check(&upper, &x, &x_dot, &y_bar);
}

/// PyTorch's tangent has the last two factors of `X L_dot Lᵀ X` exchanged; its cotangents are right.
#[test]
fn the_tangent_of_an_inverse_by_its_factor_is_that_of_pytorch() {
    let x_dot = [matrix(&[2, 2], &[0.3, -0.2, 0.5, 0.1])];
    let y_bar = matrix(&[2, 2], &[0.7, -0.4, 0.2, 1.1]);
    let lower = Case {
        name: "cholesky_inverse",
        f: |a| vec![a[0].cholesky_inverse(Lower)],
        jvp: &[-0.2921831868448238, -0.19317466567314154, -0.19317466567314154, -0.35224982641535],
        jvp_vjp: &[0.9173724893974311, 0.6262025714528293, -0.48845338083358314, 0.7415556111695478],
        vjp_vjp: &[0.7819644490169182, 0.2517683054186633, -0.6944444444444444, 1.4013785161476078],
    };
    check(&lower, &[matrix(&[2, 2], &[1.2, 0.0, 0.4, 0.9])], &x_dot, &y_bar);
    let upper = Case {
        name: "cholesky_inverse upper",
        f: |a| vec![a[0].cholesky_inverse(Upper)],
        jvp: &[-0.2921831868448238, -0.013133513409766928, -0.013133513409766928, 0.12785991295364868],
        jvp_vjp: &[0.009716465492613735, 0.954222052563539, -0.6005387319091626, -0.12481525596339849],
        vjp_vjp: &[-0.1304663288116652, 1.4427107148300573, -0.08003593061129971, -0.5872241697573212],
    };
    check(&upper, &[matrix(&[2, 2], &[1.2, 0.4, 0.0, 0.9])], &x_dot, &y_bar);
}

/// Its tangent is taken for that of the whole matrix, and is not transposed with it; so are those of its cotangents.
#[test]
fn the_old_triangular_solver_takes_the_whole_tangent() {
    let x = [matrix(&[2, 1], &[1.0, 2.0]), matrix(&[2, 2], &[2.0, 0.5, 1.0, 3.0])];
    let x_dot = [matrix(&[2, 1], &[0.5, -1.0]), matrix(&[2, 2], &[1.0, 2.0, -1.0, 0.5])];
    let y_bar = matrix(&[2, 1], &[1.0, -2.0]);
    let case = Case {
        name: "lower",
        f: |a| solved(a, false, Adjoint::No, false),
        jvp: &[-0.5, -0.08333333333333333],
        jvp_vjp: &[
            0.05555555555555558,
            0.38888888888888884,
            0.38888888888888884,
            0.0,
            -0.5277777777777777,
            -0.24999999999999997,
        ],
        vjp_vjp: &[
            -0.8055555555555556,
            0.1111111111111111,
            0.4027777777777778,
            0.0,
            -0.05555555555555555,
            -0.2222222222222222,
        ],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "lower unitriangular",
        f: |a| solved(a, false, Adjoint::No, true),
        jvp: &[-2.5, 2.0],
        jvp_vjp: &[-3.0, 4.0, 0.0, 0.0, -9.0, 0.0],
        vjp_vjp: &[-2.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "lower transposed",
        f: |a| solved(a, false, Adjoint::Yes, false),
        jvp: &[-0.3055555555555556, -0.38888888888888884],
        jvp_vjp: &[
            0.5833333333333334,
            0.11111111111111112,
            0.05555555555555555,
            0.0,
            -0.19444444444444448,
            -0.39814814814814814,
        ],
        vjp_vjp: &[-0.25, 0.3888888888888889, -0.3194444444444444, 0.0, 0.38888888888888884, -0.6296296296296295],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "lower transposed unitriangular",
        f: |a| solved(a, false, Adjoint::Yes, true),
        jvp: &[0.5, -3.0],
        jvp_vjp: &[5.0, -2.5, 0.0, 0.0, -7.0, 0.0],
        vjp_vjp: &[0.0, 1.0, 0.0, 0.0, 1.0, 0.0],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "upper",
        f: |a| solved(a, true, Adjoint::No, false),
        jvp: &[-0.49999999999999994, -0.3333333333333333],
        jvp_vjp: &[0.5, 0.20833333333333334, 0.08333333333333329, -0.16666666666666666, 0.0, -0.3888888888888889],
        vjp_vjp: &[-0.25, -0.16666666666666666, 0.3194444444444444, 0.38888888888888884, 0.0, -0.2222222222222222],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "upper unitriangular",
        f: |a| solved(a, true, Adjoint::No, true),
        jvp: &[-2.5, -2.0],
        jvp_vjp: &[4.0, 0.25, 0.0, -6.0, 0.0, 0.0],
        vjp_vjp: &[0.0, -2.0, 0.0, 1.0, 0.0, 0.0],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "upper transposed",
        f: |a| solved(a, true, Adjoint::Yes, false),
        jvp: &[-0.5833333333333334, -0.16666666666666666],
        jvp_vjp: &[0.25, 0.3333333333333333, 0.2638888888888889, -0.5555555555555556, 0.0, -0.3055555555555556],
        vjp_vjp: &[
            0.3055555555555555,
            0.1111111111111111,
            -0.15277777777777776,
            -0.05555555555555555,
            0.0,
            -0.5740740740740741,
        ],
    };
    check(&case, &x, &x_dot, &y_bar);
    let case = Case {
        name: "upper transposed unitriangular",
        f: |a| solved(a, true, Adjoint::Yes, true),
        jvp: &[-3.5, 1.0],
        jvp_vjp: &[0.5, 3.0, 0.0, -10.0, 0.0, 0.0],
        vjp_vjp: &[4.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    };
    check(&case, &x, &x_dot, &y_bar);
}

#[test]
fn the_cotangents_of_the_old_triangular_solver_lie_in_its_triangle() {
    let x = [matrix(&[2, 1], &[1.0, 2.0]), matrix(&[2, 2], &[2.0, 0.5, 1.0, 3.0])];
    let y_bar = [matrix(&[2, 1], &[1.0, -2.0])];
    let cases: [(Function, &[f64]); 8] = [
        (
            |a| solved(a, false, Adjoint::No, false),
            &[
                0.8333333333333333,
                -0.6666666666666666,
                -0.41666666666666663,
                0.0,
                0.3333333333333333,
                0.3333333333333333,
            ],
        ),
        (|a| solved(a, false, Adjoint::No, true), &[3.0, -2.0, 0.0, 0.0, 2.0, 0.0]),
        (
            |a| solved(a, false, Adjoint::Yes, false),
            &[0.5, -0.8333333333333334, -0.08333333333333334, 0.0, -0.3333333333333333, 0.5555555555555556],
        ),
        (|a| solved(a, false, Adjoint::Yes, true), &[1.0, -3.0, 0.0, 0.0, -2.0, 0.0]),
        (|a| solved(a, true, Adjoint::No, false), &[0.5, -0.75, -0.16666666666666669, -0.3333333333333333, 0.0, 0.5]),
        (|a| solved(a, true, Adjoint::No, true), &[1.0, -2.5, 0.0, -2.0, 0.0, 0.0]),
        (
            |a| solved(a, true, Adjoint::Yes, false),
            &[
                0.6666666666666666,
                -0.6666666666666666,
                -0.3333333333333333,
                0.3333333333333333,
                0.0,
                0.3888888888888889,
            ],
        ),
        (|a| solved(a, true, Adjoint::Yes, true), &[2.0, -2.0, 0.0, 2.0, 0.0, 0.0]),
    ];
    for (at, (f, cotangents)) in cases.into_iter().enumerate() {
        let g = traced(f, &x).expect("a graph");
        let reverse = eval(&vjp(&g, &[0, 1]).expect("reverse mode"), &[&x[..], &y_bar].concat()).expect("values");
        expect(&format!("{at} reverse"), &reverse[1..], cotangents);
    }
}

/// The solution alone.
fn solved(a: &[Tensor], upper: bool, adjoint: Adjoint, unitriangular: bool) -> Vec<Tensor> {
    let [x, _] = a[0].triangular_solve(&a[1], SolveTriangular { upper, left: true, unitriangular }, adjoint);
    vec![x]
}
