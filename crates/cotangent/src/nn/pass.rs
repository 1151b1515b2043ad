//! What a module is told about the pass it is in: training or evaluation.

use crate::random::{Key, Keys};

use cotangent_core::Tensor;

use super::module::Module;

/// A pass through a module: an evaluation, or a training pass with the random numbers that it may use.
///
/// The pass is a value, so that no module remembers a mode, and the same key gives the same dropout.
#[derive(Clone, Debug)]
pub struct Pass {
    keys: Option<Keys>,
}

impl Pass {
    /// An evaluation: no dropout, batch norms use their running statistics.
    pub fn eval() -> Self {
        Pass { keys: None }
    }

    /// A training pass, whose random numbers come from `key`.
    pub fn train(key: Key) -> Self {
        Pass { keys: Some(Keys::of(key)) }
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.keys.is_some()
    }

    /// A key that this pass has not used; `None` in an evaluation.
    pub fn next_key(&mut self) -> Option<Key> {
        self.keys.as_mut().map(Keys::next_key)
    }
}

/// A module from one tensor to one, the same in training and in evaluation.
pub trait Layer: Module {
    /// The result at `x`.
    fn forward(&self, x: &Tensor) -> Tensor;
}

/// A module from one tensor to one, which may depend on the pass and change its buffers.
///
/// Each [`Layer`] is one. A module that has a dropout or a batch norm in it implements this trait instead.
pub trait Forward: Module {
    /// The result at `x`; buffers of `self` are then those after the pass.
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor;

    /// The result at `x` in an evaluation.
    #[track_caller]
    fn evaluate(&self, x: &Tensor) -> Tensor
    where
        Self: Sized + Clone,
    {
        self.clone().forward_in(x, &mut Pass::eval())
    }
}

impl<L: Layer> Forward for L {
    #[track_caller]
    fn forward_in(&mut self, x: &Tensor, _: &mut Pass) -> Tensor {
        self.forward(x)
    }
}
