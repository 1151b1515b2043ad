//! How the front half scales: a chain of elementwise operations is traced, differentiated, simplified and printed.
//!
//! `cargo bench -p cotangent-benches --bench scale`. Times are medians of the rounds, in milliseconds; the ratio compares with half
//! the size. Peak memory is that of the process so far.

use std::time::Instant;

use cotangent::prelude::*;
use cotangent::simplify::simplify;
use cotangent::text::ir;
use cotangent::transform::grad::grad_and_value;
use cotangent_benches::workloads::scaling::ops_chain;

const ROUNDS: usize = 5;

/// The sum of a chain of `n` operations, none of which folds or merges with another.
fn chain(n: usize) -> impl Fn(Tensor) -> Tensor {
    move |x| ops_chain(n)(x).sum()
}

/// The median time of `f` in milliseconds, and its last result.
fn time<T>(f: impl Fn() -> T) -> (f64, T) {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let result = f();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        last = Some(result);
    }
    times.sort_by(f64::total_cmp);
    (times[ROUNDS / 2], last.expect("at least one round"))
}

/// The process's peak resident memory in megabytes, where the system tells.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kb| kb / 1024.0)
}

fn main() -> Result<(), Error> {
    println!(
        "{:>9} {:>9} {:>9} {:>12} {:>9} {:>9} {:>9}  ratio to half",
        "nodes", "trace", "grad", "simplify", "code", "ir", "parse"
    );
    let mut before: Option<[f64; 6]> = None;
    for nodes in [12_500, 25_000, 50_000, 100_000] {
        // Five operations of the chain are seven nodes: a number is one of its own.
        let n = nodes * 5 / 7;
        let x = Tensor::abstract_(DType::F32, [64]);
        let (trace, graph) = time(|| make_fx_with(CaptureOptions::raw(), chain(n), (x.clone(),)));
        let graph = graph?;
        let (grad, gradient) = time(|| grad_and_value(&graph, &[0]));
        let gradient = gradient?;
        let (simplified, small) = time(|| simplify(&gradient));
        let (code, _) = time(|| small.code());
        let (print, text) = time(|| ir::print(&small));
        let (parse, _) = time(|| ir::parse("chain", &text));
        let now = [trace, grad, simplified, code, print, parse];
        let ratios = before.map_or(String::new(), |b| {
            now.iter().zip(b).map(|(n, b)| format!("{:.1}", n / b)).collect::<Vec<_>>().join(" ")
        });
        println!(
            "{:>9} {trace:>9.0} {grad:>9.0} {simplified:>12.0} {code:>9.0} {print:>9.0} {parse:>9.0}  {ratios}",
            graph.len()
        );
        println!("          gradient: {} nodes, simplified {}", gradient.len(), small.len());
        before = Some(now);
    }
    if let Some(mb) = peak_mb() {
        println!("peak memory {mb:.0} MB");
    }
    Ok(())
}
