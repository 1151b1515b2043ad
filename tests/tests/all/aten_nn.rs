//! `nn.functional` against PyTorch.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Dim, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::inline::inline_composites;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::oracle::{Except, Function, check, row, row_except, traced};

fn triple((a, b, c): (Tensor, Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b, c]
}

#[test]
fn activations() {
    check(
        "activation",
        &[
            row("relu", |a| vec![a[0].relu()]),
            row("relu6", |a| vec![a[0].relu6()]),
            row("hardtanh", |a| vec![a[0].hardtanh(-1.0, 1.0)]),
            row("leaky_relu", |a| vec![a[0].leaky_relu(0.01)]),
            row("rrelu", |a| vec![a[0].rrelu(1.0 / 8.0, 1.0 / 3.0)]),
            row("elu", |a| vec![a[0].elu(1.0)]),
            row("selu", |a| vec![a[0].selu()]),
            row("celu", |a| vec![a[0].celu(0.5)]),
            row("gelu", |a| vec![a[0].gelu()]),
            row("gelu_tanh", |a| vec![a[0].gelu_tanh()]),
            row("silu", |a| vec![a[0].silu()]),
            row("mish", |a| vec![a[0].mish()]),
            row("softplus", |a| vec![a[0].softplus(2.0, 5.0)]),
            row("softsign", |a| vec![a[0].softsign()]),
            row("tanhshrink", |a| vec![a[0].tanhshrink()]),
            row_except("hardsigmoid", Except::Digits, |a| vec![a[0].hardsigmoid()]),
            row("hardswish", |a| vec![a[0].hardswish()]),
            row("hardshrink", |a| vec![a[0].hardshrink(0.5)]),
            row("softshrink", |a| vec![a[0].softshrink(0.5)]),
            row("threshold", |a| vec![a[0].threshold(0.5, -1.0)]),
            row("logsigmoid", |a| vec![a[0].logsigmoid()]),
            row("prelu", |a| vec![a[0].prelu(&a[1])]),
            row("softmax", |a| vec![a[0].softmax(-1)]),
            row("softmax_first", |a| vec![a[0].softmax(0)]),
            row("log_softmax", |a| vec![a[0].log_softmax(1)]),
            row("softmin", |a| vec![a[0].softmin(1)]),
            row("glu", |a| vec![a[0].glu(0)]),
        ],
    );
}

/// PyTorch's values: -1 is 255 as a byte, and the upper bound holds.
#[test]
fn a_negative_bound_of_bytes_wraps() {
    assert_eq!(Tensor::from([0u8, 1, 9]).hardtanh(-1.0, 1.0).to_vec::<u8>().unwrap(), [1; 3]);
}

#[test]
fn hardswish_multiplies_infinities() {
    let x = Tensor::from([f64::NEG_INFINITY, -4.0, -3.0, f64::INFINITY]);
    let y: Vec<f64> = x.hardswish().to_vec().expect("values");
    assert!(y[0].is_nan() && y[1..] == [0.0, 0.0, f64::INFINITY], "{y:?}");
}

#[test]
fn normalizations() {
    check(
        "norm",
        &[
            row("layer_norm", |a| vec![a[0].layer_norm(3, &a[1], &a[2], 1e-5)]),
            row("layer_norm_plain", |a| vec![a[0].layer_norm([2, 3], None, None, 0.1)]),
            row("rms_norm", |a| vec![a[0].rms_norm(3, &a[1], 1e-5)]),
            row("rms_norm_default", |a| vec![a[0].rms_norm(3, None, None)]),
            row("group_norm", |a| vec![a[0].group_norm(2, &a[1], &a[2], 1e-5)]),
            row("instance_norm", |a| vec![a[0].instance_norm(None, None, 1e-5)]),
            row("batch_norm", |a| vec![a[0].batch_norm(&a[1], &a[2], &a[3], &a[4], 1e-5)]),
            row("batch_norm_train", |a| {
                triple(a[0].batch_norm_train(&a[1].detach(), &a[2].detach(), &a[3], &a[4], 0.1, 1e-5))
            }),
            row("batch_norm_of_batch", |a| vec![a[0].batch_norm_of_batch(None, None, 1e-5)]),
            row("normalize", |a| vec![a[0].normalize(2.0, -1, 1e-12)]),
            row("local_response_norm", |a| vec![a[0].local_response_norm(3, 0.1, 0.75, 1.0)]),
        ],
    );
}

#[test]
fn losses() {
    check(
        "loss",
        &[
            row("cross_entropy", |a| vec![a[0].cross_entropy(&a[1])]),
            row("cross_entropy_weight", |a| {
                let options = CrossEntropy { weight: Some(&a[2]), ignore_index: 1, ..Default::default() };
                vec![a[0].cross_entropy_with(&a[1], options)]
            }),
            row("cross_entropy_smooth", |a| {
                let options = CrossEntropy { label_smoothing: 0.1, ignore_index: 0, ..Default::default() };
                vec![a[0].cross_entropy_with(&a[1], options)]
            }),
            row("cross_entropy_smooth_weight", |a| {
                let options = CrossEntropy { weight: Some(&a[2]), label_smoothing: 0.1, ..Default::default() };
                vec![a[0].cross_entropy_with(&a[1], options)]
            }),
            row("cross_entropy_none", |a| {
                let options = CrossEntropy { reduction: Reduction::None, ..Default::default() };
                vec![a[0].cross_entropy_with(&a[1], options)]
            }),
            row("cross_entropy_sum", |a| {
                let options = CrossEntropy { reduction: Reduction::Sum, ..Default::default() };
                vec![a[0].cross_entropy_with(&a[1], options)]
            }),
            row("cross_entropy_probs", |a| {
                let options = CrossEntropy { weight: Some(&a[2]), label_smoothing: 0.2, ..Default::default() };
                vec![a[0].cross_entropy_with(&a[1], options)]
            }),
            row("nll_loss", |a| vec![a[0].nll_loss(&a[1], None, -100, Reduction::Mean)]),
            row("mse_loss", |a| vec![a[0].mse_loss(&a[1], Reduction::Mean)]),
            row("l1_loss", |a| vec![a[0].l1_loss(&a[1], Reduction::Mean)]),
            row("smooth_l1_loss", |a| vec![a[0].smooth_l1_loss(&a[1], Reduction::Mean, 0.5)]),
            row("huber_loss", |a| vec![a[0].huber_loss(&a[1], Reduction::Mean, 0.5)]),
            row("binary_cross_entropy", |a| vec![a[0].binary_cross_entropy(&a[1], None, Reduction::Mean)]),
            row("binary_cross_entropy_weight", |a| vec![a[0].binary_cross_entropy(&a[1], &a[2], Reduction::Sum)]),
            row("bce_with_logits", |a| vec![a[0].binary_cross_entropy_with_logits(&a[1], None, None, Reduction::Mean)]),
            row("bce_with_logits_weights", |a| {
                vec![a[0].binary_cross_entropy_with_logits(&a[1], &a[2], &a[3], Reduction::Mean)]
            }),
            row("kl_div", |a| vec![a[0].kl_div(&a[1], Reduction::Sum)]),
            row("kl_div_log_target", |a| vec![a[0].kl_div_log_target(&a[1], Reduction::None)]),
            row("soft_margin_loss", |a| vec![a[0].soft_margin_loss(&a[1], Reduction::Mean)]),
            row("poisson_nll_loss", |a| vec![a[0].poisson_nll_loss(&a[1], Reduction::Mean)]),
            row("poisson_nll_loss_of_rates", |a| vec![a[0].poisson_nll_loss_of_rates(&a[1], Reduction::Mean, 1e-8)]),
            row("gaussian_nll_loss", |a| vec![a[0].gaussian_nll_loss(&a[1], &a[2], Reduction::Mean, 1e-6)]),
        ],
    );
}

#[test]
fn embeddings() {
    check(
        "embedding",
        &[
            row("one_hot", |a| vec![a[0].one_hot(4)]),
            row("embedding", |a| vec![embedding(&a[0], &a[1], None)]),
            // Forward mode includes the row that reverse mode leaves out.
            row_except("embedding_padding", Except::Modes, |a| vec![embedding(&a[0], &a[1], -2)]),
            row("embedding_bag_sum", |a| vec![embedding_bag(&a[0], &a[1], BagMode::Sum, Some(&a[2]), None)]),
            row("embedding_bag_mean", |a| vec![embedding_bag(&a[0], &a[1], BagMode::Mean, None, Some(1))]),
            row("embedding_bag_max", |a| vec![embedding_bag(&a[0], &a[1], BagMode::Max, None, None)]),
            row("embedding_bag_at", |a| vec![embedding_bag_at(&a[0], &a[1], &a[2], BagMode::Mean, None, None)]),
        ],
    );
}

/// `PyTorch`: forward mode of `F.embedding` is linear in all rows, reverse mode leaves out the row of padding; the derivative of reverse mode is
/// forward mode's of the rows that it adds to, also over a batch.
#[test]
fn padding_is_a_row_in_forward_mode() {
    let (rows, at) = (Aval::new(DType::F64, [3, 2]), Aval::new(DType::I64, [4]));
    let f = build("f", |t| {
        let (w, at) = (t.param(&rows), t.param(&at));
        Ok(vec![embedding(&at, &w, 1)])
    });
    let f = f.expect("an embedding");
    let w = Array::new([3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let (at, dot) = (Array::new([4], vec![1i64, 0, 1, 2]), Array::new([3, 2], vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6]));
    let bar = Array::new([4, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let run = |g: &Graph, args: &[&Array]| {
        let args: Vec<Array> = args.iter().map(|a| (*a).clone()).collect();
        let y = eval(g, &args).expect("no errors").pop().expect("a result");
        assert_eq!(eval(&simplify(&inline_composites(g).unwrap()), &args).unwrap().pop(), Some(y.clone()));
        y.to_f64_vec()
    };
    let tangent = vec![0.3, 0.4, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    assert_eq!(run(&jvp(&f, &[0]).unwrap(), &[&w, &at, &dot]), tangent);
    let backward = vjp(&f, &[0]).unwrap();
    assert_eq!(run(&backward, &[&w, &at, &bar]), [3.0, 4.0, 0.0, 0.0, 7.0, 8.0]);
    // Of the cotangent that goes back, in the cotangent that comes in: the rows without padding.
    let double = vjp(&backward, &[2]).unwrap();
    let none = Array::new([4, 2], vec![0.0; 8]);
    assert_eq!(run(&double, &[&w, &at, &bar, &none, &dot]), [0.0, 0.0, 0.1, 0.2, 0.0, 0.0, 0.5, 0.6]);
    // A batch of places with one matrix, and its gradient.
    let batch = vmap(&f, &[None, Some(0)], &[0], Dim::new(2)).unwrap();
    let two = Array::new([2, 4], vec![1i64, 0, 1, 2, 0, 0, 1, 1]);
    let bars = Array::new([2, 4, 2], (1..17).map(f64::from).collect());
    let bar = run(&vjp(&batch, &[0]).unwrap(), &[&w, &two, &bars]);
    assert_eq!(bar, [3.0 + 9.0 + 11.0, 4.0 + 10.0 + 12.0, 0.0, 0.0, 7.0, 8.0]);
    let dots = run(&jvp(&batch, &[0]).unwrap(), &[&w, &two, &dot]);
    assert_eq!(dots, [tangent, vec![0.1, 0.2, 0.1, 0.2, 0.3, 0.4, 0.3, 0.4]].concat());
}

/// Of volumes, too; the numbers are PyTorch's.
#[test]
fn bicubic_samples_of_volumes() {
    let x = Array::new([1, 1, 3, 3, 3], (0..27).map(|i| (f64::from(i) * 0.37).sin()).collect());
    let grid = Array::new([1, 1, 1, 2, 3], vec![-0.4, 0.3, 0.9, 0.1, -1.2, 0.5]);
    let (x, grid) = (Tensor::from_array(x), Tensor::from_array(grid));
    let y = x.grid_sample(&grid, Sampling::Bicubic, Outside::Border, GridCorners::Edges);
    let y = y.to_vec::<f64>().expect("floats");
    let expected = [0.9726117849349976, 0.3956730365753174];
    assert!(y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-6), "{y:?}");
}

/// Each row's cotangent is divided by how often the indices name it.
#[test]
fn gradients_of_bags_by_frequency() {
    let w = [Array::new([3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
    let bags: [(Function, [f64; 6]); 2] = [
        (|a| vec![bags(&a[0], BagMode::Sum)], [2.0, 0.5, 0.0, 0.0, 5.0 / 3.0, 1.0]),
        (|a| vec![bags(&a[0], BagMode::Mean)], [11.0 / 12.0, 1.0 / 12.0, 0.0, 0.0, 13.0 / 18.0, 5.0 / 18.0]),
    ];
    for (f, expected) in bags {
        let g = vjp(&traced(f, &w).expect("a graph"), &[0]).expect("reverse mode");
        let y_bar = Array::new([2, 2], vec![1.0, 2.0, 3.0, -1.0]);
        let w_bar = eval(&g, &[w[0].clone(), y_bar]).expect("values").pop().expect("a gradient").to_f64_vec();
        assert!(w_bar.iter().zip(expected).all(|(w, e)| (w - e).abs() < 1e-12), "{w_bar:?}");
    }
}

/// Two bags of rows 0, 2, 2 and 0, 2.
fn bags(w: &Tensor, mode: BagMode) -> Tensor {
    let (indices, offsets) = (Tensor::from([0i64, 2, 2, 0, 2]), Tensor::from([0i64, 3]));
    embedding_bag_at(&indices, &by_frequency(&indices, w), &offsets, mode, None, None)
}
