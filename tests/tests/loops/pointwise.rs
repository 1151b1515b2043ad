//! Pointwise work, over one space and over pieces of it.

use cotangent::prelude::*;
use cotangent_loops::cost::costs;
use cotangent_loops::ir::{LoopProgram, Role};
use cotangent_loops::lower;

use crate::{args_of, check, f32s, fused};

#[test]
fn pointwise_work_is_one_nest() {
    let g = make_fx(|x: Tensor, b: Tensor| (x + b).gelu_tanh(), (f32s(&[64, 128]), f32s(&[128]))).unwrap();
    fused("bias_gelu", &g, 1, 0);
    let g = make_fx(|x: Tensor, y: Tensor| x + y.t(), (f32s(&[64, 32]), f32s(&[32, 64]))).unwrap();
    fused("transposed_add", &g, 1, 0);
}

#[test]
fn many_outputs_of_one_space_share_a_nest() {
    let phi = |x: Tensor| ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
    let price = move |s: Tensor, k: Tensor, t: Tensor, r: Tensor, v: Tensor| {
        let d1 = ((&s / &k).log() + (&r + v.square() * 0.5) * &t) / (&v * t.sqrt());
        let d2 = &d1 - &v * t.sqrt();
        (&s * phi(d1) - &k * (-(&r * &t)).exp() * phi(d2)).sum_over(&[0])
    };
    let x = || f32s(&[5000]) * 0.1 + 1.0;
    let g = make_fx(grad(price).argnums::<(At<0>, At<1>, At<2>, At<3>, At<4>)>(), (x(), x(), x(), x(), x())).unwrap();
    fused("black_scholes_greeks", &g, 1, 0);
}

#[test]
fn small_inner_dims_are_written_out() {
    let f = |a: Tensor, b: Tensor, w: Tensor| {
        let d = (a.unsqueeze(1) - b.unsqueeze(0)).square().sum_over(&[2]);
        ((-d).exp() * w).sum_over(&[0, 1])
    };
    let g = make_fx(grad(f), (f32s(&[20, 3]), f32s(&[30, 3]), f32s(&[30]))).unwrap();
    fused("gauss_kernel_gradient", &g, 1, 0);
}

/// Steps of a stencil on a torus, each of rolls of the last.
#[test]
fn what_is_read_at_shifted_places_is_computed_once() {
    let steps = |n: usize| {
        let heat = move |u: Tensor| {
            (0..n).fold(u, |u, _| {
                let around = u.roll(&[1], &[0]) + u.roll(&[-1], &[0]) + u.roll(&[1], &[1]) + u.roll(&[-1], &[1]);
                &u + (around - &u * 4.0) * 0.1
            })
        };
        let g = make_fx(heat, (f32s(&[12, 16]),)).unwrap();
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{n} steps: {e}"));
        costs(&lower(&g).unwrap()).into_iter().map(|c| c.flops).sum::<u64>()
    };
    let (few, many) = (steps(4), steps(8));
    // 7 operations for each point and step; each piece of a roll computes its part again before the value has a place in memory.
    assert!(many <= 2 * few + 12 * 16 * 40 && many <= 8 * 7 * 12 * 16 * 4, "{few} and {many} operations");
}

/// The derivative of differences adds paddings, and each of their parts is computed where it belongs.
#[test]
fn pointwise_work_on_pieces_needs_no_memory_between() {
    let differences = |x: &Tensor, d: usize| {
        let n = x.shape().sizes()[d];
        (x.narrow(d as i64, 1, n - 1) - x.narrow(d as i64, 0, n - 1)).square().sum()
    };
    let f = move |x: Tensor| differences(&x, 0) + differences(&x, 1);
    // Borders are few here, …
    let g = make_fx(grad(f), (f32s(&[40, 200]),)).unwrap();
    let large = lower(&g).unwrap();
    assert_eq!(temporaries(&large), 0, "{large}");
    check(&g, &args_of(&g, 10)).unwrap();
    // … and most of everything there, where rows are short besides.
    let g = make_fx(grad(f), (f32s(&[7, 3]),)).unwrap();
    assert!(temporaries(&lower(&g).unwrap()) > 0);
    check(&g, &args_of(&g, 10)).unwrap();
    // What somebody else reads is put together.
    let twice = |x: Tensor, y: Tensor| {
        let both = cat(&[&x, &y], 0);
        (both.sin(), both.cos())
    };
    let g = make_fx(twice, (f32s(&[3, 100]), f32s(&[5, 100]))).unwrap();
    check(&g, &args_of(&g, 10)).unwrap();
    let once = |x: Tensor, y: Tensor| cat(&[&x, &y], 0).sin() * 2.0;
    let g = make_fx(once, (f32s(&[3, 100]), f32s(&[5, 100]))).unwrap();
    assert_eq!(temporaries(&lower(&g).unwrap()), 0);
    check(&g, &args_of(&g, 10)).unwrap();
}

fn temporaries(program: &LoopProgram) -> usize {
    program.buffers.iter().filter(|b| b.role == Role::Temp).count()
}

/// A nest that reads a value at two places computes it twice, unless that is very dear.
#[test]
fn very_dear_values_at_shifted_places_are_memory() {
    let temporaries = |f: fn(&Tensor) -> Tensor| {
        let shifted = move |x: Tensor| {
            let y = f(&x);
            y.narrow(0, 1, 99) * y.narrow(0, 0, 99)
        };
        let g = make_fx(shifted, (f32s(&[100, 9]),)).unwrap();
        check(&g, &args_of(&g, 10)).unwrap();
        temporaries(&lower(&g).unwrap())
    };
    assert_eq!(temporaries(|x| x.sin().exp().tanh()), 1);
    assert_eq!(temporaries(|x| x.sin()), 0);
}
