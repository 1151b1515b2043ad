//! The multi-layer perceptron that many workloads use.

use cotangent::prelude::*;

use crate::inputs::{Input, f32s};
use crate::workload::{Program, Workload};

/// A linear layer: `[out, in]` and `[out]`.
#[derive(Tree, Clone)]
pub struct Linear {
    /// The weight.
    pub weight: Tensor,
    /// The bias.
    pub bias: Tensor,
}

impl Linear {
    /// `x Wᵀ + b`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, &self.bias)
    }
}

/// A multi-layer perceptron.
#[derive(Tree, Clone)]
pub struct Mlp {
    /// The layers, the first one first.
    pub layers: Vec<Linear>,
}

impl Mlp {
    /// The network of weight and bias in turn.
    pub fn of(tensors: impl AsRef<[Tensor]>) -> Self {
        let layer = |pair: &[Tensor]| Linear { weight: pair[0].clone(), bias: pair[1].clone() };
        Mlp { layers: tensors.as_ref().chunks(2).map(layer).collect() }
    }

    /// All layers, with `activation` between them.
    pub fn forward(&self, x: &Tensor, activation: fn(&Tensor) -> Tensor) -> Tensor {
        let (last, hidden) = self.layers.split_last().expect("at least one layer");
        let h = hidden.iter().fold(x.clone(), |h, layer| activation(&layer.forward(&h)));
        last.forward(&h)
    }

    /// The cross entropy of the classes `y`, the mean over a batch.
    pub fn loss(&self, x: &Tensor, y: &Tensor, activation: fn(&Tensor) -> Tensor) -> Tensor {
        self.forward(x, activation).cross_entropy(y)
    }
}

/// A step of gradient descent: `p - rate · g` for all tensors of a tree.
pub fn descend<P: Tree>(params: &P, gradients: &P, rate: f64) -> P {
    let gradients = gradients.to_leaves().0;
    let mut gradients = gradients.iter();
    params.map_leaves(|p| p - rate * gradients.next().expect("a gradient for each parameter"))
}

/// The workload of an MLP whose parameters are the first inputs.
pub fn on_mlp<const N: usize>(
    name: &str,
    params: Vec<Input>,
    rest: [Input; N],
    arrange: impl Fn(Mlp, [Tensor; N]) -> Box<dyn Program> + 'static,
) -> Workload {
    Workload::after(name, params, rest, move |params, rest| arrange(Mlp::of(params), rest))
}

/// Names of layers' tensors.
const NAMES: [(&str, &str); 5] = [("W1", "b1"), ("W2", "b2"), ("W3", "b3"), ("W4", "b4"), ("W5", "b5")];

/// Inputs for the layers of an MLP of these sizes, weight and bias in turn, with the dims `batch` in front. Weights have the scale
/// 3.5 / √fan_in, rounded to four digits.
pub fn linear_params(sizes: &[usize], batch: &[usize]) -> Vec<Input> {
    let pairs = sizes.windows(2).zip(NAMES);
    let layer = |(pair, (w, b)): (&[usize], (&'static str, &'static str))| {
        let scale = (3.5 / (pair[0] as f64).sqrt() * 1e4).round() / 1e4;
        [f32s(w, [batch, &[pair[1], pair[0]]].concat()).scale(scale), f32s(b, [batch, &[pair[1]]].concat()).scale(0.2)]
    };
    pairs.flat_map(layer).collect()
}
