//! Argument sets for the tests: each attribute alone and together, on few elements.

use crate::array::Array;
use crate::ir::DType;

use super::super::{Sample, Samples};
use super::Convolution;

fn waves(shape: &[usize], by: f64) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| (i as f64 * by + 0.2).sin()).collect())
}

fn of(note: &'static str, x: &[usize], w: &[usize], op: Convolution) -> Sample {
    Sample::new(note, op, [waves(x, 0.7), waves(w, 1.3)])
}

impl Samples for Convolution {
    fn samples() -> Vec<Sample> {
        let forward = Convolution::plain;
        let adjoint = |n| Convolution { transposed: true, ..forward(n) };
        let integer = |dtype: DType| {
            let (x, w) = (Array::new([1, 1, 3], vec![100i64, -7, 3]), Array::new([1, 1, 2], vec![2i64, -1]));
            Sample::new("integer", forward(1), [x.cast(dtype), w.cast(dtype)])
        };
        let halves = [waves(&[1, 2, 3], 0.7).cast(DType::F16), waves(&[1, 2, 2], 0.4).cast(DType::F16)];
        vec![
            of("usual", &[2, 2, 4], &[3, 2, 2], forward(1)),
            of("one", &[1, 1, 1], &[1, 1, 1], forward(1)),
            of("stride, rest left out", &[1, 1, 6], &[2, 1, 3], Convolution { stride: vec![2], ..forward(1) }),
            of("padding", &[1, 2, 3], &[1, 2, 3], Convolution { padding: vec![2], ..forward(1) }),
            of("dilation", &[1, 1, 5], &[2, 1, 2], Convolution { dilation: vec![3], ..forward(1) }),
            of("groups", &[1, 4, 3], &[2, 2, 2], Convolution { groups: 2, ..forward(1) }),
            of("depthwise", &[2, 2, 2], &[4, 1, 1], Convolution { groups: 2, ..forward(1) }),
            of("two dims", &[1, 2, 3, 2], &[2, 2, 2, 1], forward(2)),
            of(
                "two dims, everything",
                &[1, 2, 4, 5],
                &[4, 1, 2, 2],
                Convolution { stride: vec![1, 2], padding: vec![1, 2], dilation: vec![2, 3], groups: 2, ..forward(2) },
            ),
            of("three dims", &[1, 1, 2, 2, 2], &[1, 1, 2, 1, 2], forward(3)),
            of("no example", &[0, 2, 3], &[1, 2, 2], forward(1)),
            of("adjoint", &[2, 2, 2], &[2, 3, 2], adjoint(1)),
            of(
                "adjoint, stride",
                &[1, 1, 2],
                &[1, 2, 2],
                Convolution { stride: vec![3], output_padding: vec![2], ..adjoint(1) },
            ),
            of("adjoint, padding", &[1, 1, 3], &[1, 1, 3], Convolution { padding: vec![1], ..adjoint(1) }),
            of(
                "adjoint, output padding beyond the stride",
                &[1, 1, 2],
                &[1, 1, 2],
                Convolution { dilation: vec![3], output_padding: vec![2], ..adjoint(1) },
            ),
            of("adjoint, groups", &[1, 4, 2], &[4, 2, 1], Convolution { groups: 2, ..adjoint(1) }),
            of(
                "adjoint, two dims, everything",
                &[1, 2, 2, 2],
                &[2, 2, 2, 3],
                Convolution {
                    stride: vec![2, 1],
                    padding: vec![1, 1],
                    dilation: vec![1, 2],
                    output_padding: vec![1, 1],
                    groups: 2,
                    ..adjoint(2)
                },
            ),
            of("adjoint, no example", &[0, 1, 2], &[1, 2, 2], adjoint(1)),
            integer(DType::I64),
            integer(DType::I8),
            Sample::new("halves", forward(1), halves),
        ]
    }
}
