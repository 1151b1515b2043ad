//! Convolutions by squares of 2 by 2, against the interpreter.

use crate::common::{check, paths, routine, run};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::ops::Convolution;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::LoopProgram;

/// Integers whose sums are exact in any order, also halved twice; `at` the first operand has `odd` instead.
fn operands(avals: &[Aval], at: Option<usize>, odd: f64) -> Vec<Array> {
    let value = |k: usize, i: usize| if (k, Some(i)) == (0, at) { odd } else { ((i * 31 + k * 5) % 7) as f64 - 3.0 };
    let one = |(k, a): (usize, &Aval)| Array::from_f64_fn(&Aval::new(a.dtype, [a.shape.numel()]), |i| value(k, i));
    avals.iter().enumerate().map(one).collect()
}

/// Images, groups and channels of a group; sizes of an image; padding; whether it is transposed.
fn program(
    dtype: DType,
    [images, groups, ci, co]: [usize; 4],
    size: [usize; 2],
    padding: [usize; 2],
    transposed: bool,
) -> (LoopProgram, [Aval; 2]) {
    let op = Convolution { padding: padding.to_vec(), transposed, groups, ..Convolution::plain(2) };
    let [outer, inner] = if transposed { [groups * ci, co] } else { [groups * co, ci] };
    let shapes: [Shape; 2] = [[images, groups * ci, size[0], size[1]].into(), [outer, inner, 3, 3].into()];
    let args = shapes.map(|shape| Aval::new(dtype, shape));
    (routine(op.into(), &args), args)
}

#[test]
fn sums_are_those_of_products() {
    for channels in [[2, 1, 20, 35], [1, 2, 33, 18], [5, 1, 24, 24]] {
        for size in [[16, 10], [13, 14], [5, 38], [21, 9], [8, 3]] {
            for padding in [[1, 1], [0, 2]] {
                for transposed in [false, true] {
                    for dtype in [DType::F32, DType::F64] {
                        let (program, args) = program(dtype, channels, size, padding, transposed);
                        let what = format!("{channels:?} of {size:?}, {padding:?}, {transposed}, {dtype}");
                        check(&what, &program, &operands(&args, None, 0.0), 0.0);
                    }
                }
            }
        }
    }
}

/// What is not finite reaches the elements that meet it, and no others.
#[test]
fn what_is_not_finite_stays_where_it_is() {
    for odd in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        for at in [0, 17, 300, 2 * 24 * 15 * 17 - 1] {
            let (program, args) = program(DType::F32, [2, 1, 24, 32], [15, 17], [1, 1], false);
            check(&format!("{odd} at {at}"), &program, &operands(&args, Some(at), odd), 0.0);
        }
    }
}

/// Errors are as large as those of sums, beside the largest products.
#[test]
fn errors_are_small() {
    let (program, avals) = program(DType::F32, [2, 1, 96, 64], [14, 14], [1, 1], false);
    let fraction =
        |i: usize, k: usize| ((i * 2_654_435_761 + k * 40_503) % (1 << 32)) as f64 / f64::from(u32::MAX) - 0.5;
    let of = |(k, a): (usize, &Aval)| Array::from_f64_fn(&Aval::new(a.dtype, [a.shape.numel()]), |i| fraction(i, k));
    let args: Vec<Array> = avals.iter().enumerate().map(of).collect();
    let want = interpret(&program, &args).expect("interprets");
    let largest = (0..want[0].numel()).map(|i| want[0].get(i).to_f64().abs()).fold(0.0, f64::max);
    for path in paths() {
        let got = run(&program, &args, path);
        let error = |i: usize| (got[0].get(i).to_f64() - want[0].get(i).to_f64()).abs();
        let worst = (0..want[0].numel()).map(error).fold(0.0, f64::max);
        assert!(worst <= 4e-6 * largest, "{worst} beside {largest} on {path:?}");
    }
}
