//! RMSprop.

use cotangent_core::Tensor;
use cotangent_core::error::Error;

use super::schedule::Schedule;
use super::update::{at, first_step, zeros, zip};
use crate::tree::Tree;

/// `torch.optim.RMSprop`: steps by the gradient over the root of the mean of its squares.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsProp {
    /// The learning rate.
    pub lr: Schedule,
    /// How slowly the mean changes.
    pub alpha: f64,
    /// What is added to the root.
    pub eps: f64,
    /// What of the parameters is added to their gradients.
    pub weight_decay: f64,
    /// How much of the last step is kept.
    pub momentum: f64,
    /// Whether the mean of gradients is taken off: the root is then a deviation.
    pub centered: bool,
}

/// The state of [`RmsProp`].
#[derive(Clone, Debug, crate::Tree)]
pub struct RmsPropState<T> {
    /// The count of steps, an `f64` scalar.
    pub step: Tensor,
    /// The means of squares of gradients.
    pub square_avg: T,
    /// The means of gradients, if centered.
    pub grad_avg: Option<T>,
    /// The last steps, with momentum.
    pub momentum: Option<T>,
}

impl RmsProp {
    /// PyTorch's defaults with this learning rate.
    pub fn new(lr: impl Into<Schedule>) -> Self {
        RmsProp { lr: lr.into(), alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false }
    }

    /// The same with momentum.
    pub fn with_momentum(self, momentum: f64) -> Self {
        RmsProp { momentum, ..self }
    }

    /// The same with the deviation in place of the root of the mean square.
    pub fn with_centering(self) -> Self {
        RmsProp { centered: true, ..self }
    }

    /// The same with weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        RmsProp { weight_decay, ..self }
    }

    /// The state before the first step.
    pub fn init<T: Tree>(&self, params: &T) -> RmsPropState<T> {
        RmsPropState {
            step: first_step(),
            square_avg: zeros(params),
            grad_avg: self.centered.then(|| zeros(params)),
            momentum: (self.momentum != 0.0).then(|| zeros(params)),
        }
    }

    /// The parameters and the state after a step.
    ///
    /// *Errors*: gradients or a state of another structure or shape than the parameters.
    #[track_caller]
    pub fn step<T: Tree>(&self, params: &T, grads: &T, state: &RmsPropState<T>) -> Result<(T, RmsPropState<T>), Error> {
        const LABEL: &str = "RmsProp::step";
        let rate = self.lr.at(&state.step);
        let decayed =
            |p: &Tensor, g: &Tensor| if self.weight_decay == 0.0 { g.clone() } else { g + p * self.weight_decay };
        let [grads] = zip(LABEL, ["params", "grads"], [params, grads], |[p, g]| [decayed(p, g)])?;
        let mean = |old: &Tensor, g: &Tensor| old * self.alpha + g * g * (1.0 - self.alpha);
        let [square_avg] = zip(LABEL, ["grads", "square_avg"], [&grads, &state.square_avg], |[g, v]| [mean(v, g)])?;
        let (direction, grad_avg) = match &state.grad_avg {
            None => {
                let over = |[g, v]: [&Tensor; 2]| [g / (v.sqrt() + self.eps)];
                let [direction] = zip(LABEL, ["grads", "square_avg"], [&grads, &square_avg], over)?;
                (direction, None)
            }
            Some(average) => {
                let over = |[g, v, m]: [&Tensor; 3]| {
                    let m = m + (g - m) * (1.0 - self.alpha);
                    [g / ((v - &m * &m).sqrt() + self.eps), m]
                };
                let names = ["grads", "square_avg", "grad_avg"];
                let [direction, average] = zip(LABEL, names, [&grads, &square_avg, average], over)?;
                (direction, Some(average))
            }
        };
        let (direction, momentum) = match &state.momentum {
            None => (direction, None),
            Some(last) => {
                let mix = |[d, last]: [&Tensor; 2]| {
                    let sum = last * self.momentum + d;
                    [sum.clone(), sum]
                };
                let [direction, last] = zip(LABEL, ["grads", "momentum"], [&direction, last], mix)?;
                (direction, Some(last))
            }
        };
        let [params] = zip(LABEL, ["params", "grads"], [params, &direction], |[p, d]| [p - d * at(&rate, p)])?;
        Ok((params, RmsPropState { step: &state.step + 1.0, square_avg, grad_avg, momentum }))
    }
}
