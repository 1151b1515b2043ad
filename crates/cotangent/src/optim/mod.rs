//! Optimisers as pure functions over trees, with PyTorch's semantics.
//!
//! An optimiser is a value. `init` makes its state for a tree of parameters, and `step` maps parameters, gradients and
//! state to new parameters and new state. So a whole training step is one function, which [`jit`](crate::jit::jit)
//! compiles; the count of steps, and with it the learning rate of a [`Schedule`], is part of the state.
//!
//! ```
//! use cotangent::optim::{Adam, Schedule};
//! use cotangent::prelude::*;
//!
//! # fn main() -> Result<(), Error> {
//! let adam = Adam::new(Schedule::constant(0.3).cosine(300));
//! let loss = |x: Tensor| (x - 3.0).square().sum();
//! let step = jit(|x: Tensor, state| {
//!     let (grads, value) = grad_and_value(loss).call((x.clone(),))?;
//!     let (x, state) = adam.step(&x, &grads, &state)?;
//!     Ok::<_, Error>((x, state, value))
//! });
//! let mut x = Tensor::from([0.0f32, 10.0]);
//! let mut state = adam.init(&x);
//! for _ in 0..300 {
//!     (x, state, _) = step.call((x, state))?;
//! }
//! assert!(x.to_vec::<f32>()?.iter().all(|x| (x - 3.0).abs() < 1e-2));
//! # Ok(())
//! # }
//! ```
//!
//! Numbers such as learning rates and corrections are computed in `f64` and then used in each parameter's dtype.

mod adam;
mod clip;
mod rmsprop;
mod schedule;
mod sgd;
mod update;

pub use adam::{Adam, AdamState, AdamW};
pub use clip::{clip_by_norm, clip_by_value, clip_per_sample, global_norm};
pub use rmsprop::{RmsProp, RmsPropState};
pub use schedule::Schedule;
pub use sgd::{Momentum, Sgd, SgdState};
