//! Loop programs: what lowering makes of every op, of random graphs, and of programs that must fuse.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ir::Aval;
use cotangent_core::ops::{Op, Triangle};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::{build, inline::inline_all};
use cotangent_loops::cost::costs;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{LoopProgram, Role, Routine, RoutineKind, Step};
use cotangent_loops::plan::plan;
use cotangent_loops::text::{parse, print};
use cotangent_loops::verify::verify;
use cotangent_loops::{lower, lower_as_is};
use cotangent_tests::numeric::{Rng, close, sample_graph, tolerance};
use cotangent_tests::random_graph::{Config, random_args, random_graph, seeds};
use cotangent_tests::snapshot::snapshot;

/// Lowers, verifies, interprets, and compares with the reference; the message says what differs.
fn check(g: &Graph, args: &[Array]) -> Result<(), String> {
    let inlined = inline_all(g).map_err(|e| format!("{e}\n{g}"))?;
    check_program(g, &inlined, &lower_as_is(&inlined).map_err(|e| format!("{e}\n{g}"))?, args)?;
    // Simplification is allowed to round; its own tests compare it with the graph as it was.
    let simple = simplify(&inlined);
    check_program(&simple, &inlined, &lower(g).map_err(|e| format!("{e}\n{g}"))?, args)
}

fn check_program(g: &Graph, inlined: &Graph, program: &LoopProgram, args: &[Array]) -> Result<(), String> {
    verify(program).map_err(|e| format!("{e}\n{g}\n{program}"))?;
    let text = print(program);
    match parse(&text) {
        Ok(again) if again == *program && print(&again) == text => {}
        Ok(again) => return Err(format!("the text reads back otherwise:\n{text}\n{again}\n{program:#?}\n{again:#?}")),
        Err(e) => return Err(format!("{e}\n{text}")),
    }
    check_plan(program)?;
    let expected = match eval(g, args) {
        Ok(y) => y,
        // What the reference refuses, the loops refuse too.
        Err(e) => {
            return match interpret(program, args) {
                Err(_) => Ok(()),
                Ok(_) => Err(format!("expected `{e}`")),
            };
        }
    };
    let got = interpret(program, args).map_err(|e| e.to_string())?;
    for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
        let tol = tolerance(inlined, b.dtype());
        if !close(&a.reshaped(b.shape()), b, tol) {
            return Err(format!("result {i}: got {a:?}, expected {b:?}\n{g}\n{program}"));
        }
    }
    Ok(())
}

/// No two temporaries that are alive together overlap, unless one is written in place of the other.
fn check_plan(program: &LoopProgram) -> Result<(), String> {
    let plan = plan(program);
    let mut alive = vec![None; program.buffers.len()];
    for (i, step) in program.steps.iter().enumerate() {
        let used: Vec<usize> = match step {
            Step::Nest(n) => n
                .stages
                .iter()
                .flat_map(|s| &s.accesses)
                .filter_map(|a| match a.memory {
                    cotangent_loops::ir::Memory::Buffer(b) => Some(b.0 as usize),
                    cotangent_loops::ir::Memory::Scratch(_) => None,
                })
                .collect(),
            Step::Routine(r) => r.inputs.iter().chain(&r.outputs).map(|b| b.0 as usize).collect(),
        };
        for b in used {
            let (first, _) = alive[b].unwrap_or((i, i));
            alive[b] = Some((first, i));
        }
    }
    let temps: Vec<(usize, usize, usize, usize)> = (0..alive.len())
        .filter(|b| program.buffers[*b].role == Role::Temp && program.buffers[*b].len > 0)
        .filter_map(|b| {
            let size = program.buffers[b].len * program.buffers[b].dtype.size_bytes();
            Some((plan.offsets[b]?, size, alive[b]?.0, alive[b]?.1))
        })
        .collect();
    for (k, x) in temps.iter().enumerate() {
        if x.0 + x.1 > plan.arena || x.0 % 64 != 0 {
            return Err(format!("a temporary at {} of {} bytes in {} bytes", x.0, x.1, plan.arena));
        }
        for y in &temps[k + 1..] {
            let overlap = x.0 < y.0 + y.1 && y.0 < x.0 + x.1;
            // In place: one ends in the very step in which the other begins.
            let together = x.2 < y.3 && y.2 < x.3;
            if overlap && together {
                return Err(format!("temporaries overlap: {x:?} and {y:?}\n{program}"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_op_sample() {
    let only = std::env::var("COTANGENT_OP").ok();
    let mut failures = Vec::new();
    for s in Op::all_samples().iter().filter(|s| only.as_deref().is_none_or(|o| o == s.op.name())) {
        let g = sample_graph(s);
        match std::panic::catch_unwind(|| check(&g, &s.args)) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => failures.push(format!("{} ({}): {e}", s.op.name(), s.note)),
            Err(_) => failures.push(format!("{} ({}): panic", s.op.name(), s.note)),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn random_graphs() {
    for seed in seeds(1000) {
        for config in [Config::ALL, Config::F64] {
            let g = random_graph(seed, config);
            let args = random_args(seed, &g);
            if let Err(e) = check(&g, &args) {
                panic!("seed {seed}: {e}");
            }
        }
    }
}

/// Arguments for a graph: small normal numbers, or indices below `classes` for integers.
fn args_of(g: &Graph, classes: usize) -> Vec<Array> {
    let mut rng = Rng(7);
    let array = |a: &Aval| {
        let data: Vec<f64> = (0..a.shape.numel())
            .map(|_| if a.dtype.is_float() { rng.unit() } else { rng.below(classes) as f64 })
            .collect();
        Array::from_f64_fn(a, |i| data[i])
    };
    g.param_avals().iter().map(array).collect()
}

/// Checks numbers, takes a snapshot of the loops, and counts nests and routines.
fn fused(name: &str, g: &Graph, nests: usize, routines: usize) {
    let program = lower(g).unwrap();
    let is_nest = |s: &&Step| matches!(s, Step::Nest(_));
    let found = program.steps.iter().filter(is_nest).count();
    let mut shown = program.clone();
    for step in &mut shown.steps {
        match step {
            Step::Nest(n) => n.locs.clear(),
            Step::Routine(r) => r.loc = Default::default(),
        }
    }
    check(g, &args_of(g, 10)).unwrap_or_else(|e| panic!("{name}: {e}"));
    snapshot("loops", name, &print(&shown));
    assert_eq!((found, program.steps.len() - found), (nests, routines), "{name}: nests and routines\n{g}\n{shown}");
}

fn f32s(shape: &[usize]) -> Tensor {
    let aval = Aval::new(DType::F32, shape);
    Tensor::from_array(Array::from_f64_fn(&aval, |i| (i as f64 * 0.37).sin()))
}

#[test]
fn softmax_is_one_nest() {
    let g = make_fx(|x: Tensor| x.softmax(-1), (f32s(&[16, 128]),)).unwrap();
    fused("softmax", &g, 1, 0);
}

#[test]
fn logsumexp_is_one_nest() {
    let g = make_fx(|x: Tensor| x.logsumexp(-1), (f32s(&[16, 128]),)).unwrap();
    fused("logsumexp", &g, 1, 0);
}

#[test]
fn softmax_gradient_is_one_nest() {
    let f = |x: Tensor, w: Tensor| (x.softmax(-1) * w).sum_over(&[0, 1]);
    let g = make_fx(grad(f), (f32s(&[16, 128]), f32s(&[16, 128]))).unwrap();
    fused("softmax_gradient", &g, 1, 0);
}

#[test]
fn layer_norm_is_one_nest() {
    let f = |x: Tensor, w: Tensor, b: Tensor| x.layer_norm([128], &w, &b, 1e-5);
    let g = make_fx(f, (f32s(&[16, 128]), f32s(&[128]), f32s(&[128]))).unwrap();
    fused("layer_norm", &g, 1, 0);
}

#[test]
fn layer_norm_gradient_is_two_nests() {
    let f = |x: Tensor, w: Tensor, b: Tensor, g: Tensor| (x.layer_norm([128], &w, &b, 1e-5) * g).sum_over(&[0, 1]);
    let args = (f32s(&[16, 128]), f32s(&[128]), f32s(&[128]), f32s(&[16, 128]));
    let g = make_fx(grad(f).argnums::<(At<0>, At<1>, At<2>)>(), args).unwrap();
    fused("layer_norm_gradient", &g, 2, 0);
}

#[test]
fn mean_and_variance_are_one_nest() {
    let f = |x: Tensor| (x.mean_dim(0), x.var(0, 0));
    let g = make_fx(f, (f32s(&[128, 64]),)).unwrap();
    fused("mean_var_first", &g, 1, 0);
    let f = |x: Tensor| (x.mean_dim(-1), x.var(-1, 0));
    let g = make_fx(f, (f32s(&[64, 128]),)).unwrap();
    fused("mean_var_last", &g, 1, 0);
}

#[test]
fn pointwise_work_is_one_nest() {
    let g = make_fx(|x: Tensor, b: Tensor| (x + b).gelu_tanh(), (f32s(&[64, 128]), f32s(&[128]))).unwrap();
    fused("bias_gelu", &g, 1, 0);
    let g = make_fx(|x: Tensor, y: Tensor| x + y.t(), (f32s(&[64, 32]), f32s(&[32, 64]))).unwrap();
    fused("transposed_add", &g, 1, 0);
}

#[test]
fn many_outputs_of_one_space_share_a_nest() {
    let phi = |x: Tensor| ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
    let price = move |s: Tensor, k: Tensor, t: Tensor, r: Tensor, v: Tensor| {
        let d1 = ((&s / &k).log() + (&r + v.square() * 0.5) * &t) / (&v * t.sqrt());
        let d2 = &d1 - &v * t.sqrt();
        (&s * phi(d1) - &k * (-(&r * &t)).exp() * phi(d2)).sum_over(&[0])
    };
    let x = || f32s(&[5000]) * 0.1 + 1.0;
    let g = make_fx(grad(price).argnums::<(At<0>, At<1>, At<2>, At<3>, At<4>)>(), (x(), x(), x(), x(), x())).unwrap();
    fused("black_scholes_greeks", &g, 1, 0);
}

#[test]
fn sums_of_squares_are_split_for_threads() {
    let g = make_fx(|x: Tensor| x.square().sum_over(&[0]), (f32s(&[65536]),)).unwrap();
    fused("sum_sq", &g, 2, 0);
}

#[test]
fn small_inner_dims_are_written_out() {
    let f = |a: Tensor, b: Tensor, w: Tensor| {
        let d = (a.unsqueeze(1) - b.unsqueeze(0)).square().sum_over(&[2]);
        ((-d).exp() * w).sum_over(&[0, 1])
    };
    let g = make_fx(grad(f), (f32s(&[20, 3]), f32s(&[30, 3]), f32s(&[30]))).unwrap();
    fused("gauss_kernel_gradient", &g, 1, 0);
}

fn mlp_loss(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, x: Tensor, y: Tensor) -> Tensor {
    let h = (x.matmul(&w1.t()) + b1).relu();
    let z = h.matmul(&w2.t()) + b2;
    z.cross_entropy(&y)
}

/// Operand, index and source of a scatter of one element into each line along `dim`.
fn single_scatter(op: &str, dtype: &str, shape: &[usize], dim: usize) -> Graph {
    let own: Vec<usize> = shape.iter().enumerate().map(|(d, n)| if d == dim { 1 } else { *n }).collect();
    let sizes = |s: &[usize]| s.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (x, y) = (sizes(shape), sizes(&own));
    let text = format!(
        "graph \"single\"(%0: {dtype}[{x}], %1: i64[{y}], %2: {dtype}[{y}]) {{\n  \
         %3: {dtype}[{x}] = {op}(%0, %1, %2, dim={dim})\n  return (%3)\n}}\n"
    );
    cotangent_core::text::ir::parse("single.cot", &text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn scatters_of_one_element_for_each_line_are_choices() {
    for shape in [&[7usize, 5, 9][..], &[4, 6], &[6, 4], &[9]] {
        for dim in 0..shape.len() {
            for (op, dtype) in [
                ("scatter", "f32"),
                ("scatter", "bool"),
                ("scatter", "i64"),
                ("scatter_add", "bf16"),
                ("scatter_add", "i8"),
            ] {
                let g = single_scatter(op, dtype, shape, dim);
                let mut args = args_of(&g, 4);
                check(&g, &args).unwrap_or_else(|e| panic!("{op} {dtype} {shape:?} {dim}: {e}"));
                // The last index out of bounds: refused as the reference does.
                let (n, own) = (args[1].numel(), args[1].shape().clone());
                let last = |k: i64| Array::new(&own, (0..n).map(|i| if i + 1 == n { k } else { 0 }).collect());
                for k in [shape[dim] as i64, -1] {
                    args[1] = last(k);
                    let expected = eval(&g, &args).unwrap_err().to_string();
                    let program = lower(&g).unwrap();
                    let found = interpret(&program, &args).unwrap_err().to_string();
                    assert!(expected.ends_with(&found), "{op} {dtype} {shape:?} {dim}: {found}");
                    check(&g, &args).unwrap_or_else(|e| panic!("{op} {dtype} {shape:?} {dim}: {e}"));
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_a_cross_entropy_writes_its_result_once() {
    let y = Tensor::from_array(Array::new([64], (0..64i64).map(|i| i % 10).collect()));
    let g = make_fx(grad(|z: Tensor, y: Tensor| z.cross_entropy(&y)), (f32s(&[64, 10]), y)).unwrap();
    check(&g, &args_of(&g, 10)).unwrap_or_else(|e| panic!("{e}"));
    let is_scatter = |s: &&Step| matches!(s, Step::Routine(r) if r.outputs.len() == 1 && r.inputs.len() == 3);
    let program = lower(&g).unwrap();
    assert_eq!(program.steps.iter().filter(is_scatter).count(), 0, "{program}");
}

#[test]
fn maxima_over_windows_need_no_positions() {
    let options = Pool { stride: Some(2.into()), padding: 1.into(), ..Pool::default() };
    let pools = |x: Tensor| (x.max_pool2d(3, &options), x.max_dim(1).0, x.min_dim(keepdim(0)).0);
    let g = make_fx(pools, (f32s(&[2, 3, 14, 21]),)).unwrap();
    check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{e}"));
    let program = lower(&g).unwrap();
    assert!(program.steps.iter().all(|s| matches!(s, Step::Nest(_))), "{program}");
    // Where positions are results too, they are searched once and read through.
    let g = make_fx(|x: Tensor| x.max_dim(1), (f32s(&[12, 40]),)).unwrap();
    check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(lower(&g).unwrap().steps.len(), 2);
}

#[test]
fn sorts_are_done_as_far_as_they_are_read() {
    let places = |g: &Graph| {
        check(g, &args_of(g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let program = lower(g).unwrap();
        let of = |s: &Step| match s {
            Step::Routine(Routine { kind: RoutineKind::Places { places, .. }, .. }) => Some((places.start, places.end)),
            Step::Routine(_) | Step::Nest(_) => None,
        };
        program.steps.iter().filter_map(of).collect::<Vec<_>>()
    };
    let x = f32s(&[3, 40]);
    assert_eq!(places(&make_fx(|x: Tensor| x.topk(4, 1), (x.clone(),)).unwrap()), [(0, 4)]);
    assert_eq!(places(&make_fx(|x: Tensor| x.kthvalue(7, 1), (x.clone(),)).unwrap()), [(6, 7)]);
    let slices = |x: Tensor| {
        let (y, at) = x.sort(1);
        (y.slice(1, 3, 9, 1).sin(), y.slice(1, 20, 30, 2), at.slice(1, 12, 14, 1))
    };
    assert_eq!(places(&make_fx(slices, (x.clone(),)).unwrap()), [(3, 30)]);
    let square = |x: Tensor| x.topk(4, 1).0.square().sum();
    assert_eq!(places(&make_fx(grad(square), (x.clone(),)).unwrap()), [(0, 4)], "the derivative");
    let none: [(usize, usize); 0] = [];
    // Slices of other dims, and what else reads a result, need it whole.
    assert_eq!(places(&make_fx(|x: Tensor| x.sort(1).0.slice(0, 0, 2, 1), (x.clone(),)).unwrap()), none);
    let both = |x: Tensor| (x.sort(1).0.slice(1, 0, 2, 1), x.sort(1).1 + 1i64);
    assert_eq!(places(&make_fx(both, (x,)).unwrap()), none);
}

#[test]
fn vectors_that_nobody_reads_are_not_computed() {
    let values = |g: &Graph| {
        check(g, &args_of(g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let of = |s: &Step| matches!(s, Step::Routine(Routine { kind: RoutineKind::Values { .. }, .. }));
        lower(g).unwrap().steps.iter().filter(|s| of(s)).count()
    };
    let x = f32s(&[2, 4, 4]);
    assert_eq!(values(&make_fx(|x: Tensor| x.svdvals(), (x.clone(),)).unwrap()), 1);
    let sum = |x: Tensor| x.eigvalsh(Triangle::Upper).sum();
    assert_eq!(values(&make_fx(sum, (x.clone(),)).unwrap()), 1);
    assert_eq!(values(&make_fx(|x: Tensor| x.svd()[0].abs(), (x.clone(),)).unwrap()), 0, "vectors alone");
    let both = |x: Tensor| {
        let [w, v] = x.eigh(Triangle::Lower);
        (w, v.abs())
    };
    assert_eq!(values(&make_fx(both, (x.clone(),)).unwrap()), 0);
    assert_eq!(values(&make_fx(grad(sum), (x,)).unwrap()), 0, "the derivative reads vectors");
}

/// Steps of a stencil on a torus, each of rolls of the last.
#[test]
fn what_is_read_at_shifted_places_is_computed_once() {
    let steps = |n: usize| {
        let heat = move |u: Tensor| {
            (0..n).fold(u, |u, _| {
                let around = u.roll(&[1], &[0]) + u.roll(&[-1], &[0]) + u.roll(&[1], &[1]) + u.roll(&[-1], &[1]);
                &u + (around - &u * 4.0) * 0.1
            })
        };
        let g = make_fx(heat, (f32s(&[12, 16]),)).unwrap();
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{n} steps: {e}"));
        costs(&lower(&g).unwrap()).into_iter().map(|c| c.flops).sum::<u64>()
    };
    let (few, many) = (steps(4), steps(8));
    // 7 operations for each point and step; each piece of a roll computes its part again before the value has a place in memory.
    assert!(many <= 2 * few + 12 * 16 * 40 && many <= 8 * 7 * 12 * 16 * 4, "{few} and {many} operations");
}

/// The derivative of differences adds paddings, and each of their parts is computed where it belongs.
#[test]
fn pointwise_work_on_pieces_needs_no_memory_between() {
    let differences = |x: &Tensor, d: usize| {
        let n = x.shape().sizes()[d];
        (x.narrow(d as i64, 1, n - 1) - x.narrow(d as i64, 0, n - 1)).square().sum()
    };
    let f = move |x: Tensor| differences(&x, 0) + differences(&x, 1);
    // Borders are few here, …
    let g = make_fx(grad(f), (f32s(&[40, 200]),)).unwrap();
    let large = lower(&g).unwrap();
    assert_eq!(temporaries(&large), 0, "{large}");
    check(&g, &args_of(&g, 10)).unwrap();
    // … and half of everything there, where rows are short besides.
    let g = make_fx(grad(f), (f32s(&[7, 20]),)).unwrap();
    assert!(temporaries(&lower(&g).unwrap()) > 0);
    check(&g, &args_of(&g, 10)).unwrap();
    // What somebody else reads is put together.
    let twice = |x: Tensor, y: Tensor| {
        let both = cat(&[&x, &y], 0);
        (both.sin(), both.cos())
    };
    let g = make_fx(twice, (f32s(&[3, 100]), f32s(&[5, 100]))).unwrap();
    check(&g, &args_of(&g, 10)).unwrap();
    let once = |x: Tensor, y: Tensor| cat(&[&x, &y], 0).sin() * 2.0;
    let g = make_fx(once, (f32s(&[3, 100]), f32s(&[5, 100]))).unwrap();
    assert_eq!(temporaries(&lower(&g).unwrap()), 0);
    check(&g, &args_of(&g, 10)).unwrap();
}

fn temporaries(program: &LoopProgram) -> usize {
    program.buffers.iter().filter(|b| b.role == Role::Temp).count()
}

/// A dear function of the sum of each row is computed for many rows at once, unless rows are long beside it.
#[test]
fn dear_ends_of_many_rows_are_nests_of_their_own() {
    let nests = |shape: &[usize], f: fn(Tensor) -> Tensor| {
        let g = make_fx(f, (f32s(shape),)).unwrap();
        check(&g, &args_of(&g, 10)).unwrap();
        lower(&g).unwrap().steps.len()
    };
    let dear = |x: Tensor| x.sum_dim(1).sin().exp();
    assert_eq!(nests(&[300, 40], dear), 2);
    assert_eq!(nests(&[300, 400], dear), 1, "long rows");
    assert_eq!(nests(&[30, 40], dear), 1, "few rows");
    assert_eq!(nests(&[300, 40], |x| x.sum_dim(1) * 2.0), 1, "a cheap end");
    assert_eq!(nests(&[40, 300], |x| x.sum_dim(0).sin().exp()), 1, "columns are lanes");
}

/// A nest that reads a value at two places computes it twice, unless that is very dear.
#[test]
fn very_dear_values_at_shifted_places_are_memory() {
    let temporaries = |f: fn(&Tensor) -> Tensor| {
        let shifted = move |x: Tensor| {
            let y = f(&x);
            y.narrow(0, 1, 99) * y.narrow(0, 0, 99)
        };
        let g = make_fx(shifted, (f32s(&[100, 9]),)).unwrap();
        check(&g, &args_of(&g, 10)).unwrap();
        temporaries(&lower(&g).unwrap())
    };
    assert_eq!(temporaries(|x| x.sin().exp().tanh()), 1);
    assert_eq!(temporaries(|x| x.sin()), 0);
}

#[test]
fn networks() {
    let y = Tensor::from_array(Array::new([64], (0..64i64).map(|i| i % 10).collect()));
    let args = (f32s(&[32, 48]), f32s(&[32]), f32s(&[10, 32]), f32s(&[10]), f32s(&[64, 48]), y);
    let g = make_fx(grad(mlp_loss).argnums::<(At<0>, At<1>, At<2>, At<3>)>(), args).unwrap();
    fused("mlp_gradient", &g, 6, 6);
}

/// A chain of thousands of nodes is cut into several bodies; time is linear.
#[test]
fn long_chains_are_cut() {
    let chain = |n: usize| {
        move |x: Tensor| {
            (0..n).fold(x.clone(), |y, j| match j % 4 {
                0 => y * 0.5,
                1 => y + &x,
                2 => y.tanh(),
                _ => y.cos(),
            })
        }
    };
    let g = make_fx(chain(2000), (f32s(&[8]),)).unwrap();
    let program = lower(&g).unwrap();
    assert!((4..20).contains(&program.steps.len()), "{} steps", program.steps.len());
    check(&g, &args_of(&g, 1)).unwrap();
}

#[test]
fn every_form_at_sizes_that_fill_lanes() {
    let x = || f32s(&[12, 24]);
    let check_fx = |name: &str, g: Graph| check(&g, &args_of(&g, 3)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let pieces = |x: Tensor, y: Tensor| {
        let c = cat(&[&x.exp(), &y.t().sin(), &x.flip_dims(&[0])], 0);
        let p = c.pad_dims(&[(-1, 3), (1, 2)], 0.5) * 2.0;
        (p.tanh(), c.slice_dim(0, 1, 30, 3).sum_over(&[1]))
    };
    check_fx("pieces", make_fx(pieces, (x(), f32s(&[24, 12]))).unwrap());
    let reshaped = |x: Tensor| {
        let h = x.exp().view_to(&Shape::from([12, 4, 6])).permute_to(&[1, 0, 2]);
        let s = h.softmax(-1);
        (s.view_to(&Shape::from([4, 72])).sum_over(&[0]), s.permute_to(&[2, 1, 0]) * 3.0)
    };
    check_fx("reshaped", make_fx(reshaped, (x(),)).unwrap());
    let middle = |x: Tensor| {
        let y = x.view_to(&Shape::from([3, 16, 6]));
        (y.var(1, 0), y.amax_over(&[0, 2]), y.sum_over(&[0, 1]) / y.sum_over(&[0, 1, 2]))
    };
    check_fx("middle", make_fx(middle, (x(),)).unwrap());
    let products = |x: Tensor, y: Tensor| {
        let v = x.matmul(&y.t().slice_dim(1, 0, 1, 1));
        let z = x.matmul(&y.t()).relu();
        (v.tanh(), z.t().matmul(&x).sum_over(&[0]))
    };
    check_fx("products", make_fx(products, (f32s(&[40, 24]), f32s(&[40, 24]))).unwrap());
    let halves = |x: Tensor| x.convert(DType::F16).sum_over(&[0]).convert(DType::F32);
    check_fx("halves", make_fx(halves, (x(),)).unwrap());
    let rows = |x: Tensor| {
        let s = x.softmax(1);
        let t = s.sum_over(&[0]);
        let n = (&x - x.mean_dim(0)) / (x.var(0, 0) + 1e-3).sqrt();
        (s.matmul(&n.t()), t.log_softmax(0), n)
    };
    check_fx("rows", make_fx(rows, (x(),)).unwrap());
}

/// Lowering is linear: 20,000 nodes take ten times as long as 2,000, within the noise of a shared machine.
#[test]
fn time_is_linear() {
    let graph = |n: usize| {
        make_fx_with(
            CaptureOptions::raw(),
            move |x: Tensor, y: Tensor| {
                (0..n).fold(x.clone(), |z, j| match j % 5 {
                    0 => z * &y,
                    1 => z + &x,
                    2 => z.tanh(),
                    3 => z.permute_to(&[1, 0]),
                    _ => z.sum_over(&[0]).expand_to(x.shape()),
                })
            },
            (f32s(&[8, 8]), f32s(&[8, 8])),
        )
        .unwrap()
    };
    let time = |g: &Graph| {
        let start = std::time::Instant::now();
        let program = lower_as_is(g).unwrap();
        assert!(!program.steps.is_empty());
        start.elapsed().as_secs_f64()
    };
    let (small, large) = (graph(2_000), graph(20_000));
    let (few, many) = (time(&small).max(1e-3), time(&large));
    eprintln!("2,000 nodes: {few:.4} s; 20,000 nodes: {many:.4} s");
    assert!(many < 25.0 * few, "2,000 nodes: {few} s; 20,000 nodes: {many} s");
}

/// Derivatives and batches of every op's samples lower as well.
#[test]
fn derivatives_of_every_op_sample() {
    let mut failures = Vec::new();
    for s in Op::all_samples() {
        let g = sample_graph(&s);
        let floats: Vec<usize> = (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float()).collect();
        let (Ok(grad), true) = (vjp(&g, &floats), !floats.is_empty()) else { continue };
        let mut rng = Rng(11);
        let rest: Vec<Array> = grad.param_avals()[s.args.len()..].iter().map(|a| rng.array(a)).collect();
        let args: Vec<Array> = s.args.iter().cloned().chain(rest).collect();
        if let Err(e) = check(&grad, &args) {
            failures.push(format!("{} ({}): {e}", s.op.name(), s.note));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A random program over shapes whose dims fill lanes, with reductions, reshapes, pieces and products.
fn wide_program(seed: u64) -> Graph {
    let mut rng = Rng(seed);
    let shapes: [&[usize]; 6] = [&[6, 20], &[20, 6], &[6, 4, 5], &[120], &[20], &[3, 40]];
    build("wide", |t| {
        let mut pool: Vec<Tensor> = (0..3).map(|_| t.param(&Aval::new(DType::F64, shapes[rng.below(6)]))).collect();
        for _ in 0..4 + rng.below(12) {
            let x = pool[pool.len() - 1 - rng.below(pool.len().min(4))].clone();
            let sizes = x.shape().sizes().to_vec();
            let (n, rank) = (x.numel(), sizes.len());
            let dim = if rank == 0 { 0 } else { rng.below(rank) };
            let y = match rng.below(12) {
                0 => x.tanh(),
                1 => x.exp() * 0.1,
                2 => x.square() - 0.5,
                3 | 4 => match pool.iter().find(|y| y.shape() == x.shape() && rng.below(2) == 0) {
                    Some(y) => &x * y + &x,
                    None => &x + 1.0,
                },
                5 => match shapes.iter().find(|s| s.iter().product::<usize>() == n && rng.below(2) == 0) {
                    Some(s) => x.view_to(&Shape::from(*s)),
                    None => x.view_to(&Shape::from([n])),
                },
                6 if rank > 1 => x.permute_to(&(0..rank).map(|d| (d + 1) % rank).collect::<Vec<_>>()),
                7 if rank > 0 => {
                    // The mean along a dim, taken away.
                    let mut kept = sizes.clone();
                    kept[dim] = 1;
                    let mean = x.sum_over(&[dim]) / sizes[dim] as f64;
                    &x - mean.view_to(&Shape::from(&kept)).expand_to(x.shape())
                }
                8 if rank > 0 => x.softmax(dim as i64),
                9 if rank > 0 => x.sum_over(&[dim]),
                10 if rank > 0 && sizes[dim] > 2 => {
                    let inner = x.slice_dim(dim, 1, sizes[dim] - 1, 1);
                    let mut pad = vec![(0, 0); rank];
                    pad[dim] = (2, 0);
                    inner.pad_dims(&pad, 0.25)
                }
                11 if rank == 2 => x.matmul(&x.t()),
                _ => x.flip_dims(&(0..rank).collect::<Vec<_>>()),
            };
            pool.push(y);
        }
        let total = pool[pool.len() - 1].clone();
        Ok(vec![total, pool[rng.below(pool.len())].clone(), pool[pool.len() - 2].clone()])
    })
    .unwrap_or_else(|e| panic!("seed {seed}: {e}"))
}

#[test]
fn random_programs_with_lanes() {
    for seed in 0..150 {
        let g = wide_program(seed);
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn gradients_of_random_programs() {
    for seed in 0..40 {
        let g = pullback_of(&wide_program(seed));
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

/// The pullback of a graph with all its parameters.
fn pullback_of(g: &Graph) -> Graph {
    vjp(g, &(0..g.params().len()).collect::<Vec<_>>()).unwrap()
}
