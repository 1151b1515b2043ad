//! Convolutions and indexed reads and additions, and steps that run as one chain, against the interpreter.

use crate::common::{check, paths, routine, run};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph, Shape};
use cotangent_core::ops::{Convolution, Gather, IndexSelect, Op};
use cotangent_core::text::ir::parse;
use cotangent_core::transform::eval::eval;
use cotangent_loops::interp::interpret;
use cotangent_loops::lower;

/// Small integers: sums are exact in any order.
fn small(avals: &[Aval]) -> Vec<Array> {
    let one = |(k, a): (usize, &Aval)| {
        Array::from_f64_fn(&Aval::new(a.dtype, [a.shape.numel()]), |i| ((i * 31 + k * 5) % 7) as f64 - 3.0)
    };
    avals.iter().enumerate().map(one).collect()
}

#[test]
fn convolutions() {
    let mut cases: Vec<(Convolution, Vec<usize>, Vec<usize>)> = Vec::new();
    for transposed in [false, true] {
        for (groups, ci, co) in [(1, 3, 7), (2, 2, 3), (4, 1, 1), (1, 1, 6)] {
            // Channels of the kernel: `[co, ci / groups]`, or transposed `[ci, co / groups]`.
            let channels = |ci: usize, co: usize| if transposed { [groups * ci, co] } else { [groups * co, ci] };
            for (x, k, padding, dilation, stride) in [
                (vec![9], vec![3], vec![0], vec![1], vec![1]),
                (vec![300], vec![4], vec![2], vec![2], vec![1]),
                (vec![12, 21], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
                (vec![17, 40], vec![2, 5], vec![0, 3], vec![2, 1], vec![1, 1]),
                (vec![10, 11], vec![1, 1], vec![0, 0], vec![1, 1], vec![1, 1]),
                (vec![9, 10], vec![7, 8], vec![1, 1], vec![1, 1], vec![1, 1]),
                (vec![9, 10], vec![3, 3], vec![1, 0], vec![1, 2], vec![2, 3]),
                (vec![5, 6, 34], vec![2, 3, 3], vec![1, 0, 1], vec![1, 1, 1], vec![1, 1, 1]),
                (vec![3, 2], vec![3, 1], vec![2, 0], vec![1, 1], vec![1, 1]),
                (vec![40], vec![3], vec![4], vec![1], vec![2]),
                (vec![21, 70], vec![3, 3], vec![1, 1], vec![1, 1], vec![2, 2]),
                (vec![8, 40], vec![1, 1], vec![0, 0], vec![1, 1], vec![2, 2]),
                (vec![9, 41], vec![4, 5], vec![2, 3], vec![2, 3], vec![3, 2]),
                (vec![6, 37], vec![2, 2], vec![0, 0], vec![1, 1], vec![3, 3]),
                (vec![5, 9, 40], vec![2, 3, 3], vec![1, 0, 1], vec![1, 1, 2], vec![2, 1, 2]),
            ] {
                let dims = x.len();
                let op = Convolution { stride, padding, dilation, transposed, groups, ..Convolution::plain(dims) };
                let xs = [2, groups * ci].into_iter().chain(x).collect();
                cases.push((op, xs, channels(ci, co).into_iter().chain(k).collect()));
            }
        }
    }
    // Many images and few positions, as gradients of weights have.
    for (groups, ci, co) in [(1, 3, 40), (9, 1, 5), (2, 40, 3)] {
        for (x, k, padding, dilation, stride) in [
            (vec![12], vec![10], vec![1], vec![1], vec![1]),
            (vec![13, 14], vec![12, 13], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![13, 14], vec![6, 7], vec![1, 2], vec![2, 2], vec![1, 1]),
            (vec![4, 4], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![7, 6], vec![3, 2], vec![1, 0], vec![1, 2], vec![2, 3]),
            (vec![5, 4, 3], vec![4, 4, 2], vec![0, 1, 1], vec![1, 1, 1], vec![1, 1, 1]),
        ] {
            let op = Convolution { stride, padding, dilation, groups, ..Convolution::plain(x.len()) };
            for images in [8, 19, 45] {
                let xs = [images, groups * ci].into_iter().chain(x.iter().copied()).collect();
                let ws = [groups * co, ci].into_iter().chain(k.iter().copied()).collect();
                cases.push((op.clone(), xs, ws));
            }
        }
    }
    // Rows behind the last stride, which a transposed convolution adds.
    let op = Convolution { stride: vec![3, 2], transposed: true, output_padding: vec![2, 1], ..Convolution::plain(2) };
    cases.push((op, vec![2, 3, 6, 40], vec![3, 4, 3, 3]));
    for (op, x, w) in cases {
        for d in [DType::F32, DType::F64] {
            let shape = |s: &[usize]| Aval::new(d, s.iter().copied().collect::<Shape>());
            let args = [shape(&x), shape(&w)];
            if Op::from(op.clone()).prim().infer(&args.iter().collect::<Vec<_>>()).is_err() {
                continue;
            }
            check(&format!("{op:?} of {x:?} and {w:?}"), &routine(op.clone().into(), &args), &small(&args), 0.0);
        }
    }
}

/// Inner dims that are long enough, and lines that fill vectors badly: channels of the result are lanes.
#[test]
fn convolutions_with_channels_as_lanes() {
    for (groups, ci, co, images) in [(1, 8, 16, 2), (2, 9, 40, 1), (1, 20, 70, 3), (1, 70, 8, 1)] {
        for (x, k, padding, dilation, stride) in [
            (vec![9, 7], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![14, 13], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![15, 20], vec![3, 4], vec![2, 0], vec![1, 1], vec![2, 2]),
            (vec![5, 34], vec![5, 2], vec![2, 2], vec![1, 3], vec![1, 1]),
            (vec![270], vec![9], vec![4], vec![1], vec![1]),
            (vec![4, 5, 9], vec![2, 3, 3], vec![0, 1, 1], vec![1, 1, 1], vec![1, 1, 1]),
        ] {
            for transposed in [false, true] {
                let [stride, padding, dilation] = [&stride, &padding, &dilation].map(Vec::clone);
                let op = Convolution { stride, padding, dilation, transposed, groups, ..Convolution::plain(x.len()) };
                let channels = if transposed { [groups * ci, co] } else { [groups * co, ci] };
                let xs: Shape = [images, groups * ci].into_iter().chain(x.iter().copied()).collect();
                let ws: Shape = channels.into_iter().chain(k.iter().copied()).collect();
                for d in [DType::F32, DType::F64] {
                    let args = [Aval::new(d, xs.clone()), Aval::new(d, ws.clone())];
                    let program = routine(op.clone().into(), &args);
                    check(&format!("{op:?} of {x:?} and {k:?}"), &program, &small(&args), 0.0);
                }
            }
        }
    }
}

/// Groups of one channel: rows of fewer lanes than a vector and of several, kernels of every parity, borders wider than the kernel, and none.
#[test]
fn convolutions_of_planes() {
    for (groups, co, images) in [(1, 1, 1), (3, 2, 2), (35, 1, 1)] {
        for (x, k, padding, dilation, stride) in [
            ([7, 7], [3, 3], [1, 1], [1, 1], [1, 1]),
            ([9, 31], [3, 3], [1, 1], [1, 1], [1, 1]),
            ([5, 33], [5, 5], [2, 2], [1, 1], [1, 1]),
            ([11, 16], [7, 7], [3, 3], [1, 1], [1, 1]),
            ([4, 20], [4, 2], [0, 0], [1, 1], [1, 1]),
            ([3, 3], [2, 6], [4, 5], [1, 1], [1, 1]),
            ([13, 18], [3, 3], [2, 3], [2, 3], [1, 1]),
            ([1, 40], [1, 9], [0, 4], [1, 1], [1, 1]),
            ([40, 1], [9, 1], [4, 0], [1, 1], [1, 1]),
            ([8, 8], [3, 3], [1, 1], [1, 1], [2, 2]),
            ([15, 61], [5, 5], [2, 2], [1, 1], [2, 2]),
            ([14, 29], [2, 2], [0, 0], [1, 1], [2, 2]),
            ([14, 34], [1, 1], [0, 0], [1, 1], [2, 2]),
            ([17, 35], [3, 4], [2, 3], [2, 2], [2, 2]),
            ([22, 70], [7, 3], [5, 9], [1, 1], [2, 2]),
            ([2, 2], [3, 3], [1, 1], [1, 1], [2, 2]),
        ] {
            for transposed in [false, true] {
                let [stride, padding, dilation] = [stride, padding, dilation].map(Vec::from);
                let op = Convolution { stride, padding, dilation, transposed, groups, ..Convolution::plain(2) };
                let channels = if transposed { [groups, co] } else { [groups * co, 1] };
                for d in [DType::F32, DType::F64] {
                    let args = [
                        Aval::new(d, [images, groups, x[0], x[1]]),
                        Aval::new(d, [channels[0], channels[1], k[0], k[1]]),
                    ];
                    if Op::from(op.clone()).prim().infer(&args.iter().collect::<Vec<_>>()).is_err() {
                        continue;
                    }
                    let program = routine(op.clone().into(), &args);
                    check(&format!("{op:?} of {x:?} and {k:?}"), &program, &small(&args), 0.0);
                }
            }
        }
    }
}

#[test]
fn reads_of_single_elements() {
    let index = |count: usize, n: usize| Array::new([count], (0..count).map(|i| (i * 13 % n) as i64).collect());
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::Bool, DType::I64] {
        for (outer, n, count, inner) in [(1, 7, 300, 1), (9, 5, 3, 1), (100, 33, 70, 1), (6, 4, 5, 3), (3, 2, 0, 1)] {
            let x = Aval::new(dtype, [outer, n, inner]);
            let k = Aval::new(DType::I64, [count]);
            let own = Aval::new(DType::I64, [outer, count, inner]);
            let what = format!("{dtype} {outer} {n} {count} {inner}");
            let values = small(std::slice::from_ref(&x)).remove(0);
            let select = routine(Op::IndexSelect(IndexSelect { dim: 1 }), &[x.clone(), k]);
            check(&format!("index_select {what}"), &select, &[values.clone(), index(count, n)], 0.0);
            let gather = routine(Op::Gather(Gather { dim: 1 }), &[x, own]);
            check(&format!("gather {what}"), &gather, &[values, index(outer * count * inner, n)], 0.0);
        }
    }
}

fn graph(text: &str) -> Graph {
    parse("chain.cot", text).unwrap_or_else(|e| panic!("{e}"))
}

/// What a nest has just written, and nobody else reads, is not copied before a write through an index changes it.
#[test]
fn writes_through_an_index_are_in_place() {
    // `[outer, n, inner]` and the indices: rows, single elements, few and very few sources of long lines, columns.
    for (outer, n, inner, count) in
        [(1, 50, 7, 9), (3, 20, 1, 30), (2, 400, 1, 60), (2, 900, 1, 5), (1, 6, 300, 40), (4, 5, 3, 2), (1, 2000, 1, 3)]
    {
        for d in [DType::F32, DType::F64, DType::F16, DType::I32] {
            let (shape, source) = (format!("{outer},{n},{inner}"), format!("{outer},{count},{inner}"));
            for (op, index) in [
                ("index_add(%3, %1, %2, dim=1)", format!("{count}")),
                ("scatter_add(%3, %1, %2, dim=1)", source.clone()),
                ("scatter(%3, %1, %2, dim=1)", source.clone()),
                ("scatter_reduce(%3, %1, %2, dim=1, reduce=\"amax\")", source.clone()),
            ] {
                let text = format!(
                    "graph update(%0: {d}[{shape}], %1: i64[{index}], %2: {d}[{source}]) {{\n  \
                     %3: {d}[{shape}] = add(%0, %0)\n  %4: {d}[{shape}] = {op}\n  return (%4)\n}}\n"
                );
                let g = graph(&text);
                let program = lower(&g).expect("loops");
                assert_eq!(program.buffers.len(), 4, "{program}");
                let numel = |a: &Aval| a.shape.numel();
                let [x, i, src] = [0, 1, 2].map(|k| g.aval(g.params()[k]).clone());
                let places =
                    Array::new([numel(&i)], (0..numel(&i)).map(|j| (j * j * 7 % n) as i64).collect::<Vec<_>>());
                let mut args = small(&[x, src]);
                args.insert(1, places);
                check(&format!("{op} {d} {shape}"), &program, &args, 0.0);
            }
        }
    }
}

/// Sums of products with a transposed operand: it lies along the loop of the sum.
#[test]
fn sums_along_an_operand_that_lies_across() {
    for d in [DType::F32, DType::F64, DType::I64, DType::I8, DType::Bool] {
        for (n, m) in [(512, 512), (33, 70), (9, 130), (200, 8)] {
            let text = format!(
                "graph across(%0: {d}[{m},{n}], %1: {d}[{n},{m}]) {{\n  \
                 %2: {d}[{n},{m}] = permute(%0, dims=[1, 0])\n  \
                 %3: {d}[{n},{m}] = mul(%2, %1)\n  \
                 %4: {d}[{m}] = amax(%3, dim=[0])\n  return (%4)\n}}\n"
            );
            let g = graph(&text);
            check(&format!("{d} {n} {m}"), &lower(&g).expect("lowers"), &small(&g.param_avals()), 0.0);
        }
    }
}

/// Sums of overlapping windows, of which some have the same elements everywhere, against the evaluator: the interpreter runs what lowering makes.
#[test]
fn windows_that_overlap() {
    for d in [DType::F32, DType::F64, DType::I32] {
        for (n, size, step) in [(9, 3, 1), (9, 3, 2), (10, 5, 3), (20, 7, 2), (3, 3, 1), (11, 4, 4), (9, 2, 3)] {
            let windows = (n - size) / step + 1;
            for from in [[2, windows, 3, size], [2, windows, 3, 1], [1, windows, 1, 1], [2, windows, 1, size]] {
                let [a, b, c, e] = from;
                let text = format!(
                    "graph windows(%0: {d}[{a},{b},{c},{e}]) {{\n  \
                     %1: {d}[2,{windows},3,{size}] = expand(%0, size=[2, {windows}, 3, {size}])\n  \
                     %2: {d}[2,{n},3] = unfold_backward(%1, input_sizes=[2, {n}, 3], dim=1, size={size}, step={step})\n  \
                     return (%2)\n}}\n"
                );
                let g = graph(&text);
                let args = small(&g.param_avals());
                let shaped: Vec<Array> = args.iter().zip(g.param_avals()).map(|(x, a)| x.reshaped(&a.shape)).collect();
                let want = eval(&g, &shaped).expect("values");
                let p = lower(&g).expect("lowers");
                for path in paths() {
                    let got = run(&p, &args, path);
                    assert_eq!(got[0].to_f64_vec(), want[0].to_f64_vec(), "{d} {n} {size} {step} {from:?} on {path:?}");
                }
            }
        }
    }
}

/// Tensors that are only permuted, of whole squares and of rests, in rows of one set of a cache and in others.
#[test]
fn permuted_copies() {
    for d in [DType::F32, DType::F64, DType::I64, DType::BF16, DType::Bool] {
        for [a, b, c] in [[64, 64, 64], [3, 70, 33], [130, 9, 17], [16, 2, 300], [8, 8, 8], [1, 200, 90], [0, 8, 9]] {
            for (dims, [x, y, z]) in
                [([2, 0, 1], [c, a, b]), ([2, 1, 0], [c, b, a]), ([0, 2, 1], [a, c, b]), ([1, 2, 0], [b, c, a])]
            {
                let text = format!(
                    "graph permuted(%0: {d}[{a},{b},{c}]) {{\n  \
                     %1: {d}[{x},{y},{z}] = permute(%0, dims={dims:?})\n  return (%1)\n}}\n"
                );
                let g = graph(&text);
                let args: Vec<Array> = vec![Array::from_f64_fn(&Aval::new(d, [a * b * c]), |i| (i * 31 % 251) as f64)];
                check(&format!("{d} {a} {b} {c} {dims:?}"), &lower(&g).expect("lowers"), &args, 0.0);
            }
        }
    }
}

/// Tensors that are permuted beside others that are not: blocks of whole squares and of rests, of lanes that are cut and of others.
#[test]
fn permuted_operands() {
    for d in [DType::F32, DType::F64, DType::I64, DType::BF16] {
        for [a, b, c] in [[64, 16, 24], [3, 70, 33], [40, 28, 17], [16, 2, 100], [17, 64, 64], [0, 8, 9]] {
            for (dims, [x, y, z]) in
                [([2, 0, 1], [c, a, b]), ([2, 1, 0], [c, b, a]), ([0, 2, 1], [a, c, b]), ([1, 2, 0], [b, c, a])]
            {
                let text = format!(
                    "graph permuted(%0: {d}[{a},{b},{c}], %1: {d}[{x},{y},{z}]) {{\n  \
                     %2: {d}[{x},{y},{z}] = permute(%0, dims={dims:?})\n  \
                     %3: {d}[{x},{y},{z}] = sub(%2, %1)\n  \
                     %4: {d}[{x},{y},{z}] = maximum(%3, %2)\n  return (%4)\n}}\n"
                );
                let g = graph(&text);
                let value = |k: usize| move |i: usize| (i * 31 % (113 + k)) as f64;
                let args = [0, 1].map(|k| Array::from_f64_fn(&Aval::new(d, [a * b * c]), value(k)));
                check(&format!("{d} {a} {b} {c} {dims:?}"), &lower(&g).expect("lowers"), &args, 0.0);
            }
        }
    }
}

/// The machine's results are near the interpreter's, with `rtol` of the largest one.
fn near(what: &str, g: &Graph, rtol: f64) {
    let p = lower(g).expect("lowers");
    let args: Vec<Array> = p
        .params
        .iter()
        .enumerate()
        .map(|(k, b)| {
            let b = &p.buffers[b.0 as usize];
            Array::from_f64_fn(&Aval::new(b.dtype, [b.len]), |i| ((i * 7919 + k * 101) % 1009) as f64 / 504.5 - 1.0)
        })
        .collect();
    let want = interpret(&p, &args).expect("interprets");
    for path in paths() {
        for (x, y) in run(&p, &args, path).iter().zip(&want) {
            let largest = (0..y.numel()).map(|i| y.get(i).to_f64().abs()).fold(0.0, f64::max);
            for i in 0..y.numel() {
                let (x, y) = (x.get(i).to_f64(), y.get(i).to_f64());
                assert!((x - y).abs() <= rtol * largest, "{what} on {path:?}: [{i}] is {x}, the interpreter gives {y}");
            }
        }
    }
}

#[test]
fn attention_in_parts() {
    for (b, m, n, d) in [(3, 256, 40, 8), (16, 12, 9, 16), (1, 400, 64, 32), (9, 7, 5, 4), (1, 400, 700, 8)] {
        let text = format!(
            "graph \"attention\"(%0: f32[{b},{m},{d}], %1: f32[{b},{n},{d}], %2: f32[{b},{n},{d}]) {{\n  \
             %3: f32[{b},{d},{n}] = permute(%1, dims=[0, 2, 1])\n  \
             %4: f32[{b},{m},{n}] = bmm(%0, %3)\n  \
             %5: f32[{b},{m}] = amax(%4, dim=[2])\n  \
             %6: f32[{b},{m},1] = reshape(%5, shape=[{b}, {m}, 1])\n  \
             %7: f32[{b},{m},{n}] = expand(%6, size=[{b}, {m}, {n}])\n  \
             %8: f32[{b},{m},{n}] = sub(%4, %7)\n  \
             %9: f32[{b},{m},{n}] = exp(%8)\n  \
             %10: f32[{b},{m},{d}] = bmm(%9, %2)\n  \
             %11: f32[{b},{n},{m}] = permute(%9, dims=[0, 2, 1])\n  \
             %12: f32[{b},{n},{d}] = bmm(%11, %10)\n  \
             return (%10, %12)\n}}\n"
        );
        near(&format!("attention {b} {m} {n} {d}"), &graph(&text), 1e-5);
    }
}

#[test]
fn products_with_rows_behind() {
    for (m, k, n) in [(512, 24, 48), (1000, 33, 17), (96, 8, 8), (385, 600, 20)] {
        let text = format!(
            "graph \"layer\"(%0: f32[{m},{k}], %1: f32[{k},{n}], %2: f32[{n}], %3: f32[{n},{k}]) {{\n  \
             %4: f32[{m},{n}] = mm(%0, %1)\n  \
             %5: f32[{m},{n}] = expand(%2, size=[{m}, {n}])\n  \
             %6: f32[{m},{n}] = add(%4, %5)\n  \
             %7: f32[{m},{n}] = tanh(%6)\n  \
             %8: f32[{m},{k}] = mm(%7, %3)\n  \
             %9: f32[{m}] = sum(%8, dim=[1])\n  \
             return (%8, %9)\n}}\n"
        );
        near(&format!("layer {m} {k} {n}"), &graph(&text), 1e-5);
    }
}

/// Weights that lie across are packed once for all pieces of the chain, in two parts of an inner dim of 300.
#[test]
fn layers_whose_weights_lie_across() {
    for (d, m, k, n) in [("f32", 1024, 300, 130), ("f32", 1536, 120, 330), ("f64", 1024, 300, 130)] {
        let text = format!(
            "graph \"across\"(%0: {d}[{m},{k}], %1: {d}[{n},{k}], %2: {d}[{n}], %3: {d}[{k},{n}]) {{\n  \
             %4: {d}[{k},{n}] = permute(%1, dims=[1, 0])\n  \
             %5: {d}[{m},{n}] = mm(%0, %4)\n  \
             %6: {d}[{m},{n}] = expand(%2, size=[{m}, {n}])\n  \
             %7: {d}[{m},{n}] = add(%5, %6)\n  \
             %8: {d}[{n},{k}] = permute(%3, dims=[1, 0])\n  \
             %9: {d}[{m},{k}] = mm(%7, %8)\n  \
             return (%9)\n}}\n"
        );
        near(&format!("{d} {m} {k} {n}"), &graph(&text), 1e-4);
    }
}

/// Halves multiply and convolve in `f32` and are rounded once: near the evaluator, which sums in `f64`.
#[test]
fn halves() {
    for (d, ulp) in [("f16", 1e-3), ("bf16", 8e-3)] {
        let text = format!(
            "graph \"halves\"(%0: {d}[40,60], %1: {d}[60,50], %2: {d}[2,3,20,36], %3: {d}[4,3,3,3]) {{\n  \
             %4: {d}[40,50] = mm(%0, %1)\n  \
             %5: {d}[2,4,10,18] = convolution(%2, %3, bias=none, stride=[2, 2], padding=[1, 1], dilation=[1, 1], \
             transposed=false, output_padding=[0, 0], groups=1)\n  \
             return (%4, %5)\n}}\n"
        );
        let g = graph(&text);
        let p = lower(&g).expect("lowers");
        let arg = |(k, v): (usize, &cotangent_core::ir::Value)| {
            Array::from_f64_fn(g.aval(*v), |i| ((i * 7919 + k * 101) % 1009) as f64 / 504.5 - 1.0)
        };
        let args: Vec<Array> = g.params().iter().enumerate().map(arg).collect();
        let want = eval(&g, &args).expect("evaluates");
        for path in paths() {
            for (x, y) in run(&p, &args, path).iter().zip(&want) {
                for i in 0..y.numel() {
                    let (x, y) = (x.get(i).to_f64(), y.get(i).to_f64());
                    assert!((x - y).abs() <= ulp * y.abs() + 1e-5, "{d} on {path:?}: [{i}] is {x}, expected {y}");
                }
            }
        }
    }
}
