//! Stochastic gradient descent.

use cotangent_core::Tensor;
use cotangent_core::error::Error;

use super::schedule::Schedule;
use super::update::{at, first_step, zeros, zip};
use crate::tree::Tree;

/// `torch.optim.SGD`: descent along the gradient, with momentum.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate.
    pub lr: Schedule,
    /// How much of the last step's direction is kept.
    pub momentum: f64,
    /// How much of the gradient is left out of the momentum.
    pub dampening: f64,
    /// What of the parameters is added to their gradients.
    pub weight_decay: f64,
    /// What the momentum does.
    pub form: Momentum,
}

/// What momentum does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Momentum {
    /// The step is the momentum.
    #[default]
    Heavy,
    /// The step is the gradient and the momentum times its factor.
    Nesterov,
}

/// The state of [`Sgd`].
#[derive(Clone, Debug, crate::Tree)]
pub struct SgdState<T> {
    /// The count of steps, an `f64` scalar.
    pub step: Tensor,
    /// The directions; absent without momentum.
    pub momentum: Option<T>,
}

impl Sgd {
    /// Descent without momentum.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        Sgd { lr: lr.into(), momentum: 0.0, dampening: 0.0, weight_decay: 0.0, form: Momentum::Heavy }
    }

    /// The same with momentum.
    pub fn with_momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// The same with Nesterov's momentum.
    pub fn with_nesterov(self, momentum: f64) -> Self {
        Sgd { momentum, form: Momentum::Nesterov, ..self }
    }

    /// The same with weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }

    /// The state before the first step.
    pub fn init<T: Tree>(&self, params: &T) -> SgdState<T> {
        SgdState { step: first_step(), momentum: (self.momentum != 0.0).then(|| zeros(params)) }
    }

    /// The parameters and the state after a step.
    ///
    /// *Errors*: gradients or a state of another structure or shape than the parameters.
    #[track_caller]
    pub fn step<T: Tree>(&self, params: &T, grads: &T, state: &SgdState<T>) -> Result<(T, SgdState<T>), Error> {
        let rate = self.lr.at(&state.step);
        let step = &state.step + 1.0;
        let decayed =
            |p: &Tensor, g: &Tensor| if self.weight_decay == 0.0 { g.clone() } else { g + p * self.weight_decay };
        let Some(momentum) = &state.momentum else {
            let update = |[p, g]: [&Tensor; 2]| [p - decayed(p, g) * at(&rate, p)];
            let [params] = zip("Sgd::step", ["params", "grads"], [params, grads], update)?;
            return Ok((params, SgdState { step, momentum: None }));
        };
        let update = |[p, g, buffer]: [&Tensor; 3]| {
            let g = decayed(p, g);
            let kept = buffer * self.momentum;
            // The first gradient enters undampened.
            let direction = if self.dampening == 0.0 {
                kept + &g
            } else {
                g.where_(&state.step.eq(0.0), kept + &g * (1.0 - self.dampening))
            };
            let along = match self.form {
                Momentum::Heavy => direction.clone(),
                Momentum::Nesterov => g + &direction * self.momentum,
            };
            [p - along * at(&rate, p), direction]
        };
        let names = ["params", "grads", "the state"];
        let [params, momentum] = zip("Sgd::step", names, [params, grads, momentum], update)?;
        Ok((params, SgdState { step, momentum: Some(momentum) }))
    }
}
