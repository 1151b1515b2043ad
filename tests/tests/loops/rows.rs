//! Functions of whole rows share a nest.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ir::Aval;
use cotangent_loops::ir::Step;
use cotangent_loops::lower;

use crate::{args_of, check, f32s, fused};

#[test]
fn softmax_is_one_nest() {
    let g = make_fx(|x: Tensor| x.softmax(-1), (f32s(&[16, 128]),)).unwrap();
    fused("softmax", &g, 1, 0);
}

#[test]
fn logsumexp_is_one_nest() {
    let g = make_fx(|x: Tensor| x.logsumexp(-1), (f32s(&[16, 128]),)).unwrap();
    fused("logsumexp", &g, 1, 0);
}

#[test]
fn softmax_gradient_is_one_nest() {
    let f = |x: Tensor, w: Tensor| (x.softmax(-1) * w).sum_over(&[0, 1]);
    let g = make_fx(grad(f), (f32s(&[16, 128]), f32s(&[16, 128]))).unwrap();
    fused("softmax_gradient", &g, 1, 0);
}

#[test]
fn layer_norm_is_one_nest() {
    let f = |x: Tensor, w: Tensor, b: Tensor| x.layer_norm([128], &w, &b, 1e-5);
    let g = make_fx(f, (f32s(&[16, 128]), f32s(&[128]), f32s(&[128]))).unwrap();
    fused("layer_norm", &g, 1, 0);
}

#[test]
fn layer_norm_gradient_is_two_nests() {
    let f = |x: Tensor, w: Tensor, b: Tensor, g: Tensor| (x.layer_norm([128], &w, &b, 1e-5) * g).sum_over(&[0, 1]);
    let args = (f32s(&[16, 128]), f32s(&[128]), f32s(&[128]), f32s(&[16, 128]));
    let g = make_fx(grad(f).argnums::<(At<0>, At<1>, At<2>)>(), args).unwrap();
    fused("layer_norm_gradient", &g, 2, 0);
}

#[test]
fn mean_and_variance_are_one_nest() {
    let f = |x: Tensor| (x.mean_dim(0), x.var(0, 0));
    let g = make_fx(f, (f32s(&[128, 64]),)).unwrap();
    fused("mean_var_first", &g, 1, 0);
    let f = |x: Tensor| (x.mean_dim(-1), x.var(-1, 0));
    let g = make_fx(f, (f32s(&[64, 128]),)).unwrap();
    fused("mean_var_last", &g, 1, 0);
}

/// Lanes go across rows so short that their sums cost less beside one another, which only reads copies; halves have no such copies, and long rows no need.
#[test]
fn sums_of_short_rows_are_columns() {
    let g = make_fx(|x: Tensor| (x.mean_dim(-1), x.var(-1, 0)), (f32s(&[4096, 20]),)).unwrap();
    fused("mean_var_short", &g, 1, 0);
    let sum = |dtype: DType, shape: &[usize]| {
        let g = make_fx(
            |x: Tensor| x.sum_over(&[1]),
            (Tensor::from_array(Array::from_f64_fn(&Aval::new(dtype, shape), |i| i as f64)),),
        )
        .unwrap();
        let text = lower(&g).unwrap().to_string();
        text.contains("columns")
    };
    assert!(sum(DType::F32, &[4096, 16]) && sum(DType::F64, &[100, 32]));
    assert!(!sum(DType::F32, &[4096, 33]) && !sum(DType::F32, &[63, 16]) && !sum(DType::BF16, &[4096, 16]));
}

#[test]
fn sums_of_squares_are_split_for_threads() {
    let g = make_fx(|x: Tensor| x.square().sum_over(&[0]), (f32s(&[65536]),)).unwrap();
    fused("sum_sq", &g, 2, 0);
}

/// A dear function of the sum of each row is computed for many rows at once, unless rows are long beside it.
#[test]
fn dear_ends_of_many_rows_are_nests_of_their_own() {
    let nests = |shape: &[usize], f: fn(Tensor) -> Tensor| {
        let g = make_fx(f, (f32s(shape),)).unwrap();
        check(&g, &args_of(&g, 10)).unwrap();
        lower(&g).unwrap().steps.len()
    };
    let dear = |x: Tensor| x.sum_dim(1).sin().exp();
    assert_eq!(nests(&[300, 40], dear), 2);
    assert_eq!(nests(&[300, 400], dear), 1, "long rows");
    assert_eq!(nests(&[30, 40], dear), 1, "few rows");
    assert_eq!(nests(&[300, 40], |x| x.sum_dim(1) * 2.0), 1, "a cheap end");
    assert_eq!(nests(&[40, 300], |x| x.sum_dim(0).sin().exp()), 1, "columns are lanes");
}

/// The gradient of a sum of running sums counts the places, whatever the operand is; a number whose multiples round is summed as it is written.
#[test]
fn running_sums_of_a_number_are_no_sums() {
    let routines = |g: &Graph| {
        check(g, &args_of(g, 11)).unwrap();
        lower(g).unwrap().steps.iter().filter(|s| matches!(s, Step::Routine(_))).count()
    };
    let g = make_fx(grad(|x: Tensor| x.cumsum_along(1).sum_over(&[0, 1])), (f32s(&[30, 40]),)).unwrap();
    assert_eq!(routines(&g), 0);
    let g = make_fx(grad(|x: Tensor| (x.cumsum_along(1) * 0.1).sum_over(&[0, 1])), (f32s(&[30, 40]),)).unwrap();
    assert_eq!(routines(&g), 1);
}

/// A sum of products of broadcast operands is a product of matrices.
#[test]
fn sums_of_outer_products_are_products_of_matrices() {
    let f = |x: Tensor, y: Tensor| (x.unsqueeze(2) * y.unsqueeze(1)).sum_over(&[0]);
    let g = make_fx(f, (f32s(&[40, 30]), f32s(&[40, 50]))).unwrap();
    check(&g, &args_of(&g, 12)).unwrap();
    let steps = lower(&g).unwrap().steps;
    assert!(matches!(&steps[..], [Step::Routine(r)] if r.name == "mm"), "{steps:?}");
}
