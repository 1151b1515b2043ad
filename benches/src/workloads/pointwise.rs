//! Pointwise and fusion.

use std::f64::consts::FRAC_1_SQRT_2;

use cotangent::prelude::*;

use crate::inputs::{Input, f32s};
use crate::workload::{Workload, compiled};

const SIZES: [(&str, usize); 4] = [("1k", 1 << 10), ("64k", 1 << 16), ("1m", 1 << 20), ("16m", 1 << 24)];

/// `y = x − relu(y · a + b)`, five times: 20 cheap operations.
fn cheap_chain(x: Tensor) -> Tensor {
    let mut y = x.clone();
    for i in 1..=5 {
        let i = f64::from(i);
        y = &x - (y * (0.9 + 0.02 * i) + 0.1 * i).relu();
    }
    y
}

/// Ten transcendental functions in a row.
pub(super) fn heavy_chain(x: Tensor) -> Tensor {
    let mut y = x.clone();
    for i in 1..=2 {
        y = (0.5 * y.sin()).exp();
        y = (y + 1.5).log().tanh();
        y = (y + i * &x).cos();
    }
    y
}

/// The derivative in `a` of `Σ_ij w_j exp(-|a_i - b_j|²)`.
fn gauss_kernel(a: Tensor, b: Tensor, w: Tensor) -> Tensor {
    let d = a.unsqueeze(1) - b.unsqueeze(0);
    ((-(&d * &d).sum_dim(-1)).exp() * w).sum()
}

/// The price of a European call: spot `s`, strike `k`, time `t`, rate `r`, volatility `v`.
fn black_scholes(s: Tensor, k: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor {
    let phi = |x: &Tensor| 0.5 * (1.0 + (x * FRAC_1_SQRT_2).erf());
    let root = &v * t.sqrt();
    let d1 = ((&s / &k).log() + (&r + 0.5 * &v * &v) * &t) / &root;
    let d2 = &d1 - root;
    s * phi(&d1) - k * (-r * t).exp() * phi(&d2)
}

/// How many of 50 steps a point stays inside.
fn mandelbrot(cx: Tensor, cy: Tensor) -> Tensor {
    let (mut x, mut y, mut n) = (cx.zeros_like(), cx.zeros_like(), cx.zeros_like());
    for _ in 0..50 {
        let (x2, y2) = (&x * &x, &y * &y);
        let inside = (&x2 + &y2).le(4.0);
        let next = (x2 - y2 + &cx, 2.0 * &x * &y + &cy, &n + 1.0);
        x = where_(&inside, &next.0, &x);
        y = where_(&inside, &next.1, &y);
        n = where_(&inside, &next.2, &n);
    }
    n
}

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    let mut list = vec![
        Workload::new("add_relu", [f32s("a", [1024, 1024]), f32s("b", [1024, 1024])], |[a, b]| {
            compiled(|a: Tensor, b: Tensor| (a + b).relu(), (a, b))
        }),
        Workload::new("transpose_add", [f32s("a", [2048, 2048]), f32s("b", [2048, 2048])], |[a, b]| {
            compiled(|a: Tensor, b: Tensor| a + b.t(), (a, b))
        }),
        Workload::new("bias_gelu_tanh", bias_gelu(), |[x, b]| {
            compiled(|x: Tensor, b: Tensor| (x + b).gelu_tanh(), (x, b))
        }),
        Workload::new("bias_gelu_erf", bias_gelu(), |[x, b]| compiled(|x: Tensor, b: Tensor| (x + b).gelu(), (x, b))),
    ];
    list.extend(SIZES.map(|(label, n)| {
        Workload::new(format!("chain20_{label}"), [f32s("x", [n]).scale(4.0)], |[x]| compiled(cheap_chain, (x,)))
    }));
    list.extend(SIZES.map(|(label, n)| {
        Workload::new(format!("heavy_{label}"), [f32s("x", [n]).scale(4.0)], |[x]| compiled(heavy_chain, (x,)))
    }));
    list.extend([("100", 100), ("1m", 1 << 20)].map(|(label, n)| {
        Workload::new(format!("grad_sum_sin_{label}"), [f32s("x", [n]).scale(4.0)], |[x]| {
            compiled(grad(|x: Tensor| x.sin().sum()), (x,))
        })
    }));
    list.extend([
        Workload::new(
            "cos_cos_grad",
            ["a", "b", "c", "d"].map(|n| f32s(n, [1024, 2048]).scale(2.0)),
            |[a, b, c, d]| {
                let f = |a: Tensor, b: Tensor, c: Tensor, d: Tensor| (a * b + c + d).cos().cos().sum();
                compiled(value_and_grad(f).argnums::<(At<0>, At<1>, At<2>)>(), (a, b, c, d))
            },
        ),
        Workload::new(
            "gauss_kernel_grad",
            [f32s("a", [2000, 3]).scale(2.0), f32s("b", [2000, 3]).scale(2.0), f32s("w", [2000])],
            |[a, b, w]| compiled(grad(gauss_kernel), (a, b, w)),
        ),
        Workload::new("black_scholes", options(), |[s, k, t, r, v]| compiled(black_scholes, (s, k, t, r, v))),
        Workload::new("black_scholes_greeks", options(), |[s, k, t, r, v]| {
            let total = |s: Tensor, k: Tensor, t: Tensor, r: Tensor, v: Tensor| black_scholes(s, k, t, r, v).sum();
            compiled(grad(total).argnums::<(At<0>, At<1>, At<2>, At<3>, At<4>)>(), (s, k, t, r, v))
        }),
        Workload::new(
            "mandelbrot",
            [f32s("cx", [512, 512]).scale(3.0).offset(-0.5), f32s("cy", [512, 512]).scale(2.4)],
            |[cx, cy]| compiled(mandelbrot, (cx, cy)),
        ),
    ]);
    list
}

fn bias_gelu() -> [Input; 2] {
    [f32s("x", [4096, 1024]).scale(6.0), f32s("b", [1024])]
}

fn options() -> [Input; 5] {
    let n = [1 << 20];
    [
        f32s("S", n).scale(50.0).offset(100.0),
        f32s("K", n).scale(40.0).offset(100.0),
        f32s("T", n).offset(1.0),
        f32s("r", n).scale(0.04).offset(0.03),
        f32s("v", n).scale(0.2).offset(0.3),
    ]
}
