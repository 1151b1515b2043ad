//! Derivatives of elementwise operators and losses.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::{grad_and_value, vjp};
use cotangent_core::transform::inline::inline_composites;
use cotangent_tests::numeric::close;
use cotangent_tests::random_graph::random_args;

use crate::{same_bits, targets};

/// The derivative of a composite is PyTorch's backward operator along a cotangent, along ones and along tangents, and is
/// what the composite's body has for a derivative.
#[test]
fn derivatives_of_composites_are_operators() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let table: &[(&str, F)] = &[
        ("hardtanh_backward", |x, _| x.hardtanh(-0.5, 0.5)),
        ("softplus_backward", |x, _| x.softplus(1.0, 20.0)),
        ("softplus_backward", |x, _| x.softplus(3.0, 1.0)),
        ("hardswish_backward", |x, _| x.hardswish()),
        ("elu_backward", |x, _| x.selu()),
        ("elu_backward", |x, _| x.celu(0.7)),
        ("hardshrink_backward", |x, _| x.hardshrink(0.3)),
        ("mse_loss_backward", |x, y| x.mse_loss(y, Reduction::Mean)),
        ("elu_backward", |x, _| x.elu_scaled(0.5, 1.5, 1.0)),
        ("hardsigmoid_backward", |x, _| x.convert(DType::F32).hardsigmoid().convert(DType::F64)),
        ("gelu_backward", |x, _| x.gelu_tanh()),
        ("binary_cross_entropy_backward", |x, y| x.binary_cross_entropy(y, None, Reduction::None)),
        ("binary_cross_entropy_backward", |x, y| x.binary_cross_entropy(y, None, Reduction::Mean)),
        ("leaky_relu_backward", |x, _| x.leaky_relu(0.2)),
        ("huber_loss_backward", |x, y| x.huber_loss(y, Reduction::None, 0.5)),
        ("huber_loss_backward", |x, y| x.huber_loss(y, Reduction::Sum, 0.5)),
        ("huber_loss_backward", |x, y| x.huber_loss(y, Reduction::Mean, 0.5)),
        ("smooth_l1_loss_backward", |x, y| x.smooth_l1_loss(y, Reduction::Mean, 1.0)),
        ("smooth_l1_loss_backward", |x, y| x.smooth_l1_loss(y, Reduction::None, 0.5)),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for (name, f) in table {
        let of = |total: bool| {
            let g = build("f", |t| {
                let y = f(&t.param(&aval), &t.param(&aval)).ok()?;
                Ok(vec![if total { y.sum() } else { y }])
            });
            g.unwrap()
        };
        for (f, ones) in [(of(false), false), (of(true), true)] {
            let along = |f: &Graph| if ones { grad_and_value(f, &[0]) } else { vjp(f, &[0]) }.unwrap();
            let g = simplify(&along(&f));
            let raised = g.raised();
            let found = targets(&raised).iter().any(|t| t.split('.').next() == Some(*name));
            assert!(found, "{name}: {}", raised.code());
            let args = random_args(1, &g);
            let values = eval(&g, &args).unwrap();
            assert!(same_bits(&values, &eval(&raised, &args).unwrap()), "{name}: {g}");
            let inlined = along(&inline_composites(&f).unwrap());
            for (a, b) in values.iter().zip(eval(&inlined, &args).unwrap()) {
                assert!(close(a, &b, 1e-12), "{name}: {a:?} {b:?}");
            }
        }
    }
}

/// Slopes that are nearly those of an operator.
#[test]
fn neighbours_of_derivatives_stay() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let table: &[F] = &[
        // The derivative of another function on one side.
        |x, g| g * x.ones_like().where_(&x.gt(20.0), x.tanh()),
        |x, g| g * x.full_like(2.0).where_(&x.gt(20.0), x.sigmoid()),
        // Along different values in the branches.
        |x, g| g.where_(&x.gt(20.0), x * x.sigmoid()),
        // Bounds in the wrong order.
        |x, g| x.zeros_like().where_(&x.le(1.0), x.zeros_like().where_(&x.ge(-1.0), g)),
        |x, g| x.zeros_like().where_(&x.le(-3.0), (g * (x / 3.0 + 0.25)).where_(&x.lt(3.0), g)),
        // PyTorch's sixth part of a double is one of single precision.
        |x, g| g * x.full_like(1.0 / 6.0).where_(&x.gt(-3.0).bitwise_and(x.lt(3.0)), x.zeros_like()),
        // PyTorch's operators keep the cotangent at NaN.
        |x, g| g.where_(&x.gt(-1.0).bitwise_and(x.lt(1.0)), x.zeros_like()),
        |x, g| g.where_(&x.abs().gt(0.3), x.zeros_like()),
        |x, g| g.where_(&x.abs().gt(0.3), x.ones_like()),
        // Another number than the root of 2 / pi.
        |x, g| {
            let t = ((x + x * x * x * 0.044715) * 0.75).tanh();
            g * ((&t + 1.0) * 0.5
                + (1.0 - &t * &t) * ((x * x * 0.053_516_112_204_450_184 + 0.398_942_280_401_432_7) * x))
        },
        // Squares by another factor than 2, and means over another number of elements.
        |x, g| g * ((x - g) * 3.0),
        |x, g| (x - g) * (g.sum() / 2.0),
        // Linear beyond 1, and half the square below.
        |x, g| g * (x - g).sign().where_(&(x - g).abs().gt(1.0), (x - g) / 2.0),
        |x, g| g * (x - g).sign().where_(&(x - g).abs().gt(0.5), (x - g) * 0.5),
        |x, g| g * ((x - g) / ((1.0 - x) * x).maximum(1e-6)),
        |x, g| g * ((x - g) / ((1.0 - g) * x).maximum(1e-12)),
        // Two thresholds.
        |x, g| g * ((x - g).sign() * 0.5).where_(&(x - g).abs().gt(0.75), x - g),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for f in table {
        let g = build("f", |t| Ok(vec![f(&t.param(&aval), &t.param(&aval)).ok()?])).unwrap();
        let raised = simplify(&g).raised();
        let backward = |t: &String| t.contains("_backward") && !t.starts_with("threshold") && !t.starts_with("tanh");
        assert!(!targets(&raised).iter().any(backward), "{}", raised.code());
    }
}
