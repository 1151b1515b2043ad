//! Each layer of `cotangent::nn` against PyTorch: `fixtures/make_nn_fixtures.py` says what is recorded.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::LazyLock;

use cotangent::aten::nn::conv::{Conv, ConvTranspose, Padding, PerDim};
use cotangent::aten::nn::embedding::BagMode;
use cotangent::nn::*;
use cotangent::prelude::*;
use cotangent::random::Keys;
use serde_json::Value;

fn fixture(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file)
}

static RECORDED: LazyLock<State> = LazyLock::new(|| State::load(fixture("nn.safetensors")).expect("the fixture"));
static DESCRIBED: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(fixture("nn.json")).expect("the fixture");
    serde_json::from_str(&text).expect("well-formed")
});

/// What PyTorch recorded for a case under `group/`.
fn recorded(case: &str, group: &str) -> State {
    let prefix = format!("{case}/{group}/");
    RECORDED.iter().filter_map(|(name, x)| Some((name.strip_prefix(&prefix)?, x.clone()))).collect()
}

/// Tensors recorded under their numbers.
fn numbered(case: &str, group: &str) -> Vec<Tensor> {
    let state = recorded(case, group);
    (0..state.len()).map(|i| state[i.to_string().as_str()].clone()).collect()
}

/// How far results may lie from PyTorch's, relative to the largest number of a tensor.
fn tolerance(what: &str) -> f64 {
    // The derivative of PyTorch's hardsigmoid has a sixth that is rounded to f32.
    if what.starts_with("Hardsigmoid/") { 1e-7 } else { 1e-10 }
}

fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.aval(), expected.aval(), "{what}");
    let numbers = |x: &Tensor| x.convert(DType::F64).to_vec::<f64>().expect("numbers");
    let (f, e) = (numbers(found), numbers(expected));
    let scale = e.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
    let near = |(f, e): &(&f64, &f64)| (*f - *e).abs() <= tolerance(what) * scale;
    let far = f.iter().zip(&e).find(|pair| !near(pair));
    assert!(far.is_none(), "{what}: {far:?}\nfound {found}\nexpected {expected}");
}

/// All names of `expected` and no others, with close values.
fn assert_states(what: &str, found: &State, expected: &State) {
    let names = |s: &State| s.names().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    found.iter().for_each(|(name, x)| assert_close(&format!("{what}/{name}"), x, &expected[name]));
}

fn assert_lists(what: &str, found: &[Tensor], expected: &[Tensor]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    found.iter().zip(expected).enumerate().for_each(|(i, (f, e))| assert_close(&format!("{what}/{i}"), f, e));
}

/// The sum of all outputs, each times a weight that follows from its place.
fn value(outputs: &[Tensor]) -> Tensor {
    let weighted = |y: &Tensor| {
        let weights: Vec<f64> = (0..y.numel()).map(|i| ((i * 7 + 3) % 11) as f64 / 11.0 - 0.4).collect();
        (y * Tensor::from_vec(weights, y.shape().clone())).sum()
    };
    outputs.iter().map(weighted).reduce(|a, b| a + b).expect("at least one output")
}

/// A layer as a function of its state: results and buffers of a pass.
type Run<'a> = &'a dyn Fn(State, &[Tensor], Pass) -> Result<(Vec<Tensor>, State), Error>;

/// Everything that is recorded for `case`, for a layer of many arguments and results.
fn check_with<M: Module + Clone + Display>(
    case: &str,
    layer: M,
    forward: impl Fn(&mut M, &[Tensor], &mut Pass) -> Vec<Tensor>,
) {
    let about = &DESCRIBED[case];
    assert_eq!(layer.to_string(), about["repr"].as_str().expect("a recorded case"), "{case}");
    assert_eq!(layer.num_parameters() as u64, about["parameters"].as_u64().expect("a number"), "{case}");

    let loaded = |group: &str| {
        let mut layer = layer.clone().to_dtype(DType::F64);
        layer.load_state_dict(&recorded(case, group)).unwrap_or_else(|e| panic!("{case}: {e}"));
        layer
    };
    let layer = loaded("state");
    let run = |state: State, inputs: &[Tensor], mut pass: Pass| {
        let (ys, buffers) = functional_call(&layer, &state, |m| forward(m, inputs, &mut pass))?;
        ys.iter().try_for_each(|y| y.clone().ok().map(drop))?;
        Ok::<_, Error>((ys, buffers))
    };
    let params = layer.parameters();
    check_pass(case, params.clone(), layer.buffers(), &run);
    if !params.is_empty() {
        let stacked = stack_module_state(&[layer.clone(), loaded("other")]).expect("two layers of one class");
        check_ensemble(case, stacked, &run);
        check_per_sample(case, params, &run);
    }
}

/// The pass that was recorded.
fn pass(case: &str) -> Pass {
    let training = DESCRIBED[case]["train"].as_bool().expect("a truth");
    if training { Pass::train(Key::new(0)) } else { Pass::eval() }
}

/// Results, buffers after the pass, and gradients, also compiled.
fn check_pass(case: &str, params: State, buffers: State, run: Run) {
    let inputs = numbered(case, "input");
    let (ys, after) = run(State::new(), &inputs, pass(case)).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_lists(&format!("{case}/output"), &ys, &numbered(case, "output"));
    // What is not recorded did not change.
    assert_states(&format!("{case}/buffer"), &after, &buffers.merged(recorded(case, "buffer")));

    let floats: Vec<Tensor> = inputs.iter().filter(|x| x.dtype().is_float()).cloned().collect();
    let loss = |(params, floats): (State, Vec<Tensor>)| {
        let mut floats = floats.into_iter();
        let one = |x: &Tensor| if x.dtype().is_float() { floats.next().expect("as many") } else { x.clone() };
        let inputs: Vec<Tensor> = inputs.iter().map(one).collect();
        Ok::<_, Error>(value(&run(params, &inputs, pass(case))?.0))
    };
    let gradient = grad(loss);
    let evaluated = gradient.call(((params.clone(), floats.clone()),)).unwrap_or_else(|e| panic!("{case}: {e}"));
    let compiled = jit(&gradient).call(((params, floats),)).unwrap_or_else(|e| panic!("{case}, compiled: {e}"));
    for (how, (params, floats)) in [("", evaluated), (", compiled", compiled)] {
        assert_states(&format!("{case}/grad{how}"), &params, &recorded(case, "grad"));
        let expected: Vec<Tensor> = recorded(case, "grad_input").into_iter().map(|(_, x)| x).collect();
        assert_lists(&format!("{case}/grad_input{how}"), &floats, &expected);
    }
}

/// `vmap` over stacked parameters and buffers.
fn check_ensemble(case: &str, (params, buffers): (State, State), run: Run) {
    let inputs = numbered(case, "input");
    let ensemble =
        vmap(|params: State, buffers: State| Ok::<_, Error>(run(params.merged(buffers), &inputs, pass(case))?.0));
    let ys = ensemble.call((params, buffers)).unwrap_or_else(|e| panic!("{case}, ensemble: {e}"));
    assert_lists(&format!("{case}/ensemble"), &ys, &numbered(case, "ensemble"));
}

/// `vmap(grad)` over the examples of an evaluation, which is also a loop of single gradients.
fn check_per_sample(case: &str, params: State, run: Run) {
    let Some(dim) = DESCRIBED[case]["examples"].as_i64() else { return };
    let inputs = numbered(case, "input");
    let loss = |params: State, example: Vec<Tensor>| {
        let batch: Vec<Tensor> = example.iter().map(|x| x.unsqueeze(dim)).collect();
        Ok::<_, Error>(value(&run(params, &batch, Pass::eval())?.0))
    };
    let each = vmap(grad(loss)).in_dims((None, Some(dim)));
    let found = each.call((params.clone(), inputs.clone())).unwrap_or_else(|e| panic!("{case}, per sample: {e}"));
    assert_states(&format!("{case}/per_sample"), &found, &recorded(case, "per_sample"));
    for i in 0..inputs[0].size(dim) as i64 {
        let example: Vec<Tensor> = inputs.iter().map(|x| x.select(dim, i)).collect();
        let single = grad(loss).call((params.clone(), example)).expect("a gradient");
        let row: State = found.iter().map(|(name, x)| (name, x.select(0, i))).collect();
        assert_states(&format!("{case}/per_sample, example {i}"), &single, &row);
    }
}

/// Everything that is recorded for a layer from one tensor to one.
fn check<M: Forward + Clone + Display>(case: &str, layer: M) {
    check_with(case, layer, |m, xs, pass| vec![m.forward_in(&xs[0], pass)]);
}

/// Keys for layers whose parameters are then replaced.
fn keys() -> Keys {
    Keys::new(0)
}

fn per_dim(sizes: &[usize]) -> PerDim {
    PerDim(sizes.to_vec())
}

#[test]
fn affine_maps() {
    check("linear", Linear::new(4, 3, &mut keys()));
    check("linear_many", Linear::new(4, 3, &mut keys()));
    check("linear_without_bias", Linear::new(4, 3, &mut keys()).without_bias());
    check_with("bilinear", Bilinear::new(2, 3, 2, &mut keys()), |m, xs, _| vec![m.forward(&xs[0], &xs[1])]);
    check("identity", Identity);
    check("flatten", Flatten::default());
    check("embedding", Embedding::new(5, 3, &mut keys()));
    check("embedding_padding", Embedding::new(5, 3, &mut keys()).with_padding_idx(1));
    check("embedding_max_norm", Embedding::new(5, 3, &mut keys()).with_max_norm(1.2));
    let first = Embedding { norm_type: 1.0, ..Embedding::new(5, 3, &mut keys()) };
    check("embedding_max_norm_1", first.with_max_norm(1.5));
    check("embedding_by_frequency", Embedding::new(5, 3, &mut keys()).scaled_by_frequency());
}

#[test]
fn bags_of_embeddings() {
    let bag = || EmbeddingBag::new(5, 3, &mut keys());
    check("embedding_bag", bag());
    check("embedding_bag_sum", bag().with_mode(BagMode::Sum).with_padding_idx(1));
    check("embedding_bag_max", bag().with_mode(BagMode::Max));
    check_with("embedding_bag_weighted", bag().with_mode(BagMode::Sum), |m, xs, _| {
        vec![m.forward_weighted(&xs[0], &xs[1])]
    });
    check_with("embedding_bag_at", bag(), |m, xs, _| vec![m.forward_at(&xs[0], &xs[1])]);
}

#[test]
fn convolutions() {
    check("conv1d", Conv1d::new(2, 3, 3, &mut keys()));
    let same = Conv { padding: Padding::Same, dilation: 2.into(), groups: 2, ..Conv::default() };
    check("conv1d_same", Conv1d::with(2, 4, 3, same, &mut keys()).without_bias());
    let strided = Conv2d::new(2, 3, per_dim(&[2, 3]), &mut keys()).with_stride(per_dim(&[2, 1])).with_padding(1);
    check("conv2d", strided);
    let grouped = Conv { dilation: 2.into(), groups: 2, ..Conv::default() };
    check("conv2d_groups", Conv2d::with(2, 2, 2, grouped, &mut keys()));
    check("conv3d", Conv3d::new(1, 2, 2, &mut keys()).with_padding(per_dim(&[1, 0, 0])));
}

#[test]
fn convolutions_with_borders() {
    let circular = Conv1d::new(2, 3, 4, &mut keys()).with_padding(Padding::Same);
    check("conv1d_circular", circular.with_padding_mode(PaddingMode::Circular));
    let reflect = Conv2d::new(2, 2, per_dim(&[2, 3]), &mut keys()).with_padding(per_dim(&[2, 1])).without_bias();
    check("conv2d_reflect", reflect.with_padding_mode(PaddingMode::Reflect));
    let replicate = Conv3d::new(1, 1, 2, &mut keys()).with_padding(per_dim(&[1, 0, 2]));
    check("conv3d_replicate", replicate.with_padding_mode(PaddingMode::Replicate));
}

#[test]
fn transposed_convolutions() {
    let wide =
        ConvTranspose { stride: 2.into(), padding: 1.into(), output_padding: 1.into(), ..ConvTranspose::default() };
    check("conv_transpose1d", ConvTranspose1d::with(2, 3, 3, wide, &mut keys()));
    let grouped = ConvTranspose { stride: 2.into(), groups: 2, ..ConvTranspose::default() };
    check("conv_transpose2d", ConvTranspose2d::with(2, 4, per_dim(&[2, 3]), grouped, &mut keys()));
    check("conv_transpose3d", ConvTranspose3d::new(2, 1, 2, &mut keys()).with_dilation(per_dim(&[1, 2, 1])));
    let all = ConvTranspose {
        stride: 2.into(),
        padding: 1.into(),
        output_padding: 1.into(),
        dilation: 2.into(),
        ..ConvTranspose::default()
    };
    check("conv_transpose2d_dilated", ConvTranspose2d::with(1, 2, 2, all, &mut keys()));
}

#[test]
fn batch_norms() {
    check("batch_norm1d", BatchNorm1d::new(3));
    check("batch_norm1d_long", BatchNorm1d::new(3).with_momentum(0.3));
    check("batch_norm1d_eval", BatchNorm1d::new(3));
    check("batch_norm1d_average", BatchNorm1d::new(2).with_momentum(None));
    check("batch_norm1d_plain", BatchNorm1d::new(2).without_affine());
    check("batch_norm1d_of_batch", BatchNorm1d::new(2).without_running_stats());
    check("batch_norm2d", BatchNorm2d::new(2));
    check("batch_norm3d", BatchNorm3d::new(2));
}

#[test]
fn norms() {
    check("layer_norm", LayerNorm::new(4));
    check("layer_norm_of_two", LayerNorm::new(per_dim(&[2, 3])).without_bias());
    check("rms_norm", RmsNorm::new(4));
    check("group_norm", GroupNorm::new(2, 4));
    check("instance_norm1d", InstanceNorm1d::new(2).with_affine());
    check("instance_norm2d", InstanceNorm2d::new(2).with_affine());
    check("instance_norm3d", InstanceNorm3d::new(2));
}

#[test]
fn instance_norms_with_statistics() {
    check("instance_norm1d_tracked", InstanceNorm1d::new(2).with_affine().with_running_stats());
    check("instance_norm1d_single", InstanceNorm1d::new(2).with_affine().with_running_stats());
    check("instance_norm2d_tracked", InstanceNorm2d::new(2).with_momentum(0.3).with_running_stats());
    check("instance_norm2d_eval", InstanceNorm2d::new(2).with_affine().with_running_stats());
    let frozen = InstanceNorm3d::new(2).with_momentum(None).with_affine();
    check("instance_norm3d_frozen", frozen.with_running_stats());
}

#[test]
fn attention() {
    let alone = |m: &mut MultiheadAttention, xs: &[Tensor], pass: &mut Pass| {
        vec![m.forward(&xs[0], &xs[0], &xs[0], Masks::default(), pass)]
    };
    check_with("attention", MultiheadAttention::new(4, 2, &mut keys()), alone);
    let batch_first = || MultiheadAttention::new(4, 2, &mut keys()).batch_first();
    check_with("attention_batch_first", batch_first().without_bias(), alone);
    check_with("attention_of_memory", batch_first(), |m, xs, pass| {
        vec![m.forward(&xs[0], &xs[1], &xs[2], Masks::default(), pass)]
    });
    check_with("attention_masked", batch_first(), |m, xs, pass| {
        let hidden = Tensor::from([[false, false, false], [false, false, true]]);
        let masks = Masks { key_padding_mask: Some(&hidden), is_causal: true, attn_mask: None };
        vec![m.forward(&xs[0], &xs[0], &xs[0], masks, pass)]
    });
}

#[test]
fn attention_of_other_widths() {
    let attend = |m: &mut MultiheadAttention, xs: &[Tensor], pass: &mut Pass| {
        vec![m.forward(&xs[0], &xs[1], &xs[2], Masks::default(), pass)]
    };
    check_with("attention_dims", MultiheadAttention::with_dims(4, 2, 3, 5, &mut keys()).batch_first(), attend);
    let plain = MultiheadAttention::with_dims(4, 2, 4, 2, &mut keys()).without_bias();
    check_with("attention_dims_without_bias", plain, attend);
}

#[test]
fn attention_and_its_weights() {
    let both = |(y, weights): (Tensor, Tensor)| vec![y, weights];
    let layer = MultiheadAttention::new(4, 2, &mut keys());
    let causal = Masks { is_causal: true, ..Masks::default() };
    check_with("attention_weights", layer.clone().batch_first(), |m, xs, pass| {
        let which = AttentionWeights::Averaged;
        both(m.forward_with_weights(&xs[0], &xs[1], &xs[2], Masks::default(), which, pass))
    });
    check_with("attention_weights_of_heads", layer.clone(), |m, xs, pass| {
        both(m.forward_with_weights(&xs[0], &xs[0], &xs[0], causal, AttentionWeights::EachHead, pass))
    });
    let more = layer.with_bias_kv(&mut keys()).with_zero_attn().batch_first();
    check_with("attention_more_keys", more, |m, xs, pass| {
        let (y, weights) = m.forward_with_weights(&xs[0], &xs[0], &xs[0], causal, AttentionWeights::Averaged, pass);
        let alone = m.forward(&xs[0], &xs[0], &xs[0], causal, pass);
        vec![(y + alone) / 2.0, weights]
    });
}

#[test]
fn transformers() {
    let options =
        TransformerOptions { dim_feedforward: 5, batch_first: true, dropout: 0.0, ..TransformerOptions::new(4, 2) };
    check("encoder_layer", TransformerEncoderLayer::new(&options, &mut keys()));
    let before = TransformerOptions { norms: NormPlace::Before, ..options.clone() };
    let encoder = TransformerOptions { dropout: 0.1, activation: FeedForward::Gelu, ..before.clone() };
    check("encoder_layer_norm_first", TransformerEncoderLayer::new(&encoder, &mut keys()));
    check_with("decoder_layer", TransformerDecoderLayer::new(&options, &mut keys()), |m, xs, pass| {
        vec![m.forward(&xs[0], &xs[1], [Masks::default(); 2], pass)]
    });
    check_with("decoder_layer_norm_first", TransformerDecoderLayer::new(&before, &mut keys()), |m, xs, pass| {
        let causal = Masks { is_causal: true, ..Masks::default() };
        vec![m.forward(&xs[0], &xs[1], [causal, Masks::default()], pass)]
    });
    let plain = TransformerOptions { bias: false, layer_norm_eps: 1e-3, ..options.clone() };
    check("encoder_layer_without_bias", TransformerEncoderLayer::new(&plain, &mut keys()));
    let encoder = TransformerEncoder::new(&options, 2, &mut keys()).with_norm(LayerNorm::new(4));
    check_with("encoder", encoder, |m, xs, pass| {
        vec![m.forward(&xs[0], Masks { is_causal: true, ..Masks::default() }, pass)]
    });
    check_with("decoder", TransformerDecoder::new(&before, 2, &mut keys()), |m, xs, pass| {
        vec![m.forward(&xs[0], &xs[1], [Masks::default(); 2], pass)]
    });
}

#[test]
fn recurrence() {
    let rnn = |m: &mut Rnn, xs: &[Tensor], pass: &mut Pass| <[_; 2]>::from(m.forward(&xs[0], None, pass)).to_vec();
    check_with("rnn", Rnn::new(RecurrentOptions::new(2, 3), &mut keys()), rnn);
    let deep = RecurrentOptions { num_layers: 2, batch_first: true, bias: false, ..RecurrentOptions::new(2, 3) };
    check_with("rnn_relu", Rnn::new(deep, &mut keys()).with_nonlinearity(Nonlinearity::Relu), rnn);
    let gru = |m: &mut Gru, xs: &[Tensor], pass: &mut Pass| <[_; 2]>::from(m.forward(&xs[0], xs.get(1), pass)).to_vec();
    check_with("gru", Gru::new(RecurrentOptions::new(2, 3), &mut keys()), gru);
    let both = RecurrentOptions { bidirectional: true, ..RecurrentOptions::new(2, 2) };
    check_with("gru_both_ways", Gru::new(both.clone(), &mut keys()), gru);
    let lstm = |m: &mut Lstm, xs: &[Tensor], pass: &mut Pass| {
        let (y, (h, c)) = m.forward(&xs[0], xs.get(1).zip(xs.get(2)), pass);
        vec![y, h, c]
    };
    check_with("lstm", Lstm::new(RecurrentOptions::new(2, 3), &mut keys()), lstm);
    let deep = RecurrentOptions { num_layers: 2, batch_first: true, ..both };
    check_with("lstm_deep", Lstm::new(deep.clone(), &mut keys()), lstm);
    check_with("lstm_from_state", Lstm::new(RecurrentOptions::new(2, 2), &mut keys()), lstm);
    let projected = |p| Lstm::with_projection(RecurrentOptions::new(2, 3), p, &mut keys());
    check_with("lstm_projected", projected(2), lstm);
    check_with("lstm_projected_from_state", projected(1), lstm);
    let deep = RecurrentOptions { hidden_size: 3, bias: false, ..deep };
    check_with("lstm_projected_deep", Lstm::with_projection(deep, 2, &mut keys()), lstm);
}

#[test]
fn dropouts() {
    check("dropout", Dropout::default());
    check("dropout1d", Dropout1d::new(0.25));
    check("dropout2d", Dropout2d::default());
}

#[test]
fn pooling() {
    check("max_pool1d", MaxPool1d::new(2));
    check("max_pool2d", MaxPool2d::new(per_dim(&[2, 3])).with_stride(1).with_padding(1));
    let dilated = Pool { dilation: 2.into(), ceil_mode: true, ..Pool::default() };
    check("max_pool3d", MaxPool3d::with(2, dilated));
    check("avg_pool1d", AvgPool1d::new(2).with_padding(1));
    let inner = Pool { count_include_pad: false, ..Pool::default() };
    check("avg_pool2d", AvgPool2d::with(3, inner).with_stride(2).with_padding(1));
    check("avg_pool3d", AvgPool3d::new(per_dim(&[1, 2, 2])));
    check("adaptive_avg_pool1d", AdaptiveAvgPool1d::new(3));
    check("adaptive_avg_pool2d", AdaptiveAvgPool2d::new([2, 3]));
    check("adaptive_avg_pool3d", AdaptiveAvgPool3d::new([1, 2, 2]));
    check("adaptive_max_pool1d", AdaptiveMaxPool1d::new(3));
    check("adaptive_max_pool2d", AdaptiveMaxPool2d::new([2, 3]));
    check("adaptive_max_pool3d", AdaptiveMaxPool3d::new([1, 2, 2]));
}

#[test]
fn activations() {
    check("ReLU", Relu);
    check("ReLU6", Relu6);
    check("SELU", Selu);
    check("SiLU", Silu);
    check("Mish", Mish);
    check("Sigmoid", Sigmoid);
    check("Tanh", Tanh);
    check("Softsign", Softsign);
    check("Tanhshrink", Tanhshrink);
    check("Hardsigmoid", Hardsigmoid);
    check("Hardswish", Hardswish);
    check("LogSigmoid", LogSigmoid);
    check("LeakyReLU", LeakyRelu::default());
    check("ELU", Elu::default());
    check("CELU", Celu::default());
    check("Softplus", Softplus::default());
    check("Hardtanh", Hardtanh::default());
    check("Hardshrink", Hardshrink::default());
    check("Softshrink", Softshrink::default());
    check("GELU", Gelu::default());
    check("GELU_tanh", Gelu { approximate: GeluForm::Tanh });
    check("Threshold", Threshold { threshold: 0.1, value: 2.0 });
    check("Softmax", Softmax { dim: 1 });
    check("Softmin", Softmin { dim: -1 });
    check("LogSoftmax", LogSoftmax { dim: 0 });
    check("GLU", Glu::default());
    check("PReLU", Prelu::new(3));
}

#[derive(Clone, Module)]
struct Net {
    features: Sequential,
    dropout: Dropout,
    heads: Vec<Linear>,
}

#[test]
fn a_module_of_modules() {
    let keys = &mut keys();
    let features =
        Sequential::new().then(Conv2d::new(1, 2, 3, keys)).then(BatchNorm2d::new(2)).then(Relu).then(MaxPool2d::new(2));
    let heads = [2, 2, 3].map(|n| Linear::new(8, n, keys)).to_vec();
    let net = Net { features, dropout: Dropout::new(0.0), heads };
    check_with("net", net, |m, xs, pass| {
        let x = m.features.forward_in(&xs[0], pass);
        let x = m.dropout.forward_in(&x, pass).flatten(1, -1);
        m.heads.iter().map(|head| head.forward(&x)).collect()
    });
}

#[derive(Clone, Module)]
#[module(tied("decoder.weight" = "encoder.weight"))]
struct Tied {
    encoder: Linear,
    decoder: Linear,
}

#[test]
fn tied_parameters_are_one() {
    let keys = &mut keys();
    let net = Tied { encoder: Linear::new(3, 3, keys).without_bias(), decoder: Linear::new(3, 3, keys) };
    check_with("tied", net, |m, xs, _| vec![m.decoder.forward(&m.encoder.forward(&xs[0]).tanh())]);
}

/// No case of the fixture is without a test here: the names in this file are those of the fixture.
#[test]
fn each_recorded_case_is_checked() {
    let source = include_str!("nn_layers.rs");
    let cases = DESCRIBED.as_object().expect("cases by name");
    let unchecked: Vec<_> = cases.keys().filter(|case| !source.contains(&format!("(\"{case}\","))).collect();
    assert!(unchecked.is_empty(), "{unchecked:?}");
}
