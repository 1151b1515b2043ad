//! Modules as functions of their state: names, replacement, tied tensors, ensembles, files, initial values, errors.

use cotangent::nn::*;
use cotangent::prelude::*;
use cotangent::random::Keys;

#[derive(Clone, Debug, Module)]
struct Net {
    hidden: Linear,
    norm: BatchNorm1d,
    out: Linear,
}

impl Net {
    fn new(seed: i64) -> Self {
        let keys = &mut Keys::new(seed);
        Net { hidden: Linear::new(2, 3, keys), norm: BatchNorm1d::new(3), out: Linear::new(3, 1, keys) }
    }
}

impl Forward for Net {
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let h = self.norm.forward_in(&self.hidden.forward(x), pass);
        self.out.forward(&h.relu())
    }
}

#[derive(Clone, Debug, Module)]
#[module(tied("decoder.weight" = "encoder.weight"))]
struct Tied {
    encoder: Linear,
    decoder: Linear,
}

impl Layer for Tied {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.decoder.forward(&self.encoder.forward(x).tanh())
    }
}

fn tied() -> Tied {
    let keys = &mut Keys::new(0);
    Tied { encoder: Linear::new(2, 2, keys).without_bias(), decoder: Linear::new(2, 2, keys) }
}

fn names(state: &State) -> Vec<&str> {
    state.names().collect()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec::<f32>().expect("f32 values")
}

fn text(e: impl Into<Error>) -> String {
    let e: Error = e.into();
    e.to_string()
}

#[test]
fn names_are_pytorchs() {
    let net = Net::new(0);
    let params = ["hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "out.weight", "out.bias"];
    assert_eq!(names(&net.parameters()), params);
    assert_eq!(names(&net.buffers()), ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]);
    assert_eq!(
        names(&net.state_dict())[..5],
        ["hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "norm.running_mean"]
    );
    assert_eq!(net.num_parameters(), 6 + 3 + 3 + 3 + 3 + 1);
}

#[test]
fn printing_counts_parameters() {
    let expected = "\
Net(  # 19 parameters
  (hidden): Linear(in_features=2, out_features=3, bias=True)  # 9 parameters
  (norm): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)  # 6 parameters
  (out): Linear(in_features=3, out_features=1, bias=True)  # 4 parameters
)";
    assert_eq!(format!("{:#}", Net::new(0)), expected);
}

#[test]
fn the_same_seed_is_the_same_model() {
    let same = Net::new(3).state_dict();
    assert_eq!(values(&Net::new(3).state_dict()["out.weight"]), values(&same["out.weight"]));
    assert_ne!(values(&Net::new(4).state_dict()["out.weight"]), values(&same["out.weight"]));
}

#[test]
fn initial_values_have_pytorchs_distributions() {
    let keys = &mut Keys::new(0);
    let within = |x: &Tensor, bound: f32| {
        let x = values(x);
        let largest = x.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest <= bound && largest > 0.97 * bound, "{largest} for {bound}");
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        assert!(mean.abs() < 0.1 * bound, "{mean} for {bound}");
    };
    within(&Linear::new(100, 50, keys).weight, 0.1);
    within(&Linear::new(100, 500, keys).bias.expect("a bias"), 0.1);
    within(&Conv2d::new(4, 50, 5, keys).weight, 0.1);
    // The fan of a transposed convolution is that of its weight as it stands: the output's channels.
    within(&ConvTranspose2d::new(50, 4, 5, keys).weight, 0.1);
    within(&MultiheadAttention::new(24, 2, keys).parameters()["in_proj_weight"], (6.0f32 / (72.0 + 24.0)).sqrt());
    within(&Lstm::new(RecurrentOptions::new(30, 25), keys).parameters()["weight_ih_l0"], 0.2);
    let table = values(&Embedding::new(100, 50, keys).weight);
    let variance = table.iter().map(|x| x * x).sum::<f32>() / table.len() as f32;
    assert!((variance - 1.0).abs() < 0.1, "{variance}");
    assert_eq!(values(&Embedding::new(3, 2, keys).with_padding_idx(1).weight)[2..4], [0.0, 0.0]);
    assert_eq!(values(&Prelu::new(2).weight), [0.25, 0.25]);
}

#[test]
fn a_call_replaces_what_is_given_and_keeps_the_rest() {
    let net = Net::new(0);
    let x = Tensor::from([[1.0f32, 2.0], [3.0, -1.0]]);
    let state = State::from_iter([("out.bias", Tensor::from([10.0f32]))]);
    let call = |state: &State| functional_call(&net, state, |net| net.forward_in(&x, &mut Pass::eval()));
    let (own, buffers) = call(&State::new()).expect("its own state");
    let (moved, _) = call(&state).expect("a part of the state");
    let bias = values(&net.state_dict()["out.bias"])[0];
    let difference: Vec<f32> = values(&(moved - own));
    assert!(difference.iter().all(|d| (d - (10.0 - bias)).abs() < 1e-5), "{difference:?}");
    assert_eq!(values(&buffers["norm.running_mean"]), [0.0; 3], "an evaluation changes no buffer");
}

#[test]
fn what_does_not_fit_is_listed() {
    let net = Net::new(0);
    let state = State::from_iter([("out.bias", Tensor::from([1.0f32, 2.0])), ("output.bias", Tensor::from([1.0f32]))]);
    let e = net.with(&state).expect_err("two mistakes");
    let StateError::Names { missing, unexpected, shapes, .. } = &e else { panic!("{e}") };
    assert!(missing.is_empty());
    assert_eq!(unexpected, &["output.bias"]);
    assert_eq!((shapes.len(), shapes[0].name.as_str()), (1, "out.bias"));
    let message = text(e);
    for part in ["Net", "`output.bias`", "`out.bias` has shape [2], expected [1]"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let e = text(net.with_all(&State::new()).expect_err("nothing is given"));
    assert!(e.contains("missing `hidden.weight`, `hidden.bias`"), "{e}");
    let mut loaded = net.clone();
    assert!(loaded.load_state_dict(&net.parameters()).is_err(), "buffers are missing");
    assert_eq!(values(&loaded.state_dict()["out.bias"]), values(&net.state_dict()["out.bias"]));
}

#[test]
fn tied_tensors_have_one_value() {
    let net = tied();
    assert_eq!(names(&net.parameters()), ["encoder.weight", "decoder.bias"]);
    assert_eq!(names(&net.state_dict()), ["encoder.weight", "decoder.weight", "decoder.bias"]);
    let twice = Tensor::from([[2.0f32, 0.0], [0.0, 2.0]]);
    for name in ["encoder.weight", "decoder.weight"] {
        let filled = net.with(&State::from_iter([(name, twice.clone())])).expect("either name");
        assert_eq!(values(&filled.encoder.weight), values(&filled.decoder.weight), "{name}");
        assert_eq!(values(&filled.encoder.weight), [2.0, 0.0, 0.0, 2.0], "{name}");
    }
    let both = State::from_iter([("encoder.weight", twice.clone()), ("decoder.weight", twice)]);
    let e = text(net.with(&both).expect_err("two values"));
    assert!(e.contains("`encoder.weight`, `decoder.weight`, which are tied"), "{e}");

    // The gradient of a tied parameter is the sum of those at both places.
    let x = Tensor::from([[0.5f32, -1.0]]);
    let value = |net: &Tied| net.forward(&x).sum();
    let together =
        grad(|p: State| Ok::<_, Error>(value(&net.with_all(&p)?))).call((net.parameters(),)).expect("a gradient");
    let apart = |encoder: Tensor, decoder: Tensor| {
        let mut net = net.clone();
        (net.encoder.weight, net.decoder.weight) = (encoder, decoder);
        value(&net)
    };
    let w = net.encoder.weight.clone();
    let (a, b) = grad(apart).argnums::<(At<0>, At<1>)>().call((w.clone(), w)).expect("gradients");
    assert_eq!(values(&together["encoder.weight"]), values(&(a + b)));
}

#[test]
fn untied_names_are_replaced_alone() {
    let net = tied();
    let twice = Tensor::from([[2.0f32, 0.0], [0.0, 2.0]]);
    let one = State::from_iter([("decoder.weight", twice.clone())]);
    let read = |net: &mut Tied| (values(&net.encoder.weight), values(&net.decoder.weight));
    let ((encoder, decoder), _) = functional_call_untied(&net, &one, read).expect("one of two names");
    assert_eq!((encoder, decoder), (values(&net.encoder.weight), values(&twice)));
    let both = State::from_iter([("encoder.weight", twice.clone()), ("decoder.weight", &twice * 2.0)]);
    let ((encoder, decoder), _) = functional_call_untied(&net, &both, read).expect("two values");
    assert_eq!((encoder, decoder), (values(&twice), values(&(twice * 2.0))));
    let unknown = State::from_iter([("weight", Tensor::from(0.0f32))]);
    assert!(text(net.with_untied(&unknown).expect_err("no such name")).contains("unexpected `weight`"));
}

#[test]
fn buffers_ask_for_the_other_function() {
    let e = text(make_functional(Net::new(0)).expect_err("it has buffers"));
    assert!(e.contains("Please use make_functional_with_buffers(model)") && e.contains("`norm.running_mean`"), "{e}");
}

#[test]
fn buffers_come_back_as_values() {
    let net = Net::new(0);
    let (func, params, buffers) = make_functional_with_buffers(net.clone());
    let x = Tensor::from([[1.0f32, 2.0], [3.0, -1.0], [0.0, 1.0]]);
    let train = func.clone().train(Key::new(0));
    let (_, after) = train.call((params.clone(), buffers.clone(), x.clone())).expect("a pass");
    assert_eq!(after["norm.num_batches_tracked"].item::<i64>().expect("a count"), 1);
    assert_ne!(values(&after["norm.running_mean"]), values(&buffers["norm.running_mean"]));
    assert_eq!(values(&net.buffers()["norm.running_mean"]), [0.0; 3], "the module itself is not changed");
    let (_, same) = func.call((params, buffers.clone(), x)).expect("an evaluation");
    assert_eq!(values(&same["norm.running_mean"]), values(&buffers["norm.running_mean"]));
}

#[test]
fn ensembles_equal_a_loop_over_models() {
    let models = [Net::new(0), Net::new(1), Net::new(2)];
    let (func, params, buffers) = combine_state_for_ensemble(&models).expect("three models");
    assert_eq!(params["hidden.weight"].shape(), &Shape::from([3, 3, 2]));
    assert_eq!(buffers["norm.num_batches_tracked"].shape(), &Shape::from([3]));
    let x = Tensor::from([[1.0f32, 2.0], [3.0, -1.0]]);
    let (together, _) =
        vmap(func).in_dims((Some(0), Some(0), None)).call((params, buffers, x.clone())).expect("results");
    for (i, model) in models.iter().enumerate() {
        let (found, expected) = (values(&together.select(0, i as i64)), values(&model.evaluate(&x)));
        assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?} {expected:?}");
    }
}

#[test]
fn ensembles_are_of_one_class() {
    assert!(text(combine_state_for_ensemble::<Linear>(&[]).expect_err("none")).contains("expected at least one model"));
    let keys = &mut Keys::new(0);
    let e = stack_module_state(&[Linear::new(2, 3, keys), Linear::new(3, 3, keys)]).expect_err("unlike");
    let e = text(e);
    assert!(e.contains("all models to be of the same class") && e.contains("in_features=3"), "{e}");
}

#[test]
fn a_norm_without_statistics_can_be_mapped_over_batches() {
    let net = batch_norm_without_running_stats(Net::new(0));
    assert!(net.buffers().is_empty());
    let (func, params) = make_functional(net).expect("no buffers are left");
    let func = func.train(Key::new(0));
    let loss = |params: State, x: Tensor| Ok::<_, Error>(func.call((params, x))?.sum());
    let batches = Key::new(0).randn([4, 5, 2]);
    let grads = vmap(grad(loss)).in_dims((None, Some(0))).call((params, batches)).expect("gradients");
    assert_eq!(grads["hidden.weight"].shape(), &Shape::from([4, 3, 2]));
}

#[test]
fn files_keep_values_and_dtypes() {
    let path = std::env::temp_dir().join(format!("cotangent_nn_{}.safetensors", std::process::id()));
    let mut net = Net::new(0);
    net.forward_in(&Tensor::from([[1.0f32, 2.0], [3.0, -1.0]]), &mut Pass::train(Key::new(0)));
    net.state_dict().save(&path).expect("a file");
    let loaded = State::load(&path).expect("the same file");
    let mut other = Net::new(1).to_dtype(DType::F64);
    other.load_state_dict(&loaded).expect("the same class");
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(other.hidden.weight.dtype(), DType::F64, "the module's dtype counts");
    for (name, x) in net.state_dict().iter() {
        let found = &loaded[name];
        assert_eq!(found.aval(), x.aval(), "{name}");
        let (f, e) = (found.convert(DType::F64), x.convert(DType::F64));
        assert_eq!(f.to_vec::<f64>().expect("values"), e.to_vec::<f64>().expect("values"), "{name}");
    }
}

#[test]
fn files_that_are_none_and_states_without_values() {
    let e = text(State::load("no/such/file.safetensors").expect_err("no file"));
    assert!(e.contains("no/such/file.safetensors"), "{e}");
    let state = State::from_iter([("w", Tensor::abstract_(DType::F32, [2]))]);
    let e = text(state.save(std::env::temp_dir().join("never.safetensors")).expect_err("no values"));
    assert!(e.contains("`w` has no values to save"), "{e}");
}

#[test]
fn dropout_follows_its_key() {
    let x = Tensor::from(vec![1.0f32; 10_000]);
    let pass = |seed: i64| values(&Dropout::new(0.25).forward_in(&x, &mut Pass::train(Key::new(seed))));
    let y = pass(0);
    assert_eq!(y, pass(0));
    assert_ne!(y, pass(1));
    let kept = y.iter().filter(|v| **v != 0.0).count();
    assert!((kept as f64 / 1e4 - 0.75).abs() < 0.02, "{kept}");
    assert!(y.iter().all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6));
    let e =
        Dropout::new(1.5).forward_in(&x, &mut Pass::train(Key::new(0))).ok().expect_err("no probability").to_string();
    assert!(e.contains("dropout"), "{e}");
}

#[test]
fn channel_dropout_drops_whole_channels() {
    let x = Tensor::from(vec![1.0f32; 8 * 16 * 5]).view([8, 16, 5]);
    let y = values(&Dropout1d::new(0.5).forward_in(&x, &mut Pass::train(Key::new(0))));
    let channels: Vec<&[f32]> = y.chunks(5).collect();
    assert!(channels.iter().all(|c| c.iter().all(|v| v == &c[0]) && (c[0] == 0.0 || c[0] == 2.0)));
    let kept = channels.iter().filter(|c| c[0] > 0.0).count();
    assert!((40..=88).contains(&kept), "{kept} of 128");
}

#[test]
fn dropouts_in_a_pass_are_independent_and_can_be_mapped() {
    let net = Sequential::new().then(Dropout::new(0.5)).then(Dropout::new(0.5));
    let x = Tensor::from(vec![1.0f32; 4000]);
    let kept = values(&net.clone().forward_in(&x, &mut Pass::train(Key::new(0)))).iter().filter(|v| **v > 0.0).count();
    assert!((kept as f64 / 4000.0 - 0.25).abs() < 0.03, "{kept}");
    let each = vmap(|key: Key, x: Tensor| net.clone().forward_in(&x, &mut Pass::train(key))).in_dims((Some(0), None));
    let rows = each.call((Key::new(1).split_stacked(2), x)).expect("two rows");
    assert_ne!(values(&rows.select(0, 0)), values(&rows.select(0, 1)));
}

#[test]
fn mistakes_in_layers_are_labelled() {
    let x = Tensor::from([[1.0f32, 2.0]]);
    let keys = &mut Keys::new(0);
    let label = |y: Tensor| y.ok().expect_err("a mistake").to_string();
    assert!(label(BatchNorm2d::new(2).evaluate(&x)).contains("expected a tensor [n, c, h, w]"));
    assert!(label(InstanceNorm1d::new(2).evaluate(&Tensor::from(1.0f32))).contains("expected a tensor [n, c, l]"));
    let wide = MultiheadAttention::with_dims(2, 1, 3, 2, keys);
    let (_, weights) =
        wide.forward_with_weights(&x, &x, &x, Masks::default(), AttentionWeights::Averaged, &mut Pass::eval());
    assert!(label(weights).contains("expected inputs [l, n, 3]"));
    let attention = MultiheadAttention::new(4, 3, keys);
    let y = Tensor::from([[1.0f32, 2.0, 3.0, 4.0]]);
    assert!(label(attention.forward(&y, &y, &y, Masks::default(), &mut Pass::eval())).contains("heads that divide 4"));
    let lstm = Lstm::new(RecurrentOptions::new(2, 3), keys);
    let (h, c) = (Tensor::from([[0.0f32; 3]]), Tensor::from([[0.0f32; 2]]));
    assert!(label(lstm.forward(&x, Some((&h, &c)), &mut Pass::eval()).0).contains("a state of shape"));
    assert!(label(Linear::new(3, 1, keys).forward(&x)).contains("linear"));
}
