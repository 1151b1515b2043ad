//! Windows that tile an image, and what is almost so.

use cotangent_aten::prelude::*;

use crate::neighbours;

#[test]
fn windows_and_their_neighbours() {
    neighbours(&[(
        "avg_pool2d",
        |x, _| x.view_to(&[1, 1, 2, 2].into()).unfold(2, 2, 1).unfold(3, 1, 1).sum_over(&[4, 5]),
        |x, _| x.view_to(&[1, 1, 2, 2].into()).unfold(2, 2, 1).unfold(3, 1, 1).sum_over(&[3, 5]),
    )]);
}
