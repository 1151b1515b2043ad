//! Diagonals chosen by masks, and what is almost so.

use cotangent_core::Tensor;
use cotangent_core::array::Array;

use crate::neighbours;

/// `x` where the mask of two rows and columns says so, and zeros.
fn masked(mask: [bool; 4], x: &Tensor) -> Tensor {
    let mask = Tensor::from_array(Array::new([2, 2], mask.to_vec()));
    x.where_(&mask, x.zeros_like())
}

/// A vector along the columns.
fn along_columns(x: &Tensor) -> Tensor {
    x.view_to(&[1, 2].into()).expand_to(&[2, 2].into())
}

/// The sums of columns.
fn sums(x: &Tensor) -> Tensor {
    x.sum_over(&[0])
}

const MAIN: [bool; 4] = [true, false, false, true];
const ABOVE: [bool; 4] = [false, true, false, false];
const BELOW: [bool; 4] = [false, false, true, false];

#[test]
fn diagonals_and_their_neighbours() {
    neighbours(&[
        (
            "diag_embed",
            |x, _| masked(MAIN, &along_columns(&sums(x))),
            |x, _| masked([true, false, true, true], &along_columns(&sums(x))),
        ),
        (
            "diag_embed",
            |x, _| masked(MAIN, &along_columns(&sums(x))),
            |x, _| masked(MAIN, &sums(x).view_to(&[2, 1].into()).expand_to(&[2, 2].into())),
        ),
        // Beside the main diagonal stand zeros before or after the vector.
        (
            "diag_embed",
            |x, _| {
                let one = sums(x).slice_dim(0, 0, 1, 1);
                masked(ABOVE, &along_columns(&Tensor::cat_dim(&[one.zeros_like(), one], 0)))
            },
            |x, _| {
                let one = sums(x).slice_dim(0, 0, 1, 1);
                masked(ABOVE, &along_columns(&Tensor::cat_dim(&[one.clone(), one.zeros_like()], 0)))
            },
        ),
        (
            "diag_embed",
            |x, _| {
                let one = sums(x).slice_dim(0, 0, 1, 1);
                masked(BELOW, &along_columns(&Tensor::cat_dim(&[one.clone(), one.zeros_like()], 0)))
            },
            |x, _| masked(BELOW, &along_columns(&sums(x))),
        ),
        ("diagonal", |x, _| sums(&masked(MAIN, x)), |x, _| masked(MAIN, x).sum_over(&[1])),
        ("diagonal", |x, _| sums(&masked(ABOVE, x)).slice_dim(0, 1, 2, 1), |x, _| sums(&masked(ABOVE, x))),
        (
            "diagonal",
            |x, _| sums(&masked(BELOW, x)).slice_dim(0, 0, 1, 1),
            |x, _| sums(&masked(BELOW, x)).slice_dim(0, 1, 2, 1),
        ),
    ]);
}
