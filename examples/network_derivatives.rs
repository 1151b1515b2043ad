//! The Jacobian and the Hessian of a network, each in three ways, compared in time.

use std::time::Instant;

use cotangent::nn::{Layer, Linear, Module};
use cotangent::prelude::*;
use cotangent::random::Keys;

/// A network of two layers.
#[derive(Clone, Module)]
pub struct Net {
    hidden: Linear,
    out: Linear,
}

impl Net {
    /// A network with these numbers of inputs, of numbers between the layers, and of outputs.
    pub fn new([inputs, width, outputs]: [usize; 3]) -> Self {
        let keys = &mut Keys::new(0);
        Net { hidden: Linear::new(inputs, width, keys), out: Linear::new(width, outputs, keys) }
    }
}

impl Layer for Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.out.forward(&self.hidden.forward(x).tanh())
    }
}

/// A way to a derivative, its value, and the seconds of the fastest of 20 calls.
pub type Way = (&'static str, Tensor, f64);

fn timed(name: &'static str, f: impl Function<(Tensor,), Output = Tensor>, x: &Tensor) -> Result<Way, Error> {
    let f = jit(f);
    let y = f.call((x.clone(),))?;
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        f.call((x.clone(),))?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok((name, y, best))
}

/// `∂y/∂x` `[outputs, inputs]`.
pub fn jacobians(net: &Net, x: &Tensor) -> Result<[Way; 3], Error> {
    let f = |x: Tensor| net.forward(&x);
    let row_by_row = |x: Tensor| {
        let (y, pullback) = vjp(f, (x,))?;
        let basis = eye(y.size(0));
        let rows = (0..y.size(0) as i64).map(|i| Ok(pullback.call((basis.select(0, i),))?.0));
        let rows = rows.collect::<Result<Vec<Tensor>, Error>>()?;
        Ok::<_, Error>(stack(&rows, 0))
    };
    Ok([timed("row by row", row_by_row, x)?, timed("jacrev", jacrev(f), x)?, timed("jacfwd", jacfwd(f), x)?])
}

/// The second derivative of the sum of outputs, `[inputs, inputs]`.
pub fn hessians(net: &Net, x: &Tensor) -> Result<[Way; 3], Error> {
    let f = |x: Tensor| net.forward(&x).sum();
    Ok([
        timed("jacfwd(jacrev)", hessian(f), x)?,
        timed("jacrev(jacfwd)", jacrev(jacfwd(f)), x)?,
        timed("jacrev(jacrev)", jacrev(jacrev(f)), x)?,
    ])
}

fn main() -> Result<(), Error> {
    let x = Key::new(1).randn([64]);
    let net = Net::new([64, 128, 32]);
    for (what, ways) in [("Jacobian", jacobians(&net, &x)?), ("Hessian", hessians(&net, &x)?)] {
        for (name, value, seconds) in &ways {
            println!("{what} {}, {name}: {:.3} ms", value.aval(), seconds * 1e3);
        }
        let far = |y: &Tensor| (y - &ways[0].1).abs().max().item::<f32>();
        println!("largest difference: {:e}", far(&ways[1].1)?.max(far(&ways[2].1)?));
    }
    Ok(())
}
