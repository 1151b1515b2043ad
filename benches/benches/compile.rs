//! What it costs to compile, by size of the graph, and to call what was compiled.
//!
//! `cargo bench -p cotangent-benches --bench compile`. The chains have five operations in turn, each of which is needed; compile time
//! should grow linearly. Throughput is in operations.

use cotangent::prelude::*;
use cotangent_benches::workloads::scaling::ops_chain;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn x(n: usize) -> Tensor {
    Tensor::from((0..n).map(|i| i as f32 * 0.01 - 0.3).collect::<Vec<f32>>())
}

/// Tracing, simplifying, compiling, and the first call.
#[divan::bench(args = [10, 100, 1000, 5000, 20_000, 50_000, 100_000], sample_count = 10, sample_size = 1)]
fn first_call(bencher: Bencher, ops: usize) {
    let x = x(64);
    bencher.counter(ItemsCount::new(ops)).bench(|| jit(ops_chain(ops)).call((x.clone(),)));
}

/// As `first_call`, of the gradient.
#[divan::bench(args = [10, 100, 1000, 5000], sample_count = 10, sample_size = 1)]
fn first_call_of_gradient(bencher: Bencher, ops: usize) {
    let x = x(64);
    let gradient = || jit(grad(move |x: Tensor| ops_chain(ops)(x).sum()));
    bencher.counter(ItemsCount::new(ops)).bench(|| gradient().call((x.clone(),)));
}

/// A call on a scalar.
#[divan::bench]
fn call_scalar(bencher: Bencher) {
    let f = jit(|x: Tensor| x * 2.0 + 1.0);
    let x = Tensor::from(1.0f32);
    f.call((x.clone(),)).expect("compiles");
    bencher.bench(|| f.call((black_box(&x).clone(),)));
}

/// As `call_scalar`, with the result in the memory of the last one.
#[divan::bench]
fn call_scalar_into(bencher: Bencher) {
    let f = jit(|x: Tensor| x * 2.0 + 1.0);
    let args = (Tensor::from(1.0f32),);
    let mut out = f.call(args.clone()).expect("compiles");
    bencher.bench_local(|| f.call_into(black_box(&args), &mut out));
}

/// A call with so many arguments, one result each.
#[divan::bench(args = [1, 4, 16, 64])]
fn call_tree(bencher: Bencher, leaves: usize) {
    let f = jit(|xs: Vec<Tensor>| xs.into_iter().map(|x| x + 1.0).collect::<Vec<Tensor>>());
    let xs = vec![x(8); leaves];
    f.call((xs.clone(),)).expect("compiles");
    bencher.bench(|| f.call((black_box(&xs).clone(),)));
}

/// A call of compiled code from several threads at once.
#[divan::bench(threads = [1, 2, 4])]
fn call_from_threads(bencher: Bencher) {
    let f = jit(|x: Tensor| x * 2.0 + 1.0);
    let x = Tensor::from(1.0f32);
    f.call((x.clone(),)).expect("compiles");
    bencher.bench(|| f.call((black_box(&x).clone(),)));
}
