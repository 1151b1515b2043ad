//! A classifier of handwritten digits: data, model, a training step as one compiled graph, loss curve, file.

use cotangent::data::{Batches, Curve, Progress};
use cotangent::nn::{Dropout, Forward, Linear, Module, Pass, State};
use cotangent::optim::{AdamState, AdamW, Schedule, clip_by_norm};
use cotangent::prelude::*;
use cotangent::random::Keys;

#[path = "data/digits.rs"]
mod data;
pub use data::{Labelled, accuracy, split, without_every_fifth};

/// A network of two layers.
#[derive(Clone, Module)]
pub struct Net {
    hidden: Linear,
    dropout: Dropout,
    out: Linear,
}

impl Net {
    /// A new network with this many numbers between the layers, of which a share drops out.
    pub fn new(width: usize, dropout: f64, seed: i64) -> Self {
        let keys = &mut Keys::new(seed);
        Net { hidden: Linear::new(64, width, keys), dropout: Dropout::new(dropout), out: Linear::new(width, 10, keys) }
    }
}

impl Forward for Net {
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let h = self.hidden.forward_in(x, pass).relu();
        self.out.forward_in(&self.dropout.forward_in(&h, pass), pass)
    }
}

/// Trains for this many epochs; the trained network, and the losses.
pub fn train(net: &Net, data: Labelled, epochs: usize) -> Result<(Net, Curve), Error> {
    let batches = Batches::new(data, 64)?.shuffled(1).drop_last();
    let adam = AdamW::new(Schedule::one_cycle(0.01, epochs * batches.len()));

    // Forward and backward pass, clipping and update are one graph, compiled at the first call. What is given away, the old
    // parameters and state, has the memory of the new.
    let step = jit(|params: State, state: AdamState<State>, key: Key, images: Tensor, labels: Tensor| {
        let loss = |params: State| {
            let scores = net.with(&params)?.forward_in(&images, &mut Pass::train(key.clone()));
            Ok::<_, Error>(scores.cross_entropy(&labels))
        };
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        let (grads, _) = clip_by_norm(&grads, 5.0)?;
        let (params, state) = adam.step(&params, &grads, &state)?;
        Ok::<_, Error>((params, state, loss))
    })
    .donate([0, 1]);

    let (mut params, mut keys) = (net.parameters(), Keys::new(2));
    let mut state = adam.init(&params);
    let mut progress = Progress::new(epochs * batches.len());
    for epoch in 0..epochs {
        for (images, labels) in batches.epoch(epoch) {
            let loss;
            (params, state, loss) = step.call((params, state, keys.next_key(), images, labels))?;
            progress.step(f64::from(loss.item::<f32>()?));
        }
    }
    Ok((net.with(&params)?, progress.finish()))
}

/// The dropout of a network that gets the most images right which it was not trained on: every fifth of `data`.
pub fn choose_dropout(data: &Labelled, choices: &[f64], width: usize, epochs: usize) -> Result<f64, Error> {
    let [train_data, (images, labels)] = without_every_fifth(data);
    let mut best = (f32::NEG_INFINITY, 0.0);
    for dropout in choices {
        let (net, _) = train(&Net::new(width, *dropout, 0), train_data.clone(), epochs)?;
        let found = accuracy(&net.evaluate(&images), &labels).item::<f32>()?;
        println!("dropout {dropout}: validation accuracy {found:.4}");
        if found > best.0 {
            best = (found, *dropout);
        }
    }
    Ok(best.1)
}

fn main() -> Result<(), Error> {
    // The held-out images choose nothing: they are looked at once, at the end.
    let [train_data, (images, labels)] = split()?;
    let dropout = choose_dropout(&train_data, &[0.0, 0.25, 0.5], 256, 30)?;
    let net = Net::new(256, dropout, 0);
    println!("{net:#}");

    let (net, curve) = train(&net, train_data, 30)?;
    let dir = std::env::temp_dir();
    net.state_dict().save(dir.join("digits.safetensors"))?;
    curve.save_svg(dir.join("digits.svg")).map_err(Error::user)?;
    println!("model and loss curve: {}", dir.join("digits.{safetensors,svg}").display());

    println!("held-out accuracy: {:.4}", accuracy(&net.evaluate(&images), &labels).item::<f32>()?);
    Ok(())
}
