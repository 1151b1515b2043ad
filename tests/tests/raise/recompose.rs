//! What exporters take apart.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::simplify::recompose;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_tests::random_graph::random_args;

use crate::{same_bits, targets};

/// What an exporter takes apart is whole again before it is differentiated.
#[test]
fn decompositions_are_recomposed() {
    type F = fn(&Tensor) -> Tensor;
    /// `log(exp(x) + exp(2 x))` as PyTorch's exporter has it, where equal infinities are left out.
    fn log_of_sum(x: &Tensor, infinity: f64) -> Tensor {
        let y = x * 2.0;
        let finite = x.eq(x) * x.abs().ne(infinity);
        let same = finite.logical_not().logical_and(&x.eq(&y));
        let above = x.ge(&y);
        let (largest, least) = (x.where_(&above, &y), y.where_(&above, x));
        x.where_(&same, &largest + (least - &largest).exp().log1p())
    }
    /// The softmax of rows, or 0 where all are `forbidden`.
    fn safe_softmax(x: &Tensor, forbidden: f64) -> Tensor {
        let all = x.eq(forbidden).logical_not().any(keepdim(1)).logical_not();
        x.zeros_like().where_(&all.expand_to(x.shape()), x.softmax(1))
    }
    /// The point between `x` and its opposite at a number, as PyTorch's exporter has it.
    fn way(x: &Tensor, weight: f64, near: f64) -> Tensor {
        let (y, far) = (-x, x.full_like(near).abs().ge(0.5));
        let w = x.full_like(weight);
        y.where_(&far, x) + (&w - 1.0).where_(&far, &w) * (&y - x)
    }
    let table: &[(&str, F, F)] = &[
        (
            "hardswish",
            |x| x * (x + 3.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
            |x| x * (x + 3.0).clamp_min(0i64).clamp_max(5i64) / 6.0,
        ),
        (
            "hardsigmoid",
            |x| (x + 3.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
            |x| (x + 2.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
        ),
        ("logaddexp", |x| log_of_sum(x, f64::INFINITY), |x| log_of_sum(x, 1.0)),
        ("linalg_vector_norm", |x| x.pow(2.0).sum_over(&[1]).sqrt(), |x| x.pow(3.0).sum_over(&[1]).sqrt()),
        (
            "linalg_vector_norm",
            |x| x.abs().pow(-1.0).sum_over(&[1]).pow(-1.0),
            |x| x.abs().pow(-1.0).sum_over(&[1]).pow(-2.0),
        ),
        ("linalg_vector_norm", |x| x.pow(4.0).sum_over(&[1]).pow(0.25), |x| x.pow(5.0).sum_over(&[1]).pow(0.2)),
        ("lerp", |x| way(x, 0.3, 0.3), |x| way(x, 0.3, 0.4)),
        (
            "dist",
            |x| (x - x.flip_dims(&[0])).abs().pow(3.0).sum_over(&[0, 1]).pow(1.0 / 3.0),
            |x| (x - x.flip_dims(&[0])).abs().pow(3.0).sum_over(&[1]).pow(1.0 / 3.0),
        ),
        ("_safe_softmax", |x| safe_softmax(x, f64::NEG_INFINITY), |x| safe_softmax(x, 0.0)),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for (name, f, neighbour) in table {
        for (f, expected) in [(f, true), (neighbour, false)] {
            let g = build("f", |t| Ok(vec![f(&t.param(&aval)).ok()?])).unwrap();
            let whole = recompose(&g);
            let found = targets(&whole).iter().any(|t| t.split('.').next() == Some(*name));
            assert_eq!(found, expected, "{}", whole.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&whole, &args).unwrap()), "{name}");
        }
    }
}
