//! Differentially private training: the gradient of each example is clipped, and noise hides any single one.

use cotangent::data::Batches;
use cotangent::nn::{Forward, Layer, Linear, Module, State};
use cotangent::optim::{Sgd, SgdState, clip_per_sample};
use cotangent::prelude::*;
use cotangent::random::Keys;

#[path = "data/digits.rs"]
mod data;
pub use data::{accuracy, split};

/// How private a training is.
#[derive(Clone, Copy)]
pub struct Privacy {
    /// The largest norm of an example's gradient.
    pub clip: f64,
    /// The deviation of the noise, in multiples of `clip`.
    pub noise: f64,
    /// How often each example is looked at.
    pub epochs: usize,
}

impl Privacy {
    /// The ε of (ε, δ)-differential privacy: the probability of any outcome changes at most by e^ε when one example is
    /// left out, but for a δ.
    ///
    /// The batches of an epoch have no example in common, so an epoch costs ρ = 1 / (2 noise²) of zero-concentrated
    /// privacy, and ρ adds up.
    ///
    /// *Source*: Bun and Steinke 2016, propositions 1.3 and 1.6.
    pub fn epsilon(&self, delta: f64) -> f64 {
        let rho = self.epochs as f64 / (2.0 * self.noise * self.noise);
        rho + 2.0 * (rho * (1.0 / delta).ln()).sqrt()
    }
}

/// The sum of clipped gradients of a batch with noise, divided by the number of examples; and the mean loss.
pub fn private_gradient(
    net: &Linear,
    privacy: Privacy,
    params: State,
    key: Key,
    (images, labels): (Tensor, Tensor),
) -> Result<(State, Tensor), Error> {
    let loss = |params: State, image: Tensor, label: Tensor| {
        Ok::<_, Error>(net.with(&params)?.forward(&image).cross_entropy(&label))
    };
    let n = images.size(0) as f64;
    let (grads, losses) =
        vmap(grad_and_value(loss)).in_dims((None, Some(0), Some(0))).call((params, images, labels))?;
    let (clipped, _) = clip_per_sample(&grads, privacy.clip)?;
    let mut keys = Keys::of(key);
    let noisy = clipped.map_leaves(|g| {
        let sum = g.sum_dim(0);
        (&sum + keys.next_key().randn(sum.shape()) * (privacy.clip * privacy.noise)) / n
    });
    Ok((noisy, losses.mean()))
}

/// The trained model.
pub fn train(data: (Tensor, Tensor), privacy: Privacy) -> Result<Linear, Error> {
    let net = Linear::new(64, 10, &mut Keys::new(0));
    let batches = Batches::new(data, 256)?.shuffled(1).drop_last();
    let sgd = Sgd::new(1.0).with_momentum(0.8);
    let step = jit(|params: State, state: SgdState<State>, key: Key, images: Tensor, labels: Tensor| {
        let (grads, loss) = private_gradient(&net, privacy, params.clone(), key, (images, labels))?;
        let (params, state) = sgd.step(&params, &grads, &state)?;
        Ok::<_, Error>((params, state, loss))
    })
    .donate([0, 1]);
    let (mut params, mut keys) = (net.parameters(), Keys::new(2));
    let mut state = sgd.init(&params);
    for epoch in 0..privacy.epochs {
        for (images, labels) in batches.epoch(epoch) {
            (params, state, _) = step.call((params, state, keys.next_key(), images, labels))?;
        }
    }
    Ok(net.with(&params)?)
}

fn main() -> Result<(), Error> {
    let [data, (images, labels)] = split()?;
    for noise in [0.0, 2.0, 8.0] {
        let privacy = Privacy { clip: 1.0, noise, epochs: 20 };
        let net = train(data.clone(), privacy)?;
        let accuracy = accuracy(&net.evaluate(&images), &labels).item::<f32>()?;
        println!("noise {noise}: ε = {:.1} at δ = 1e-4, held-out accuracy {accuracy:.3}", privacy.epsilon(1e-4));
    }
    Ok(())
}
