//! Modules one after the other.

use std::fmt;

use cotangent_core::Tensor;

use super::module::{Module, Part, PartMut};
use super::pass::{Forward, Pass};
use super::print::{Printed, print};

/// A [`Forward`] that can be cloned behind a `Box`; every one that is `Clone` is.
pub trait Step: Forward {
    /// A clone.
    fn boxed(&self) -> Box<dyn Step>;
}

impl<F: Forward + Clone> Step for F {
    fn boxed(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }
}

/// Modules of one tensor, one after the other, under the names `0`, `1`, ….
///
/// ```
/// use cotangent::nn::{Linear, Relu, Sequential};
/// use cotangent::random::Keys;
///
/// let mut keys = Keys::new(0);
/// let net = Sequential::new().then(Linear::new(2, 8, &mut keys)).then(Relu).then(Linear::new(8, 1, &mut keys));
/// assert_eq!(
///     net.to_string(),
///     "Sequential(
///   (0): Linear(in_features=2, out_features=8, bias=True)
///   (1): ReLU()
///   (2): Linear(in_features=8, out_features=1, bias=True)
/// )"
/// );
/// ```
#[derive(Default)]
pub struct Sequential {
    steps: Vec<Box<dyn Step>>,
}

impl Sequential {
    /// No modules: the identity.
    pub fn new() -> Self {
        Sequential::default()
    }

    /// These modules and then `step`.
    pub fn then(mut self, step: impl Step) -> Self {
        self.steps.push(Box::new(step));
        self
    }
}

impl Clone for Sequential {
    fn clone(&self) -> Self {
        Sequential { steps: self.steps.iter().map(|s| s.as_ref().boxed()).collect() }
    }
}

impl Module for Sequential {
    fn class_name(&self) -> String {
        "Sequential".to_owned()
    }

    fn members(&self) -> Vec<(String, Part<'_>)> {
        self.steps.iter().enumerate().map(|(i, s)| (i.to_string(), Part::Module(s.as_ref()))).collect()
    }

    fn members_mut(&mut self) -> Vec<(String, PartMut<'_>)> {
        self.steps.iter_mut().enumerate().map(|(i, s)| (i.to_string(), PartMut::Module(s.as_mut()))).collect()
    }
}

impl Forward for Sequential {
    #[track_caller]
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let mut x = x.clone();
        for step in &mut self.steps {
            x = step.forward_in(&x, pass);
        }
        x
    }
}

impl fmt::Display for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, f)
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Printed(self), f)
    }
}
