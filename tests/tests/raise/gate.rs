//! Gates and rectifiers with a slope for each channel, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::{grad_and_value, vjp};
use cotangent_core::transform::jvp::jvp;
use cotangent_tests::random_graph::random_args;

use crate::pullback::{found, function};
use crate::{neighbours, same_bits, targets};

fn halves(x: &Tensor) -> [Tensor; 2] {
    [x.slice_dim(1, 0, 1, 1), x.slice_dim(1, 1, 2, 1)]
}

#[test]
fn gates_and_their_neighbours() {
    neighbours(&[
        (
            "glu",
            |x, _| {
                let [a, b] = halves(x);
                a * b.sigmoid()
            },
            |x, y| {
                let [a, _] = halves(x);
                a * halves(y)[1].sigmoid()
            },
        ),
        (
            "glu",
            |x, _| {
                let [a, b] = halves(x);
                b.sigmoid() * a
            },
            |x, _| {
                let [a, b] = halves(x);
                b * a.sigmoid()
            },
        ),
        ("_prelu_kernel", |x, w| x.where_(&x.gt(0.0), w * x), |x, w| x.where_(&x.ge(0.0), w * x)),
        ("_prelu_kernel", |x, w| x.where_(&x.gt(0.0), x * w.sum_over(&[0])), |x, w| x.where_(&x.gt(0.0), w * w)),
    ]);
}

/// Along a cotangent and along ones.
#[test]
fn derivatives_of_gates_are_operators() {
    let aval = Aval::new(DType::F64, [2, 6]);
    let of = |scale: f64| {
        move |x: &Tensor| {
            let (a, b) = (x.slice_dim(1, 0, 3, 1), x.slice_dim(1, 3, 6, 1));
            a * (b * scale).sigmoid()
        }
    };
    let backward = |g: &Graph| {
        let raised = simplify(g).raised();
        let args = random_args(1, g);
        assert!(same_bits(&eval(&simplify(g), &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
        targets(&raised).contains(&"glu_backward.default".to_owned())
    };
    for (scale, expected) in [(1.0, true), (2.0, false)] {
        let f = of(scale);
        let whole = build("f", |t| Ok(vec![f(&t.param(&aval)).ok()?])).unwrap();
        let total = build("f", |t| Ok(vec![f(&t.param(&aval)).sum().ok()?])).unwrap();
        assert_eq!(backward(&vjp(&whole, &[0]).unwrap()), expected);
        assert_eq!(backward(&grad_and_value(&total, &[0]).unwrap()), expected);
    }
    // The halves in the other order are another function.
    let turned = build("f", |t| {
        let [a, b] = [(3, 6), (0, 3)].map(|(i, j)| t.param(&aval).slice_dim(1, i, j, 1));
        Ok(vec![(a * b.sigmoid()).ok()?])
    });
    assert!(!backward(&vjp(&turned.unwrap(), &[0]).unwrap()));
}

/// Derivatives of gates in both directions, and what is almost one.
#[test]
fn slopes_of_gates_and_rectifiers_are_operators() {
    let near = function(&[&[3, 4], &[3, 4]], |a| {
        let [p, q] = [0, 1].map(|i| [a[i].slice_dim(1, 0, 2, 1), a[i].slice_dim(1, 2, 4, 1)]);
        let s = p[1].sigmoid();
        // Along the first half twice.
        &q[0] * &s + &p[0] * &((1.0 - &s) * &s * &q[0]) + &p[0] * &s
    });
    assert_eq!(found(&near, "glu_jvp.default"), 0, "{}", near.raised().code());
    let f = function(&[&[3, 4]], |a| a[0].glu(1));
    let g = simplify(&jvp(&f, &[0]).unwrap());
    assert_eq!(found(&g, "glu_jvp.default"), 1, "{}", g.raised().code());
    let f = function(&[&[2, 3, 2], &[3]], |a| a[0].prelu(&a[1]));
    let g = simplify(&vjp(&f, &[0, 1]).unwrap());
    assert_eq!(found(&g, "_prelu_kernel_backward.default"), 1, "{}", g.raised().code());
    // That of the input alone has no cotangent of the slope.
    let g = simplify(&vjp(&f, &[0]).unwrap());
    assert_eq!(found(&g, "_prelu_kernel_backward.default"), 0, "{}", g.raised().code());
}
