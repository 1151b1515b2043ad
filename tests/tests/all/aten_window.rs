//! Convolutions, pooling, resampling, attention and distances against PyTorch.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;
use cotangent_tests::oracle::{check, row};

fn pair((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b]
}

#[test]
fn windows() {
    check(
        "window",
        &[
            row("conv1d", |a| {
                let options = Conv { stride: 2.into(), padding: 1.into(), ..Default::default() };
                vec![a[0].conv1d(&a[1], &a[2], &options)]
            }),
            row("conv2d", |a| {
                let options = Conv { dilation: [1, 2].into(), groups: 2, ..Default::default() };
                vec![a[0].conv2d(&a[1], None, &options)]
            }),
            row("conv2d_same", |a| {
                vec![a[0].conv2d(&a[1], &a[2], &Conv { padding: Padding::Same, ..Default::default() })]
            }),
            row("conv3d", |a| vec![a[0].conv3d(&a[1], None, &Conv::default())]),
            row("conv_transpose2d", |a| {
                let (stride, one) = (2.into(), PerDim::from(1));
                let options = ConvTranspose {
                    stride,
                    padding: one.clone(),
                    output_padding: one,
                    groups: 2,
                    ..Default::default()
                };
                vec![a[0].conv_transpose2d(&a[1], &a[2], &options)]
            }),
            row("max_pool1d", |a| {
                pair(a[0].max_pool1d_with_indices(2, &Pool { padding: 1.into(), ..Pool::stride(2) }))
            }),
            row("max_pool2d", |a| pair(a[0].max_pool2d_with_indices(2, &Pool::default()))),
            row("max_pool2d_all", |a| {
                let (padding, dilation) = ([1, 0].into(), [1, 2].into());
                let options = Pool { padding, dilation, ceil_mode: true, ..Pool::stride([2, 1]) };
                pair(a[0].max_pool2d_with_indices([3, 2], &options))
            }),
            row("max_pool3d", |a| pair(a[0].max_pool3d_with_indices(2, &Pool::stride(1)))),
            row("avg_pool1d", |a| {
                vec![a[0].avg_pool1d(3, &Pool { padding: 1.into(), ceil_mode: true, ..Pool::stride(2) })]
            }),
            row("avg_pool2d", |a| {
                let options = Pool { padding: 1.into(), ceil_mode: true, count_include_pad: false, ..Pool::stride(2) };
                vec![a[0].avg_pool2d([2, 3], &options)]
            }),
            row("avg_pool2d_divisor", |a| {
                vec![a[0].avg_pool2d(2, &Pool { divisor_override: Some(3), ..Default::default() })]
            }),
            row("avg_pool3d", |a| vec![a[0].avg_pool3d(2, &Pool::stride(1))]),
            row("lp_pool2d", |a| vec![a[0].lp_pool(2.0, [2, 2], &Pool::default())]),
            row("adaptive_avg_pool1d", |a| vec![a[0].adaptive_avg_pool1d(3)]),
            row("adaptive_avg_pool2d", |a| vec![a[0].adaptive_avg_pool2d([2, 3])]),
            row("adaptive_avg_pool3d", |a| vec![a[0].adaptive_avg_pool3d([1, 2, 2])]),
            row("adaptive_max_pool1d", |a| pair(a[0].adaptive_max_pool1d(3))),
            row("adaptive_max_pool2d", |a| pair(a[0].adaptive_max_pool2d([2, 3]))),
            row("max_unpool", |a| vec![a[0].max_unpool(&a[1], &[4])]),
            row("im2col", |a| {
                let (padding, dilation) = ([1, 0].into(), [1, 2].into());
                vec![a[0].im2col([2, 2], &Pool { padding, dilation, ..Pool::stride([1, 2]) })]
            }),
            row("col2im", |a| {
                let (padding, dilation) = ([1, 0].into(), [1, 2].into());
                vec![a[0].col2im([3, 4], [2, 2], &Pool { padding, dilation, ..Pool::stride([2, 1]) })]
            }),
        ],
    );
}

/// The padding counts as -inf, but an index never points there (PyTorch 2.15's values).
#[test]
fn maxima_of_windows_of_minus_infinity_stand_inside() {
    let x = Tensor::from([[f64::NEG_INFINITY; 2]; 2]).unsqueeze(0);
    let padded = |stride: usize| Pool { padding: 1.into(), ..Pool::stride(stride) };
    let (y, at) = x.max_pool2d_with_indices(2, &padded(1));
    assert_eq!(y.to_vec::<f64>().unwrap(), [f64::NEG_INFINITY; 9]);
    assert_eq!(at.to_vec::<i64>().unwrap(), [0, 0, 1, 0, 0, 1, 2, 2, 3]);
    let (_, at) = x.max_pool2d_with_indices(3, &padded(2));
    assert_eq!(at.to_vec::<i64>().unwrap(), [0]);
}

#[test]
fn resampling() {
    const BILINEAR: Sampling = Sampling::Bilinear;
    const NEAREST: Sampling = Sampling::Nearest;
    const EDGES: GridCorners = GridCorners::Edges;
    const CENTRES: GridCorners = GridCorners::Centres;
    const LINEAR: Interpolation = Interpolation::Linear { align_corners: false };
    fn to<const N: usize>(n: [usize; N]) -> Resize {
        Resize::Size(n.to_vec())
    }
    check(
        "resample",
        &[
            row("nearest 1", |a| vec![a[0].interpolate(&to([5]), Interpolation::Nearest)]),
            row("nearest 2", |a| vec![a[0].interpolate(&to([5, 5]), Interpolation::Nearest)]),
            row("nearest 3", |a| vec![a[0].interpolate(&to([3, 3, 3]), Interpolation::Nearest)]),
            row("linear 1", |a| vec![a[0].interpolate(&Resize::Scale(vec![1.6]), LINEAR)]),
            row("linear 2", |a| vec![a[0].interpolate(&Resize::Scale(vec![1.6; 2]), LINEAR)]),
            row("linear 3", |a| vec![a[0].interpolate(&Resize::Scale(vec![1.6; 3]), LINEAR)]),
            row("nearest_exact", |a| vec![a[0].interpolate(&to([3, 2]), Interpolation::NearestExact)]),
            row("linear_aligned", |a| {
                vec![a[0].interpolate(&to([3, 5]), Interpolation::Linear { align_corners: true })]
            }),
            row("bicubic", |a| vec![a[0].interpolate(&to([3, 5]), Interpolation::Bicubic { align_corners: false })]),
            row("bicubic_aligned", |a| {
                let mode = Interpolation::Bicubic { align_corners: true };
                vec![a[0].interpolate(&Resize::Scale(vec![1.5; 2]), mode)]
            }),
            row("area", |a| vec![a[0].interpolate(&to([2, 2]), Interpolation::Area)]),
            row("grid_sample bilinear zeros", |a| vec![a[0].grid_sample(&a[1], BILINEAR, Outside::Zeros, EDGES)]),
            row("grid_sample bilinear border", |a| vec![a[0].grid_sample(&a[1], BILINEAR, Outside::Border, EDGES)]),
            row("grid_sample bilinear reflection", |a| {
                vec![a[0].grid_sample(&a[1], BILINEAR, Outside::Reflection, EDGES)]
            }),
            row("grid_sample nearest zeros", |a| vec![a[0].grid_sample(&a[1], NEAREST, Outside::Zeros, EDGES)]),
            row("grid_sample nearest border", |a| vec![a[0].grid_sample(&a[1], NEAREST, Outside::Border, EDGES)]),
            row("grid_sample nearest reflection", |a| {
                vec![a[0].grid_sample(&a[1], NEAREST, Outside::Reflection, EDGES)]
            }),
            row("grid_sample aligned", |a| vec![a[0].grid_sample(&a[1], BILINEAR, Outside::Reflection, CENTRES)]),
            row("grid_sample 3d", |a| vec![a[0].grid_sample(&a[1], BILINEAR, Outside::Zeros, CENTRES)]),
            row("affine_grid", |a| vec![affine_grid(&a[0], &[1, 1, 2, 3], EDGES)]),
            row("affine_grid_aligned", |a| vec![affine_grid(&a[0], &[1, 1, 2, 2, 3], CENTRES)]),
        ],
    );
}

#[test]
fn attention() {
    check(
        "attention",
        &[
            row("sdpa", |a| vec![a[0].scaled_dot_product_attention(&a[1], &a[2], Attention::default())]),
            row("sdpa_causal", |a| {
                let options = Attention { is_causal: true, scale: Some(0.3), ..Default::default() };
                vec![a[0].scaled_dot_product_attention(&a[1], &a[2], options)]
            }),
            row("sdpa_mask", |a| {
                let options = Attention { attn_mask: Some(&a[3]), ..Default::default() };
                vec![a[0].scaled_dot_product_attention(&a[1], &a[2], options)]
            }),
            row("sdpa_bias", |a| {
                let options = Attention { attn_mask: Some(&a[3]), ..Default::default() };
                vec![a[0].scaled_dot_product_attention(&a[1], &a[2], options)]
            }),
            row("multi_head", |a| {
                let parameters = MultiHead {
                    num_heads: 2,
                    in_proj_weight: &a[3],
                    in_proj_bias: Some(&a[4]),
                    out_proj_weight: &a[5],
                    out_proj_bias: Some(&a[6]),
                };
                vec![a[0].multi_head_attention(&a[1], &a[2], parameters, Attention::default())]
            }),
        ],
    );
}

#[test]
fn distances() {
    const MEAN: Reduction = Reduction::Mean;
    check(
        "distance",
        &[
            row("cdist", |a| vec![a[0].cdist(&a[1], 2.0)]),
            row("cdist_1", |a| vec![a[0].cdist(&a[1], 1.0)]),
            row("cdist_3", |a| vec![a[0].cdist(&a[1], 3.0)]),
            row("cdist_batch", |a| vec![a[0].cdist(&a[1], 2.0)]),
            row("pdist", |a| vec![a[0].pdist(2.0)]),
            row("pairwise_distance", |a| vec![a[0].pairwise_distance(&a[1], 2.0, 1e-6)]),
            row("cosine_similarity", |a| vec![a[0].cosine_similarity(&a[1], 1, 1e-8)]),
            row("margin_ranking_loss", |a| vec![a[0].margin_ranking_loss(&a[1], &a[2], 0.5, MEAN)]),
            row("hinge_embedding_loss", |a| vec![a[0].hinge_embedding_loss(&a[1], 1.0, MEAN)]),
            row("cosine_embedding_loss", |a| vec![a[0].cosine_embedding_loss(&a[1], &a[2], 0.1, MEAN)]),
            row("triplet_margin_loss", |a| vec![a[0].triplet_margin_loss(&a[1], &a[2], 1.0, 2.0, 1e-6, MEAN)]),
            row("triplet_margin_loss_swap", |a| {
                vec![a[0].triplet_margin_loss_swap(&a[1], &a[2], 1.0, 2.0, 1e-6, MEAN)]
            }),
            row("multi_margin_loss", |a| vec![a[0].multi_margin_loss(&a[1], 1, 1.0, None, MEAN)]),
            row("multi_margin_loss_weight", |a| vec![a[0].multi_margin_loss(&a[1], 2, 0.5, Some(&a[2]), MEAN)]),
            row("multilabel_margin_loss", |a| vec![a[0].multilabel_margin_loss(&a[1], MEAN)]),
            row("multilabel_soft_margin_loss", |a| vec![a[0].multilabel_soft_margin_loss(&a[1], None, MEAN)]),
        ],
    );
}

/// PyTorch's values: with aligned corners the step is another one, while centres stay half a place after their start.
/// A scalar is the score of a single class: values of `torch.nn.functional.multilabel_margin_loss`, PyTorch 2.15.
#[test]
fn a_scalar_is_the_score_of_one_class() {
    let loss = |target: i64, reduction| {
        let (x, t) = (Tensor::from_vec(vec![0.3], ()), Tensor::from_vec(vec![target], ()));
        x.multilabel_margin_loss(&t, reduction).item::<f64>().unwrap()
    };
    assert_eq!([loss(0, Reduction::Mean), loss(-1, Reduction::Mean), loss(0, Reduction::None)], [0.0; 3]);
}

#[test]
fn antialiased_resizing_with_aligned_corners() {
    let x = Tensor::from_vec(vec![1.0, 4.0, 9.0, 16.0, 25.0, 2.0, 3.0, 5.0, 7.0, 11.0], [1, 1, 2, 5]);
    let bilinear = [24.0 / 7.0, 13.0, 22.75, 20.0 / 7.0, 6.25, 10.0];
    let bicubic = [2.497907949790795, 13.309963099630995, 24.578125, 2.5271966527196654, 6.346863468634686, 10.703125];
    for (kernel, expected) in [(Kernel::Triangle, bilinear), (Kernel::Cubic, bicubic)] {
        let mode = Interpolation::Antialiased { kernel, align_corners: true };
        let y = x.interpolate(&Resize::Size(vec![2, 3]), mode).to_vec::<f64>().unwrap();
        assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{y:?}, expected {expected:?}");
    }
}

/// PyTorch's values: each dim is rounded to bytes, in whole numbers.
#[test]
fn images_of_bytes_stay_bytes() {
    let x = Tensor::from_vec(vec![0u8, 10, 255, 7, 3, 4, 200, 90, 9, 8, 7, 6, 1, 2, 3, 254], [1, 1, 4, 4]);
    let align_corners = false;
    let rows: [(Interpolation, [u8; 15]); 4] = [
        (Interpolation::Nearest, [0, 0, 10, 255, 7, 3, 3, 4, 200, 90, 9, 9, 8, 7, 6]),
        (Interpolation::Linear { align_corners }, [0, 7, 128, 179, 21, 6, 6, 55, 87, 48, 2, 3, 4, 66, 213]),
        (Interpolation::Bicubic { align_corners }, [0, 0, 152, 213, 13, 7, 5, 57, 91, 29, 2, 3, 0, 60, 218]),
        (
            Interpolation::Antialiased { kernel: Kernel::Triangle, align_corners },
            [1, 6, 124, 177, 32, 6, 6, 55, 87, 48, 3, 4, 4, 57, 180],
        ),
    ];
    for (mode, expected) in rows {
        let y = x.interpolate(&Resize::Size(vec![3, 5]), mode);
        assert_eq!(y.to_vec::<u8>().unwrap(), expected, "{mode:?}");
    }
}

#[test]
fn images_of_halves_are_rounded_once() {
    let x = (arange(48i64).convert(DType::F32) * 1.7).sin().view_to(&[1, 3, 4, 4].into()) * 9.0;
    for dtype in [DType::F16, DType::BF16] {
        let x = x.convert(dtype);
        let resized =
            |x: &Tensor| x.interpolate(&Resize::Scale(vec![1.7; 2]), Interpolation::Linear { align_corners: true });
        let (y, exact) = (resized(&x), resized(&x.convert(DType::F32)).convert(dtype));
        assert_eq!(y.convert(DType::F32).to_vec::<f32>().unwrap(), exact.convert(DType::F32).to_vec::<f32>().unwrap());
    }
}
