//! Convolutions that gather lines of kernels, against the interpreter.

mod common;

use common::{check, routine};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::ops::{Convolution, Op};

/// Small integers: sums are exact in any order.
fn small(avals: &[Aval]) -> Vec<Array> {
    let one = |(k, a): (usize, &Aval)| {
        Array::from_f64_fn(&Aval::new(a.dtype, [a.shape.numel()]), |i| ((i * 31 + k * 5) % 7) as f64 - 3.0)
    };
    avals.iter().enumerate().map(one).collect()
}

fn check_all(op: &Convolution, x: Shape, w: Shape) {
    for dtype in [DType::F32, DType::F64] {
        let args = [Aval::new(dtype, x.clone()), Aval::new(dtype, w.clone())];
        assert!(Op::from(op.clone()).prim().infer(&args.iter().collect::<Vec<_>>()).is_ok(), "{op:?} of {x} and {w}");
        check(&format!("{op:?} of {x} and {w}"), &routine(op.clone().into(), &args), &small(&args), 0.0);
    }
}

/// Kernels that are longer than lines of the result, of few images: with distances between their elements, and of so many channels that these
/// are added in several sums.
#[test]
fn long_kernels() {
    for (groups, images, ci, co) in [(1, 1, 40, 6), (1, 3, 9, 17), (2, 2, 8, 5), (1, 1, 1, 7)] {
        for (x, k, padding, dilation, stride) in [
            (vec![14, 15], vec![12, 13], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![29, 28], vec![14, 13], vec![1, 2], vec![2, 2], vec![1, 1]),
            (vec![31, 40], vec![9, 12], vec![0, 5], vec![3, 3], vec![2, 1]),
            (vec![40], vec![19], vec![3], vec![2], vec![2]),
            (vec![3, 9], vec![2, 6], vec![9, 40], vec![1, 2], vec![7, 20]),
        ] {
            let op = Convolution { stride, padding, dilation, groups, ..Convolution::plain(x.len()) };
            let xs = [images, groups * ci].into_iter().chain(x).collect();
            let ws = [groups * co, ci].into_iter().chain(k).collect();
            check_all(&op, xs, ws);
        }
    }
}

/// Windows that have nothing in common, as patches of pictures.
#[test]
fn windows_that_do_not_meet() {
    for (groups, images, ci, co) in [(1, 8, 3, 20), (2, 1, 5, 7)] {
        for (x, k, padding, stride) in [
            (vec![32, 33], vec![8, 8], vec![0, 0], vec![8, 8]),
            (vec![20, 19], vec![3, 4], vec![1, 2], vec![5, 6]),
            (vec![50], vec![4], vec![0], vec![4]),
            (vec![4, 9, 10], vec![2, 3, 5], vec![0, 1, 0], vec![2, 3, 5]),
        ] {
            let op = Convolution { stride, padding, groups, ..Convolution::plain(x.len()) };
            let xs = [images, groups * ci].into_iter().chain(x).collect();
            let ws = [groups * co, ci].into_iter().chain(k).collect();
            check_all(&op, xs, ws);
        }
    }
}

/// Few positions of one image, and large weights, which are read as they lie.
#[test]
fn large_weights_and_few_positions() {
    for (images, x) in [(1, [5, 6]), (2, [4, 7]), (1, [9, 9])] {
        let op = Convolution { padding: vec![1, 1], ..Convolution::plain(2) };
        check_all(&op, [images, 459, x[0], x[1]].into(), [65, 459, 3, 3].into());
    }
}
