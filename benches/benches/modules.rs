//! What modules cost in time: training steps written with modules beside the same ones written with plain tensors.
//!
//! `cargo bench -p cotangent-benches --bench modules`. Calls of both alternate; a ratio is the median with modules by that without.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cotangent::function::{Arguments, Function};
use cotangent::prelude::*;
use cotangent_benches::steps::{self, Visit};

/// For how long a pair is called.
const TIME: Duration = Duration::from_secs(2);

/// Times a pair.
struct Times;

impl Visit for Times {
    fn f32s(&self, shape: &[usize]) -> Tensor {
        Key::new(shape.len() as i64).rand(shape) - 0.5
    }

    fn labels(&self, n: usize, classes: i64) -> Tensor {
        Tensor::from((0..n as i64).map(|i| i * 7 % classes).collect::<Vec<_>>())
    }

    fn pair<A, B, F, G>(&self, name: &str, with_modules: (F, A), with_tensors: (G, B))
    where
        A: Arguments + Clone,
        B: Arguments + Clone,
        F: Function<A>,
        G: Function<B>,
    {
        let (f, g) = (jit(with_modules.0), jit(with_tensors.0));
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let start = Instant::now();
        while with.len() < 5 || start.elapsed() < TIME {
            with.push(time(|| f.call(with_modules.1.clone())));
            without.push(time(|| g.call(with_tensors.1.clone())));
        }
        let (with, without) = (median(with), median(without));
        println!("{name:<22} {with:>10.1} {without:>10.1} {:>7.3}", with / without);
    }
}

/// The time of a call in µs.
fn time<T>(call: impl FnOnce() -> Result<T, Error>) -> f64 {
    let start = Instant::now();
    let result = black_box(call());
    let time = start.elapsed().as_secs_f64() * 1e6;
    result.expect("a step runs");
    time
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    println!("{:<22} {:>10} {:>10} {:>7}", "step", "modules", "tensors", "ratio");
    steps::mlp_train_step(&Times);
    steps::ensemble_train(&Times);
    steps::per_sample_grad_mlp(&Times);
    steps::per_sample_grad_cnn(&Times);
    steps::maml(&Times);
    steps::lj_net_grad(&Times);
    steps::ntk_contract_and_ntk_vps(&Times);
}
