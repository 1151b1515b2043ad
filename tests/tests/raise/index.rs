//! Rotations, extremes and stacks, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_tests::random_graph::random_args;

use crate::{neighbours, same_bits, targets};

fn places(i: &[i64]) -> Tensor {
    Tensor::from_array(Array::new([i.len()], i.to_vec()))
}

fn row(x: Tensor) -> Tensor {
    x.view_to(&[1, 2].into())
}

/// A vector of two elements.
fn place(x: &Tensor, y: &Tensor) -> Tensor {
    x.sum_over(&[0]) * y.sum_over(&[1])
}

/// Pieces of `y` at places of two dims.
fn pieces(x: &Tensor, y: &Tensor, dim: usize) -> Tensor {
    let products = x.view_to(&[2, 2, 1].into()) * y;
    y.index_select_along(dim, &products.argmax(2).view_to(&[4].into())).view_to(&[2, 2, 2].into())
}

#[test]
fn indices_and_their_neighbours() {
    neighbours(&[
        ("embedding", |x, y| pieces(x, y, 0), |x, y| pieces(x, y, 1)),
        ("roll", |x, _| x.roll(&[1], &[1]), |x, _| x.flip_dims(&[1])),
        (
            "roll",
            |x, _| x.zeros_like().index_add_along(0, &places(&[1, 0]), x),
            |x, _| x.ones_like().index_add_along(0, &places(&[1, 0]), x),
        ),
        (
            "max",
            |x, _| x.gather_along(1, &x.argmax_along(1).view_to(&[2, 1].into())),
            |x, y| x.gather_along(1, &y.argmax_along(1).view_to(&[2, 1].into())),
        ),
        (
            "min",
            |x, _| x.gather_along(0, &x.argmin_along(0).view_to(&[1, 2].into())),
            |x, _| x.gather_along(1, &x.argmin_along(0).view_to(&[2, 1].into())),
        ),
        (
            "stack",
            |x, y| Tensor::cat_dim(&[x.clone(), y.clone()], 1).view_to(&[2, 2, 2].into()),
            |x, y| {
                Tensor::cat_dim(&[x.clone(), y.sum_over(&[0]).view_to(&[1, 2].into())], 0).view_to(&[3, 1, 2].into())
            },
        ),
        // Each has its dim before they are joined, or one of them has always had it.
        (
            "stack",
            |x, y| Tensor::cat_dim(&[row(x.sum_over(&[0])), row(y.sum_over(&[1]))], 0),
            |x, y| Tensor::cat_dim(&[row(x.sum_over(&[0])), y.slice_dim(0, 0, 1, 1)], 0),
        ),
        (
            "stack",
            |x, y| {
                Tensor::cat_dim(&[row(x.sum_over(&[0])), row(y.sum_over(&[1])), x.ones_like().slice_dim(0, 0, 1, 1)], 0)
            },
            |x, _| Tensor::cat_dim(&[row(x.sum_over(&[0])), x.ones_like().slice_dim(0, 0, 1, 1)], 0),
        ),
        // One of them twice.
        (
            "stack",
            |x, y| {
                let first = row(x.sum_over(&[0]));
                Tensor::cat_dim(&[first.clone(), row(y.sum_over(&[1])), first], 0)
            },
            |x, y| {
                let first = x.slice_dim(0, 0, 1, 1);
                Tensor::cat_dim(&[first.clone(), row(y.sum_over(&[1])), first], 0)
            },
        ),
        // Elements that are sorted anyway.
        (
            "topk",
            |x, _| x.sort_along(1, false).0.slice_dim(1, 0, 1, 1),
            |x, _| {
                let sorted = x.sort_along(1, false).0;
                sorted.slice_dim(1, 0, 1, 1) - sorted.slice_dim(1, 1, 2, 1)
            },
        ),
        ("select", |x, _| x.slice_dim(1, 1, 2, 1).view_to(&[2].into()), |x, _| x.slice_dim(1, 1, 2, 1)),
        (
            "select",
            |x, _| x.slice_dim(0, 1, 2, 1).view_to(&[2].into()),
            |x, _| x.slice_dim(0, 1, 2, 1).view_to(&[2, 1].into()),
        ),
        (
            "select_backward",
            |x, y| place(x, y).view_to(&[1, 2].into()).pad_dims(&[(1, 2), (0, 0)], 0.0),
            |x, y| place(x, y).view_to(&[1, 2].into()).pad_dims(&[(1, 2), (0, 0)], -0.0),
        ),
        (
            "select_backward",
            |x, y| place(x, y).view_to(&[2, 1].into()).pad_dims(&[(0, 0), (1, 0)], 0.0),
            |x, y| place(x, y).view_to(&[2, 1].into()).pad_dims(&[(1, 0), (1, 0)], 0.0),
        ),
        (
            "topk",
            |x, _| x.sort_along(1, true).0.slice_dim(1, 0, 1, 1),
            |x, _| x.sort_along(1, true).0.slice_dim(1, 1, 2, 1),
        ),
        (
            "value_selecting_reduction_backward",
            |x, y| {
                let at = y.argmax_along(1).view_to(&[2, 1].into());
                x.zeros_like().scatter_add_along(1, &at, &y.sum_over(&[1]).exp().view_to(&[2, 1].into()))
            },
            |x, y| {
                let at = y.argmax_along(1).view_to(&[2, 1].into());
                x.ones_like().scatter_add_along(1, &at, &y.sum_over(&[1]).exp().view_to(&[2, 1].into()))
            },
        ),
    ]);
}

/// A place that stands without its dim, too, is stacked as that.
#[test]
fn a_place_of_a_larger_tensor_is_stacked() {
    let f = build("f", |t| {
        let x = t.param(&Aval::new(DType::F64, [3]));
        let first = x.slice_dim(0, 0, 1, 1);
        let y = first.view_to(&[].into());
        let next = y.lerp(&x.slice_dim(0, 1, 2, 1).view_to(&[].into()), 0.3);
        Ok(vec![Tensor::cat_dim(&[first, next.view_to(&[1].into())], 0).ok()?])
    });
    let g = f.unwrap();
    let raised = g.raised();
    assert_eq!(targets(&raised), ["select.int", "select.int", "lerp.Scalar", "stack.default"], "{}", raised.code());
    let args = random_args(1, &g);
    assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
}

/// Rotations of several dims are one operator, if nothing stands between them.
#[test]
fn rotations_of_dims_are_one() {
    let of = |f: fn(&Tensor) -> Tensor| {
        let g = build("f", |t| Ok(vec![f(&t.param(&Aval::new(DType::F64, [2, 3]))).ok()?])).unwrap();
        let (g, raised) = (simplify(&g), simplify(&g).raised());
        let args = random_args(1, &g);
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
        targets(&raised)
    };
    assert_eq!(of(|x| x.roll(&[1, 2], &[0, 1])), ["roll.default"]);
    assert_eq!(of(|x| x.roll(&[1], &[0]).sin().roll(&[2], &[1])), ["roll.default", "sin.default", "roll.default"]);
}
