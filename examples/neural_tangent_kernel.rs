//! The neural tangent kernel of a network, `J(x₁) J(x₂)ᵀ`, in two ways: by Jacobians, and by products with them.

use std::time::Instant;

use cotangent::nn::{Functional, Linear, Sequential, State, Tanh, make_functional};
use cotangent::prelude::*;
use cotangent::random::Keys;

type Net = Functional<Sequential>;

/// A network of three layers.
pub fn network(sizes: [usize; 3]) -> Result<(Net, State), Error> {
    let keys = &mut Keys::new(0);
    let [inputs, width, outputs] = sizes;
    let (a, b, c) =
        (Linear::new(inputs, width, keys), Linear::new(width, width, keys), Linear::new(width, outputs, keys));
    Ok(make_functional(Sequential::new().then(a).then(Tanh).then(b).then(Tanh).then(c))?)
}

/// `K[n, m, a, b] = Σ ∂f_a(x1_n)/∂p ∂f_b(x2_m)/∂p`: both Jacobians, then a sum of products over the parameters.
pub fn by_contraction(net: &Net, params: State, x1: Tensor, x2: Tensor) -> Result<Tensor, Error> {
    let jacobian =
        |x: Tensor| vmap(jacrev(|p: State, x| net.call((p, x)))).in_dims((None, Some(0))).call((params.clone(), x));
    let (j1, j2) = (jacobian(x1)?, jacobian(x2)?);
    let products =
        j1.values().zip(j2.values()).map(|(a, b)| einsum("naf,mbf->nmab", &[&a.flatten(2, -1), &b.flatten(2, -1)]));
    products.reduce(|a, b| a + b).ok_or_else(|| Error::user("a network without parameters"))
}

/// The same, row by row: `J(x₂)` applied to `J(x₁)ᵀ e` for each unit vector `e`, without any Jacobian.
pub fn by_products(net: &Net, params: State, x1: Tensor, x2: Tensor) -> Result<Tensor, Error> {
    let of = |x: &Tensor| {
        let x = x.clone();
        move |p: State| net.call((p, x.clone()))
    };
    let kernel = |x1: Tensor, x2: Tensor| {
        let (y, pullback) = vjp(of(&x1), (params.clone(),))?;
        let row = |e: Tensor| {
            let p_dot = pullback.call((e,))?;
            Ok::<_, Error>(jvp(of(&x2), (params.clone(),), p_dot)?.1)
        };
        vmap(row).call((eye(y.size(0)),))
    };
    vmap(vmap(kernel).in_dims((None, Some(0)))).in_dims((Some(0), None)).call((x1, x2))
}

/// Both kernels of two batches, and the seconds of the fastest of 10 calls.
pub fn both_ways(sizes: [usize; 3], batch: usize) -> Result<[(Tensor, f64); 2], Error> {
    let (net, params) = network(sizes)?;
    let mut keys = Keys::new(1);
    let (x1, x2) = (keys.next_key().randn([batch, sizes[0]]), keys.next_key().randn([batch, sizes[0]]));
    let timed = |f: &dyn Fn(State, Tensor, Tensor) -> Result<Tensor, Error>| {
        let f = jit(f);
        let call = || f.call((params.clone(), x1.clone(), x2.clone()));
        let kernel = call()?;
        let mut best = f64::INFINITY;
        for _ in 0..10 {
            let start = Instant::now();
            call()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok::<_, Error>((kernel, best))
    };
    Ok([
        timed(&|params, x1, x2| by_contraction(&net, params, x1, x2))?,
        timed(&|params, x1, x2| by_products(&net, params, x1, x2))?,
    ])
}

fn main() -> Result<(), Error> {
    let [(contracted, first), (applied, second)] = both_ways([32, 64, 10], 16)?;
    println!("kernel {}", contracted.aval());
    println!("by Jacobians: {:.3} ms, by products: {:.3} ms", first * 1e3, second * 1e3);
    println!("largest difference: {:e}", (contracted - applied).abs().max().item::<f32>()?);
    Ok(())
}
