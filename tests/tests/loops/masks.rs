//! Positions that are compared have 32 bits where they are known to fit, so that lanes are not halved.

use cotangent::function::{Arguments, Function};
use cotangent::prelude::*;
use cotangent_loops::lower;
use cotangent_loops::text::print;

use crate::{args_of, check, f32s};

/// Whether something of 64 bits is computed or read in the loops of `f`, whose values are checked.
fn wide<Args: Arguments, F: Function<Args>>(f: F, args: Args) -> bool {
    let g = make_fx(f, args).unwrap();
    check(&g, &args_of(&g, 10)).unwrap();
    let program = lower(&g).unwrap();
    assert!(program.steps.iter().all(|s| matches!(s, cotangent_loops::ir::Step::Nest(_))), "{program}");
    let text = print(&program);
    text.lines().any(|l| l.contains('%') && (l.ends_with(": i64") || l.ends_with(": f64")))
}

fn distances(n: i64) -> Tensor {
    arange(n).unsqueeze(1) - arange(n).unsqueeze(0)
}

#[test]
fn masks_of_positions_are_narrow() {
    let x = || (f32s(&[40, 40]),);
    assert!(!wide(|x: Tensor| x.triu(1), x()), "a triangle");
    assert!(!wide(|x: Tensor| x * eye(40), x()), "a diagonal");
    assert!(!wide(|x: Tensor| x.masked_fill(&distances(40).abs().gt(3), 0.0).sum_dim(0), x()), "a window, in columns");
    assert!(!wide(|x: Tensor| x.masked_fill(&(-distances(40)).maximum(arange(40)).lt(5), 0.0).softmax(-1), x()));
    assert!(!wide(|x: Tensor| x.where_(&distances(40).remainder(3).eq(0), (arange(40) * 2).to(DType::F32)), x()));
    assert!(!wide(|x: Tensor| x + distances(40).floor_divide(7).to(DType::I32), x()), "a cast");
    assert!(!wide(|x: Tensor| x.gt(0.0).to(DType::I64).eq(arange(40)).to(DType::F32), x()), "truth values as numbers");
}

#[test]
fn what_may_not_fit_stays_wide() {
    let n = 50_000;
    let square = |_: &Tensor| arange(n) * arange(n);
    assert!(wide(|x: Tensor| square(&x).gt(2_000_000_000).to(DType::F32) * x, (f32s(&[n as usize]),)), "squares");
    let far = |x: Tensor| (arange(40) * 100_000_000).lt(3_000_000_000i64).to(DType::F32) * x;
    assert!(wide(far, (f32s(&[40]),)), "beside a constant beyond 32 bits");
    assert!(wide(|x: Tensor| x.remainder(&(arange(40) - 20)).eq(0).to(DType::F32), (arange(40),)), "read");
    assert!(wide(|x: Tensor| (x.gt(0.0).to(DType::I64), x * 2.0), (f32s(&[40]),)), "a result");
    assert!(wide(|x: Tensor| arange(40).lt(5).to(DType::F64) * x.to(DType::F64), (f32s(&[40]),)), "beside f64");
    assert!(wide(|x: Tensor| x.gt(0.0).sum_dim(1), (f32s(&[40, 40]),)), "counted");
}

#[test]
fn reads_with_gaps_that_all_points_of_a_column_share_are_done_once() {
    let f = |x: Tensor, y: Tensor| (y.unsqueeze(1) - x.slice(1, 1, 3, 2).transpose(0, 1)).abs().sum_dim(0);
    let g = make_fx(f, (f32s(&[50, 3]), f32s(&[70]))).unwrap();
    check(&g, &args_of(&g, 10)).unwrap();
    let text = print(&lower(&g).unwrap());
    assert!(text.contains("scratch (f32[") && text.contains("columns"), "{text}");
}
