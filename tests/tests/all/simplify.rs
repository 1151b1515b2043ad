//! Simplification: target counts through compositions of transforms, values kept, and linear cost.

use cotangent_core::array::Array;
use cotangent_core::ir::verify::verify;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::{Class, Options, simplify, simplify_with};
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::{grad_and_value, vjp};
use cotangent_core::transform::jacobian::{hessian, jacfwd, jacrev};
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use cotangent_core::{Error, Tensor};
use cotangent_tests::numeric::{Rng, close};
use cotangent_tests::random_graph::{Config, random_args, random_graph};
use cotangent_tests::random_program::random_program;

fn graph(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Tensor) -> Graph {
    let out = build("f", |t| {
        let x: Vec<Tensor> = shapes.iter().map(|s| t.param(&Aval::new(DType::F64, *s))).collect();
        Ok(vec![f(&x).ok()?])
    });
    out.unwrap_or_else(|e| panic!("{e}"))
}

/// Only the first `n` results.
fn first(g: &Graph, n: usize) -> Graph {
    let out: Result<Graph, Error> = build(g.name(), |t| {
        let x: Vec<Tensor> = g.param_avals().iter().map(|a| t.param(a)).collect();
        let mut y = cotangent_core::transform::replay::replay(g, &x);
        y.truncate(n);
        Ok(y)
    });
    out.expect("a replay")
}

/// The gradient alone.
fn grad(g: &Graph, wrt: &[usize]) -> Graph {
    first(&grad_and_value(g, wrt).expect("a scalar function"), wrt.len())
}

fn args(g: &Graph, seed: u64) -> Vec<Array> {
    let mut rng = Rng(seed);
    g.param_avals().iter().map(|a| rng.array(a)).collect()
}

fn same_values(before: &Graph, after: &Graph, seed: u64, tol: f64) {
    verify(after).unwrap_or_else(|e| panic!("{e}\n{after}"));
    assert!(after.len() <= before.len(), "grew:\n{before}\n{after}");
    assert_eq!(before.signature(), after.signature());
    let x = args(before, seed);
    let (a, b) = (eval(before, &x).expect("evaluates"), eval(after, &x).expect("evaluates"));
    for (a, b) in a.iter().zip(&b) {
        assert!(close(a, b, tol), "{before}\n{after}\n{a:?}\n{b:?}");
    }
}

/// Simplifies, checks values, and checks the number of nodes.
fn at_most(limit: usize, g: &Graph) -> Graph {
    let s = simplify(g);
    same_values(g, &s, 7, 1e-9);
    assert!(s.len() <= limit, "{} nodes, not {limit}:\n{s}", s.len());
    s
}

#[test]
fn gradient_of_a_sum_of_sines_is_the_cosine() {
    let g = at_most(1, &grad(&graph(&[&[3]], |x| x[0].sin().sum_over(&[0])), &[0]));
    assert_eq!(g.nodes()[0].op.name(), "cos");
}

#[test]
fn hessian_of_a_sum_of_sines_is_a_diagonal() {
    for shape in [&[3][..], &[2, 3], &[1]] {
        let dims: Vec<usize> = (0..shape.len()).collect();
        let f = graph(&[shape], |x| x[0].sin().sum_over(&dims));
        let limit = if shape.len() == 1 { 4 } else { 6 };
        at_most(limit, &hessian(&f, &[0]).expect("floats"));
        at_most(limit, &jacrev(&grad(&f, &[0]), &[0]).expect("floats"));
        at_most(limit, &jacfwd(&simplify(&grad(&f, &[0])), &[0]).expect("floats"));
    }
}

#[test]
fn jacobians_of_the_sine_are_diagonals() {
    let f = graph(&[&[3]], |x| x[0].sin());
    for jacobian in [jacrev, jacfwd] {
        let j = jacobian(&f, &[0]).expect("floats");
        at_most(3, &j);
        at_most(4, &vmap(&j, &[Some(0)], &[0], 5.into()).expect("batches"));
        at_most(4, &vmap(&simplify(&j), &[Some(0)], &[0], 5.into()).expect("batches"));
    }
}

#[test]
fn second_derivative_of_the_sine_is_two_nodes() {
    let f = graph(&[&[]], |x| x[0].sin());
    at_most(2, &grad(&grad(&f, &[0]), &[0]));
    at_most(2, &grad(&simplify(&grad(&f, &[0])), &[0]));
    at_most(2, &jacfwd(&grad(&f, &[0]), &[0]).expect("floats"));
    let f = graph(&[&[]], |x| x[0].sin());
    at_most(2, &vmap(&grad(&grad(&f, &[0]), &[0]), &[Some(0)], &[0], 4.into()).expect("batches"));
}

/// `softmax(x)` along dim 1, as a person writes it with primitives.
fn softmax(x: &Tensor) -> Tensor {
    let column = |t: Tensor| t.view_to(&x.shape().with(1, 1)).expand_to(x.shape());
    let e = (x - column(x.amax_over(&[1]).detach())).exp();
    &e / column(e.sum_over(&[1]))
}

fn cross_entropy(x: &Tensor, target: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let column = |t: Tensor| t.view_to(&x.shape().with(1, 1)).expand_to(x.shape());
    let z = x - column(x.amax_over(&[1]).detach());
    let logp = &z - column(z.exp().sum_over(&[1]).log());
    -target(&logp) / x.shape()[0].get() as f64
}

#[test]
fn gradient_of_cross_entropy_is_what_a_person_writes() {
    // With the target as probabilities, which need not sum to 1: one sum, a division and a product more.
    let f = graph(&[&[4, 3], &[4, 3]], |x| cross_entropy(&x[0], |logp| (logp * &x[1]).sum_over(&[0, 1])));
    let by_hand = graph(&[&[4, 3], &[4, 3]], |x| {
        let total = x[1].sum_over(&[1]).view_to(&[4usize, 1].into()).expand_to(x[0].shape());
        (softmax(&x[0]) * total - &x[1]) / 4.0
    });
    at_most(by_hand.len(), &grad(&f, &[0]));
    // With the target as classes.
    let with_index = |f: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
        let out = build("f", |t| {
            let x = t.param(&Aval::new(DType::F64, [4, 3]));
            let index = t.param(&Aval::new(DType::I64, [4, 1]));
            Ok(vec![f(&x, &index).ok()?])
        });
        out.unwrap_or_else(|e| panic!("{e}"))
    };
    let f = with_index(&|x, i| cross_entropy(x, |logp| logp.gather_along(1, i).sum_over(&[0, 1])));
    let by_hand = with_index(&|x, i| {
        let ones = x.full_of(&Aval::new(DType::F64, [4, 1]), 1.0);
        let one_hot = x.zeros_like().scatter_add_along(1, i, &ones);
        (softmax(x) - one_hot) / 4.0
    });
    let s = simplify(&grad(&f, &[0]));
    assert!(s.len() <= by_hand.len(), "{} nodes, by hand {}:\n{s}\n{by_hand}", s.len(), by_hand.len());
    let mut rng = Rng(5);
    let x = rng.array(&Aval::new(DType::F64, [4, 3]));
    let args = [x, Array::new([4, 1], vec![2i64, 0, 1, 1])];
    assert!(close(&eval(&s, &args).expect("evaluates")[0], &eval(&by_hand, &args).expect("evaluates")[0], 1e-12));
}

#[test]
fn derivatives_of_layers() {
    let mlp = graph(&[&[4, 3], &[5, 3], &[5], &[2, 5], &[2]], |x| {
        let h = (x[0].mm(&x[1].permute_to(&[1, 0])) + &x[2]).tanh();
        let y = h.mm(&x[3].permute_to(&[1, 0])) + &x[4];
        (&y * &y).sum_over(&[0, 1]) / 8.0
    });
    at_most(22, &grad(&mlp, &[1, 2, 3, 4]));
    let layer_norm = graph(&[&[4, 3], &[3], &[3]], |x| {
        let column = |t: Tensor| t.view_to(&[4usize, 1].into());
        let d = &x[0] - column(x[0].sum_over(&[1])) / 3.0;
        let var = column((&d * &d).sum_over(&[1])) / 3.0;
        d * (var + 1e-5).rsqrt() * &x[1] + &x[2]
    });
    at_most(40, &first(&vjp(&layer_norm, &[0, 1, 2]).expect("floats"), 4));
    let logsumexp = graph(&[&[4, 3]], |x| x[0].exp().sum_over(&[1]).log().sum_over(&[0]));
    at_most(6, &grad(&logsumexp, &[0]));
}

#[test]
fn jacobians_of_linear_maps_are_the_matrices() {
    let f = graph(&[&[2, 3], &[3, 1]], |x| x[0].mm(&x[1]));
    at_most(1, &jacrev(&f, &[1]).expect("floats"));
    at_most(1, &jacfwd(&f, &[1]).expect("floats"));
    let quadratic = graph(&[&[3, 3], &[3, 1]], |x| x[1].permute_to(&[1, 0]).mm(&x[0].mm(&x[1])).view_to(&().into()));
    at_most(3, &hessian(&quadratic, &[1]).expect("floats"));
    let softplus = graph(&[&[3]], |x| (x[0].exp() + 1.0).log().sum_over(&[0]));
    at_most(10, &hessian(&softplus, &[0]).expect("floats"));
    let cube = graph(&[&[3]], |x| x[0].pow(3.0).sum_over(&[0]));
    at_most(3, &hessian(&cube, &[0]).expect("floats"));
    at_most(5, &jvp(&graph(&[&[3]], |x| x[0].tanh()), &[0]).expect("floats"));
}

/// How many random programs to try: fewer where the build is not optimised.
fn seeds(n: u64) -> u64 {
    if cfg!(debug_assertions) { n / 5 } else { n }
}

/// Only what each class allows, on random programs; a second simplification finds nothing.
#[test]
fn random_programs_keep_their_values() {
    for seed in 0..seeds(1500) {
        let g = random_program(seed, 4 + (seed % 40) as usize);
        for (class, tol) in [(Class::Exact, 0.0), (Class::Finite, 1e-300), (Class::Rounding, 1e-7)] {
            let (s, _) = simplify_with(&g, Options { class, trace: false });
            verify(&s).unwrap_or_else(|e| panic!("{seed}: {e}\n{g}\n{s}"));
            assert!(s.len() <= g.len(), "{seed}: grew:\n{g}\n{s}");
            assert_eq!((s.signature(), s.result_avals()), (g.signature(), g.result_avals()), "{seed}");
            let x = args(&g, seed);
            let (a, b) = (eval(&g, &x).expect("evaluates"), eval(&s, &x).expect("evaluates"));
            for (a, b) in a.iter().zip(&b) {
                assert!(agree(a, b, tol), "{seed}, {class}:\n{g}\n{s}\n{a:?}\n{b:?}");
            }
        }
        let s = simplify(&g);
        let (again, report) = simplify_with(&s, Options::default());
        assert_eq!(s.len(), again.len(), "{seed}: not a fixed point: {report}\n{s}\n{again}");
    }
}

/// Graphs of every dtype, with empty arrays and nested calls.
#[test]
fn random_graphs_keep_their_values_to_the_bit() {
    for seed in 0..seeds(1000) {
        let g = random_graph(seed, Config::ALL);
        let (s, _) = simplify_with(&g, Options::exact());
        verify(&s).unwrap_or_else(|e| panic!("{seed}: {e}\n{g}\n{s}"));
        assert!(s.len() <= g.len() && simplify(&g).len() <= g.len(), "{seed}: grew:\n{g}\n{s}");
        let x = random_args(seed, &g);
        let Ok(a) = eval(&g, &x) else { continue };
        let b = eval(&s, &x).unwrap_or_else(|e| panic!("{seed}: {e}\n{g}\n{s}"));
        for (a, b) in a.iter().zip(&b) {
            assert!(agree(a, b, 0.0), "{seed}:\n{g}\n{s}\n{a:?}\n{b:?}");
        }
    }
}

/// Within `tol` of the largest element of the result; 0 asks for equal bits, NaN aside. What is infinite or NaN in the
/// first is not compared unless `tol` is 0.
fn agree(a: &Array, b: &Array, tol: f64) -> bool {
    let (x, y) = (a.to_f64_vec(), b.to_f64_vec());
    let scale = x.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
    a.aval() == b.aval()
        && x.iter().zip(&y).all(|(x, y)| match tol {
            0.0 => x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()),
            tol => !x.is_finite() || x == y || (x - y).abs() <= tol * scale,
        })
}

/// The derivatives of random programs too: what simplification is for.
#[test]
fn gradients_of_random_programs_keep_their_values() {
    for seed in 0..seeds(300) {
        let g = random_program(seed, 12);
        let wrt: Vec<usize> = (0..g.params().len()).collect();
        let d = vjp(&g, &wrt).expect("floats");
        let s = simplify(&d);
        verify(&s).unwrap_or_else(|e| panic!("{seed}: {e}\n{s}"));
        assert!(s.len() <= d.len());
        let x = args(&d, seed);
        for (a, b) in eval(&d, &x).expect("evaluates").iter().zip(&eval(&s, &x).expect("evaluates")) {
            assert!(agree(a, b, 1e-6), "{seed}:\n{d}\n{s}\n{a:?}\n{b:?}");
        }
    }
}

#[test]
fn jacobians_of_random_programs_keep_their_values() {
    for seed in 0..seeds(200) {
        let g = random_program(seed, 8);
        for jacobian in [jacrev, jacfwd] {
            let d = jacobian(&g, &[0, 1]).expect("floats");
            let s = simplify(&d);
            verify(&s).unwrap_or_else(|e| panic!("{seed}: {e}\n{s}"));
            assert!(s.len() <= d.len());
            let x = args(&d, seed);
            for (a, b) in eval(&d, &x).expect("evaluates").iter().zip(&eval(&s, &x).expect("evaluates")) {
                assert!(agree(a, b, 1e-6), "{seed}:\n{d}\n{s}\n{a:?}\n{b:?}");
            }
        }
    }
}

/// A long chain in which many rules fire, and a wide graph with one value used everywhere.
fn long(n: usize) -> Graph {
    graph(&[&[3]], |x| (0..n / 4).fold(x[0].expand_to(&[2usize, 3].into()), |y, _| (-(y * 1.0)).sin()))
}

fn wide(n: usize) -> Graph {
    graph(&[&[3]], |x| {
        let shared = x[0].exp() * 1.0;
        let terms: Vec<Tensor> = (0..n / 3).map(|i| (&shared * (i % 97) as f64) * 1.0).collect();
        terms.into_iter().reduce(|a, b| a + b).expect("terms")
    })
}

#[test]
fn cost_is_linear() {
    for (name, make) in [("long", long as fn(usize) -> Graph), ("wide", wide)] {
        let time = |n: usize| {
            let g = make(n);
            let start = std::time::Instant::now();
            let s = simplify(&g);
            let t = start.elapsed();
            println!("{name}: {} -> {} nodes in {t:?}", g.len(), s.len());
            t
        };
        // Without optimisation a tenth is enough to see the growth.
        let n = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
        let (half, whole) = (time(n / 2), time(n));
        // A quadratic pass takes four times as long, and minutes; the bound leaves room for a busy machine.
        assert!(whole < half * 3 + std::time::Duration::from_millis(200), "{name}: {half:?} then {whole:?}");
    }
}

#[test]
fn calls_stay_and_their_bodies_are_simplified() {
    let f = graph(&[&[3]], |x| {
        cotangent_core::tensor::composite_one("aten::twice(Tensor self) -> Tensor", &[], &[&x[0]], |x| {
            -(-(&x[0] * 1.0)) + 0.0
        })
    });
    let (s, report) = simplify_with(&f, Options::default());
    assert_eq!(s.len(), 1, "{s}");
    assert_eq!(report.count("neg-neg"), 1, "{report}");
    let cotangent_core::ops::Op::Call(call) = &s.nodes()[0].op else { panic!("{s}") };
    assert!(call.body.is_empty(), "{s}");
}

#[test]
fn reports_name_rules_and_lines() {
    let f = graph(&[&[3]], |x| (&x[0] * 1.0) * 1.0);
    let text = cotangent_core::simplify::explain(&f);
    let line = line!() - 2;
    let expected =
        format!("f: 4 nodes -> 0\n  cse (exact) x1: {0}:{line}\n  mul-one (exact) x2: {0}:{line} x2", file!());
    assert_eq!(text, expected);
    let (_, report) = simplify_with(&f, Options::exact().traced());
    assert!(report.explain().contains("mul-one at "), "{report}");
}

/// `ir-spec/simplify.md` lists every rule with its class; `UPDATE_SPEC=1` writes the table anew.
#[test]
fn the_specification_lists_every_rule() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ir-spec/simplify.md");
    let text = std::fs::read_to_string(&path).expect("ir-spec/simplify.md");
    let mut table = String::from("| rule | class | law |\n|---|---|---|\n");
    for r in cotangent_core::simplify::rules() {
        table.push_str(&format!("| `{}` | {} | `{}` |\n", r.name, r.class, r.law));
    }
    let at = text.find("| rule |").expect("the table");
    if std::env::var_os("UPDATE_SPEC").is_some() {
        std::fs::write(&path, format!("{}{table}", &text[..at])).expect("a writable specification");
        return;
    }
    assert_eq!(&text[at..], table, "run with UPDATE_SPEC=1");
}
