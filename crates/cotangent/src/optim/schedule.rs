//! Learning rates that change with the count of steps.

use std::f64::consts::PI;

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

/// The learning rate at each step: a number times factors that depend on the count of steps.
///
/// A number is a constant schedule, so that `Adam::new(1e-3)` works. Factors multiply, as with PyTorch's
/// `ChainedScheduler`; [`Schedule::every`] counts epochs instead of steps.
///
/// ```
/// use cotangent::optim::Schedule;
///
/// let rate = Schedule::constant(0.1).warmup(10, 0.1).step(100, 0.5);
/// for (count, expected) in [(0, 0.01), (10, 0.1), (100, 0.05), (250, 0.025)] {
///     assert!((rate.value(count) - expected).abs() < 1e-15);
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    base: f64,
    factors: Vec<Factor>,
    every: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Factor {
    Step { size: usize, gamma: f64 },
    Exponential { gamma: f64 },
    Cosine { steps: usize, last: f64 },
    Linear { start: f64, end: f64, steps: usize },
    OneCycle { steps: usize, rise: f64, first: f64, last: f64 },
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Schedule::constant(rate)
    }
}

impl Schedule {
    /// Always `rate`.
    pub fn constant(rate: f64) -> Self {
        Schedule { base: rate, factors: Vec::new(), every: 1 }
    }

    /// Up from `rate / 25` to `rate` in the first 30 % of `steps`, then down to `rate / 250000`, each by half a cosine:
    /// PyTorch's `OneCycleLR` with its defaults.
    pub fn one_cycle(rate: f64, steps: usize) -> Self {
        Schedule::constant(rate).by(Factor::OneCycle { steps, rise: 0.3, first: 1.0 / 25.0, last: 1.0 / 25e4 })
    }

    /// Times `gamma` after each `size` steps: `StepLR`.
    pub fn step(self, size: usize, gamma: f64) -> Self {
        self.by(Factor::Step { size, gamma })
    }

    /// Times `gamma` after each step: `ExponentialLR`.
    pub fn exponential(self, gamma: f64) -> Self {
        self.by(Factor::Exponential { gamma })
    }

    /// From 1 to 0 in `steps` steps, by half a cosine: `CosineAnnealingLR`.
    pub fn cosine(self, steps: usize) -> Self {
        self.cosine_to(steps, 0.0)
    }

    /// From 1 to `last` in `steps` steps, by half a cosine.
    pub fn cosine_to(self, steps: usize, last: f64) -> Self {
        self.by(Factor::Cosine { steps, last })
    }

    /// From `start` to 1 in `steps` steps, in a straight line, and then 1: `LinearLR`.
    pub fn warmup(self, steps: usize, start: f64) -> Self {
        self.linear(steps, start, 1.0)
    }

    /// From `start` to `end` in `steps` steps, in a straight line, and then `end`: `LinearLR`.
    pub fn linear(self, steps: usize, start: f64, end: f64) -> Self {
        self.by(Factor::Linear { start, end, steps })
    }

    /// The same schedule, of which one step lasts for `steps` steps of the optimiser, for instance an epoch.
    pub fn every(self, steps: usize) -> Self {
        Schedule { every: steps.max(1), ..self }
    }

    fn by(mut self, factor: Factor) -> Self {
        self.factors.push(factor);
        self
    }

    /// The rate after `count` steps, an `f64` scalar; as `count` is.
    #[track_caller]
    pub fn at(&self, count: &Tensor) -> Tensor {
        let t = if self.every == 1 { count.clone() } else { (count / self.every as f64).floor() };
        self.factors.iter().fold(count.full_like(self.base), |rate, factor| rate * factor.at(&t))
    }

    /// The rate after `count` steps.
    pub fn value(&self, count: usize) -> f64 {
        let rate = self.at(&Tensor::from(count as f64));
        rate.item().expect("the rate at a number is a number")
    }
}

impl Factor {
    #[track_caller]
    fn at(&self, t: &Tensor) -> Tensor {
        match *self {
            Factor::Step { size, gamma } => power(gamma, &(t / size.max(1) as f64).floor()),
            Factor::Exponential { gamma } => power(gamma, t),
            Factor::Cosine { steps, last } => {
                ((t * (PI / steps.max(1) as f64)).cos() + 1.0) * ((1.0 - last) / 2.0) + last
            }
            Factor::Linear { start, end, steps } => {
                t.clamp_max(steps as f64) * ((end - start) / steps.max(1) as f64) + start
            }
            Factor::OneCycle { steps, rise, first, last } => {
                let top = rise * steps as f64 - 1.0;
                let end = steps as f64 - 1.0;
                let swing = |part: Tensor, from: f64, to: f64| {
                    ((part.clamp(0.0, 1.0) * PI).cos() + 1.0) * ((from - to) / 2.0) + to
                };
                let up = swing(t / top, first, 1.0);
                let down = swing((t - top) / (end - top), 1.0, last);
                up.where_(&t.le(top), &down)
            }
        }
    }
}

#[track_caller]
fn power(base: f64, exponent: &Tensor) -> Tensor {
    exponent.full_like(base).pow(exponent)
}
