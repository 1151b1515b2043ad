//! Optimisers, schedules and clipping against PyTorch, step by step: `fixtures/make_nn_fixtures.py` says what is recorded.

use cotangent::optim::*;
use cotangent::prelude::*;
use serde_json::Value;

#[derive(Clone, Debug, Tree)]
struct Params {
    w: Tensor,
    b: Tensor,
}

fn start() -> Params {
    Params { w: Tensor::from([[0.5f64, -1.0, 2.0], [1.5, 0.1, -0.7]]), b: Tensor::from([0.3f64, -0.2, 0.9]) }
}

fn loss(p: Params) -> Tensor {
    let Params { w, b } = p;
    (&w * 1.3).sin().sum() + (&w * &w).sum() * 0.3 + b.exp().sum() * 0.2 - (b * w.select(0, 0)).sum()
}

/// What PyTorch recorded: after each step the learning rate that it used, and the parameters.
fn recorded(name: &str) -> Vec<(f64, [Vec<f64>; 2])> {
    let text = include_str!("../../fixtures/optim.json");
    let all: Value = serde_json::from_str(text).expect("well-formed");
    let numbers = |v: &Value| v.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number")).collect();
    let steps = all[name].as_array().expect("a recorded path");
    steps.iter().map(|s| (s["lr"].as_f64().expect("a rate"), [numbers(&s["w"]), numbers(&s["b"])])).collect()
}

fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= 1e-11 * e.abs().max(1.0), "{what}: {found:?} and {expected:?}");
    }
}

/// Follows the recorded path by `step`, compiled as one program.
fn follow<S: Tree + Clone>(
    name: &str,
    mut state: S,
    step: impl Fn(&Params, &Params, &S) -> Result<(Params, S), Error>,
) {
    let compiled = jit(|params: Params, state: S| {
        let grads = grad(loss).call((params.clone(),))?;
        step(&params, &grads, &state)
    });
    let mut params = start();
    let path = recorded(name);
    assert_eq!(path.len(), 20);
    for (i, (_, [w, b])) in path.iter().enumerate() {
        (params, state) = compiled.call((params, state)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_close(&format!("{name}, w after step {i}"), &params.w.to_vec::<f64>().expect("values"), w);
        assert_close(&format!("{name}, b after step {i}"), &params.b.to_vec::<f64>().expect("values"), b);
    }
    assert_eq!(compiled.compilations(), 1, "{name}: a step is compiled once");
}

macro_rules! follows { ($($test:ident { $($name:literal => $optimiser:expr;)* })*) => { $(
    #[test]
    fn $test() {
        $({
            let optimiser = $optimiser;
            follow($name, optimiser.init(&start()), |p, g, s| optimiser.step(p, g, s));
        })*
    }
)* } }
follows! {
    sgd {
        "sgd" => Sgd::new(0.1);
        "sgd_weight_decay" => Sgd::new(0.1).with_weight_decay(0.05);
        "sgd_momentum" => Sgd::new(0.05).with_momentum(0.9);
        "sgd_dampening" => Sgd { dampening: 0.3, ..Sgd::new(0.05).with_momentum(0.9).with_weight_decay(0.01) };
        "sgd_nesterov" => Sgd::new(0.05).with_nesterov(0.9).with_weight_decay(0.01);
    }
    adam {
        "adam" => Adam::new(0.1);
        "adam_weight_decay" => Adam { betas: (0.8, 0.95), eps: 1e-6, ..Adam::new(0.1).with_weight_decay(0.05) };
        "adam_amsgrad" => Adam::new(0.1).with_amsgrad();
    }
    adamw {
        "adamw" => AdamW::new(0.1);
        "adamw_amsgrad" => AdamW::new(0.1).with_weight_decay(0.1).with_amsgrad();
    }
    rmsprop {
        "rmsprop" => RmsProp::new(0.02);
        "rmsprop_momentum" => RmsProp { alpha: 0.9, ..RmsProp::new(0.01).with_momentum(0.8).with_weight_decay(0.02) };
        "rmsprop_centered" => RmsProp::new(0.01).with_centering();
        "rmsprop_centered_momentum" => RmsProp { alpha: 0.95, ..RmsProp::new(0.01).with_momentum(0.5).with_centering() };
    }
    schedules {
        "step_lr" => Sgd::new(Schedule::constant(0.1).step(5, 0.5));
        "exponential_lr" => Sgd::new(Schedule::constant(0.1).exponential(0.9));
        "cosine_annealing_lr" => Sgd::new(Schedule::constant(0.1).cosine(20));
        "cosine_annealing_lr_to" => Sgd::new(Schedule::constant(0.1).cosine_to(15, 0.1));
        "linear_lr" => Sgd::new(Schedule::constant(0.1).warmup(8, 0.25));
        "one_cycle_lr" => Sgd::new(Schedule::one_cycle(0.2, 20));
        "chained" => Sgd::new(Schedule::constant(0.1).warmup(4, 0.1).step(6, 0.3));
    }
}

#[test]
fn rates_are_those_that_pytorch_used() {
    let constant = Schedule::constant;
    let schedules = [
        ("step_lr", constant(0.1).step(5, 0.5)),
        ("exponential_lr", constant(0.1).exponential(0.9)),
        ("cosine_annealing_lr", constant(0.1).cosine(20)),
        ("linear_lr", constant(0.1).warmup(8, 0.25)),
        ("one_cycle_lr", Schedule::one_cycle(0.2, 20)),
        ("chained", constant(0.1).warmup(4, 0.1).step(6, 0.3)),
    ];
    for (name, schedule) in schedules {
        let (found, expected): (Vec<f64>, Vec<f64>) =
            recorded(name).iter().enumerate().map(|(i, (rate, _))| (schedule.value(i), *rate)).unzip();
        assert_close(name, &found, &expected);
    }
    let by_epoch = constant(1.0).step(1, 0.5).every(10);
    assert_eq!([0, 9, 10, 25].map(|i| by_epoch.value(i)), [1.0, 1.0, 0.5, 0.25]);
}

#[test]
fn clipping() {
    let sgd = Sgd::new(0.1);
    follow("clip_norm", sgd.init(&start()), |p, g, s| sgd.step(p, &clip_by_norm(g, 1.0)?.0, s));
    follow("clip_value", sgd.init(&start()), |p, g, s| sgd.step(p, &clip_by_value(g, 0.5), s));
}

#[test]
fn clipping_for_each_example_is_clipping_of_each() {
    let grads = (Tensor::from([[3.0f64, 4.0], [0.3, 0.4]]), Tensor::from([12.0f64, 0.0]));
    let (clipped, norms) = clip_per_sample(&grads, 1.0).expect("two examples");
    assert_close("norms", &norms.to_vec::<f64>().expect("values"), &[13.0, 0.5]);
    let factor = 1.0 / (13.0 + 1e-6);
    assert_close("a", &clipped.0.to_vec::<f64>().expect("values"), &[3.0 * factor, 4.0 * factor, 0.3, 0.4]);
    assert_close("b", &clipped.1.to_vec::<f64>().expect("values"), &[12.0 * factor, 0.0]);
    let unlike = (Tensor::from([[1.0f64]]), Tensor::from([1.0f64, 2.0]));
    assert!(clip_per_sample(&unlike, 1.0).is_err());
}

#[test]
fn an_optimiser_is_a_function() {
    // It can be mapped and differentiated: how the loss after three steps depends on the start.
    let sgd = Sgd::new(0.05).with_momentum(0.5);
    let trained = |p: Params| {
        let (mut p, mut state) = (p.clone(), sgd.init(&p));
        for _ in 0..3 {
            let grads = grad(loss).call((p.clone(),))?;
            (p, state) = sgd.step(&p, &grads, &state)?;
        }
        Ok::<_, Error>(loss(p))
    };
    let sensitivity = grad(trained).call((start(),)).expect("a gradient");
    let h = 1e-6;
    let moved = |by: f64| {
        let p = start();
        let unit = Tensor::from([by, 0.0, 0.0]);
        trained(Params { b: p.b + unit, w: p.w }).expect("a loss").item::<f64>().expect("a number")
    };
    let difference = (moved(h) - moved(-h)) / (2.0 * h);
    let found = sensitivity.b.to_vec::<f64>().expect("values")[0];
    assert!((found - difference).abs() < 1e-7, "{found} and {difference}");
}

#[test]
fn half_precision_parameters_keep_their_dtype() {
    let p = Params { w: start().w.convert(DType::BF16), b: start().b.convert(DType::F32) };
    let adam = Adam::new(0.1);
    let grads = grad(|p: Params| p.w.sum().convert(DType::F32) + p.b.sum()).call((p.clone(),)).expect("gradients");
    let (p, state) = adam.step(&p, &grads, &adam.init(&p)).expect("a step");
    assert_eq!([p.w.dtype(), p.b.dtype()], [DType::BF16, DType::F32]);
    assert_eq!([state.exp_avg.w.dtype(), state.exp_avg_sq.b.dtype()], [DType::BF16, DType::F32]);
}

#[test]
fn what_does_not_fit_is_named() {
    let (p, sgd) = (start(), Sgd::new(0.1));
    let grads = Params { w: Tensor::from([0.0f64]), b: p.b.clone() };
    let e = sgd.step(&p, &grads, &sgd.init(&p)).unwrap_err().to_string();
    assert!(e.contains("grads") && e.contains("f64[2,3]") && e.contains("f64[1]"), "{e}");
    let list = |n: usize| vec![Tensor::from(1.0f64); n];
    let e = sgd.step(&list(2), &list(1), &sgd.init(&list(2))).unwrap_err().to_string();
    assert!(e.contains("grads"), "{e}");
}
