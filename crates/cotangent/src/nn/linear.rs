//! Affine maps.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::init;
use super::pass::Layer;
use super::python::truth;
use crate::random::Keys;

/// `x Aᵀ + b` over the last dim: `[…, in_features] → […, out_features]`.
///
/// Parameters start uniform in ±1/√in_features.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Tensor,
    /// `[out_features]`.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// A new layer.
    #[track_caller]
    pub fn new(in_features: usize, out_features: usize, keys: &mut Keys) -> Self {
        let k = init::bound(in_features);
        let weight = init::uniform([out_features, in_features], -k, k, keys);
        let bias = Some(init::uniform([out_features], -k, k, keys));
        Linear { weight, bias }
    }

    /// The same layer without bias.
    pub fn without_bias(self) -> Self {
        Linear { bias: None, ..self }
    }

    fn extra_repr(&self) -> String {
        let [out, input] = [0, 1].map(|d| self.weight.shape().dims().get(d).map_or(0, |n| n.get()));
        format!("in_features={input}, out_features={out}, bias={}", truth(self.bias.is_some()))
    }
}

impl Layer for Linear {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

/// `x₁ A x₂ + b` over the last dims, with one matrix `A` for each output.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct Bilinear {
    /// `[out_features, in1_features, in2_features]`.
    pub weight: Tensor,
    /// `[out_features]`.
    pub bias: Option<Tensor>,
}

impl Bilinear {
    /// A new layer.
    #[track_caller]
    pub fn new(in1_features: usize, in2_features: usize, out_features: usize, keys: &mut Keys) -> Self {
        let k = init::bound(in1_features);
        let weight = init::uniform([out_features, in1_features, in2_features], -k, k, keys);
        Bilinear { weight, bias: Some(init::uniform([out_features], -k, k, keys)) }
    }

    /// The same layer without bias.
    pub fn without_bias(self) -> Self {
        Bilinear { bias: None, ..self }
    }

    /// The result at two inputs.
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        x1.bilinear(x2, &self.weight, self.bias.as_ref())
    }

    fn extra_repr(&self) -> String {
        let [out, a, b] = [0, 1, 2].map(|d| self.weight.shape().dims().get(d).map_or(0, |n| n.get()));
        let bias = truth(self.bias.is_some());
        format!("in1_features={a}, in2_features={b}, out_features={out}, bias={bias}")
    }
}

/// The input itself.
#[derive(Clone, Debug, Default, Module)]
pub struct Identity;

impl Layer for Identity {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.clone()
    }
}

/// Dims `start_dim` to `end_dim` joined to one: all but the first, by default.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct Flatten {
    /// The first of the joined dims.
    #[module(config)]
    pub start_dim: i64,
    /// The last of them.
    #[module(config)]
    pub end_dim: i64,
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten { start_dim: 1, end_dim: -1 }
    }
}

impl Flatten {
    fn extra_repr(&self) -> String {
        format!("start_dim={}, end_dim={}", self.start_dim, self.end_dim)
    }
}

impl Layer for Flatten {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.flatten(self.start_dim, self.end_dim)
    }
}
