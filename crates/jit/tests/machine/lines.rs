//! Sorts, searches, scans, and writes through an index, of every dtype, against the evaluator.

use std::ops::Range;

use crate::common::{blocks, check, data, on_threads, paths, routine, run};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::ops::{
    Argmax, Argmin, Cummax, Cummin, Cumprod, Cumsum, Extreme, Gather, IndexAdd, Logcumsumexp, Op, Scatter, ScatterAdd,
    ScatterReduce, ScatterReduction, Searchsorted, Sort,
};
use cotangent_jit::{Block, CallError, CompileOptions, compile_with};
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{Buffer, BufferId, LoopProgram, Role, RoutineKind, Step};
use cotangent_loops::verify::verify;

const SHAPES: [&[usize]; 8] = [&[7], &[1], &[0], &[3, 0, 2], &[5, 33], &[4, 9, 3], &[70, 40], &[2, 17_000]];

fn aval(d: DType, shape: &[usize]) -> Aval {
    Aval::new(d, shape.iter().copied().collect::<Shape>())
}

/// `op` along each dim of each shape, for operands of `dtypes`.
fn along_dims(dtypes: impl Fn(DType) -> bool, op: impl Fn(usize) -> Op, rtol: f64) {
    for d in DType::ALL.into_iter().filter(|d| dtypes(*d)) {
        for shape in SHAPES {
            for dim in 0..shape.len() {
                let (x, op) = (aval(d, shape), op(dim));
                let args = [data(d, x.shape.numel(), 3 + dim as u64)];
                check(&format!("{op:?} of {x}"), &routine(op, &[x]), &args, rtol);
            }
        }
    }
}

#[test]
fn sorts() {
    for descending in [false, true] {
        along_dims(|_| true, |dim| Sort { stable: true, dim, descending }.into(), 0.0);
    }
}

/// Threads share a line in parts; keys have few bits, all of them, or more than there is room for beside a position, of which the upper ones are the same
/// for many, for few, or for all.
#[test]
fn sorts_of_long_lines() {
    let n = 40_000;
    let mixed = |i: usize| (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
    let few = |i: usize| (mixed(i) % 1000) as f64 - 500.0;
    let near = |i: usize| 1.0 + mixed(i) as f64 / (1u64 << 60) as f64;
    let wide = |i: usize| (mixed(i) % 7) as f64 * 2f64.powi(56) + (mixed(i) >> 8) as f64;
    let far = |i: usize| if i % 100 == 3 { f64::NAN } else { wide(i) * if i.is_multiple_of(2) { 1.0 } else { -1e-3 } };
    for (d, which) in [(DType::F32, 0), (DType::F64, 0), (DType::I64, 0), (DType::I32, 0), (DType::I8, 0)]
        .into_iter()
        .chain([(DType::F64, 1), (DType::F64, 2), (DType::I64, 2), (DType::F64, 3), (DType::F32, 3)])
    {
        let x = aval(d, &[n]);
        let args = [Array::from_f64_fn(&x, |i| [few(i), near(i), wide(i), far(i)][which])];
        for descending in [false, true] {
            let p = routine(Sort { stable: true, dim: 0, descending }.into(), std::slice::from_ref(&x));
            for count in [1, 2, 5] {
                let what = format!("sort {which} of {x} by {count} threads, descending: {descending}");
                on_threads(count, || check(&what, &p, &args, 0.0));
            }
        }
    }
}

/// Lines of few elements, and columns, are searched side by side; ties and NaN are in the data.
#[test]
fn places_of_extremes() {
    for d in DType::ALL.into_iter().filter(|d| *d != DType::Bool) {
        for shape in [
            [1, 5, 1],
            [16, 7, 1],
            [37, 32, 1],
            [40, 1, 1],
            [50, 33, 1],
            [6, 9, 5],
            [1, 20, 1100],
            [9, 3, 40],
            [2, 3, 0],
            [2, 2000, 0],
            // Several rows as one, in parts.
            [1, 30_000, 3],
            [1, 9001, 16],
            [3, 1037, 100],
            [2, 515, 2],
        ] {
            let x = aval(d, &shape);
            for op in [Op::Argmax(Argmax { dim: 1 }), Op::Argmin(Argmin { dim: 1 })] {
                let elements = data(d, x.shape.numel(), 7);
                check(&format!("{op:?} of {x}"), &routine(op, std::slice::from_ref(&x)), &[elements], 0.0);
            }
            for which in [Extreme::Max, Extreme::Min] {
                let elements = data(d, x.shape.numel(), 7);
                check(&format!("{which:?} of {x}, with places"), &extremes_of(which, &x), &[elements], 0.0);
            }
        }
    }
}

/// The program of extremes along dim 1, and where they stand.
fn extremes_of(which: Extreme, x: &Aval) -> LoopProgram {
    let op = match which {
        Extreme::Max => Op::Argmax(Argmax { dim: 1 }),
        Extreme::Min => Op::Argmin(Argmin { dim: 1 }),
    };
    let mut p = routine(op, std::slice::from_ref(x));
    p.buffers.push(Buffer { dtype: x.dtype, ..p.buffers[1].clone() });
    p.results.insert(0, BufferId(2));
    let Step::Routine(r) = &mut p.steps[0] else { unreachable!("one routine") };
    (r.kind, r.outputs) = (RoutineKind::Extremes { dim: 1, which, x: x.clone() }, p.results.clone());
    verify(&p).unwrap_or_else(|e| panic!("{e}"));
    p
}

/// The program of some places of a sort.
fn places_of(sort: Sort, x: &Aval, places: Range<usize>) -> LoopProgram {
    let mut p = routine(sort.clone().into(), std::slice::from_ref(x));
    let len = x.shape.numel() / x.shape[sort.dim].get() * places.len();
    p.buffers[1..].iter_mut().for_each(|b| b.len = len);
    let Step::Routine(r) = &mut p.steps[0] else { unreachable!("one routine") };
    r.kind = RoutineKind::Places { sort, x: x.clone(), places };
    verify(&p).unwrap_or_else(|e| panic!("{e}"));
    p
}

#[test]
fn places_of_sorts() {
    for d in DType::ALL {
        for (shape, dim) in [([1, 7, 1], 1), ([40, 33, 1], 1), ([3, 300, 4], 1), ([5, 2, 1200], 2)] {
            let n = shape[dim];
            for places in [0..1, 0..n / 20, 0..n / 2, n / 2..n / 2 + 1, n - 2..n, n / 3..n / 2, 0..n] {
                if places.is_empty() {
                    continue;
                }
                let x = aval(d, &shape);
                for descending in [false, true] {
                    let sort = Sort { stable: true, dim, descending };
                    let what = format!("{places:?} of {x}, descending: {descending}");
                    let args = [data(d, x.shape.numel(), 5 + dim as u64)];
                    check(&what, &places_of(sort, &x, places.clone()), &args, 0.0);
                }
            }
        }
    }
}

/// The program of a sort's elements at ranks that are data.
fn ranked(sort: Sort, x: &Aval, index: &Aval) -> LoopProgram {
    let mut p = routine(Gather { dim: sort.dim }.into(), &[x.clone(), index.clone()]);
    let positions = BufferId(p.buffers.len() as u32);
    p.buffers.push(Buffer { dtype: DType::I64, len: index.shape.numel(), role: Role::Result });
    p.results.push(positions);
    let Step::Routine(r) = &mut p.steps[0] else { unreachable!("one routine") };
    r.outputs.push(positions);
    r.kind = RoutineKind::Ranked { sort, x: x.clone(), index: index.clone() };
    verify(&p).unwrap_or_else(|e| panic!("{e}"));
    p
}

/// Lines of one element, of few that are put into order, and of many, with ties and NaN.
#[test]
fn ranks_that_are_data() {
    for d in DType::ALL {
        for (shape, dim, count) in [
            ([1, 1, 1], 1, 1),
            ([5, 9, 1], 1, 2),
            ([3, 0, 2], 1, 0),
            ([0, 4, 2], 1, 1),
            ([40, 33, 1], 1, 1),
            ([3, 300, 4], 1, 3),
            ([1, 2, 5000], 2, 2),
        ] {
            let (x, n) = (aval(d, &shape), shape[dim]);
            let mut own = shape;
            own[dim] = count;
            let index = aval(DType::I64, &own);
            for descending in [false, true] {
                let sort = Sort { stable: true, dim, descending };
                for seed in [1, 8] {
                    let at = Array::from_f64_fn(&index, |i| (i * 7919 * seed % n.max(1)) as f64);
                    let what = format!("{count} ranks of {x}, descending: {descending}");
                    check(&what, &ranked(sort.clone(), &x, &index), &[data(d, x.shape.numel(), seed as u64), at], 0.0);
                }
            }
        }
    }
}

/// Elements of which most are equal, all are NaN, or all are of one sign and magnitude.
#[test]
fn ranks_of_equal_elements() {
    let (x, index) = (aval(DType::F32, &[4, 700]), aval(DType::I64, &[4, 3]));
    let at = Array::from_f64_fn(&index, |i| [0.0, 350.0, 699.0][i % 3]);
    let sort = |descending| Sort { stable: true, dim: 1, descending };
    type Values = dyn Fn(usize) -> f64;
    let all: [&Values; 4] =
        [&|_| 0.0, &|_| f64::NAN, &|i| if i % 100 == 9 { f64::NAN } else { -0.0 }, &|i| 1.0 + (i % 5) as f64 * 1e-7];
    for value in all {
        for descending in [false, true] {
            let args = [Array::from_f64_fn(&x, value), at.clone()];
            check("equal elements", &ranked(sort(descending), &x, &index), &args, 0.0);
        }
    }
}

/// An op with an index for each row, whose program reads one for each.
fn of_rows(op: Op, args: &[Aval], dim: usize) -> LoopProgram {
    let mut p = routine(op.clone(), args);
    let inner: usize = (dim + 1..args[1].shape.rank()).map(|d| args[1].shape[d].get()).product();
    p.buffers[1].len /= inner.max(1);
    let Step::Routine(r) = &mut p.steps[0] else { unreachable!("one routine") };
    let results = op.prim().infer(&args.iter().collect::<Vec<_>>()).expect("a legal op").to_vec();
    r.kind = RoutineKind::Rows { op, args: args.to_vec(), results, dim };
    verify(&p).unwrap_or_else(|e| panic!("{e}"));
    p
}

/// One index for many lines: of fewer elements than are read at once and of more, for few and many lines.
#[test]
fn lines_through_an_index() {
    let of_lines = |x: &Aval, index: &Aval, dim: usize, first: usize| {
        let gather = Gather { dim };
        let mut p = routine(gather.clone().into(), &[x.clone(), index.clone()]);
        p.buffers[1].len /= index.shape.sizes()[first..dim].iter().product::<usize>().max(1);
        let Step::Routine(r) = &mut p.steps[0] else { unreachable!("one routine") };
        r.kind = RoutineKind::Lines { gather, x: x.clone(), index: index.clone(), first };
        verify(&p).unwrap_or_else(|e| panic!("{e}"));
        p
    };
    for d in DType::ALL {
        for (shape, count, first) in [
            ([3, 4, 7, 1], 20, 1),
            ([2, 5, 33, 3], 9, 0),
            ([1, 2, 50, 1], 5000, 1),
            ([40, 3, 5, 2], 4, 1),
            ([2, 3, 4, 1], 0, 1),
            ([0, 3, 4, 1], 2, 1),
        ] {
            let (x, dim) = (aval(d, &shape), 2);
            let mut own = shape;
            own[dim] = count;
            let index = aval(DType::I64, &own);
            let p = of_lines(&x, &index, dim, first);
            let n = p.buffers[1].len;
            let at = Array::from_f64_fn(&aval(DType::I64, &[n]), |j| ((j * 7 + j / 3) % shape[dim]) as f64);
            let args = [data(d, x.shape.numel(), 3), at];
            check(&format!("lines of {x} from {first}"), &p, &args, 0.0);
            // The error is that of the index for each element.
            if let Some(bad) = n.checked_sub(2) {
                let wrong = Array::from_f64_fn(&aval(DType::I64, &[n]), |j| if j >= bad { -3.0 } else { 0.0 });
                refuses(&p, &[args[0].clone(), wrong]);
            }
        }
    }
}

/// Few and many lines before the indexed dim, and rows of each width.
#[test]
fn rows_through_an_index() {
    for d in DType::ALL {
        for (shape, dim, count) in [
            ([1, 7, 61], 1, 40),
            ([9, 5, 6], 1, 20),
            ([3, 30, 33], 1, 11),
            ([2, 4, 2], 0, 5),
            ([1, 3, 4], 1, 0),
            ([0, 3, 4], 1, 2),
        ] {
            let x = aval(d, &shape);
            let mut own = shape;
            own[dim] = count;
            let (index, src) = (aval(DType::I64, &own), aval(d, &own));
            let rows = shape[..dim].iter().product::<usize>() * count;
            let at = Array::from_f64_fn(&aval(DType::I64, &[rows]), |j| ((j * 7 + j / 3) % shape[dim]) as f64);
            let args = [data(d, x.shape.numel(), 3), at, data(d, src.shape.numel(), 4)];
            let gather = of_rows(Gather { dim }.into(), &[x.clone(), index.clone()], dim);
            check(&format!("rows of {x}"), &gather, &args[..2], 0.0);
            let avals = [x, index, src];
            let reduced = ScatterReduction::ALL.map(|reduce| ScatterReduce { dim, reduce }.into());
            for op in [Op::from(Scatter { dim }), ScatterAdd { dim }.into()].into_iter().chain(reduced) {
                if op.prim().infer(&avals.each_ref()).is_ok() {
                    check(&format!("{op:?} of rows of {avals:?}"), &of_rows(op, &avals, dim), &args, 0.0);
                }
            }
        }
    }
}

#[test]
fn places_of_sorts_of_equal_elements() {
    for (d, n) in [(DType::F32, 500), (DType::F32, 70_000), (DType::F64, 70_000)] {
        let x = aval(d, &[n]);
        for value in [0.0, f64::NAN] {
            let args = [Array::from_f64_fn(&x, |i| if i % 1000 == 999 { 1.0 } else { value })];
            for descending in [false, true] {
                let p = places_of(Sort { stable: true, dim: 0, descending }, &x, 0..12);
                check(&format!("{n} of {value}, descending: {descending}"), &p, &args, 0.0);
            }
        }
    }
}

#[test]
fn cumulative_extremes() {
    along_dims(|_| true, |dim| Cummax { dim }.into(), 0.0);
    along_dims(|_| true, |dim| Cummin { dim }.into(), 0.0);
}

#[test]
fn scans() {
    let wide = |d: DType| d.is_float() || d == DType::I64;
    along_dims(wide, |dim| Cumsum { dim }.into(), 1e-6);
    along_dims(wide, |dim| Cumprod { dim }.into(), 0.0);
    along_dims(|d| d.is_float(), |dim| Logcumsumexp { dim }.into(), 1e-6);
}

#[test]
fn searches() {
    for d in DType::ALL.into_iter().filter(|d| *d != DType::Bool) {
        for (lead, n, k) in [(1, 0, 5), (1, 1, 3), (3, 17, 40), (2, 3000, 2500), (4, 8, 0)] {
            for (right, out_int32) in [(false, false), (true, true)] {
                let (sorted, x) = (aval(d, &[lead, n]), aval(d, &[lead, k]));
                let order = Op::from(Sort { stable: true, dim: 1, descending: false });
                let program = routine(order, std::slice::from_ref(&sorted));
                let unsorted = data(d, lead * n, 5);
                let in_order = interpret(&program, std::slice::from_ref(&unsorted)).expect("sorts").swap_remove(0);
                // What is not in order is found by the same steps, too.
                for s in [in_order, unsorted] {
                    let op = Searchsorted { out_int32, right };
                    let args = [s, data(d, lead * k, 9)];
                    check(
                        &format!("{op:?} in {sorted} of {x}"),
                        &routine(op.into(), &[sorted.clone(), x.clone()]),
                        &args,
                        0.0,
                    );
                }
            }
        }
    }
}

/// Operand, index along `dim` with `index` elements on each dim, and source.
fn written(d: DType, shape: &[usize], dim: usize, index: &[usize], vector: bool) -> ([Aval; 3], [Array; 3]) {
    let (x, i) = (aval(d, shape), aval(DType::I64, if vector { &index[dim..=dim] } else { index }));
    let src = aval(d, index);
    let n = shape[dim] as f64;
    let flat = |a: &Aval| Aval::new(a.dtype, [a.shape.numel()]);
    let places = Array::from_f64_fn(&flat(&i), |j| ((j * 7 + j / 3) as f64 % n).floor());
    let arrays = [data(d, x.shape.numel(), 3), places, data(d, src.shape.numel(), 4)];
    ([x, i, src], arrays)
}

/// Shape, dim, and the index's sizes.
const WRITES: [(&[usize], usize, &[usize]); 15] = [
    (&[6], 0, &[9]),
    (&[5], 0, &[0]),
    (&[0, 3], 1, &[0, 4]),
    (&[3, 5], 1, &[3, 2]),
    (&[4, 6, 3], 1, &[4, 9, 3]),
    (&[40, 30], 0, &[500, 30]),
    (&[8, 7], 1, &[5, 4]),
    (&[300, 64], 0, &[900, 64]),
    // Few places of long lines, of which one is written twice; and so many lines that threads do some of them one after the other.
    (&[5, 14], 1, &[5, 3]),
    (&[600, 40], 1, &[600, 4]),
    // Rows of one block of columns of each width, and lines whose places are written often.
    (&[9, 61], 0, &[70, 61]),
    (&[70, 6], 1, &[70, 9]),
    // Few columns of sums that stay in the cache: whole blocks of them, and each rest.
    (&[5, 8], 0, &[30, 8]),
    (&[2, 6, 15], 1, &[2, 20, 15]),
    (&[7, 2], 0, &[7, 2]),
];

fn writes(op: impl Fn(usize) -> Op, vector: bool) {
    for d in DType::ALL {
        for (shape, dim, index) in WRITES {
            let fits = (0..shape.len()).all(|k| k == dim || shape[k] == index[k]);
            let (avals, args) = written(d, shape, dim, index, vector);
            let op = op(dim);
            if (!vector || fits) && op.prim().infer(&avals.iter().collect::<Vec<_>>()).is_ok() {
                check(&format!("{op:?} of {avals:?}"), &routine(op, &avals), &args, 0.0);
            }
        }
    }
}

#[test]
fn writes_through_an_index() {
    writes(|dim| Scatter { dim }.into(), false);
    writes(|dim| ScatterAdd { dim }.into(), false);
    writes(|dim| IndexAdd { dim }.into(), true);
    for reduce in ScatterReduction::ALL {
        writes(|dim| ScatterReduce { dim, reduce }.into(), false);
    }
}

/// So many sources that threads sort them by their places, or share their columns; their sums round differently in another order.
#[test]
fn many_sources_of_few_places() {
    for (places, inner) in [(50, 40), (50, 12), (70, 7), (3000, 2), (20_000, 5)] {
        let (avals, [x, index, _]) = written(DType::F64, &[places, inner], 0, &[70_000, inner], true);
        let source = Array::from_f64_fn(&aval(DType::F64, &[70_000 * inner]), |i| 1.0 / (i % 1013 + 1) as f64);
        let p = routine(IndexAdd { dim: 0 }.into(), &avals);
        for n in [1, 2, 4] {
            let what = format!("{places} places of {inner} on {n} threads");
            on_threads(n, || check(&what, &p, &[x.clone(), index.clone(), source.clone()], 0.0));
        }
    }
}

/// Every path refuses the data with the interpreter's error.
fn refuses(p: &LoopProgram, args: &[Array]) {
    let expected = interpret(p, args).expect_err("out of bounds");
    for path in paths() {
        let compiled = compile_with(p, CompileOptions { path }).expect("compiles");
        match compiled.call(&blocks(args).iter().map(Block::bytes).collect::<Vec<_>>()) {
            Err(CallError::Data { source, .. }) => assert_eq!(source, expected),
            other => panic!("expected an error of the index, found {other:?}"),
        }
    }
}

#[test]
fn an_index_out_of_bounds_is_the_same_error() {
    for (bad, count) in [(-1, 3), (6, 3), (i64::MAX, 3), (6, 50_000)] {
        let ops: [(Op, bool); 4] = [
            (Scatter { dim: 0 }.into(), false),
            (ScatterAdd { dim: 0 }.into(), false),
            (IndexAdd { dim: 0 }.into(), true),
            (ScatterReduce { dim: 0, reduce: ScatterReduction::Amax }.into(), false),
        ];
        for (op, vector) in ops {
            let (avals, [x, _, src]) = written(DType::F32, &[6], 0, &[count], vector);
            // Where threads share a long index, the first of two is still the one that is named.
            let mut places = vec![2; count];
            (places[count / 2], places[count - 1]) = (bad, -7);
            let index = Array::new([count], places);
            let p = routine(op, &avals);
            refuses(&p, &[x, index, src]);
        }
    }
}

#[test]
fn an_index_of_rows_out_of_bounds_is_the_same_error() {
    let (x, own) = (aval(DType::F32, &[2, 5, 6]), [2, 4, 6]);
    let avals = [x, aval(DType::I64, &own), aval(DType::F32, &own)];
    for bad in [-1, 5, i64::MIN, i64::MAX] {
        let index = Array::new([8], vec![0, 1, 2, 3, 4, bad, 0, -7]);
        let args = [data(DType::F32, 60, 1), index, data(DType::F32, 48, 2)];
        refuses(&of_rows(Gather { dim: 1 }.into(), &avals[..2], 1), &args[..2]);
        let extreme = ScatterReduce { dim: 1, reduce: ScatterReduction::Amax };
        for op in [Op::from(Scatter { dim: 1 }), ScatterAdd { dim: 1 }.into(), extreme.into()] {
            refuses(&of_rows(op, &avals, 1), &args);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let x = aval(DType::F32, &[300, 700]);
    let (avals, args) = written(DType::F32, &[500, 64], 0, &[4000, 64], true);
    let programs = [
        (
            routine(Sort { stable: true, dim: 1, descending: true }.into(), std::slice::from_ref(&x)),
            vec![data(DType::F32, 210_000, 8)],
        ),
        (routine(Cumsum { dim: 0 }.into(), &[x]), vec![data(DType::F32, 210_000, 8)]),
        (routine(IndexAdd { dim: 0 }.into(), &avals), args.to_vec()),
    ];
    for (p, args) in &programs {
        let mut seen = Vec::new();
        for n in [1, 2, 5] {
            for path in paths() {
                seen.push(on_threads(n, || run(p, args, path)).iter().map(Array::to_le_bytes).collect::<Vec<_>>());
            }
        }
        assert!(seen.windows(2).all(|w| w[0] == w[1]), "results differ between numbers of threads");
    }
}
