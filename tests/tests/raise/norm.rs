//! Functions of whole rows and their derivatives, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::numeric::close;
use cotangent_tests::random_graph::random_args;

use crate::{neighbours, targets};

fn log_sum(x: &Tensor, shift: &Tensor) -> Tensor {
    let shifted = x - shift;
    &shifted - shifted.exp().sum_over(&[1]).log().view_to(&[2, 1].into())
}

fn largest(x: &Tensor, dim: usize) -> Tensor {
    x.amax_over(&[dim]).view_to(&if dim == 1 { [2, 1] } else { [1, 2] }.into()).detach()
}

fn spread(x: &Tensor, about: f64, n: f64) -> Tensor {
    let centred = x - (x.sum_over(&[1]) / about).view_to(&[2, 1].into());
    (&centred * &centred).sum_over(&[1]) / n
}

fn normal(x: &Tensor, w: &Tensor, eps: f64, square: f64) -> Tensor {
    let centred = x - (x.sum_over(&[1]) / 2.0).view_to(&[2, 1].into());
    let variance = (&centred * &centred).sum_over(&[1]) / square;
    centred * (variance + eps).rsqrt().view_to(&[2, 1].into()) * w
}

/// The sums of rows, repeated by what they are added to.
fn totals(x: &Tensor) -> Tensor {
    x.sum_over(&[1]).view_to(&[2, 1].into())
}

/// A derivative along one element of each row, which is the row's total.
fn along_one(y: &Tensor, g: &Tensor, total: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let element = g.slice_dim(1, 0, 1, 1);
    let place = Tensor::from_array(Array::new([2, 1], vec![1i64, 0]));
    y.zeros_like().scatter_add_along(1, &place, &element) - total(&element) * y.exp()
}

#[test]
fn functions_of_rows_and_their_neighbours() {
    neighbours(&[
        ("_log_softmax", |x, _| log_sum(x, &largest(x, 1)), |x, _| log_sum(x, &largest(x, 0))),
        (
            "_log_softmax_backward_data",
            |y, g| g - g.sum_over(&[1]).view_to(&[2, 1].into()) * y.exp(),
            |y, g| g - y.sum_over(&[1]).view_to(&[2, 1].into()) * y.exp(),
        ),
        (
            "_softmax_backward_data",
            |y, g| (g - (g * y).sum_over(&[1]).view_to(&[2, 1].into())) * y,
            |y, g| (g - (g * g).sum_over(&[1]).view_to(&[2, 1].into())) * y,
        ),
        // Along opposites, of which the graph has one or both.
        ("_log_softmax_backward_data", |y, g| totals(g) * y.exp() - g, |y, g| totals(g) * y.exp() - y),
        (
            "_log_softmax_backward_data",
            |y, g| (g - y) + totals(&(y - g)) * y.exp(),
            |y, g| (g - y) + totals(&(y + g)) * y.exp(),
        ),
        ("_softmax_backward_data", |y, g| (totals(&(g * y)) - g) * y, |y, g| (totals(&(g * y)) - g) * g),
        (
            "_softmax_backward_data",
            |y, g| ((g - y) + totals(&((y - g) * y))) * y,
            |y, g| ((g - y) - totals(&((y - g) * y))) * y,
        ),
        (
            "_log_softmax_backward_data",
            |y, g| along_one(y, g, Tensor::clone),
            |y, g| along_one(y, g, |element| -element),
        ),
        ("var", |x, _| spread(x, 2.0, 2.0), |x, _| spread(x, 3.0, 2.0)),
        ("std", |x, _| spread(x, 2.0, 2.0).sqrt(), |x, _| spread(x, 3.0, 2.0).sqrt()),
        ("layer_norm", |x, y| normal(x, &y.sum_over(&[0]), 1e-3, 2.0), |x, y| normal(x, &y.sum_over(&[0]), 1e-3, 3.0)),
    ]);
}

/// A batch of a derivative by the result is the operator again.
#[test]
fn derivatives_by_the_result_are_operators() {
    let x = Aval::new(DType::F64, [2, 3]);
    let composite = |f: fn(Tensor) -> Tensor| build("f", |t| Ok(vec![f(t.param(&x))])).unwrap();
    let softmax = composite(|x| x.softmax(-1));
    let log_softmax = composite(|x| x.log_softmax(0));
    for (g, expected) in [
        (vjp(&softmax, &[0]).unwrap(), ["_softmax.default", "_softmax_backward_data.default"]),
        (vjp(&log_softmax, &[0]).unwrap(), ["_log_softmax.default", "_log_softmax_backward_data.default"]),
    ] {
        let wide = vmap(&g, &[Some(1), Some(0)], &[0, 2], 4.into()).unwrap();
        for g in [&g, &wide] {
            let raised = simplify(g).raised();
            let found = targets(&raised);
            assert!(expected.iter().all(|e| found.contains(&(*e).to_owned())), "{}", raised.code());
            let args = random_args(1, g);
            for (a, b) in eval(g, &args).unwrap().iter().zip(eval(&raised, &args).unwrap()) {
                assert!(close(a, &b, 1e-12), "{g}\n{raised}");
            }
        }
    }
}
