//! Compiled programs against the reference, on every path of the machine.

use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::tensor::Tensor;
use cotangent_core::tensor::trace::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::inline::inline_all;
use cotangent_jit::{Block, CallError, CompileOptions, Compiled, JitError, Path, compile_with};
use cotangent_loops::ir::{LoopProgram, Step};
use cotangent_loops::lower_as_is;
use cotangent_tests::each::{each_random_graph, each_sample};
use cotangent_tests::numeric::{close, hangs_on_last_places, tolerance};
use cotangent_tests::random_graph::{Config, random_args, random_graph, seeds};
use cotangent_tests::wide_graph::wide_graph;

fn block(a: &Array) -> Block {
    let bytes = a.to_le_bytes();
    let mut b = Block::new(bytes.len());
    b.bytes_mut().copy_from_slice(&bytes);
    b
}

/// The program compiled for each path that the machine has.
fn on_each_path(program: &LoopProgram) -> impl Iterator<Item = Result<(Path, Compiled), JitError>> {
    Path::ALL.into_iter().filter_map(move |path| match compile_with(program, CompileOptions { path }) {
        Err(JitError::NoSuchPath { .. }) => None,
        compiled => Some(compiled.map(|c| (path, c))),
    })
}

/// Lowers, compiles, runs, and compares with the reference; the message says what differs.
fn check(g: &Graph, args: &[Array]) -> Result<(), String> {
    let inlined = inline_all(g).map_err(|e| format!("{e}\n{g}"))?;
    check_program(g, &inlined, &lower_as_is(&inlined).map_err(|e| format!("{e}\n{g}"))?, args)?;
    // Simplification is allowed to round; its own tests compare it with the graph as it was.
    let simple = simplify(&inlined);
    check_program(&simple, &inlined, &lower_as_is(&simple).map_err(|e| format!("{e}\n{g}"))?, args)
}

fn check_program(g: &Graph, inlined: &Graph, program: &LoopProgram, args: &[Array]) -> Result<(), String> {
    let expected = eval(g, args);
    let blocks: Vec<Block> = args.iter().map(block).collect();
    let inputs: Vec<&[u8]> = blocks.iter().map(Block::bytes).collect();
    for compiled in on_each_path(program) {
        let (path, compiled) = compiled.map_err(|e| e.to_string())?;
        let got = match (compiled.call(&inputs), &expected) {
            (Ok(got), Ok(_)) => got,
            (Err(_), Err(_)) => continue,
            (Ok(_), Err(e)) => return Err(format!("on {path:?}: expected `{e}`\n{g}")),
            (Err(e), Ok(_)) => return Err(format!("on {path:?}: {e}\n{g}")),
        };
        for (i, (a, b)) in got.iter().zip(expected.iter().flatten()).enumerate() {
            let a = Array::from_le_bytes(&b.aval(), a.bytes()).ok_or("a result of another length")?;
            let tol = tolerance(inlined, b.dtype());
            if !close(&a, b, tol) && !hangs_on_last_places(g, args, i, &a) {
                return Err(format!("result {i} on {path:?}: got {a:?}, expected {b:?}\n{g}\n{program:#?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_op_sample() {
    each_sample(check);
}

#[test]
fn random_graphs() {
    each_random_graph(2000, check);
}

/// Arrays that are long along some axes: pairs of them on the axes of both, transposed, repeated, reduced.
#[test]
fn random_graphs_of_many_lanes() {
    for seed in seeds(2000) {
        let g = wide_graph(seed);
        check(&g, &random_args(seed, &g)).unwrap_or_else(|e| panic!("seed {seed}: {e:.6000}"));
    }
}

/// Reductions, transpositions and broadcasts of arrays that loops do not take whole.
#[test]
fn random_graphs_of_long_dims() {
    for seed in seeds(150) {
        let g = random_graph(seed, Config::LONG);
        check(&g, &random_args(seed, &g)).unwrap_or_else(|e| panic!("seed {seed}: {e:.4000}"));
    }
}

/// Rows that are too short for lanes of their own and more than a copy of turned operands holds, reduced twice.
#[test]
fn many_short_rows() {
    for dtype in [DType::F32, DType::F64, DType::I64] {
        for shape in [[75, 10], [130, 9], [90, 33], [260, 11], [400, 40]] {
            let graph = build("f", |t| {
                let [x, y] = [(); 2].map(|()| t.param(&Aval::new(dtype, shape)));
                let over = |x: &Tensor| x.sum_over(&[1]).view_to(&[shape[0], 1].into()).expand_to(&shape.into());
                let [a, b] = [&x, &y].map(|x| over(&(x * x)) + 1i64);
                let each = (&x - &a) * (&y + b);
                Ok(vec![each.sum_over(&[1])])
            });
            let args = [1, 2].map(|k| Array::from_f64_fn(&Aval::new(dtype, shape), |i| (i * k % 7) as f64 - 3.0));
            check(&graph.expect("a graph"), &args).unwrap_or_else(|e| panic!("{shape:?} of {dtype}: {e:.2000}"));
        }
    }
}

/// The greatest of each row is one of the row, also where another nest needs a product of the sum, and so does not make one instruction of both.
#[test]
fn extremes_are_among_what_they_are_of() {
    for (dtype, shape) in [(DType::F32, [70, 33]), (DType::F64, [70, 33]), (DType::F64, [9, 2]), (DType::F32, [3, 400])]
    {
        let graph = build("f", |t| {
            let [x, y, z] = [(); 3].map(|()| t.param(&Aval::new(dtype, shape)));
            let product = &x * &y;
            let sum = &product + &z;
            let greatest = sum.amax_over(&[1]).view_to(&[shape[0], 1].into()).expand_to(&shape.into());
            // Here it is in memory, where extremes of a few elements, written out, had it not.
            let sums = product.cumsum_along(0);
            let count = sum.eq(&greatest).convert(DType::I64).sum_over(&[1]);
            Ok(vec![count, sums])
        });
        let graph = graph.expect("a graph");
        let args =
            [3, 5, 7].map(|k| Array::from_f64_fn(&Aval::new(dtype, shape), |i| (i * k % 101) as f64 * 0.1 - 3.3));
        let program = lower_as_is(&graph).expect("loops");
        let blocks: Vec<Block> = args.iter().map(block).collect();
        let inputs: Vec<&[u8]> = blocks.iter().map(Block::bytes).collect();
        for (path, compiled) in on_each_path(&program).map(|c| c.expect("a program")) {
            let results = compiled.call(&inputs).expect("results");
            let counts = results[0].bytes().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")));
            assert!(counts.into_iter().all(|n| n > 0), "{dtype} {shape:?} on {path:?}\n{program}");
        }
    }
}

/// Nests that read through an index, of every number of lanes in the last vector, of dtypes of 32 and 64 bits, of many elements for several threads.
#[test]
fn lookups_of_all_lengths() {
    for dtype in [DType::F32, DType::F64, DType::I64, DType::I32] {
        for n in (1..40).chain([1000, 40_000]) {
            let graph = build("f", |t| {
                let x = t.param(&Aval::new(dtype, [3, 7]));
                let (rows, columns) = (t.param(&Aval::new(DType::I64, [n])), t.param(&Aval::new(DType::I64, [3, n])));
                let wide = x.slice_dim(1, 1, 7, 2).index_select_along(0, &rows);
                let own = x.gather_along(1, &(columns + 1));
                Ok(vec![wide * 3.0, &own + &own])
            });
            let rows = Array::new([n], (0..n as i64).map(|i| i * i % 3).collect::<Vec<_>>());
            let columns = Array::new([3, n], (0..3 * n as i64).map(|i| i * i % 6).collect::<Vec<_>>());
            let x = Array::from_f64_fn(&Aval::new(dtype, [3, 7]), |i| i as f64 * 0.5);
            check(&graph.expect("a graph"), &[x, rows, columns]).unwrap_or_else(|e| panic!("{n} of {dtype}: {e}"));
        }
    }
}

/// The places to look at split a loop of the nest, after which the other dims stand elsewhere in what is read.
#[test]
fn an_index_that_splits_a_loop() {
    for dtype in [DType::F32, DType::F64, DType::I64, DType::I32] {
        let graph = build("f", |t| {
            let x = t.param(&Aval::new(dtype, [2, 3, 6]));
            let y = t.param(&Aval::new(DType::I64, [2, 2, 3]));
            let places = y.permute_to(&[1, 0, 2]).view_to(&[2, 1, 6].into());
            Ok(vec![x.gather_along(1, &places) * 2.0])
        });
        let places = Array::new([2, 2, 3], vec![2i64, 0, 1, 1, 2, 0, 0, 1, 2, 2, 2, 1]);
        let x = Array::from_f64_fn(&Aval::new(dtype, [2, 3, 6]), |i| i as f64 * 0.5);
        check(&graph.expect("a graph"), &[x, places]).unwrap_or_else(|e| panic!("{dtype}: {e}"));
    }
}

/// The index, its dim and the size of that are in the error, whatever the path; the first of several is named.
#[test]
fn an_index_outside_is_named() {
    let avals = [Aval::new(DType::F32, [2, 5]), Aval::new(DType::I64, [100_000])];
    let graph = build("f", |t| {
        let (x, i) = (t.param(&avals[0]), t.param(&avals[1]));
        Ok(vec![x.index_select_along(1, &i) * 2.0])
    });
    let program = lower_as_is(&graph.expect("a graph")).expect("loops");
    assert!(matches!(&program.steps[..], [Step::Nest(n)] if n.lookups.len() == 1), "{program}");
    let x = block(&Array::from_f64_fn(&avals[0], |i| i as f64));
    for (at, bad) in [(0, 5), (99_999, -1), (31_234, i64::MIN), (17, i64::MAX)] {
        let mut index = vec![4i64; 100_000];
        (index[at], index[99_999]) = (bad, if at == 99_999 { bad } else { 5 });
        let index = block(&Array::new([100_000], index));
        for (path, compiled) in on_each_path(&program).map(|c| c.expect("a program")) {
            for _ in 0..3 {
                let found = compiled.call(&[x.bytes(), index.bytes()]).map(|_| ());
                let Err(CallError::Data { op, source: EvalError::Index { dim: 1, index, size: 5, .. }, .. }) = &found
                else {
                    panic!("on {path:?}: {found:?}");
                };
                assert_eq!((op.as_str(), *index), ("index_select", bad), "on {path:?}");
            }
        }
    }
}

/// Nests that read slices, whose place an index of the row moves: alone, several together, in sums along them and across, in the middle, with more accesses than
/// machine code has registers for.
#[test]
fn slices_of_all_lengths() {
    let lengths = [(16, 6), (17, 1), (31, 90), (33, 1500), (48, 6), (100, 12), (257, 90), (1000, 18)];
    for (dtype, (n, rows)) in [DType::F32, DType::F64, DType::I64].into_iter().flat_map(|d| lengths.map(|l| (d, l))) {
        let graph = build("f", |t| {
            let (x, cube) = (t.param(&Aval::new(dtype, [5, n])), t.param(&Aval::new(dtype, [2, 7, n])));
            let index = Aval::new(DType::I64, [rows]);
            let (i, j, scale) = (t.param(&index), t.param(&index), t.param(&Aval::new(dtype, [rows])));
            let wide = |x: Tensor| x.view_to(&[rows, 1].into()).expand_to(&[rows, n].into());
            let (a, b) = (x.index_select_along(0, &i), x.index_select_along(0, &j));
            let bags = (&a + 1).view_to(&[rows.div_ceil(6), rows.min(6), n].into());
            let of = |k: i64| (&i + &j + k).remainder(&(&j - &j + 5));
            let many = (0..7).fold(a.clone(), |sum, k| sum + x.index_select_along(0, &of(k)));
            Ok(vec![
                &a * 3,
                &a * &wide(scale.clone()) + &b,
                (&a * &a).sum_over(&[1]),
                bags.sum_over(&[1]),
                cube.index_select_along(1, &i) + &b,
                many,
                wide(scale.index_select_along(0, &(&i - &i))) * b,
                a.permute_to(&[1, 0]) + 1,
            ])
        });
        let index = |k: i64| Array::new([rows], (0..rows as i64).map(|i| (i * i + k) % 5).collect::<Vec<_>>());
        let numbers = |shape: &[usize]| Array::from_f64_fn(&Aval::new(dtype, shape), |i| (i % 97) as f64 - 40.0);
        let args = [numbers(&[5, n]), numbers(&[2, 7, n]), index(0), index(3), numbers(&[rows])];
        check(&graph.expect("a graph"), &args).unwrap_or_else(|e| panic!("{rows} of {n} of {dtype}: {e}"));
    }
}

/// Of several slices that are not there, the first one is named, whatever the path, also among those that a serial loop names.
#[test]
fn the_first_slice_that_is_not_there_is_named() {
    let graph = |sums: bool| {
        build("f", |t| {
            let (x, i) = (t.param(&Aval::new(DType::F32, [5, 40])), t.param(&Aval::new(DType::I64, [3000])));
            let slices = x.index_select_along(0, &i) * 2.0;
            Ok(vec![if sums { slices.view_to(&[1000, 3, 40].into()).sum_over(&[1]) } else { slices }])
        })
    };
    let x = block(&Array::from_f64_fn(&Aval::new(DType::F32, [5, 40]), |i| i as f64));
    for sums in [false, true] {
        let program = lower_as_is(&graph(sums).expect("a graph")).expect("loops");
        assert!(matches!(&program.steps[..], [Step::Nest(n)] if n.lookups.len() == 1), "{program}");
        for bad in [5, -1, i64::MIN, i64::MAX] {
            let mut index = vec![4i64; 3000];
            (index[1900], index[701], index[2999]) = (7, bad, 8);
            let index = block(&Array::new([3000], index));
            for (path, compiled) in on_each_path(&program).map(|c| c.expect("a program")) {
                let found = compiled.call(&[x.bytes(), index.bytes()]).map(|_| ());
                let Err(CallError::Data { op, source: EvalError::Index { dim: 0, index, size: 5, .. }, .. }) = &found
                else {
                    panic!("on {path:?}: {found:?}");
                };
                assert_eq!((op.as_str(), *index), ("index_select", bad), "on {path:?}");
            }
        }
    }
}

/// Sums over all pairs of rows, whose lanes go across the rows of one side: in parts, from copies that serve many rows of the other; also of several pairs of arrays.
#[test]
fn all_pairs_of_rows() {
    let sizes =
        [(1, 40, 64, 8), (1, 33, 100, 17), (1, 40, 300, 33), (1, 200, 130, 12), (3, 50, 70, 9), (2, 40, 65, 100)];
    for (dtype, [batch, n, m, d]) in
        [DType::F32, DType::F64].into_iter().flat_map(|t| sizes.map(|(b, n, m, d)| (t, [b, n, m, d])))
    {
        let graph = build("f", |t| {
            let (x, y) = (t.param(&Aval::new(dtype, [batch, n, d])), t.param(&Aval::new(dtype, [batch, m, d])));
            let all = &[batch, n, m, d].into();
            let far =
                x.view_to(&[batch, n, 1, d].into()).expand_to(all) - y.view_to(&[batch, 1, m, d].into()).expand_to(all);
            Ok(vec![(&far * &far).sum_over(&[3]).sqrt(), far.abs().amax_over(&[3]) + 1])
        });
        let numbers = |n: usize| Array::from_f64_fn(&Aval::new(dtype, [batch, n, d]), |i| (i * 7 % 31) as f64 * 0.25);
        check(&graph.expect("a graph"), &[numbers(n), numbers(m)])
            .unwrap_or_else(|e| panic!("{batch} times {n} and {m} rows of {d} of {dtype}: {e}"));
    }
}

/// Of several short rows that fail, the first one is named, also where machine code walks through them itself; divisions by zero as well.
#[test]
fn the_first_row_that_fails_is_named() {
    let avals = [Aval::new(DType::F32, [999, 5]), Aval::new(DType::I64, [999, 600])];
    let graph = build("f", |t| {
        let (x, i) = (t.param(&avals[0]), t.param(&avals[1]));
        Ok(vec![x.gather_along(1, &i) * 2.0])
    });
    let divided = build("g", |t| {
        let (x, i) = (t.param(&Aval::new(DType::I64, [999, 1])), t.param(&avals[1]));
        Ok(vec![x.expand_to(&avals[1].shape).remainder(&i)])
    });
    let x = block(&Array::from_f64_fn(&avals[0], |i| i as f64));
    let numbers = block(&Array::full(&Aval::new(DType::I64, [999, 1]), 7i64.into()));
    for (graph, first, good, bad) in [(graph, &x, 4i64, 9), (divided, &numbers, 2, 0)] {
        let program = lower_as_is(&graph.expect("a graph")).expect("loops");
        let mut index = vec![good; 999 * 600];
        (index[1900], index[700], index[1300], index[38_996]) = (bad, bad, bad, bad);
        let index = block(&Array::new([999, 600], index));
        for (path, compiled) in on_each_path(&program).map(|c| c.expect("a program")) {
            for _ in 0..3 {
                let found = compiled.call(&[first.bytes(), index.bytes()]).map(|_| ());
                let Err(CallError::Data { source, .. }) = &found else { panic!("on {path:?}: {found:?}") };
                match source {
                    EvalError::Index { dim: 1, index: 9, size: 5, at: 700 } | EvalError::ZeroDivision { at: 700 } => {}
                    other => panic!("on {path:?}: {other:?}"),
                }
            }
        }
    }
}
