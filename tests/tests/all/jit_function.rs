//! `jit(f)`: the values of the function, one compilation for each signature, errors and nesting.

use cotangent::prelude::*;

fn loss(w: Tensor, x: Tensor) -> Tensor {
    x.matmul(&w).tanh().square().mean()
}

fn example() -> (Tensor, Tensor) {
    let w = Tensor::from_vec((0..6).map(|i| f64::from(i) * 0.3 - 0.7).collect(), [3, 2]);
    let x = Tensor::from_vec((0..12).map(|i| (f64::from(i) * 1.7).sin()).collect(), [4, 3]);
    (w, x)
}

fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.aval(), b.aval());
    let (a, b) = (a.to_vec::<f64>().expect("values"), b.to_vec::<f64>().expect("values"));
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} and {b}");
    }
}

#[test]
fn values_are_those_of_the_function() {
    let (w, x) = example();
    let per_example = vmap(grad(|w: Tensor, x: Tensor| x.matmul(&w).tanh().sum())).in_dims((None, Some(0)));
    let compiled = jit(&per_example);
    for _ in 0..2 {
        close(
            &compiled.call((w.clone(), x.clone())).expect("a result"),
            &per_example.call((w.clone(), x.clone())).expect("a result"),
        );
    }
    assert_eq!(compiled.compilations(), 1);
}

#[test]
fn each_signature_is_compiled_once() {
    let f = jit(|x: Tensor| x.sin().sum());
    for n in [3usize, 4, 3, 0, 4] {
        let x = Tensor::from(vec![0.5f64; n]);
        let y = f.call((x.clone(),)).expect("a result").item::<f64>().expect("a scalar");
        assert!((y - 0.5f64.sin() * n as f64).abs() < 1e-12);
    }
    assert_eq!(f.compilations(), 3);
    f.call((Tensor::from([1.0f32]),)).expect("a result");
    assert_eq!(f.compilations(), 4);
}

#[test]
fn more_signatures_than_are_kept_give_right_results() {
    let f = jit(|x: Tensor| (x * 2.0).sum());
    let call = |n: usize| {
        let y = f.call((Tensor::from(vec![1.0; n]),)).expect("a result");
        assert_eq!(y.item::<f64>().expect("a value"), 2.0 * n as f64);
    };
    (1..=64).for_each(call);
    (1..=64).for_each(call);
    assert_eq!(f.compilations(), 64);
    // What is in use stays when others come.
    for n in 65..=80 {
        call(n);
        call(7);
    }
    assert_eq!(f.compilations(), 80);
}

#[test]
fn many_threads_call_and_compile_at_once() {
    let f = jit(|x: Tensor| (x + 1.0).sum());
    std::thread::scope(|scope| {
        for t in 0..4 {
            let f = &f;
            scope.spawn(move || {
                for i in 0..200 {
                    let n = 1 + (i + 7 * t) % 20;
                    let y = f.call((Tensor::from(vec![2.0; n]),)).expect("a result");
                    assert_eq!(y.item::<f64>().expect("a value"), 3.0 * n as f64);
                }
            });
        }
    });
}

#[test]
fn it_is_transparent_to_transforms() {
    let (w, x) = example();
    let inside = grad(jit(loss)).call((w.clone(), x.clone())).expect("a gradient");
    let outside = jit(grad(loss)).call((w.clone(), x.clone())).expect("a gradient");
    close(&inside, &outside);
    // A compiled function that uses a tensor of an enclosing trace.
    let captures = grad(|w: Tensor| jit(|x: Tensor| loss(w.clone(), x)).call((x.clone(),)));
    close(&captures.call((w,)).expect("a gradient"), &outside);
}

#[test]
fn results_outlive_the_next_call() {
    let f = jit(|x: Tensor| (&x * 2.0, x.gt(Tensor::from(1.0f64))));
    let (a, more) = f.call((Tensor::from([1.0f64, 2.0]),)).expect("a result");
    let (b, _) = f.call((Tensor::from([5.0f64, 6.0]),)).expect("a result");
    assert_eq!(a.to_vec::<f64>().expect("values"), [2.0, 4.0]);
    assert_eq!(b.to_vec::<f64>().expect("values"), [10.0, 12.0]);
    assert_eq!(more.to_vec::<bool>().expect("values"), [false, true]);
}

#[test]
fn data_errors_name_op_and_line() {
    let f = jit(|x: Tensor, i: Tensor| x.index_select(0, &i));
    let e = f.call((Tensor::from([1.0f64, 2.0]), Tensor::from([7i64]))).unwrap_err().to_string();
    assert!(e.contains("jit_function.rs") && e.contains("index 7 is out of bounds"), "{e}");
}

/// Half of a causal attention is not computed, in whatever way its mask was made.
#[test]
fn causal_attention_leaves_out_what_its_mask_hides() {
    const N: usize = 256;
    let value = |k: usize| {
        let values = (0..8 * N * 32).map(|i| ((i * 7919 + k * 101) % 1009) as f64 / 504.5 - 1.0).collect();
        Tensor::from_vec(values, [8, N, 32])
    };
    let args = || (value(0), value(1), value(2));
    let attention = |hide: fn(Tensor) -> Tensor| {
        move |(q, k, v): (Tensor, Tensor, Tensor)| hide(q.matmul(&k.transpose(1, 2)) * 0.2).softmax(-1).matmul(&v)
    };
    let hide: [fn(Tensor) -> Tensor; 4] = [
        |s| s.masked_fill(&ones([N, N]).triu(1).ne(0.0), f64::NEG_INFINITY),
        |s| s + full([N, N], f64::NEG_INFINITY).triu(1),
        |s| s.where_(&ones([N, N]).tril(0).ne(0.0), f64::NEG_INFINITY),
        |s| s.where_(&arange(N as i64).unsqueeze(1).ge(arange(N as i64)), f64::NEG_INFINITY),
    ];
    let all = jit(|q: Tensor, k: Tensor, v: Tensor| attention(|s| s)((q, k, v)));
    let all = all.lower(args()).expect("loops").cost().flops;
    for (i, hide) in hide.into_iter().enumerate() {
        let f = move |q: Tensor, k: Tensor, v: Tensor| attention(hide)((q, k, v));
        let flops = jit(f).lower(args()).expect("loops").cost().flops;
        assert!((flops as f64) < 0.7 * all as f64, "{i}: {flops} of {all}");
        let (q, k, v) = args();
        close(&jit(f).call(args()).expect("a result"), &f(q, k, v));
    }
}
