//! Convolutions that gather lines of kernels, against the interpreter.

use crate::common::{check, routine};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Loc, Shape};
use cotangent_core::ops::{Convolution, Op, Primitive};
use cotangent_loops::ir::{Buffer, BufferId, LoopProgram, Role, Routine, RoutineKind, Step};
use cotangent_loops::verify::verify;

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

/// Windows that have nothing in common, as patches of pictures; with distances between positions and without borders, images are read where they lie.
#[test]
fn windows_that_do_not_meet() {
    for (groups, images, ci, co) in [(1, 8, 3, 20), (2, 1, 5, 7), (1, 3, 7, 64), (2, 2, 6, 33)] {
        for (x, k, padding, stride) in [
            (vec![32, 33], vec![8, 8], vec![0, 0], vec![8, 8]),
            (vec![20, 19], vec![3, 4], vec![1, 2], vec![5, 6]),
            (vec![50], vec![4], vec![0], vec![4]),
            (vec![4, 9, 10], vec![2, 3, 5], vec![0, 1, 0], vec![2, 3, 5]),
            (vec![21, 19], vec![5, 4], vec![0, 0], vec![3, 2]),
            (vec![21, 20], vec![5, 4], vec![2, 1], vec![2, 3]),
            (vec![12, 15], vec![4, 5], vec![0, 0], vec![1, 1]),
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

/// Large kernels and few positions, as gradients of weights have them: images and channels that fill vectors and do not, rows and channels that need several
/// rounds, distances between positions and between elements of the kernel, borders on both sides, and what nobody meets.
#[test]
fn long_sums() {
    for (groups, images, ci, co) in [(1, 3, 2, 16), (1, 35, 3, 7), (2, 8, 2, 33), (1, 64, 1, 40), (1, 5, 1, 1)] {
        for (x, k, padding, dilation, stride) in [
            (vec![9, 10], vec![9, 10], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![17, 15], vec![8, 7], vec![1, 2], vec![2, 2], vec![1, 1]),
            (vec![17, 15], vec![6, 7], vec![0, 0], vec![3, 2], vec![1, 1]),
            (vec![14, 13], vec![9, 8], vec![2, 0], vec![1, 1], vec![2, 3]),
            (vec![90], vec![70], vec![3], vec![1], vec![5]),
            (vec![5, 6, 7], vec![4, 5, 5], vec![1, 1, 0], vec![1, 1, 1], vec![1, 2, 1]),
            (vec![3, 2], vec![8, 9], vec![4, 5], vec![1, 1], vec![1, 1]),
        ] {
            let op = Convolution { stride, padding, dilation, groups, ..Convolution::plain(x.len()) };
            let xs = [images, groups * ci].into_iter().chain(x).collect();
            let ws = [groups * co, ci].into_iter().chain(k).collect();
            check_all(&op, xs, ws);
        }
    }
    // More than one round of bands of an image, and of images.
    let op = Convolution { padding: vec![1, 0], ..Convolution::plain(2) };
    check_all(&op, [2, 1, 600, 450].into(), [2, 1, 600, 450].into());
    check_all(&op, [3, 5, 200, 300].into(), [2, 5, 201, 299].into());
}

/// Transposed convolutions of few positions with large weights, of some images and with distances of all kinds.
#[test]
fn large_weights_put_at_few_positions() {
    for (images, x, k, stride, padding, dilation) in [
        (1, vec![5, 6], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
        (2, vec![4, 7], vec![3, 2], vec![2, 3], vec![1, 0], vec![1, 2]),
        (3, vec![17], vec![9], vec![2], vec![5], vec![3]),
        (1, vec![2, 3, 4], vec![1, 2, 4], vec![1, 2, 1], vec![0, 1, 2], vec![1, 1, 1]),
        (1, vec![2, 2], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
    ] {
        let op = Convolution { stride, padding, dilation, transposed: true, ..Convolution::plain(x.len()) };
        let channels = (1usize << 18).div_ceil(37 * k.iter().product::<usize>());
        let xs = [images, channels].into_iter().chain(x).collect();
        let ws = [channels, 37].into_iter().chain(k).collect();
        check_all(&op, xs, ws);
    }
}

/// The program of a convolution with images and channels exchanged, that computes positions of `y` only.
fn exchanged(op: &Convolution, [x, w]: [&Aval; 2], positions: &[usize]) -> LoopProgram {
    let mut y = op.infer(&[x, w]).expect("a legal op")[0].clone();
    for (d, n) in positions.iter().enumerate() {
        y = y.with_shape(y.shape.with(d + 2, *n));
    }
    let buffer = |a: &Aval, role| Buffer { dtype: a.dtype, len: a.shape.numel(), role };
    let ids = [0, 1, 2].map(BufferId);
    let mut p = LoopProgram { params: ids[..2].to_vec(), results: ids[2..].to_vec(), ..LoopProgram::default() };
    p.buffers.extend([buffer(x, Role::Param), buffer(w, Role::Param), buffer(&y, Role::Result)]);
    let kind = RoutineKind::Exchanged { op: op.clone(), args: Box::new([x.clone(), w.clone()]), y };
    let (inputs, outputs) = (p.params.clone(), p.results.clone());
    p.steps.push(Step::Routine(Routine { kind, inputs, outputs, loc: Loc::default(), name: "convolution".to_owned() }));
    p
}

/// Gradients of weights, whose operands and result have images and channels exchanged, at all positions and at some; also such as other forms
/// compute, which have few images and channels or many positions; of one group and of several, as depthwise layers have them.
#[test]
fn images_and_channels_exchanged() {
    for (groups, images, ci, co) in [
        (1, 3, 2, 16),
        (1, 35, 3, 7),
        (1, 64, 1, 40),
        (1, 1, 5, 1),
        (1, 5, 2, 3),
        (1, 2, 1, 3),
        (6, 1, 4, 1),
        (3, 1, 2, 7),
        (2, 9, 3, 5),
        (4, 3, 40, 2),
    ] {
        for (x, k, positions, padding, dilation) in [
            (vec![9, 10], vec![9, 10], vec![3, 3], vec![1, 1], vec![1, 1]),
            (vec![17, 16], vec![8, 7], vec![2, 3], vec![0, 1], vec![2, 2]),
            (vec![90], vec![70], vec![5], vec![3], vec![1]),
            (vec![8, 8], vec![3, 3], vec![4, 5], vec![0, 0], vec![1, 1]),
            (vec![5, 6, 7], vec![4, 5, 5], vec![2, 1, 2], vec![0, 1, 0], vec![1, 1, 1]),
            (vec![6, 41], vec![6, 37], vec![1, 9], vec![0, 2], vec![1, 1]),
            (vec![9, 66], vec![4, 33], vec![3, 4], vec![1, 2], vec![2, 2]),
        ] {
            let op = Convolution { padding, dilation, groups, ..Convolution::plain(x.len()) };
            for dtype in [DType::F32, DType::F64] {
                let x = Aval::new(dtype, [images, groups * ci].into_iter().chain(x.clone()).collect::<Shape>());
                let w = Aval::new(dtype, [groups * co, ci].into_iter().chain(k.clone()).collect::<Shape>());
                let p = exchanged(&op, [&x, &w], &positions);
                assert_eq!(verify(&p), Ok(()));
                check(&format!("{op:?} of {x} and {w}"), &p, &small(&[x, w]), 0.0);
            }
        }
    }
}

/// Borders take no part in sums: a number of the kernel that is not finite does not meet them. Forms of all kinds: few and many channels, positions and images,
/// windows that meet and do not, groups, transposed ones, and operands that are exchanged.
#[test]
fn borders_meet_no_number_that_is_not_finite() {
    let with = |avals: &[Aval]| {
        let mut args = small(avals);
        for (k, arg) in args.iter_mut().enumerate() {
            let n = arg.numel();
            let odd = |i: usize| if (i + k).is_multiple_of(2) { f64::INFINITY } else { f64::NAN };
            let is_odd = |i: usize| if k == 0 { i == n / 2 } else { [0, n / 3, n - 1].contains(&i) };
            let old = arg.to_f64_vec();
            *arg = Array::from_f64_fn(&arg.aval(), |i| if is_odd(i) { odd(i) } else { old[i] });
        }
        args
    };
    for (images, groups, ci, co, transposed) in
        [(2, 1, 8, 16, false), (1, 1, 64, 70, false), (3, 4, 2, 3, false), (2, 1, 5, 6, true), (1, 2, 70, 65, true)]
    {
        for (x, k, padding, stride, dilation) in [
            (vec![9, 10], vec![3, 3], vec![1, 1], vec![1, 1], vec![1, 1]),
            (vec![14, 13], vec![3, 5], vec![2, 1], vec![2, 1], vec![1, 2]),
            (vec![12, 12], vec![4, 4], vec![1, 2], vec![4, 4], vec![1, 1]),
            (vec![40], vec![7], vec![3], vec![2], vec![1]),
            (vec![4, 5, 6], vec![3, 2, 3], vec![1, 0, 2], vec![1, 2, 1], vec![1, 1, 1]),
        ] {
            let op = Convolution { stride, padding, dilation, groups, transposed, ..Convolution::plain(x.len()) };
            let xs: Shape = [images, groups * ci].into_iter().chain(x).collect();
            let ws = if transposed { [groups * ci, co] } else { [groups * co, ci] };
            let args = [Aval::new(DType::F32, xs), Aval::new(DType::F32, ws.into_iter().chain(k).collect::<Shape>())];
            check(&format!("{op:?} of {args:?}"), &routine(op.into(), &args), &with(&args), 0.0);
        }
    }
    for (groups, images, ci, co) in [(1, 3, 2, 16), (1, 35, 3, 7), (1, 1, 5, 1), (5, 1, 2, 1), (2, 6, 3, 4)] {
        for (x, k, positions, padding) in [(9, 9, [3, 3], 1), (17, 8, [4, 10], 2), (7, 7, [5, 5], 2)] {
            let op = Convolution { padding: vec![padding; 2], groups, ..Convolution::plain(2) };
            let [x, w] = [[images, groups * ci, x, x], [groups * co, ci, k, k]].map(|s| Aval::new(DType::F32, s));
            let p = exchanged(&op, [&x, &w], &positions);
            check(&format!("{op:?} of {x} and {w}"), &p, &with(&[x, w]), 0.0);
        }
    }
}
