//! Reductions, norms and distances, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;

use crate::neighbours;

fn flat_root(s: &Tensor, at: f64) -> Tensor {
    let flat = s.eq(0.0);
    s.full_like(at).where_(&flat, s.ones_like().where_(&flat, s).sqrt())
}

/// The norm of order 3, with powers that are flat where `zero` says.
fn norm_of(x: &Tensor, zero: &Tensor, root: f64) -> Tensor {
    let safe = x.full_like(1.0).where_(zero, x);
    let sum = x.zeros_like().where_(zero, &safe * &safe * &safe).sum_over(&[1]);
    let (none, one) = (sum.eq(0.0), sum.full_like(1.0));
    sum.zeros_like().where_(&none, one.where_(&none, &sum).pow(root))
}

#[test]
fn reductions_and_their_neighbours() {
    neighbours(&[
        ("linalg_vector_norm", |x, _| (x * x).sum_over(&[1]).sqrt(), |x, y| (x * y).sum_over(&[1]).sqrt()),
        (
            "linalg_vector_norm",
            |x, _| flat_root(&(x * x).sum_over(&[1]), 0.0),
            |x, _| flat_root(&(x * x).sum_over(&[1]), 1.0),
        ),
        (
            "cdist",
            |x, y| {
                let d = x.view_to(&[2, 1, 2].into()) - y;
                flat_root(&(&d * &d).sum_over(&[2]), 0.0)
            },
            |x, y| {
                let d = x.view_to(&[2, 2, 1].into()) - y;
                flat_root(&(&d * &d).sum_over(&[2]), 0.0)
            },
        ),
        (
            "amax",
            |x, _| (x.amax_over(&[1]).exp() + 1.0).view_to(&[2, 1].into()) * x,
            |x, _| (x.prod_over(1).exp() + 1.0).view_to(&[2, 1].into()) * x,
        ),
        ("trace", |x, _| x.main_diagonal().sum_over(&[0]), |x, _| x.diagonal_of(1, 0, 1).sum_over(&[0])),
        (
            "linalg_vector_norm",
            |x, _| x.abs().pow(2.5).sum_over(&[1]).pow(0.4),
            |x, _| x.abs().pow(2.5).sum_over(&[1]).pow(0.3),
        ),
        (
            "linalg_vector_norm",
            |x, _| (x.abs() * x.abs() * x.abs()).sum_over(&[0, 1]).pow(1.0 / 3.0),
            |x, _| (x.abs() * x.abs() * x).sum_over(&[0, 1]).pow(1.0 / 3.0),
        ),
        // Flat at 0, as norms of orders other than 2 are in batches.
        (
            "linalg_vector_norm",
            |x, _| norm_of(&x.abs(), &x.abs().eq(0.0), 1.0 / 3.0),
            |x, _| norm_of(&x.abs(), &x.abs().eq(1.0), 1.0 / 3.0),
        ),
        // What has another use is not computed twice.
        ("linalg_vector_norm", |x, _| x.abs().sum_over(&[1]), |x, _| x.abs().sum_over(&[1]) + x.abs()),
        // What is left out is NaN, and nothing else needs the rest.
        (
            "nansum",
            |x, _| x.zeros_like().where_(&x.isnan(), x).sum_over(&[1]),
            |x, y| x.zeros_like().where_(&y.isnan(), x).sum_over(&[1]),
        ),
        (
            "nansum",
            |x, _| x.zeros_like().where_(&x.isnan(), x).sum_over(&[0, 1]),
            |x, _| {
                let rest = x.zeros_like().where_(&x.isnan(), x);
                rest.sum_over(&[0, 1]) * rest
            },
        ),
        // Of all elements of a difference, in whatever shape; of its rows there is no distance.
        ("dist", |x, y| (x - y).pow(2.0).sum_over(&[0, 1]).sqrt(), |x, y| (x - y).pow(2.0).sum_over(&[1]).sqrt()),
        (
            "dist",
            |x, y| (x - y).view_to(&[4].into()).abs().sum_over(&[0]),
            |x, y| (x - y).abs().sum_over(&[0, 1]) + (x - y),
        ),
    ]);
}

/// Dims of size 1 after a reduction are those that it keeps, if they stand where it reduced.
#[test]
fn reductions_keep_their_dims() {
    type F = fn(&Tensor, &Shape) -> Tensor;
    let table: [(&str, F); 4] = [
        ("aten.argmax.default(x_1, 1, True)", |x, shape| x.argmax_along(1).view_to(shape)),
        ("aten.argmin.default(x_1, 1, True)", |x, shape| x.argmin_along(1).view_to(shape)),
        ("aten.logsumexp.default(x_1, [1], True)", |x, shape| x.logsumexp(1).view_to(shape)),
        ("correction = 1, keepdim = True)", |x, shape| x.var(1, 1).view_to(shape)),
    ];
    for (said, f) in table {
        for (shape, kept) in [([2, 1], true), ([1, 2], false)] {
            let g = build("f", |t| Ok(vec![f(&t.param(&Aval::new(DType::F64, [2, 2])), &shape.into()).ok()?]));
            let code = simplify(&g.unwrap()).raised().code();
            assert_eq!(code.contains(said), kept, "{code}");
        }
    }
}
