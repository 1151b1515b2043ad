//! Shapes, reductions and products against PyTorch.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Element;
use cotangent_core::ir::Shape;
use cotangent_tests::oracle::{check, row};

fn pair((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b]
}

#[test]
fn shapes() {
    check(
        "shape",
        &[
            row("reshape", |a| vec![a[0].reshape([3, -1])]),
            row("flatten", |a| vec![a[0].flatten(1, 2)]),
            row("flatten_scalar", |a| vec![a[0].flatten(0, -1)]),
            row("unflatten", |a| vec![a[0].unflatten(1, [2, -1])]),
            row("squeeze", |a| vec![a[0].squeeze(())]),
            row("squeeze_dim", |a| vec![a[0].squeeze([0, 1])]),
            row("unsqueeze", |a| vec![a[0].unsqueeze(-1)]),
            row("transpose", |a| vec![a[0].transpose(0, -1)]),
            row("t", |a| vec![a[0].t()]),
            row("mT", |a| vec![a[0].mT()]),
            row("permute", |a| vec![a[0].permute([2, 0, -2])]),
            row("movedim", |a| vec![a[0].movedim([0, 1], [-1, 0])]),
            row("expand", |a| vec![a[0].expand([2, -1, 3])]),
            row("sum_to_size", |a| vec![a[0].sum_to_size([2, 1])]),
            row("repeat", |a| vec![a[0].repeat([2, 1, 3])]),
            row("tile", |a| vec![a[0].tile(2)]),
            row("repeat_interleave", |a| vec![a[0].repeat_interleave(2, 1)]),
            row("pixel_shuffle", |a| vec![a[0].pixel_shuffle(2)]),
            row("pixel_unshuffle", |a| vec![a[0].pixel_unshuffle(2)]),
            row("channel_shuffle", |a| vec![a[0].channel_shuffle(2)]),
            row("split", |a| a[0].split(2, 1)),
            row("split_with_sizes", |a| a[0].split_with_sizes([1, 3, 1], 1)),
            row("chunk", |a| a[0].chunk(4, 0)),
            row("tensor_split", |a| a[0].tensor_split(4, 0)),
            row("tensor_split_at", |a| a[0].tensor_split_at(&[1, -1, 9], 0)),
            row("unbind", |a| a[0].unbind(1)),
            row("cat", |a| vec![cat(&[&a[0], &a[1]], -1)]),
            row("cat_skips_empty", |a| vec![cat(&[&a[0], &a[1]], -1)]),
            row("stack", |a| vec![stack(&[&a[0], &a[1]], -1)]),
            row("hstack", |a| vec![hstack(&[&a[0], &a[1]])]),
            row("vstack", |a| vec![vstack(&[&a[0], &a[1]])]),
            row("dstack", |a| vec![dstack(&[&a[0], &a[1]])]),
            row("column_stack", |a| vec![column_stack(&[&a[0], &a[1]])]),
            row("block_diag", |a| vec![block_diag(&[&a[0], &a[1]])]),
            row("meshgrid", |a| meshgrid(&[&a[0], &a[1]])),
            row("cartesian_prod", |a| vec![cartesian_prod(&[&a[0], &a[1]])]),
        ],
    );
}

#[test]
fn reductions() {
    check(
        "reduce",
        &[
            row("sum", |a| vec![a[0].sum()]),
            row("sum_dim", |a| vec![a[0].sum_dim([0, -1])]),
            row("sum_keepdim", |a| vec![a[0].sum_dim(keepdim(-1))]),
            row("nansum", |a| vec![a[0].nansum(-1)]),
            row("mean", |a| vec![a[0].mean()]),
            row("mean_dim", |a| vec![a[0].mean_dim(-1)]),
            row("mean_keepdim", |a| vec![a[0].mean_dim(keepdim([0, 2]))]),
            row("nanmean", |a| vec![a[0].nanmean(-1)]),
            row("prod", |a| vec![a[0].prod()]),
            row("prod_dim", |a| vec![a[0].prod_dim(0)]),
            row("amax", |a| vec![a[0].amax([0, 1])]),
            row("amin", |a| vec![a[0].amin(keepdim(-1))]),
            row("max", |a| vec![a[0].max()]),
            row("min", |a| vec![a[0].min()]),
            row("max_dim", |a| pair(a[0].max_dim(-1))),
            row("min_dim", |a| pair(a[0].min_dim(keepdim(0)))),
            row("argmax", |a| vec![a[0].argmax(-1)]),
            row("argmax_all", |a| vec![a[0].argmax(())]),
            row("argmin", |a| vec![a[0].argmin(0)]),
            row("any", |a| vec![a[0].any(-1)]),
            row("all", |a| vec![a[0].all(keepdim(-1))]),
            row("any_all", |a| vec![a[0].any(())]),
            row("count_nonzero", |a| vec![a[0].count_nonzero(-1)]),
            row("logsumexp", |a| vec![a[0].logsumexp(-1)]),
            row("logsumexp_keep", |a| vec![a[0].logsumexp(keepdim([0, 1]))]),
            row("cumsum", |a| vec![a[0].cumsum(-1)]),
            row("cumprod", |a| vec![a[0].cumprod(-1)]),
            row("logcumsumexp", |a| vec![a[0].logcumsumexp(-1)]),
            row("cummax", |a| pair(a[0].cummax(-1))),
            row("cummin", |a| pair(a[0].cummin(-1))),
            row("trace", |a| vec![a[0].trace()]),
        ],
    );
}

#[test]
fn spread_and_norms() {
    check(
        "stats",
        &[
            row("var", |a| vec![a[0].var(-1, 1)]),
            row("var_all", |a| vec![a[0].var((), 0)]),
            // The value is infinite; the gradient divides by the negative number of degrees of freedom.
            row("var_large_correction", |a| vec![a[0].var(0, 3)]),
            row("std", |a| vec![a[0].std(-1, 1)]),
            row("var_mean", |a| pair(a[0].var_mean(keepdim([0, 1]), 1))),
            row("std_mean", |a| pair(a[0].std_mean(0, 0))),
            row("norm", |a| vec![a[0].norm()]),
            row("norm_1", |a| vec![a[0].vector_norm(1.0, keepdim(-1))]),
            row("norm_0", |a| vec![a[0].vector_norm(0.0, keepdim(-1))]),
            row("norm_inf", |a| vec![a[0].vector_norm(f64::INFINITY, keepdim(-1))]),
            row("norm_minus_inf", |a| vec![a[0].vector_norm(f64::NEG_INFINITY, keepdim(-1))]),
            row("norm_3", |a| vec![a[0].vector_norm(3.0, keepdim(-1))]),
            row("norm_half", |a| vec![a[0].vector_norm(0.5, keepdim(-1))]),
            row("dist", |a| vec![a[0].dist(&a[1], 2.0)]),
            row("cov", |a| vec![a[0].cov(1)]),
            row("corrcoef", |a| vec![a[0].corrcoef()]),
        ],
    );
}

#[test]
fn products() {
    check(
        "matmul",
        &[
            row("matmul", |a| vec![a[0].matmul(&a[1])]),
            row("dot", |a| vec![a[0].dot(&a[1])]),
            row("mv", |a| vec![a[0].mv(&a[1])]),
            row("outer", |a| vec![a[0].outer(&a[1])]),
            row("inner", |a| vec![a[0].inner(&a[1])]),
            row("tensordot", |a| vec![a[0].tensordot(&a[1], &[1, 0], &[0, 2])]),
            row("addmm", |a| vec![a[0].addmm(&a[1], &a[2], 0.5, 2.0)]),
            row("baddbmm", |a| vec![a[0].baddbmm(&a[1], &a[2], 1.0, 1.0)]),
            row("linear", |a| vec![a[0].linear(&a[1], &a[2])]),
            row("linear_no_bias", |a| vec![a[0].linear(&a[1], None)]),
            row("bilinear", |a| vec![a[0].bilinear(&a[1], &a[2], &a[3])]),
            row("kron", |a| vec![a[0].kron(&a[1])]),
            row("cross", |a| vec![a[0].cross(&a[1], -1)]),
            row("chain_matmul", |a| vec![chain_matmul(a)]),
            row("einsum ij,jk->ik", |a| vec![einsum("ij,jk->ik", &[&a[0], &a[1]])]),
            row("einsum bij,bjk->bik", |a| vec![einsum("bij,bjk->bik", &[&a[0], &a[1]])]),
            row("einsum ij->ji", |a| vec![einsum("ij->ji", &[&a[0]])]),
            row("einsum ii->i", |a| vec![einsum("ii->i", &[&a[0]])]),
            row("einsum ii", |a| vec![einsum("ii", &[&a[0]])]),
            row("einsum i,j", |a| vec![einsum("i,j", &[&a[0], &a[1]])]),
            row("einsum ij,ij->", |a| vec![einsum("ij,ij->", &[&a[0], &a[1]])]),
            row("einsum ...ij,...jk", |a| vec![einsum("...ij,...jk", &[&a[0], &a[1]])]),
            row("einsum naf,mbf->nmab", |a| vec![einsum("naf,mbf->nmab", &[&a[0], &a[1]])]),
            row("einsum ij,jk,kl->il", |a| vec![einsum("ij,jk,kl->il", &[&a[0], &a[1], &a[2]])]),
            row("einsum bi,bi->b", |a| vec![einsum("bi,bi->b", &[&a[0], &a[1]])]),
            row("einsum i...->...", |a| vec![einsum("i...->...", &[&a[0]])]),
            row("einsum iij,jk->k", |a| vec![einsum("iij,jk->k", &[&a[0], &a[1]])]),
            row("einsum ij,k->ik", |a| vec![einsum("ij,k->ik", &[&a[0], &a[1]])]),
        ],
    );
}

fn integers<T: Element>(values: impl IntoIterator<Item = T>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.into_iter().collect(), Shape::from(shape))
}

/// `max` and `min` order truth values, of which the first extreme one is taken: values of PyTorch 2.15.
#[test]
fn truth_values_have_extremes() {
    let x = integers([false, true, true, true], &[2, 2]);
    let (y, at) = x.max_dim(1);
    assert_eq!((y.to_vec::<bool>().unwrap(), at.to_vec::<i64>().unwrap()), (vec![true, true], vec![1, 0]));
    let (y, at) = x.min_dim(1);
    assert_eq!((y.to_vec::<bool>().unwrap(), at.to_vec::<i64>().unwrap()), (vec![false, true], vec![0, 0]));
}

/// Values of `torch.tensordot`, PyTorch 2.15.
#[test]
fn a_dim_of_size_one_meets_any_in_a_product() {
    let (x, y) = (integers(0..3i32, &[1, 1, 3]), integers(1..9i32, &[2, 2, 2]));
    let product = x.tensordot(&y, &[0, 1], &[0, 2]);
    assert_eq!(product.to_vec::<i32>().unwrap(), [0, 0, 14, 22, 28, 44]);
    let (x, y) = (integers(1..7i32, &[3, 2]), integers([1i32, 2], &[1, 2]));
    assert_eq!(x.tensordot(&y, &[0], &[0]).to_vec::<i32>().unwrap(), [9, 18, 12, 24]);
}

/// `y[n, o] = Σ x1[n, i] W[o, i, j] x2[n, j]` of narrow integers.
#[test]
fn integers_have_bilinear_forms() {
    let (x, y, w) = (integers([1i32, 2], &[1, 2]), integers([3i32, 4], &[1, 2]), integers(1..5i32, &[1, 2, 2]));
    assert_eq!(x.bilinear(&y, &w, None).to_vec::<i32>().unwrap(), [61]);
}

/// The variance of nothing is NaN; its tangent is 0, as PyTorch's.
#[test]
fn the_variance_of_nothing_has_a_tangent() {
    let nothing = || Tensor::from_vec(Vec::<f64>::new(), [0]);
    let (y, y_dot) = cotangent::prelude::jvp(|x: Tensor| x.var((), 1), (nothing(),), (nothing(),)).unwrap();
    assert!(y.item::<f64>().unwrap().is_nan());
    assert_eq!(y_dot.item::<f64>().unwrap(), 0.0);
}
