//! Products of matrices and vectors, and what is almost so.

use crate::neighbours;

#[test]
fn products_and_their_neighbours() {
    neighbours(&[
        (
            "outer",
            |x, y| x.sum_over(&[0]).view_to(&[2, 1].into()).mm(&y.sum_over(&[0]).view_to(&[1, 2].into())),
            |x, y| x.mm(y),
        ),
        (
            "dot",
            |x, y| (x.sum_over(&[0]) * y.sum_over(&[0])).sum_over(&[0]),
            |x, y| (x.sum_over(&[0]) / y.sum_over(&[0])).sum_over(&[0]),
        ),
        ("mv", |x, y| (x * y.sum_over(&[0]).expand_to(x.shape())).sum_over(&[1]), |x, y| (x * y).sum_over(&[1])),
        ("matmul", |x, y| y.sum_over(&[0]).view_to(&[1, 2].into()).mm(x).view_to(&[2].into()), |x, y| y.mm(x)),
        (
            "linear",
            |x, y| (x.view_to(&[2, 1, 2].into()) * y).sum_over(&[2]),
            |x, y| (x.view_to(&[2, 2, 1].into()) * y).sum_over(&[2]),
        ),
        ("addmm", |x, y| x.mm(y) + x, |x, y| x.mm(y) * x),
        ("addmm", |x, y| x.sum_over(&[0]) + x.mm(y), |x, y| x - x.mm(y)),
        ("addmm", |x, y| x * 0.5 + x.mm(y) * 2.0, |x, y| x * 0.5 - x.mm(y) * 2.0),
        (
            "baddbmm",
            |x, y| x.view_to(&[1, 2, 2].into()).bmm(&y.view_to(&[1, 2, 2].into())) + x,
            |x, y| x.view_to(&[1, 2, 2].into()).bmm(&y.view_to(&[1, 2, 2].into())) - x,
        ),
    ]);
}
