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
            RoutineKind::Op { op: Op::Convolution(_), results, .. } => {
                let y = &results[0].shape;
                Some((2..y.rank()).map(|d| y[d].get()).collect())
            }
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
