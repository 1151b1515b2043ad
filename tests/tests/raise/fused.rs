//! Sums with their last product, and what is almost so.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::Convolution;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_tests::random_graph::random_args;

use crate::{neighbours, same_bits, targets};

/// A convolution with a number for each channel, or for each row of its images.
fn biased(x: &Tensor, y: &Tensor, shape: &[usize]) -> Tensor {
    let images = x.view_to(&[1, 2, 2, 1].into()).conv(&y.view_to(&[2, 2, 1, 1].into()), Convolution::plain(2));
    images + y.sum_over(&[1]).view_to(&shape.iter().copied().collect())
}

#[test]
fn fused_sums_and_their_neighbours() {
    neighbours(&[
        ("pow", |x, _| x * x * x, |x, y| x * x * y),
        ("lerp", |x, y| x + (y - x) * 0.3, |x, y| y + (y - x) * 0.3),
        ("addcmul", |x, y| x + x * y * 0.5, |x, y| x + x / y),
        (
            "addcmul",
            |x, y| x.sin() + x.sum_over(&[0]) * y.sum_over(&[0]),
            |x, y| x.sin() + x.sum_over(&[0]) / y.sum_over(&[0]),
        ),
        ("addcdiv", |x, y| x.sin() + y / x * 0.5, |x, y| x.sin() + y * x * 0.5),
        ("addcdiv", |x, y| x.sin() - (y * 2.0) / x, |x, _| x.sin() - 2.0 / x),
    ]);
}

/// A bias is an operand of the convolution where it is one number for each channel.
#[test]
fn biases_are_operands() {
    for (shape, expected) in [(&[2, 1, 1][..], 1), (&[1, 2, 1, 1], 1), (&[2, 1], 2)] {
        let aval = Aval::new(DType::F64, [2, 2]);
        let g = build("f", |t| Ok(vec![biased(&t.param(&aval), &t.param(&aval), shape).ok()?]));
        let g = simplify(&g.unwrap());
        let raised = g.raised();
        let found = targets(&raised);
        let sums = found.iter().filter(|t| ["add.Tensor", "convolution.default"].contains(&t.as_str()));
        assert_eq!(sums.count(), expected, "{}", raised.code());
        let args = random_args(1, &g);
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
    }
}
