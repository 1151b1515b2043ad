//! Parts, indexing and order against PyTorch.

use cotangent::prelude::{Function, jvp, vjp};
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_tests::oracle::{Except, check, row, row_except};

fn pair((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b]
}

#[test]
fn parts() {
    check(
        "parts",
        &[
            row("narrow", |a| vec![a[0].narrow(1, -2, 2)]),
            row("select", |a| vec![a[0].select(-1, -2)]),
            row("slice", |a| vec![a[0].slice(1, 1, -1, 2)]),
            row("slice_clamped", |a| vec![a[0].slice(0, -9, 9, 1)]),
            row("select_scatter", |a| vec![a[0].select_scatter(&a[1], 1, -1)]),
            row("slice_scatter", |a| vec![a[0].slice_scatter(&a[1], 1, 1, 9, 2)]),
            row("flip", |a| vec![a[0].flip([-1, 0])]),
            row("fliplr", |a| vec![a[0].fliplr()]),
            row("roll", |a| vec![a[0].roll(&[1, -4], &[0, 1])]),
            row("roll_flat", |a| vec![a[0].roll(&[2], &[])]),
            row("rot90 0", |a| vec![a[0].rot90(0, [1, 0])]),
            row("rot90 1", |a| vec![a[0].rot90(1, [1, 0])]),
            row("rot90 2", |a| vec![a[0].rot90(2, [1, 0])]),
            row("rot90 3", |a| vec![a[0].rot90(3, [1, 0])]),
            row("tril", |a| vec![a[0].tril(-1)]),
            row("triu", |a| vec![a[0].triu(1)]),
            row("diag", |a| vec![a[0].diag(1)]),
            row("diagflat", |a| vec![a[0].diagflat(0)]),
            row("diagonal", |a| vec![a[0].diagonal(1, -1, 0)]),
            row("diag_embed", |a| vec![a[0].diag_embed(-1, 0, -1)]),
            row("diagonal_scatter", |a| vec![a[0].diagonal_scatter(&a[1], 1, 0, 1)]),
            row("diagonal_scatter_dims", |a| vec![a[0].diagonal_scatter(&a[1], -1, 2, 0)]),
            row("unfold", |a| vec![a[0].unfold(-1, 2, 1)]),
            row("pad_constant", |a| vec![a[0].pad(&[1, -1, 0, 2], PadMode::Constant(0.5))]),
            row("pad_reflect", |a| vec![a[0].pad(&[2, 1], PadMode::Reflect)]),
            row("pad_replicate", |a| vec![a[0].pad(&[2, 1, 0, 1], PadMode::Replicate)]),
            row("pad_circular", |a| vec![a[0].pad(&[3, 1], PadMode::Circular)]),
            row("diff", |a| vec![a[0].diff(2, -1)]),
            row("trapezoid", |a| vec![a[0].trapezoid(0.5, -1)]),
            row("trapezoid_at", |a| vec![a[0].trapezoid_at(&a[1], -1)]),
            row("cumulative_trapezoid", |a| vec![a[0].cumulative_trapezoid(0.5, -1)]),
        ],
    );
}

#[test]
fn indexing() {
    check(
        "index",
        &[
            row("mixed", |a| vec![a[0].i((ELLIPSIS, NEW_AXIS, 1, 0..2))]),
            row("row", |a| vec![a[0].i(-1)]),
            row("tensor", |a| vec![a[0].i((.., &a[1]))]),
            row("two_tensors", |a| vec![a[0].i((&a[1], &a[2]))]),
            row("apart", |a| vec![a[0].i((&a[1], .., &a[2]))]),
            row("inside", |a| vec![a[0].i((.., &a[1], &a[2]))]),
            row("index_put", |a| vec![a[0].index_put(&[Some(&a[1])], &a[2])]),
            row_except("index_put_duplicates", Except::Modes, |a| vec![a[0].index_put(&[Some(&a[1])], &a[2])]),
            row("index_put_accumulate", |a| vec![a[0].index_put_accumulate(&[Some(&a[1]), Some(&a[2])], &a[3])]),
            row("gather", |a| vec![a[0].gather(-1, &a[1])]),
            row_except("scatter", Except::Modes, |a| vec![a[0].scatter(1, &a[1], &a[2])]),
            row("scatter_value", |a| vec![a[0].scatter_value(0, &a[1], 2.0)]),
            row("scatter_add", |a| vec![a[0].scatter_add(0, &a[1], &a[2])]),
            row("scatter_amax", |a| vec![a[0].scatter_reduce(0, &a[1], &a[2], ScatterReduction::Amax)]),
            row("scatter_prod", |a| vec![a[0].scatter_reduce(0, &a[1], &a[2], ScatterReduction::Prod)]),
            row("scatter_mean", |a| vec![a[0].scatter_mean(0, &a[1], &a[2])]),
            row("index_select", |a| vec![a[0].index_select(-1, &a[1])]),
            row("index_add", |a| vec![a[0].index_add(0, &a[1], &a[2], 2i64)]),
            row("index_copy", |a| vec![a[0].index_copy(1, &a[1], &a[2])]),
            row("index_fill", |a| vec![a[0].index_fill(0, &a[1], 7.0)]),
            row("take", |a| vec![a[0].take(&a[1])]),
            row("put", |a| vec![a[0].put(&a[1], &a[2])]),
            row("take_along_dim", |a| vec![a[0].take_along_dim(&a[1], 1)]),
            row("masked_scatter", |a| vec![a[0].masked_scatter(&a[1], &a[2])]),
        ],
    );
}

#[test]
fn writing_through_indices() {
    check(
        "assign",
        &[
            row("row", |a| vec![a[0].set_at(1, &a[1])]),
            row("negative", |a| vec![a[0].set_at((-1, 2), &a[1])]),
            row("range", |a| vec![a[0].set_at((.., 1..3), &a[1])]),
            row("from", |a| vec![a[0].set_at((1.., 0), &a[1])]),
            row("empty", |a| vec![a[0].set_at(2..2, &a[1])]),
            row("ellipsis", |a| vec![a[0].set_at((ELLIPSIS, NEW_AXIS, 1), &a[1])]),
            row("all", |a| vec![a[0].set_at(ELLIPSIS, &a[1])]),
            row("deep", |a| vec![a[0].set_at((0, 1..3, .., 1), &a[1])]),
            row("positions", |a| vec![a[0].set_at((.., &a[1]), &a[2])]),
            row("number_and_positions", |a| vec![a[0].set_at((1, 1..3, &a[1]), &a[2])]),
            row("add_range", |a| vec![a[0].add_at((.., 1..3), &a[1])]),
            row("add_positions", |a| vec![a[0].add_at(&a[1], &a[2])]),
            row("mask", |a| vec![a[0].set_at(&a[1], &a[2])]),
            row("mask_of_rows", |a| vec![a[0].set_at(&a[1], &a[2])]),
            row("mask_of_columns", |a| vec![a[0].set_at((.., &a[1]), &a[2])]),
            row("add_mask", |a| vec![a[0].add_at(&a[1], &a[2])]),
            row("cast", |a| vec![a[0].set_at(1, &a[1])]),
        ],
    );
    let x = Tensor::from([1.0f32, -2.0, 3.0]);
    assert_eq!(x.set_at(x.lt(0.0), 0.5).to_vec::<f32>().unwrap(), [1.0, 0.5, 3.0]);
    assert_eq!(x.set_at(0, 7i64).add_at(1.., 1.0).to_vec::<f32>().unwrap(), [7.0, -1.0, 4.0]);
}

#[test]
fn order() {
    check(
        "order",
        &[
            row("sort", |a| pair(a[0].sort(-1))),
            row("sort_descending", |a| pair(a[0].sort_descending(0))),
            row("argsort", |a| vec![a[0].argsort(-1)]),
            row("msort", |a| vec![a[0].msort()]),
            row("topk", |a| pair(a[0].topk(2, -1))),
            row("topk_smallest", |a| pair(a[0].topk_smallest(2, 1))),
            row("kthvalue", |a| pair(a[0].kthvalue(2, keepdim(-1)))),
            row("median_dim", |a| pair(a[0].median_dim(-1))),
            row("median", |a| vec![a[0].median()]),
            row("mode", |a| pair(a[0].mode(-1))),
            row("quantile", |a| vec![a[0].quantile(0.3, -1)]),
            row("quantile_all", |a| vec![a[0].quantile(0.75, ())]),
            row("searchsorted", |a| vec![a[0].searchsorted(&a[1])]),
            row("bucketize_right", |a| vec![a[0].bucketize_right(&a[1])]),
            row("nonzero_static", |a| vec![a[0].nonzero_static(3, -1)]),
        ],
    );
}

/// Where places repeat, each mode has PyTorch's convention: the last tangent stays, every source has the cotangent.
#[test]
fn repeated_places_follow_the_convention_of_each_mode() {
    let f = |(x, src): (Tensor, Tensor)| x.scatter(0, &Tensor::from([1i64, 1]), &src);
    let args = (Tensor::from([1.0, 2.0, 3.0]), Tensor::from([4.0, 5.0]));
    let x_dot = (Tensor::from([0.1, 0.2, 0.3]), Tensor::from([0.4, 0.5]));
    let (y, y_dot) = jvp(f, (args.clone(),), (x_dot,)).unwrap();
    assert_eq!(y.to_vec::<f64>().unwrap(), [1.0, 5.0, 3.0]);
    assert_eq!(y_dot.to_vec::<f64>().unwrap(), [0.1, 0.5, 0.3]);
    let (_, pullback) = vjp(f, (args,)).unwrap();
    let ((x_bar, src_bar),) = pullback.call((Tensor::from([7.0, 8.0, 9.0]),)).unwrap();
    assert_eq!(x_bar.to_vec::<f64>().unwrap(), [7.0, 0.0, 9.0]);
    assert_eq!(src_bar.to_vec::<f64>().unwrap(), [8.0, 8.0]);
}
