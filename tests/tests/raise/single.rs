//! Places of dims that go, through what is made of them, and what is almost so.

use cotangent_core::Tensor;

use crate::neighbours;

fn row(x: &Tensor, i: usize) -> Tensor {
    x.slice_dim(0, i, i + 1, 1)
}

#[test]
fn selections_and_their_neighbours() {
    neighbours(&[
        (
            "select",
            |x, _| (row(x, 0) * row(x, 1)).view_to(&[2].into()),
            |x, _| (row(x, 0) * row(x, 1)).view_to(&[2, 1].into()),
        ),
        (
            "select",
            |x, y| ((row(x, 0) + 1.0) / row(y, 1)).sin().view_to(&[2].into()),
            // Something else needs the quotient.
            |x, y| {
                let quotient = (row(x, 0) + 1.0) / row(y, 1);
                quotient.sin().view_to(&[2].into()) + quotient.sum_over(&[0, 1])
            },
        ),
    ]);
}
