//! Every op, and random programs of them, as they are and under transforms.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ir::Aval;
use cotangent_core::ops::Op;
use cotangent_core::transform::build;
use cotangent_core::transform::grad::vjp;
use cotangent_tests::each::{each_random_graph, each_sample};
use cotangent_tests::numeric::{Rng, sample_graph};

use crate::{args_of, check, f32s, pullback_of};

#[test]
fn every_op_sample() {
    each_sample(check);
}

#[test]
fn random_graphs() {
    each_random_graph(1000, check);
}

/// Derivatives and batches of every op's samples lower as well.
#[test]
fn derivatives_of_every_op_sample() {
    let mut failures = Vec::new();
    for s in Op::all_samples() {
        let g = sample_graph(&s);
        let floats: Vec<usize> = (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float()).collect();
        let (Ok(grad), true) = (vjp(&g, &floats), !floats.is_empty()) else { continue };
        let mut rng = Rng(11);
        let rest: Vec<Array> = grad.param_avals()[s.args.len()..].iter().map(|a| rng.array(a)).collect();
        let args: Vec<Array> = s.args.iter().cloned().chain(rest).collect();
        if let Err(e) = check(&grad, &args) {
            failures.push(format!("{} ({}): {e}", s.op.name(), s.note));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A random program over shapes whose dims fill lanes, with reductions, reshapes, pieces and products.
fn wide_program(seed: u64) -> Graph {
    let mut rng = Rng(seed);
    let shapes: [&[usize]; 6] = [&[6, 20], &[20, 6], &[6, 4, 5], &[120], &[20], &[3, 40]];
    build("wide", |t| {
        let mut pool: Vec<Tensor> = (0..3).map(|_| t.param(&Aval::new(DType::F64, shapes[rng.below(6)]))).collect();
        for _ in 0..4 + rng.below(12) {
            let x = pool[pool.len() - 1 - rng.below(pool.len().min(4))].clone();
            let sizes = x.shape().sizes().to_vec();
            let (n, rank) = (x.numel(), sizes.len());
            let dim = if rank == 0 { 0 } else { rng.below(rank) };
            let y = match rng.below(12) {
                0 => x.tanh(),
                1 => x.exp() * 0.1,
                2 => x.square() - 0.5,
                3 | 4 => match pool.iter().find(|y| y.shape() == x.shape() && rng.below(2) == 0) {
                    Some(y) => &x * y + &x,
                    None => &x + 1.0,
                },
                5 => match shapes.iter().find(|s| s.iter().product::<usize>() == n && rng.below(2) == 0) {
                    Some(s) => x.view_to(&Shape::from(*s)),
                    None => x.view_to(&Shape::from([n])),
                },
                6 if rank > 1 => x.permute_to(&(0..rank).map(|d| (d + 1) % rank).collect::<Vec<_>>()),
                7 if rank > 0 => {
                    // The mean along a dim, taken away.
                    let mut kept = sizes.clone();
                    kept[dim] = 1;
                    let mean = x.sum_over(&[dim]) / sizes[dim] as f64;
                    &x - mean.view_to(&Shape::from(&kept)).expand_to(x.shape())
                }
                8 if rank > 0 => x.softmax(dim as i64),
                9 if rank > 0 => x.sum_over(&[dim]),
                10 if rank > 0 && sizes[dim] > 2 => {
                    let inner = x.slice_dim(dim, 1, sizes[dim] - 1, 1);
                    let mut pad = vec![(0, 0); rank];
                    pad[dim] = (2, 0);
                    inner.pad_dims(&pad, 0.25)
                }
                11 if rank == 2 => x.matmul(&x.t()),
                _ => x.flip_dims(&(0..rank).collect::<Vec<_>>()),
            };
            pool.push(y);
        }
        let total = pool[pool.len() - 1].clone();
        Ok(vec![total, pool[rng.below(pool.len())].clone(), pool[pool.len() - 2].clone()])
    })
    .unwrap_or_else(|e| panic!("seed {seed}: {e}"))
}

#[test]
fn random_programs_with_lanes() {
    for seed in 0..150 {
        let g = wide_program(seed);
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn gradients_of_random_programs() {
    for seed in 0..40 {
        let g = pullback_of(&wide_program(seed));
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn every_form_at_sizes_that_fill_lanes() {
    let x = || f32s(&[12, 24]);
    let check_fx = |name: &str, g: Graph| check(&g, &args_of(&g, 3)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let pieces = |x: Tensor, y: Tensor| {
        let c = cat(&[&x.exp(), &y.t().sin(), &x.flip_dims(&[0])], 0);
        let p = c.pad_dims(&[(-1, 3), (1, 2)], 0.5) * 2.0;
        (p.tanh(), c.slice_dim(0, 1, 30, 3).sum_over(&[1]))
    };
    check_fx("pieces", make_fx(pieces, (x(), f32s(&[24, 12]))).unwrap());
    let reshaped = |x: Tensor| {
        let h = x.exp().view_to(&Shape::from([12, 4, 6])).permute_to(&[1, 0, 2]);
        let s = h.softmax(-1);
        (s.view_to(&Shape::from([4, 72])).sum_over(&[0]), s.permute_to(&[2, 1, 0]) * 3.0)
    };
    check_fx("reshaped", make_fx(reshaped, (x(),)).unwrap());
    let middle = |x: Tensor| {
        let y = x.view_to(&Shape::from([3, 16, 6]));
        (y.var(1, 0), y.amax_over(&[0, 2]), y.sum_over(&[0, 1]) / y.sum_over(&[0, 1, 2]))
    };
    check_fx("middle", make_fx(middle, (x(),)).unwrap());
    let products = |x: Tensor, y: Tensor| {
        let v = x.matmul(&y.t().slice_dim(1, 0, 1, 1));
        let z = x.matmul(&y.t()).relu();
        (v.tanh(), z.t().matmul(&x).sum_over(&[0]))
    };
    check_fx("products", make_fx(products, (f32s(&[40, 24]), f32s(&[40, 24]))).unwrap());
    let halves = |x: Tensor| x.convert(DType::F16).sum_over(&[0]).convert(DType::F32);
    check_fx("halves", make_fx(halves, (x(),)).unwrap());
    let rows = |x: Tensor| {
        let s = x.softmax(1);
        let t = s.sum_over(&[0]);
        let n = (&x - x.mean_dim(0)) / (x.var(0, 0) + 1e-3).sqrt();
        (s.matmul(&n.t()), t.log_softmax(0), n)
    };
    check_fx("rows", make_fx(rows, (x(),)).unwrap());
}
