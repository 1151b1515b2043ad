//! Random programs: graphs with the patterns that simplification looks for, over a few values of mixed shapes.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph, Shape};
use cotangent_core::ops::{Binary, Eye, Unary};
use cotangent_core::transform::build;

use crate::numeric::Rng;

/// A random program of about `nodes` nodes in `f64`, from two to four parameters; the same seed gives the same program.
pub fn random_program(seed: u64, nodes: usize) -> Graph {
    let mut rng = Rng(seed);
    let result = build("random", |t| {
        let shapes: [&[usize]; 5] = [&[3, 3], &[3], &[2, 3], &[], &[1, 3]];
        let count = 2 + rng.below(3);
        let mut values: Vec<Tensor> =
            (0..count).map(|_| t.param(&Aval::new(DType::F64, shapes[rng.below(shapes.len())]))).collect();
        for _ in 0..nodes {
            let x = values[pick(&mut rng, values.len())].clone();
            let other = values[pick(&mut rng, values.len())].clone();
            if let Some(y) = step(&mut rng, &x, &other) {
                values.push(y);
            }
        }
        let results = 1 + rng.below(2);
        Ok((0..results).map(|k| values[values.len() - 1 - k].clone()).collect())
    });
    result.unwrap_or_else(|e| panic!("random program {seed}: {e}"))
}

/// Mostly a recent value, so that chains form.
fn pick(rng: &mut Rng, n: usize) -> usize {
    if rng.below(3) == 0 { rng.below(n) } else { n - 1 - rng.below(n.min(3)) }
}

/// One op applied to `x` (and `other`), or nothing where it does not fit.
fn step(rng: &mut Rng, x: &Tensor, other: &Tensor) -> Option<Tensor> {
    const UNARY: [Unary; 9] = [
        Unary::Neg,
        Unary::Neg,
        Unary::Sin,
        Unary::Cos,
        Unary::Abs,
        Unary::Tanh,
        Unary::Sign,
        Unary::Floor,
        Unary::Detach,
    ];
    const BINARY: [Binary; 6] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Mul, Binary::Maximum, Binary::Minimum];
    const CONSTANTS: [f64; 7] = [0.0, 1.0, -1.0, 2.0, 0.5, -0.0, 3.0];
    let rank = x.rank();
    let dim = rng.below(rank.max(1));
    Some(match rng.below(16) {
        0 | 1 => x.unary(UNARY[rng.below(UNARY.len())]),
        2 | 3 if x.shape() == other.shape() => x.binary(BINARY[rng.below(BINARY.len())], other),
        2..=4 => {
            let shape = cotangent_core::tensor::broadcast_shapes(x.shape(), other.shape())?;
            x.expand_to(&shape).binary(BINARY[rng.below(BINARY.len())], &other.expand_to(&shape))
        }
        5 | 6 => {
            let c = x.full_like(CONSTANTS[rng.below(CONSTANTS.len())]);
            let (a, b) = if rng.below(2) == 0 { (x, &c) } else { (&c, x) };
            a.binary(BINARY[rng.below(BINARY.len())], b)
        }
        7 if rank < 4 => {
            let lead = [1, 2, 3][rng.below(3)];
            x.expand_to(&x.shape().inserted(0, lead))
        }
        8 if rank < 4 => x.view_to(&x.shape().inserted(rng.below(rank + 1), 1)),
        8 | 9 => x.view_to(&Shape::from([x.numel()])),
        10 if rank > 1 => {
            let mut dims: Vec<usize> = (0..rank).collect();
            dims.rotate_left(1 + rng.below(rank - 1));
            x.permute_to(&dims)
        }
        11 if rank > 0 => x.sum_over(&[dim]),
        12 if rank > 1 => {
            let all: Vec<usize> = (0..rank).collect();
            x.sum_over(&all)
        }
        13 if rank == 2 && x.shape()[0] == x.shape()[1] => {
            let n = x.shape()[0];
            x * Tensor::generate(Eye { n, m: n, dtype: DType::F64 }, Some(x))
        }
        13 if rank == 2 => {
            let n = x.shape()[1];
            x.mm(&Tensor::generate(Eye { n, m: n, dtype: DType::F64 }, Some(x)))
        }
        14 if rank == 2 => x.permute_to(&[1, 0]).mm(x),
        14 | 15 => {
            let p = x.gt(CONSTANTS[rng.below(2)]);
            let zeros = x.zeros_like();
            x.where_exact(&p, &zeros)
        }
        _ => return None,
    })
}
