//! Calls of compiled functions: what they allocate, donated arguments, results into old memory, many threads at once.

use std::alloc::System;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};

use cotangent::prelude::*;
use cotangent_tests::random_graph::{Config, random_args, random_graph};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations are counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fewest allocations of one of many runs of `f`: helpers of the pool warm up at their own time.
fn allocations(mut f: impl FnMut()) -> usize {
    for _ in 0..20 {
        f();
    }
    let once = |f: &mut dyn FnMut()| {
        let region = Region::new(ALLOCATOR);
        f();
        let change = region.change();
        change.allocations + change.reallocations
    };
    (0..50).map(|_| once(&mut f)).min().expect("fifty runs")
}

fn floats(n: usize, seed: i64) -> Tensor {
    Key::new(seed).randn([n])
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec::<f32>().expect("f32 values")
}

#[test]
fn warm_calls_into_old_results_allocate_nothing() {
    let _alone = alone();
    let scalar = jit(grad(|x: Tensor| x.sin() * &x));
    let args = (Tensor::from(0.5f32),);
    let mut out = scalar.call(args.clone()).expect("a result");
    assert_eq!(allocations(|| scalar.call_into(&args, &mut out).expect("a result")), 0);
    assert_eq!(values(&out), [0.5f32.cos() * 0.5 + 0.5f32.sin()]);

    let many = jit(|xs: Vec<Tensor>, (y, z): (Tensor, Option<Tensor>)| {
        let z = z.expect("given");
        let sums = xs.iter().map(|x| x * &y + &z).collect::<Vec<_>>();
        (sums, (y.sum(), z.exp()))
    });
    let args = (vec![floats(7, 0), floats(7, 1)], (floats(7, 2), Some(floats(7, 3))));
    let mut out = many.call(args.clone()).expect("results");
    assert_eq!(allocations(|| many.call_into(&args, &mut out).expect("results")), 0);

    // What a call makes anew are the tensors themselves, not their elements.
    let large = (floats(100, 4),);
    let exp = jit(|x: Tensor| x.exp());
    let few = allocations(|| drop(exp.call(large.clone()).expect("a result")));
    assert!(few <= 2, "{few} allocations");
}

#[test]
fn warm_calls_with_small_results_allocate_nothing() {
    let _alone = alone();
    let scalar = jit(grad(|x: Tensor| x.sin() * &x));
    let x = Tensor::from(0.5f32);
    assert_eq!(allocations(|| drop(scalar.call((x.clone(),)).expect("a result"))), 0);

    let several = jit(|x: Tensor| (&x + 1.0, x.sum(), x.gt(0.0)));
    let x = floats(3, 0);
    let all = allocations(|| drop(several.call((x.clone(),)).expect("results")));
    assert!(all <= 2, "{all} allocations: truth values are made anew");

    // A result that somebody has keeps its elements.
    let double = jit(|x: Tensor| x * 2.0);
    let held: Vec<Tensor> = (0..30).map(|i| double.call((Tensor::from(i as f32),)).expect("a result")).collect();
    assert!(held.iter().enumerate().all(|(i, x)| values(x) == [2.0 * i as f32]));
}

#[test]
fn results_go_into_memory_that_fits_and_is_not_shared() {
    let _alone = alone();
    let f = jit(|x: Tensor| (&x + 1.0, x.sum()));
    let x = floats(100, 0);
    let expected: Vec<f32> = values(&x).iter().map(|x| x + 1.0).collect();
    let shared = Tensor::from(vec![7.0f32; 100]);
    let mut out = (shared.clone(), Tensor::from(vec![0i64; 3]));
    f.call_into(&(x.clone(),), &mut out).expect("results");
    assert_eq!(values(&out.0), expected);
    assert_eq!(out.1.aval().to_string(), "f32[]");
    assert_eq!(values(&shared), [7.0; 100], "somebody else has it");
    // Inside a trace the function is itself.
    let gradient = grad(|x: Tensor| {
        let mut out = (x.clone(), x.clone());
        f.call_into(&(x,), &mut out)?;
        Ok::<_, Error>(out.1)
    });
    assert_eq!(values(&gradient.call((x,)).expect("a gradient")), [1.0; 100]);
}

fn sgd(w: Tensor, b: Tensor, x: Tensor) -> Result<(Tensor, Tensor, Tensor), Error> {
    let loss = |(w, b): (Tensor, Tensor)| (x.matmul(&w) + b).tanh().square().mean();
    let ((dw, db), loss) = grad_and_value(loss).call(((w.clone(), b.clone()),))?;
    Ok((w - dw * 0.1, b - db * 0.1, loss))
}

#[test]
fn a_donated_step_equals_the_plain_one_and_makes_no_parameters() {
    let _alone = alone();
    let n = 300;
    let start = || (floats(n * n, 0).view([n, n]), floats(n, 1));
    let x = floats(20 * n, 2).view([20, n]);
    let (plain, donating) = (jit(sgd), jit(sgd).donate([0, 1]));
    let (mut p, mut d) = (start(), start());
    for _ in 0..3 {
        let (w, b, loss) = plain.call((p.0, p.1, x.clone())).expect("a step");
        let (v, c, same) = donating.call((d.0, d.1, x.clone())).expect("a step");
        assert_eq!((values(&w), values(&b), values(&loss)), (values(&v), values(&c), values(&same)));
        (p, d) = ((w, b), (v, c));
    }
    let peak = |f: cotangent::jit::Lowered<_, _>| f.compile().expect("machine code").peak_bytes();
    let abstract_ = || (Tensor::abstract_(DType::F32, [n, n]), Tensor::abstract_(DType::F32, [n]), x.clone());
    let (with, without) =
        (peak(donating.lower(abstract_()).expect("loops")), peak(plain.lower(abstract_()).expect("loops")));
    assert!(with + n * n * 4 <= without, "{with} bytes with donation, {without} without");

    // Blocks are only taken from the pool, and the donated memory is that of the new parameters.
    let address = |x: &Tensor| x.as_array().expect("values").data().bytes().as_ptr();
    let before = (address(&d.0), address(&d.1));
    let (w, b, _) = donating.call((d.0, d.1, x.clone())).expect("a step");
    assert_eq!((address(&w), address(&b)), before);

    let mut state = Some((w, b));
    for _ in 0..20 {
        let region = Region::new(ALLOCATOR);
        let (w, b) = state.take().expect("the last step's");
        let (w, b, _) = donating.call((w, b, x.clone())).expect("a step");
        state = Some((w, b));
        let bytes = region.change().bytes_allocated;
        assert!(bytes < n * 4, "{bytes} bytes: less than the smallest parameter takes");
    }
}

#[test]
fn donated_tensors_that_somebody_has_are_not_touched() {
    let _alone = alone();
    let f = jit(|x: Tensor, y: Tensor| x * 2.0 + y).donate([0, 1]);
    let (x, y) = (floats(50, 0), floats(50, 1));
    let (xs, ys) = (values(&x), values(&y));
    for _ in 0..3 {
        let z = f.call((x.clone(), y.clone())).expect("a sum");
        assert!(values(&z).iter().zip(xs.iter().zip(&ys)).all(|(z, (x, y))| *z == x * 2.0 + y));
    }
    assert_eq!((values(&x), values(&y)), (xs.clone(), ys.clone()));
    // One tensor twice is shared by itself.
    let z = f.call((x.clone(), x)).expect("a sum");
    assert!(values(&z).iter().zip(&xs).all(|(z, x)| *z == x * 3.0));
}

/// Programs whose results cannot simply be written over their arguments.
#[test]
fn donated_memory_is_written_after_it_is_read() {
    let _alone = alone();
    let n = 64usize;
    let args = || (floats(n * n, 0).view([n, n]), floats(n * n, 1).view([n, n]));
    type Two = fn(Tensor, Tensor) -> (Tensor, Tensor);
    let programs: [(&str, Two); 9] = [
        ("transposed", |x, y| (x.t() + &y, y)),
        ("swapped", |x, y| (&y + 1.0, x + 1.0)),
        ("as they are", |x, y| (y, x)),
        ("products", |x, y| (x.matmul(&y), y.matmul(&x))),
        ("flipped", |x, y| (x.flip([0i64]), y.flip([1i64]) * x)),
        ("softmax", |x, y| (x.softmax(1), y.softmax(0) + x)),
        ("of sums", |x, y| (&x - x.sum_dim(0), &y * y.mean_dim(1).unsqueeze(1))),
        ("updated late", |x, y| {
            let z = x.matmul(&x).tanh();
            (&x - z.matmul(&y) * 0.1, &y - z.t().matmul(&x) * 0.1)
        }),
        ("rolled", |x, y| (x.roll(&[1], &[0]) + &x, y.cumsum(0))),
    ];
    for (name, f) in programs {
        let (a, b) = jit(f).call(args()).expect("results");
        let donating = jit(f).donate([0, 1]);
        for round in 0..2 {
            let (c, d) = donating.call(args()).expect("results");
            assert_eq!((values(&a), values(&b)), (values(&c), values(&d)), "{name}, round {round}");
        }
        let compiled = jit(f).donate([0]).lower(args()).expect("loops").compile().expect("code");
        let (c, d) = compiled.call(args()).expect("results");
        assert_eq!((values(&a), values(&b)), (values(&c), values(&d)), "{name}, step by step");
    }
}

/// Random graphs, all of whose arguments are donated, give the bits that they give otherwise.
#[test]
fn random_graphs_may_overwrite_their_arguments() {
    let _alone = alone();
    let mut in_place = 0;
    for seed in 0..400 {
        let graph = random_graph(seed, Config::ALL);
        let args = || -> Vec<Tensor> { random_args(seed, &graph).into_iter().map(Tensor::from_array).collect() };
        let address = |x: &Tensor| x.as_array().map(|a| a.data().bytes().as_ptr() as usize);
        let given = args();
        let before: Vec<Option<usize>> = given.iter().filter(|x| x.numel() > 0).map(address).collect();
        let bits = |results: &[Tensor]| -> Vec<Vec<u8>> {
            results.iter().map(|x| x.as_array().expect("values").data().bytes().to_vec()).collect()
        };
        match (jit(&graph).call((args(),)), jit(&graph).donate([0]).call((given,))) {
            (Ok(plain), Ok(donated)) => {
                assert_eq!(bits(&plain), bits(&donated), "seed {seed}\n{graph}");
                in_place += donated.iter().filter(|x| x.numel() > 0 && before.contains(&address(x))).count();
            }
            (Err(_), Err(_)) => {}
            (plain, donated) => panic!("seed {seed}: {plain:?} and {donated:?}"),
        }
    }
    assert!(in_place > 50, "{in_place} results stand in the memory of an argument");
}

#[test]
fn an_argument_that_is_not_there_cannot_be_donated() {
    let _alone = alone();
    let e = jit(|x: Tensor| x).donate([1]).call((Tensor::from(1.0f32),)).expect_err("one argument");
    assert_eq!(e.to_string(), "jit: expected donated arguments below 1, found 1");
}

#[test]
fn threads_that_need_a_program_at_once_compile_it_once() {
    let _alone = alone();
    let traced = AtomicUsize::new(0);
    let f = jit(|x: Tensor| {
        traced.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(std::time::Duration::from_millis(20));
        x.exp()
    });
    let all = Barrier::new(4);
    std::thread::scope(|s| {
        for i in 0..4 {
            let (f, all) = (&f, &all);
            s.spawn(move || {
                all.wait();
                for n in [3, 4] {
                    let y = f.call((Tensor::from(vec![i as f32; n]),)).expect("a result");
                    assert!(values(&y).iter().all(|y| (y / (i as f32).exp() - 1.0).abs() < 1e-6));
                }
            });
        }
    });
    assert_eq!((f.compilations(), traced.load(Ordering::Relaxed)), (2, 2));
}

#[test]
fn a_function_that_fails_to_trace_lets_others_try() {
    let _alone = alone();
    let first = AtomicUsize::new(0);
    let f = jit(|x: Tensor| {
        assert!(first.fetch_add(1, Ordering::Relaxed) > 0, "the first trace panics");
        x.exp()
    });
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f.call((Tensor::from(0.0f32),))));
    assert!(panicked.is_err());
    assert_eq!(values(&f.call((Tensor::from(0.0f32),)).expect("a result")), [1.0]);
}

#[test]
fn other_arguments_of_a_compiled_function_are_named() {
    let _alone = alone();
    let x = Tensor::from([1.0f32, 2.0]);
    let compiled = jit(|x: Tensor, y: Vec<Tensor>| x + &y[0]).lower((x.clone(), vec![x.clone()]));
    let compiled = compiled.expect("loops").compile().expect("code");
    let e = compiled.call((x.clone(), vec![x.clone(), x.clone()])).expect_err("another structure").to_string();
    assert!(e.contains("expected arguments to have the same structure as parameters"), "{e}");
    let e = compiled.call((x.clone(), vec![Tensor::from(1.0f32)])).expect_err("another shape").to_string();
    assert!(e.contains("expected argument 1 to be f32[2], found f32[]"), "{e}");
    let e = compiled.call((x, vec![Tensor::abstract_(DType::F32, [2])])).expect_err("no values").to_string();
    assert!(e.contains("expected tensors with values"), "{e}");
}
