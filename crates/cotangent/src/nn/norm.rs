//! Norms without running statistics.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::init;
use super::pass::Layer;
use super::python::{float, truth, tuple};

/// The sizes of the dims that a layer normalises over.
fn sizes(shape: impl Into<PerDim>) -> Vec<usize> {
    shape.into().0
}

fn signed(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|n| *n as i64).collect()
}

/// Zero mean and unit variance over the last dims, then `weight` and `bias`.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct LayerNorm {
    /// Of the normalized shape; starts as ones.
    pub weight: Option<Tensor>,
    /// Of the normalized shape; starts as zeros.
    pub bias: Option<Tensor>,
    /// The sizes of the last dims.
    #[module(config)]
    pub normalized_shape: Vec<usize>,
    /// What is added to variances.
    #[module(config)]
    pub eps: f64,
}

impl LayerNorm {
    /// A norm over the last dims, which have these sizes.
    #[track_caller]
    pub fn new(normalized_shape: impl Into<PerDim>) -> Self {
        let shape = sizes(normalized_shape);
        let (weight, bias) = (Some(init::ones(shape.clone())), Some(init::zeros(shape.clone())));
        LayerNorm { weight, bias, normalized_shape: shape, eps: 1e-5 }
    }

    /// The same layer without weight and bias.
    pub fn without_affine(self) -> Self {
        LayerNorm { weight: None, bias: None, ..self }
    }

    /// The same layer without bias.
    pub fn without_bias(self) -> Self {
        LayerNorm { bias: None, ..self }
    }

    fn extra_repr(&self) -> String {
        format!(
            "{}, eps={}, elementwise_affine={}, bias={}",
            tuple(&self.normalized_shape),
            float(self.eps),
            truth(self.weight.is_some()),
            truth(self.bias.is_some())
        )
    }
}

impl Layer for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let shape = signed(&self.normalized_shape);
        x.layer_norm(shape.as_slice(), self.weight.as_ref(), self.bias.as_ref(), self.eps)
    }
}

/// Divided by the root of the mean square over the last dims, then times `weight`.
#[derive(Clone, Debug, Module)]
#[module(extra_repr, class_name)]
pub struct RmsNorm {
    /// Of the normalized shape; starts as ones.
    pub weight: Option<Tensor>,
    /// The sizes of the last dims.
    #[module(config)]
    pub normalized_shape: Vec<usize>,
    /// What is added to the mean square; by default the dtype's epsilon.
    #[module(config)]
    pub eps: Option<f64>,
}

impl RmsNorm {
    /// A norm over the last dims, which have these sizes.
    #[track_caller]
    pub fn new(normalized_shape: impl Into<PerDim>) -> Self {
        let shape = sizes(normalized_shape);
        RmsNorm { weight: Some(init::ones(shape.clone())), normalized_shape: shape, eps: None }
    }

    /// The same layer without weight.
    pub fn without_affine(self) -> Self {
        RmsNorm { weight: None, ..self }
    }

    fn class_name(&self) -> &'static str {
        "RMSNorm"
    }

    fn extra_repr(&self) -> String {
        let eps = self.eps.map_or("None".to_owned(), float);
        let affine = truth(self.weight.is_some());
        format!("{}, eps={eps}, elementwise_affine={affine}", tuple(&self.normalized_shape))
    }
}

impl Layer for RmsNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.rms_norm(signed(&self.normalized_shape).as_slice(), self.weight.as_ref(), self.eps)
    }
}

/// Zero mean and unit variance over each group of channels (dim 1), then `weight` and `bias` for each channel.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct GroupNorm {
    /// `[num_channels]`; starts as ones.
    pub weight: Option<Tensor>,
    /// `[num_channels]`; starts as zeros.
    pub bias: Option<Tensor>,
    /// The number of groups.
    #[module(config)]
    pub num_groups: usize,
    /// The number of channels.
    #[module(config)]
    pub num_channels: usize,
    /// What is added to variances.
    #[module(config)]
    pub eps: f64,
}

impl GroupNorm {
    /// A norm of this many groups.
    #[track_caller]
    pub fn new(num_groups: usize, num_channels: usize) -> Self {
        let (weight, bias) = (Some(init::ones([num_channels])), Some(init::zeros([num_channels])));
        GroupNorm { weight, bias, num_groups, num_channels, eps: 1e-5 }
    }

    /// The same layer without weight and bias.
    pub fn without_affine(self) -> Self {
        GroupNorm { weight: None, bias: None, ..self }
    }

    fn extra_repr(&self) -> String {
        let (affine, bias) = (truth(self.weight.is_some()), truth(self.bias.is_some()));
        format!("{}, {}, eps={}, affine={affine}, bias={bias}", self.num_groups, self.num_channels, float(self.eps))
    }
}

impl Layer for GroupNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.group_norm(self.num_groups, self.weight.as_ref(), self.bias.as_ref(), self.eps)
    }
}
