//! Whole networks, and programs of thousands of nodes.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_loops::{lower, lower_as_is};

use crate::{args_of, check, f32s, fused};

fn mlp_loss(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, x: Tensor, y: Tensor) -> Tensor {
    let h = (x.matmul(&w1.t()) + b1).relu();
    let z = h.matmul(&w2.t()) + b2;
    z.cross_entropy(&y)
}

#[test]
fn networks() {
    let y = Tensor::from_array(Array::new([64], (0..64i64).map(|i| i % 10).collect()));
    let args = (f32s(&[32, 48]), f32s(&[32]), f32s(&[10, 32]), f32s(&[10]), f32s(&[64, 48]), y);
    let g = make_fx(grad(mlp_loss).argnums::<(At<0>, At<1>, At<2>, At<3>)>(), args).unwrap();
    fused("mlp_gradient", &g, 6, 6);
}

/// A chain of thousands of nodes is cut into several bodies; time is linear.
#[test]
fn long_chains_are_cut() {
    let chain = |n: usize| {
        move |x: Tensor| {
            (0..n).fold(x.clone(), |y, j| match j % 4 {
                0 => y * 0.5,
                1 => y + &x,
                2 => y.tanh(),
                _ => y.cos(),
            })
        }
    };
    let g = make_fx(chain(2000), (f32s(&[8]),)).unwrap();
    let program = lower(&g).unwrap();
    assert!((4..20).contains(&program.steps.len()), "{} steps", program.steps.len());
    check(&g, &args_of(&g, 1)).unwrap();
}

/// Lowering is linear: 20,000 nodes take ten times as long as 2,000, within the noise of a shared machine.
#[test]
fn time_is_linear() {
    let graph = |n: usize| {
        make_fx_with(
            CaptureOptions::raw(),
            move |x: Tensor, y: Tensor| {
                (0..n).fold(x.clone(), |z, j| match j % 5 {
                    0 => z * &y,
                    1 => z + &x,
                    2 => z.tanh(),
                    3 => z.permute_to(&[1, 0]),
                    _ => z.sum_over(&[0]).expand_to(x.shape()),
                })
            },
            (f32s(&[8, 8]), f32s(&[8, 8])),
        )
        .unwrap()
    };
    let time = |g: &Graph| {
        let start = std::time::Instant::now();
        let program = lower_as_is(g).unwrap();
        assert!(!program.steps.is_empty());
        start.elapsed().as_secs_f64()
    };
    let (small, large) = (graph(2_000), graph(20_000));
    let (few, many) = (time(&small).max(1e-3), time(&large));
    eprintln!("2,000 nodes: {few:.4} s; 20,000 nodes: {many:.4} s");
    assert!(many < 25.0 * few, "2,000 nodes: {few} s; 20,000 nodes: {many} s");
}
