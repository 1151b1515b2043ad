//! Stores of one element several times side by side, as where elements are repeated: one loop of a nest does no more than that.

use crate::common::{Pointwise, access, check, data, nest, on_threads, paths, run, stage};
use cotangent_core::array::Array;
use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;
use cotangent_loops::ir::*;

const V: fn(u32) -> BodyValue = BodyValue;

/// `y[o, l, r] = x[o, l] + (l + 7 o)` as `to`, with the loop of `r` at one of two places.
fn repeated([from, to]: [DType; 2], [outer, lanes, times]: [usize; 3], first: bool) -> LoopProgram {
    let index = |of, scale| (BodyOp::Index { of, scale, offset: 0 }, from);
    let ops = vec![
        (BodyOp::Load(0), from),
        index(Loop::Lane, 1),
        index(Loop::Outer(u32::from(first)), 7),
        (BodyOp::Binary(Binary::Add, V(1), V(2)), from),
        (BodyOp::Binary(Binary::Add, V(0), V(3)), from),
        (BodyOp::Convert(V(4)), to),
        (BodyOp::Store(1, V(5)), to),
    ];
    let [l, r] = [lanes, times].map(|n| n as i64);
    let order = |o: i64, again: i64| if first { [again, o] } else { [o, again] };
    let accesses = vec![access(0, 0, &order(l, 0), &[], 1), access(1, 0, &order(l * r, 1), &[], r)];
    let loops = if first { [times, outer] } else { [outer, times] };
    Pointwise {
        inputs: vec![(from, outer * lanes)],
        outputs: vec![(to, outer * lanes * times)],
        nest: nest(&loops, &[], vec![stage(lanes, accesses, ops)]),
    }
    .program()
}

#[test]
fn elements_side_by_side() {
    use DType::{BF16, F32, F64, I8, I32, I64};
    for dtypes in
        [[F32, F32], [F64, F64], [I32, I32], [I64, I64], [F32, F64], [F64, F32], [I64, I32], [F32, BF16], [I32, I8]]
    {
        for times in [2, 3, 4, 5, 8, 9] {
            for (outer, lanes) in [(1, 1), (3, 7), (2, 8), (5, 33), (2, 300), (3, 0)] {
                for first in [false, true] {
                    let p = repeated(dtypes, [outer, lanes, times], first);
                    let what = format!("{dtypes:?} {outer} x {lanes} x {times}");
                    check(&what, &p, &[data(dtypes[0], outer * lanes, 5)], 1e-6);
                }
            }
        }
    }
}

/// Long lanes, of which threads have parts.
#[test]
fn threads_do_not_change_what_is_repeated() {
    let (p, x) = (repeated([DType::F32; 2], [1, 200_003, 3], true), data(DType::F32, 200_003, 2));
    check("many lanes", &p, std::slice::from_ref(&x), 0.0);
    for path in paths() {
        let of = |n| {
            on_threads(n, || run(&p, std::slice::from_ref(&x), path)).iter().map(Array::to_le_bytes).collect::<Vec<_>>()
        };
        let one = of(1);
        assert!([2, 4].into_iter().all(|n| of(n) == one), "{path:?}");
    }
}
