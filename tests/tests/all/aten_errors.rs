//! Misuse of composites: each mistake is an error with its label and the user's line, outside and inside a trace.

use cotangent_aten::prelude::*;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::transform::build;
use cotangent_core::{Error, Tensor};

type Mistake = (&'static str, fn(&Tensor, &Tensor) -> Tensor);

/// `x: f32[2,3]`, `k: i64[2]`.
const MISTAKES: &[Mistake] = &[
    ("sum_c1", |x, _| x.sum_dim(2)),
    ("sum_c1", |x, _| x.sum_dim([0, -2])),
    ("mean_c2", |_, k| k.mean()),
    ("amax_c2", |x, _| x.narrow(1, 0, 0).amax(1)),
    ("argmax_c1", |x, _| x.argmax([0, 1])),
    ("softmax_c1", |x, _| x.softmax(-3)),
    ("glu_c2", |x, _| x.glu(-1)),
    ("gelu_c1", |_, k| k.gelu()),
    ("reshape_c1", |x, _| x.reshape([4, 2])),
    ("reshape_c2", |x, _| x.reshape([-1, -1])),
    ("expand_c1", |x, _| x.expand([4, 3])),
    ("expand_c2", |x, _| x.expand([-1, 2, 3])),
    ("repeat_c1", |x, _| x.repeat(2)),
    ("t_c1", |x, _| x.unsqueeze(0).t()),
    ("permute_c1", |x, _| x.permute(0)),
    ("narrow_c2", |x, _| x.narrow(1, 2, 2)),
    ("select_c2", |x, _| x.select(0, 2)),
    ("slice_c2", |x, _| x.slice(0, None, None, 0)),
    ("index_c1", |x, _| x.i((0, 0, 0))),
    ("index_c2", |x, _| x.i(x.gt(0.0))),
    ("index_c3", |x, k| x.i((k, &cat(&[k, k], 0)))),
    ("index_put_c1", |x, k| x.index_put(&[Some(k)], k)),
    ("set_at_c1", |x, k| x.set_at(0, k.i(..1).repeat(5))),
    ("set_at_c1", |x, _| x.set_at(x.gt(0.0), x)),
    ("set_at_c2", |x, _| x.set_at((0, x.gt(0.0).i((0, ..2))), 1.0)),
    ("cat_c1", |_, _| cat::<Tensor>(&[], 0)),
    ("cat_c3", |x, _| cat(&[x, &x.t()], 0)),
    ("stack_c2", |x, _| stack(&[x, &x.t()], 0)),
    ("pad_c1", |x, _| x.pad(&[1], PadMode::Reflect)),
    ("pad_c2", |x, _| x.pad(&[3, 0], PadMode::Reflect)),
    ("matmul_c1", |x, _| x.matmul(&x.sum())),
    ("matmul_c2", |x, _| x.matmul(x)),
    ("matmul_c3", |x, _| x.matmul(&x.t().double())),
    ("dot_c1", |x, _| x.dot(x)),
    ("linear_c2", |x, _| x.linear(&x.t(), None)),
    ("linear_c4", |x, _| x.linear(x, &x.sum_dim(0))),
    ("einsum_c1", |x, _| einsum("i$,jk", &[x, x])),
    ("einsum_c2", |x, _| einsum("i->i", &[x])),
    ("einsum_c3", |x, _| einsum("ij,jk", &[x, x])),
    ("layer_norm_c1", |x, _| x.layer_norm(2, None, None, 1e-5)),
    ("layer_norm_c2", |x, _| x.layer_norm(3, &x.sum_dim(1), None, 1e-5)),
    ("group_norm_c1", |x, _| x.group_norm(2, None, None, 1e-5)),
    ("batch_norm_c2", |x, _| x.batch_norm(x, x, None, None, 1e-5)),
    ("nll_loss_c2", |x, _| x.cross_entropy(&x.sum_dim(1).int())),
    ("nll_loss_c3", |x, k| x.nll_loss(k, &x.sum_dim(1), -100, Reduction::Mean)),
    ("cross_entropy_c2", |x, _| x.cross_entropy(&x.t())),
    ("one_hot_c1", |x, _| x.one_hot(3)),
    ("embedding_c3", |x, k| embedding(k, x, 5)),
    ("masked_fill_c2", |x, _| x.masked_fill(x, 0.0)),
    ("topk_c1", |x, _| x.topk(4, -1).0),
    ("kthvalue_c2", |x, _| x.kthvalue(0, -1).0),
    ("quantile_c3", |x, _| x.quantile(1.5, -1)),
    ("fake_quantize_c1", |x, k| x.fake_quantize_per_channel(k, k, 2, Levels { min: 0, max: 7 }).0),
    ("fake_quantize_c2", |x, k| x.fake_quantize_per_channel(k, k, 1, Levels { min: 0, max: 7 }).1),
    ("nonzero_c1", |x, _| x.nonzero()),
    ("conv_c2", |x, _| x.conv2d(x, None, &Conv::default())),
    ("pool_c3", |x, _| x.max_pool1d(4, &Pool::default())),
    ("interpolate_c1", |x, _| x.interpolate(&Resize::Size(vec![2]), Interpolation::Nearest)),
    ("grid_sample_c1", |x, _| x.grid_sample(x, Sampling::Bilinear, Outside::Zeros, GridCorners::Edges)),
    ("attention_c1", |x, _| x.scaled_dot_product_attention(&x.t(), x, Attention::default())),
    ("cdist_c1", |x, _| x.cdist(&x.t(), 2.0)),
    ("floor_divide_c2", |x, _| x.gt(0.0).floor_divide(x.gt(0.0))),
    ("arange_c2", |_, _| arange_step(0i64, 4i64, -1i64)),
    ("cov_c1", |x, _| x.unsqueeze(0).cov(1)),
];

fn check(label: &str, error: &Error) {
    let text = error.to_string();
    assert!(text.contains(&format!("({label})")), "expected {label}: {text}");
    assert!(text.contains("aten_errors.rs"), "the user's line: {text}");
}

#[test]
fn concrete_tensors() {
    let x = Tensor::from([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let k = Tensor::from([0i64, 1]);
    for (label, mistake) in MISTAKES {
        check(label, &mistake(&x, &k).ok().expect_err(label));
    }
}

#[test]
fn traced_tensors() {
    for (label, mistake) in MISTAKES {
        let traced = build("mistake", |t| {
            let (x, k) = (t.param(&Aval::new(DType::F32, [2, 3])), t.param(&Aval::new(DType::I64, [2])));
            Ok(vec![mistake(&x, &k).ok()?])
        });
        check(label, &traced.expect_err(label));
    }
}

/// Everything that follows a mistake passes its error on, whatever it would do with a shape.
#[test]
fn errors_pass_through() {
    let bad = Tensor::from([1.0f32]).softmax(5);
    let good = Tensor::from([[1.0f32]]);
    let later: &[fn(&Tensor, &Tensor) -> Tensor] = &[
        |b, _| b.relu().gelu().softplus(1.0, 20.0),
        |b, _| b.softmax(-1).log_softmax(0),
        |b, _| b.layer_norm(1, None, None, 1e-5),
        |b, g| b.matmul(g),
        |b, g| g.linear(b, None),
        |b, g| einsum("ij,jk", &[g, b]),
        |b, g| cat(&[g, b], 0),
        |b, _| b.i((0, .., NEW_AXIS)),
        |b, _| b.max_dim(0).0,
        |b, _| b.sort(0).1,
        |b, _| b.split(2, 0).remove(0),
        |b, _| b.conv2d(b, None, &Conv::default()),
        |b, _| b.max_pool2d(2, &Pool::default()),
        |b, g| b.scaled_dot_product_attention(g, g, Attention::default()),
        |b, g| b.cross_entropy(g),
        |b, g| g.mse_loss(b, Reduction::Mean),
        |b, _| b.var(-1, 1).norm(),
        |b, _| b.diff(1, 0).cumsum(0),
        |b, _| b.pad(&[1, 1], PadMode::Reflect),
        |b, g| b.cdist(g, 2.0),
        |b, _| b.reshape([-1]).unflatten(0, [1, 1]).flatten(0, -1),
        |b, g| b.gather(0, g),
        |b, _| b.quantile(0.5, 0),
        |b, _| b.interpolate(&Resize::Size(vec![2]), Interpolation::Nearest),
    ];
    for f in later {
        check("softmax_c1", &f(&bad, &good).ok().expect_err("an error"));
    }
}

#[test]
fn composites_are_recorded_under_their_names() {
    let graph = build("model", |t| {
        let x = t.param(&Aval::new(DType::F32, [2, 4]));
        Ok(vec![x.softmax(-1), x.gelu(), x.layer_norm(4, None, None, 1e-5)])
    })
    .expect("a graph");
    let text = graph.to_string();
    for name in ["aten::_softmax", "aten::gelu", "aten::native_layer_norm"] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
    assert_eq!(graph.nodes().len(), 3, "{text}");
}
