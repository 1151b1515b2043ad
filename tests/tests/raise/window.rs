//! Windows that tile an image, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use crate::neighbours;

/// An image of two rows and four columns.
fn image(x: &Tensor) -> Tensor {
    Tensor::cat_dim(&[x.exp(), x.sin()].map(|x| x.view_to(&[1, 1, 2, 2].into())), 3)
}

#[test]
fn windows_and_their_neighbours() {
    neighbours(&[
        (
            "avg_pool2d",
            |x, _| x.view_to(&[1, 1, 2, 2].into()).unfold(2, 2, 1).unfold(3, 1, 1).sum_over(&[4, 5]),
            |x, _| x.view_to(&[1, 1, 2, 2].into()).unfold(2, 2, 1).unfold(3, 1, 1).sum_over(&[3, 5]),
        ),
        (
            "upsample_nearest2d_backward",
            |x, _| image(x).view_to(&[1, 1, 1, 2, 2, 2].into()).sum_over(&[3, 5]),
            |x, _| image(x).view_to(&[1, 1, 2, 1, 2, 2].into()).sum_over(&[2, 5]),
        ),
    ]);
}
