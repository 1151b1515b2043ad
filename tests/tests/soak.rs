//! Many threads that call one program and compile others, for a while: no wrong result, no growth of memory.
//!
//! Two seconds by default; `COTANGENT_SOAK_SECONDS=60 cargo test --release -p cotangent-tests --test soak -- --nocapture` is the long run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cotangent::prelude::*;

const THREADS: usize = 8;
/// What the process may grow by after the first half of the time, in MB: pools and caches are full by then.
const GROWTH: f64 = 24.0;

fn seconds() -> f64 {
    std::env::var("COTANGENT_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2.0)
}

/// The resident memory of this process, where the system tells.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec::<f32>().expect("f32 values")
}

/// What all threads call: products, rows, reductions and a derivative.
fn shared(w: Tensor, x: Tensor) -> Result<(Tensor, Tensor), Error> {
    let loss = |w: Tensor| x.matmul(&w).softmax(1).square().sum();
    let (dw, loss) = grad_and_value(loss).call((w,))?;
    Ok((dw, loss))
}

/// A program of its own for each `i`: another shape, and other constants.
fn own(i: usize) -> Result<(), Error> {
    let (n, c) = (1 + i % 97, i as f32);
    let x: Vec<f32> = (0..n).map(|j| j as f32 * 0.25 - 3.0).collect();
    let f = jit(vmap(grad(move |x: Tensor| (&x * c + x.square() * &x).abs())));
    let found = values(&f.call((Tensor::from(x.clone()),))?);
    for (x, found) in x.iter().zip(found) {
        let (value, slope) = (x * c + x * x * x, c + 3.0 * x * x);
        let expected = if value == 0.0 { 0.0 } else { slope * value.signum() };
        assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{i}: {found} and {expected} at {x}");
    }
    Ok(())
}

#[test]
fn eight_threads_call_and_compile() {
    let time = Duration::from_secs_f64(seconds());
    let program = jit(shared);
    let inputs: Vec<(Tensor, Tensor)> =
        (0..4).map(|i| (Key::new(i).randn([32, 16]), Key::new(10 + i).randn([8 + 4 * i as usize, 32]))).collect();
    let expected: Vec<(Vec<f32>, Vec<f32>)> = inputs
        .iter()
        .map(|(w, x)| program.call((w.clone(), x.clone())).map(|(dw, loss)| (values(&dw), values(&loss))))
        .collect::<Result<_, _>>()
        .expect("results");

    let (stop, calls, compiled) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let half = std::thread::scope(|s| {
        for thread in 0..THREADS {
            let (program, inputs, expected) = (&program, &inputs, &expected);
            let (stop, calls, compiled) = (&stop, &calls, &compiled);
            s.spawn(move || {
                let mut old = program.call(inputs[0].clone()).expect("a result");
                for round in thread.. {
                    for _ in 0..50 {
                        let i = round % inputs.len();
                        let (dw, loss) = program.call(inputs[i].clone()).expect("a result");
                        assert_eq!((values(&dw), values(&loss)), expected[i], "input {i}");
                        program.call_into(&inputs[i], &mut old).expect("a result");
                        assert_eq!((values(&old.0), values(&old.1)), expected[i], "input {i}, into old results");
                    }
                    own(round * THREADS + thread).expect("a program");
                    calls.fetch_add(100, Ordering::Relaxed);
                    compiled.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let start = Instant::now();
        std::thread::sleep(time / 2);
        let half = resident_mb();
        std::thread::sleep(time.saturating_sub(start.elapsed()));
        stop.store(true, Ordering::Relaxed);
        half
    });
    let end = resident_mb();
    println!(
        "{} calls and {} programs in {time:.0?}; resident {half:.1?} MB after half of the time, {end:.1?} MB at the end",
        calls.into_inner(),
        compiled.into_inner()
    );
    assert_eq!(program.compilations(), inputs.len());
    if let Some((half, end)) = half.zip(end) {
        assert!(end - half < GROWTH, "{half:.1} MB after half of the time, {end:.1} MB at the end");
    }
}
