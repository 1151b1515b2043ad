//! Convolutions of which only the first positions are read.

use cotangent::prelude::*;
use cotangent_core::ops::Op;
use cotangent_loops::ir::{RoutineKind, Step};
use cotangent_loops::lower;

use crate::{args_of, check};

/// The spatial sizes of the result of each convolution that the program calls.
fn computed(g: &Graph) -> Vec<Vec<usize>> {
    check(g, &args_of(g, 1)).unwrap_or_else(|e| panic!("{e}"));
    let program = lower(g).unwrap();
    let of = |s: &Step| match s {
        Step::Routine(r) => match &r.kind {
            RoutineKind::Op { op: Op::Convolution(_), results, .. } => Some(results[0].shape.sizes()[2..].to_vec()),
            RoutineKind::Exchanged { y, .. } => Some(y.shape.sizes()[2..].to_vec()),
            RoutineKind::Op { .. }
            | RoutineKind::MatMul { .. }
            | RoutineKind::Places { .. }
            | RoutineKind::Ranked { .. }
            | RoutineKind::Values { .. }
            | RoutineKind::Extremes { .. }
            | RoutineKind::Rows { .. }
            | RoutineKind::Lines { .. } => None,
        },
        Step::Nest(_) => None,
    };
    program.steps.iter().filter_map(of).collect()
}

fn graph(text: &str) -> Graph {
    cotangent_core::text::ir::parse("convolution.cot", text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// As the gradient of the weights of a convolution with a stride has them.
#[test]
fn positions_that_nobody_reads_are_not_computed() {
    let with = |d: &str, padding: usize, rest: &str| {
        graph(&format!(
            "graph \"cut\"(%0: {d}[2,3,9,12], %1: {d}[4,3,4,5]) {{\n  %2: {d}[2,4,{h},{w}] = convolution(%0, %1, bias=none, \
             stride=[1, 1], padding=[{padding}, 1], dilation=[2, 2], transposed=false, output_padding=[0, 0], groups=1)\n{rest}\n}}\n",
            h = 9 + 2 * padding - 6,
            w = 14 - 8,
        ))
    };
    let slice = |d: &str, end: [usize; 2], h: usize| {
        format!(
            "  %3: {d}[2,4,{a},6] = slice(%2, dim=2, start=0, end={a}, step=1)\n  %4: {d}[2,4,{a},{b}] = slice(%3, dim=3, \
             start=0, end={b}, step=1)\n  return (%4{more})",
            a = end[0],
            b = end[1],
            more = if h == 0 { "" } else { ", %2" },
        )
    };
    // Images and channels exchanged before, as in gradients of weights.
    let exchanged = "  %3: f32[4,2,5,6] = permute(%2, dims=[1, 0, 2, 3])\n  %4: f32[4,2,3,6] = slice(%3, dim=2, start=0, end=3, step=1)\n  \
                     %5: f32[4,2,3,2] = slice(%4, dim=3, start=0, end=2, step=1)\n  return (%5)";
    assert_eq!(computed(&with("f32", 1, exchanged)), [[3, 2]]);
    for d in ["f32", "f64"] {
        assert_eq!(computed(&with(d, 1, &slice(d, [3, 3], 0))), [[3, 3]]);
        assert_eq!(computed(&with(d, 0, &slice(d, [2, 5], 0))), [[2, 5]]);
        assert_eq!(computed(&with(d, 1, &slice(d, [3, 3], 1))), [[5, 6]], "all of it is read, too");
        assert_eq!(computed(&with(d, 8, &slice(d, [1, 2], 0))), [[19, 6]], "positions that meet zeros only");
    }
}

/// Gradients of weights read the layer's input and the cotangent as they are, and write what is read of the result as it is read.
#[test]
fn nobody_exchanges_images_and_channels() {
    let of = |d: &str, rest: &str| {
        graph(&format!(
            "graph \"weights\"(%0: {d}[5,2,9,12], %1: {d}[5,4,4,5]) {{\n  %2: {d}[2,5,9,12] = permute(%0, dims=[1, 0, 2, 3])\n  \
             %3: {d}[4,5,4,5] = permute(%1, dims=[1, 0, 2, 3])\n  %4: {d}[2,4,5,6] = convolution(%2, %3, bias=none, stride=[1, 1], \
             padding=[1, 1], dilation=[2, 2], transposed=false, output_padding=[0, 0], groups=1)\n{rest}\n}}\n"
        ))
    };
    let steps = |g: &Graph| lower(g).unwrap().steps.len();
    for d in ["f32", "f64"] {
        let all = format!("  %5: {d}[4,2,5,6] = permute(%4, dims=[1, 0, 2, 3])\n  return (%5)");
        assert_eq!((computed(&of(d, &all)), steps(&of(d, &all))), (vec![vec![5, 6]], 1));
        let some = format!(
            "  %5: {d}[4,2,5,6] = permute(%4, dims=[1, 0, 2, 3])\n  %6: {d}[4,2,3,6] = slice(%5, dim=2, start=0, end=3, step=1)\n  \
             %7: {d}[4,2,3,3] = slice(%6, dim=3, start=0, end=3, step=1)\n  return (%7)"
        );
        assert_eq!((computed(&of(d, &some)), steps(&of(d, &some))), (vec![vec![3, 3]], 1));
        let same = "  return (%4)";
        assert_eq!(
            (computed(&of(d, same)), steps(&of(d, same))),
            (vec![vec![5, 6]], 2),
            "its result is exchanged back"
        );
    }
    assert_eq!(computed(&of("bf16", "  return (%4)")), [[5, 6]]);
}

/// So do those of several groups, where what nobody reads is beyond a reshape if each has one channel.
#[test]
fn nobody_exchanges_images_and_channels_of_groups() {
    let steps = |g: &Graph| lower(g).unwrap().steps.len();
    let convolution =
        "bias=none, stride=[1, 1], padding=[1, 1], dilation=[2, 2], transposed=false, output_padding=[0, 0]";
    let depthwise = graph(&format!(
        "graph \"weights\"(%0: f32[5,3,9,12], %1: f32[5,6,4,5]) {{\n  %2: f32[3,5,9,12] = permute(%0, dims=[1, 0, 2, 3])\n  \
         %3: f32[1,15,9,12] = reshape(%2, shape=[1, 15, 9, 12])\n  %4: f32[6,5,4,5] = permute(%1, dims=[1, 0, 2, 3])\n  \
         %5: f32[1,6,5,6] = convolution(%3, %4, {convolution}, groups=3)\n  %6: f32[6,1,5,6] = reshape(%5, shape=[6, 1, 5, 6])\n  \
         %7: f32[6,1,3,6] = slice(%6, dim=2, start=0, end=3, step=1)\n  %8: f32[6,1,3,3] = slice(%7, dim=3, start=0, end=3, step=1)\n  \
         return (%8)\n}}\n"
    ));
    assert_eq!((computed(&depthwise), steps(&depthwise)), (vec![vec![3, 3]], 1));
    let grouped = graph(&format!(
        "graph \"weights\"(%0: f32[5,6,9,12], %1: f32[5,4,4,5]) {{\n  %2: f32[5,2,3,9,12] = reshape(%0, shape=[5, 2, 3, 9, 12])\n  \
         %3: f32[3,2,5,9,12] = permute(%2, dims=[2, 1, 0, 3, 4])\n  %4: f32[3,10,9,12] = reshape(%3, shape=[3, 10, 9, 12])\n  \
         %5: f32[4,5,4,5] = permute(%1, dims=[1, 0, 2, 3])\n  %6: f32[3,4,5,6] = convolution(%4, %5, {convolution}, groups=2)\n  \
         %7: f32[4,3,5,6] = permute(%6, dims=[1, 0, 2, 3])\n  return (%7)\n}}\n"
    ));
    assert_eq!((computed(&grouped), steps(&grouped)), (vec![vec![5, 6]], 1));
}
