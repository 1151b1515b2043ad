//! Repeated tensors and exchanged pixels, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use crate::neighbours;

/// An image of one row and two columns in four channels.
fn channels(x: &Tensor) -> Tensor {
    Tensor::cat_dim(&[x.exp(), x.sin()].map(|x| x.view_to(&[2, 1, 2].into())), 0)
}

/// An image of two rows and four columns in one channel.
fn image(x: &Tensor) -> Tensor {
    Tensor::cat_dim(&[x.exp(), x.sin()].map(|x| x.view_to(&[1, 2, 2].into())), 2)
}

#[test]
fn rearranged_elements_and_their_neighbours() {
    neighbours(&[
        // Rows and columns, against each element beside itself.
        (
            "repeat",
            |x, y| x.repeat([2, 3]) + y.repeat([2, 3]).sin(),
            |x, y| x.repeat_interleave(2, 1).sin() + y.repeat_interleave(2, 1),
        ),
        // A new dim in front, against one behind.
        (
            "repeat",
            |x, _| x.repeat([2, 1, 3]),
            |x, _| x.view_to(&[2, 2, 1].into()).expand_to(&[2, 2, 3].into()).view_to(&[4, 3].into()),
        ),
        // Channels become blocks in their order, against columns of the blocks first.
        (
            "pixel_shuffle",
            |x, _| channels(x).pixel_shuffle(2),
            |x, _| {
                let blocks = channels(x).view_to(&[2, 2, 1, 2].into());
                blocks.permute_to(&[2, 1, 3, 0]).view_to(&[1, 2, 4].into())
            },
        ),
        (
            "pixel_unshuffle",
            |x, _| image(x).pixel_unshuffle(2),
            |x, _| image(x).view_to(&[2, 2, 2].into()).permute_to(&[2, 0, 1]).view_to(&[4, 1, 2].into()),
        ),
    ]);
}
