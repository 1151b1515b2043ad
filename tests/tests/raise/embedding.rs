//! Rows of a table that derivatives add up, and what is almost so.

use cotangent_core::Tensor;

use crate::neighbours;

/// Indices of two rows and columns.
fn indices(x: &Tensor, y: &Tensor) -> Tensor {
    let products = x.view_to(&[2, 2, 1].into()) * y;
    products.argmax_along(2)
}

/// A row of two elements for each of them.
fn rows(x: &Tensor, y: &Tensor) -> Tensor {
    x.exp().view_to(&[2, 1, 2].into()) * y
}

/// The rows without those of index `padding`.
fn without(indices: &Tensor, padding: i64, rows: &Tensor) -> Tensor {
    let is_padding = indices.eq(padding).view_to(&[2, 2, 1].into());
    rows.zeros_like().where_(&is_padding.expand_to(&[2, 2, 2].into()), rows)
}

/// Added to `onto` where the indices say.
fn added(onto: &Tensor, indices: &Tensor, rows: &Tensor) -> Tensor {
    onto.index_add_along(0, &indices.view_to(&[4].into()), &rows.view_to(&[4, 2].into()))
}

/// The rows of a vector of indices without those of index 1, or of other ones.
fn vector(x: &Tensor, y: &Tensor, of_others: bool) -> Tensor {
    let (indices, others) = (x.argmax_along(1), y.argmax_along(1));
    let is_padding = if of_others { &others } else { &indices }.eq(1i64).view_to(&[2, 1].into());
    let rows = y.zeros_like().where_(&is_padding.expand_to(&[2, 2].into()), y);
    x.zeros_like().index_add_along(0, &indices, &rows)
}

#[test]
fn rows_and_their_neighbours() {
    neighbours(&[
        (
            "embedding_dense_backward",
            |x, y| added(&x.zeros_like(), &indices(x, y), &rows(x, y)),
            |x, y| added(&x.ones_like(), &indices(x, y), &rows(x, y)),
        ),
        (
            "embedding_dense_backward",
            |x, y| added(&x.zeros_like(), &indices(x, y), &without(&indices(x, y), 1, &rows(x, y))),
            // What people write as an addition.
            |x, y| x.zeros_like().index_add_along(0, &x.argmax_along(1), y),
        ),
        // Of a vector of indices one is left out.
        ("embedding_dense_backward", |x, y| vector(x, y, false), |x, y| vector(x, y, true)),
    ]);
}
