//! Adam and AdamW.

use cotangent_core::Tensor;
use cotangent_core::error::Error;

use super::schedule::Schedule;
use super::update::{at, first_step, zeros, zip};
use crate::tree::Tree;

/// `torch.optim.Adam`: steps by the mean of gradients over the root of the mean of their squares.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate.
    pub lr: Schedule,
    /// How slowly the two means change.
    pub betas: (f64, f64),
    /// What is added to the root.
    pub eps: f64,
    /// What of the parameters is added to their gradients.
    pub weight_decay: f64,
    /// Whether the largest mean square so far is used instead of the present one.
    pub amsgrad: bool,
}

/// `torch.optim.AdamW`: [`Adam`] whose weight decay shrinks the parameters themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate.
    pub lr: Schedule,
    /// How slowly the two means change.
    pub betas: (f64, f64),
    /// What is added to the root.
    pub eps: f64,
    /// By how much parameters shrink in each step, times the learning rate.
    pub weight_decay: f64,
    /// Whether the largest mean square so far is used instead of the present one.
    pub amsgrad: bool,
}

/// The state of [`Adam`] and [`AdamW`].
#[derive(Clone, Debug, crate::Tree)]
pub struct AdamState<T> {
    /// The count of steps, an `f64` scalar.
    pub step: Tensor,
    /// The means of gradients.
    pub exp_avg: T,
    /// The means of squares of gradients.
    pub exp_avg_sq: T,
    /// The largest of these so far, with `amsgrad`.
    pub max_exp_avg_sq: Option<T>,
}

macro_rules! adam {
    ($name:ident, $label:literal, $weight_decay:literal, $decay:expr) => {
        impl $name {
            /// PyTorch's defaults with this learning rate.
            pub fn new(lr: impl Into<Schedule>) -> Self {
                $name { lr: lr.into(), betas: (0.9, 0.999), eps: 1e-8, weight_decay: $weight_decay, amsgrad: false }
            }

            /// The same with this weight decay.
            pub fn with_weight_decay(self, weight_decay: f64) -> Self {
                $name { weight_decay, ..self }
            }

            /// The same with the largest mean square so far.
            pub fn with_amsgrad(self) -> Self {
                $name { amsgrad: true, ..self }
            }

            /// The state before the first step.
            pub fn init<T: Tree>(&self, params: &T) -> AdamState<T> {
                AdamState {
                    step: first_step(),
                    exp_avg: zeros(params),
                    exp_avg_sq: zeros(params),
                    max_exp_avg_sq: self.amsgrad.then(|| zeros(params)),
                }
            }

            /// The parameters and the state after a step.
            ///
            /// *Errors*: gradients or a state of another structure or shape than the parameters.
            #[track_caller]
            pub fn step<T: Tree>(
                &self,
                params: &T,
                grads: &T,
                state: &AdamState<T>,
            ) -> Result<(T, AdamState<T>), Error> {
                let moments = Moments { label: $label, lr: &self.lr, betas: self.betas, eps: self.eps };
                moments.step(params, grads, state, self.weight_decay, $decay)
            }
        }
    };
}
adam!(Adam, "Adam::step", 0.0, Decay::Gradient);
adam!(AdamW, "AdamW::step", 1e-2, Decay::Parameter);

/// Where a weight decay acts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decay {
    Gradient,
    Parameter,
}

/// What the two optimisers share.
struct Moments<'a> {
    label: &'static str,
    lr: &'a Schedule,
    betas: (f64, f64),
    eps: f64,
}

impl Moments<'_> {
    #[track_caller]
    fn step<T: Tree>(
        &self,
        params: &T,
        grads: &T,
        state: &AdamState<T>,
        weight_decay: f64,
        decay: Decay,
    ) -> Result<(T, AdamState<T>), Error> {
        let (beta1, beta2) = self.betas;
        let rate = self.lr.at(&state.step);
        let step = &state.step + 1.0;
        // The means start at 0, which is corrected for.
        let missing = |beta: f64| 1.0 - step.full_like(beta).pow(&step);
        let (stride, root) = (&rate / missing(beta1), missing(beta2).sqrt());
        let shrink = 1.0 - &rate * weight_decay;

        let moved = |p: &Tensor, g: &Tensor, m: &Tensor, v: &Tensor| {
            let (p, g) = match decay {
                _ if weight_decay == 0.0 => (p.clone(), g.clone()),
                Decay::Gradient => (p.clone(), g + p * weight_decay),
                Decay::Parameter => (p * at(&shrink, p), g.clone()),
            };
            let m = m + (&g - m) * (1.0 - beta1);
            let v = v * beta2 + &g * &g * (1.0 - beta2);
            (p, m, v)
        };
        let apply = |p: Tensor, m: &Tensor, v: &Tensor| {
            let scale = v.sqrt() / at(&root, &p) + self.eps;
            &p - m / scale * at(&stride, &p)
        };
        let Some(largest) = &state.max_exp_avg_sq else {
            let update = |[p, g, m, v]: [&Tensor; 4]| {
                let (p, m, v) = moved(p, g, m, v);
                [apply(p, &m, &v), m, v]
            };
            let names = ["params", "grads", "exp_avg", "exp_avg_sq"];
            let trees = [params, grads, &state.exp_avg, &state.exp_avg_sq];
            let [params, exp_avg, exp_avg_sq] = zip(self.label, names, trees, update)?;
            return Ok((params, AdamState { step, exp_avg, exp_avg_sq, max_exp_avg_sq: None }));
        };
        let update = |[p, g, m, v, largest]: [&Tensor; 5]| {
            let (p, m, v) = moved(p, g, m, v);
            let largest = largest.maximum(&v);
            [apply(p, &m, &largest), m, v, largest]
        };
        let names = ["params", "grads", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
        let trees = [params, grads, &state.exp_avg, &state.exp_avg_sq, largest];
        let [params, exp_avg, exp_avg_sq, largest] = zip(self.label, names, trees, update)?;
        Ok((params, AdamState { step, exp_avg, exp_avg_sq, max_exp_avg_sq: Some(largest) }))
    }
}
