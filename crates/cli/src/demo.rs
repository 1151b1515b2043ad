//! What the command does without arguments: the first example of the README, from function to machine code and numbers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cotangent::prelude::*;
use cotangent::transform::eval::eval;
use miette::{Report, Result};

use crate::say::say;

/// Traces the gradient of `sum(sin x)` on 100 elements, prints it before and after simplification and as loops, compiles it, and compares
/// values and time with those of the reference evaluator.
pub fn run() -> Result<()> {
    let f = |x: Tensor| x.sin().sum();
    let x = Tensor::from_vec((0..100).map(|i| i as f32 / 10.0).collect::<Vec<f32>>(), [100]);

    let raw = make_fx_with(CaptureOptions::raw(), grad(f), (x.clone(),)).map_err(Report::new)?;
    say!("f = |x| x.sin().sum()   on f32[100]");
    say!("\nmake_fx(grad(f)), as traced:{}", raw.code());
    let graph = make_fx(grad(f), (x.clone(),)).map_err(Report::new)?;
    say!("make_fx(grad(f)), simplified:{}", graph.code());

    let begin = Instant::now();
    let lowered = jit(grad(f)).lower((x.clone(),)).map_err(Report::new)?;
    say!("jit(grad(f)), as loops:\n\n{}", lowered.as_text());
    let compiled = lowered.compile().map_err(Report::new)?;
    let first = begin.elapsed();

    let dx = compiled.call((x.clone(),)).map_err(Report::new)?.to_vec::<f32>().map_err(Report::new)?;
    let array = x.as_array().ok_or_else(|| miette::miette!("expected a tensor with values"))?;
    let evaluated = eval(&graph, std::slice::from_ref(array)).map_err(Report::new)?;
    let worst = dx.iter().zip(evaluated[0].to_f64_vec()).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    say!("grad(f)(x)[..4] = {:?}", &dx[..4]);
    say!("largest difference from the evaluator: {worst:e}\n");

    say!("traced, differentiated, simplified and compiled in {first:.1?}, {} bytes of code", compiled.code_bytes());
    say!("a call of the compiled program: {:.1?}", fastest(|| compiled.call((x.clone(),))));
    say!("a call of the evaluator:        {:.1?}", fastest(|| eval(&graph, std::slice::from_ref(array))));
    Ok(())
}

/// The time of a call, as the best of several rounds.
fn fastest<T>(mut call: impl FnMut() -> T) -> Duration {
    const CALLS: u32 = 1_000;
    let round = |_| {
        let begin = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        begin.elapsed() / CALLS
    };
    (0..5).map(round).min().unwrap_or_default()
}
