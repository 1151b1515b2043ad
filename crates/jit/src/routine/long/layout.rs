//! Where the elements of a [convolution with long sums](super) are.

use super::super::convolution::Sizes;

/// How far elements are apart.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Those of neighbouring images, groups and channels of the input.
    pub x: [usize; 3],
    /// Those of neighbouring channels of the result, and of the input, of the weights.
    pub w: [usize; 2],
    /// Those of neighbouring images and channels of the result.
    pub y: [usize; 2],
}

impl Layout {
    /// That of dense operands and a dense result that have images and channels exchanged.
    pub fn exchanged(s: &Sizes) -> Self {
        let [x, k, y]: [usize; 3] = [&s.x, &s.k, &s.y].map(|sizes| sizes.iter().product());
        let channels = s.groups * s.images;
        Layout { x: [x, s.images * x, channels * x], w: [k, s.groups * s.co * k], y: [y, s.images * y] }
    }

    /// That of dense operands and a dense result.
    pub fn dense(s: &Sizes) -> Self {
        let [x, k, y]: [usize; 3] = [&s.x, &s.k, &s.y].map(|sizes| sizes.iter().product());
        Layout { x: [s.groups * s.ci * x, s.ci * x, x], w: [s.ci * k, k], y: [s.groups * s.co * y, y] }
    }
}
