//! Layers of the transformer.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::attention::{Masks, MultiheadAttention};
use super::dropout::Dropout;
use super::linear::Linear;
use super::norm::LayerNorm;
use super::pass::{Forward, Layer, Pass};
use crate::random::Keys;

/// The activation between the two linear layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FeedForward {
    /// [`relu`](cotangent_aten::nn::activation::Activations::relu).
    #[default]
    Relu,
    /// [`gelu`](cotangent_aten::nn::activation::Activations::gelu).
    Gelu,
}

impl FeedForward {
    #[track_caller]
    fn apply(self, x: &Tensor) -> Tensor {
        match self {
            FeedForward::Relu => x.relu(),
            FeedForward::Gelu => x.gelu(),
        }
    }
}

/// Where the norms stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NormPlace {
    /// After each residual sum.
    #[default]
    After,
    /// Before each attention and feed-forward part: PyTorch's `norm_first`.
    Before,
}

/// The sizes and choices of a transformer layer; PyTorch's defaults but for the sizes.
#[derive(Clone, Debug)]
pub struct TransformerOptions {
    /// The width.
    pub d_model: usize,
    /// The number of heads.
    pub nhead: usize,
    /// The width between the two linear layers.
    pub dim_feedforward: usize,
    /// The probability of all dropouts.
    pub dropout: f64,
    /// The activation.
    pub activation: FeedForward,
    /// Where the norms stand.
    pub norms: NormPlace,
    /// Inputs are `[n, l, e]` instead of `[l, n, e]`.
    pub batch_first: bool,
    /// What the norms add to variances.
    pub layer_norm_eps: f64,
    /// Whether linear layers, norms and attentions have biases.
    pub bias: bool,
}

impl TransformerOptions {
    /// The usual choices for this width and number of heads.
    pub fn new(d_model: usize, nhead: usize) -> Self {
        TransformerOptions {
            d_model,
            nhead,
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: FeedForward::Relu,
            norms: NormPlace::After,
            batch_first: false,
            layer_norm_eps: 1e-5,
            bias: true,
        }
    }

    #[track_caller]
    fn attention(&self, keys: &mut Keys) -> MultiheadAttention {
        let layer = MultiheadAttention::new(self.d_model, self.nhead, keys).with_dropout(self.dropout);
        let layer = if self.batch_first { layer.batch_first() } else { layer };
        if self.bias { layer } else { layer.without_bias() }
    }

    #[track_caller]
    fn linear(&self, inputs: usize, outputs: usize, keys: &mut Keys) -> Linear {
        let layer = Linear::new(inputs, outputs, keys);
        if self.bias { layer } else { layer.without_bias() }
    }

    #[track_caller]
    fn norm(&self) -> LayerNorm {
        let layer = LayerNorm { eps: self.layer_norm_eps, ..LayerNorm::new(self.d_model) };
        if self.bias { layer } else { layer.without_bias() }
    }
}

/// Self-attention and a feed-forward part, each with dropout, residual sum and norm.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoderLayer {
    /// The attention.
    pub self_attn: MultiheadAttention,
    /// The first linear layer of the feed-forward part.
    pub linear1: Linear,
    /// Between the linear layers.
    pub dropout: Dropout,
    /// The second linear layer.
    pub linear2: Linear,
    /// The norm of the attention part.
    pub norm1: LayerNorm,
    /// The norm of the feed-forward part.
    pub norm2: LayerNorm,
    /// After the attention.
    pub dropout1: Dropout,
    /// After the feed-forward part.
    pub dropout2: Dropout,
    /// The activation.
    #[module(config)]
    pub activation: FeedForward,
    /// Where the norms stand.
    #[module(config)]
    pub norms: NormPlace,
}

impl TransformerEncoderLayer {
    /// A new layer.
    #[track_caller]
    pub fn new(options: &TransformerOptions, keys: &mut Keys) -> Self {
        let (d, hidden, drop) = (options.d_model, options.dim_feedforward, Dropout::new(options.dropout));
        TransformerEncoderLayer {
            self_attn: options.attention(keys),
            linear1: options.linear(d, hidden, keys),
            dropout: drop.clone(),
            linear2: options.linear(hidden, d, keys),
            norm1: options.norm(),
            norm2: options.norm(),
            dropout1: drop.clone(),
            dropout2: drop,
            activation: options.activation,
            norms: options.norms,
        }
    }

    /// The result at `src`, where `masks` forbid places.
    #[track_caller]
    pub fn forward(&self, src: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        match self.norms {
            NormPlace::Before => {
                let x = src + self.attend(&self.norm1.forward(src), masks, pass);
                &x + self.feed(&self.norm2.forward(&x), pass)
            }
            NormPlace::After => {
                let x = self.norm1.forward(&(src + self.attend(src, masks, pass)));
                self.norm2.forward(&(&x + self.feed(&x, pass)))
            }
        }
    }

    #[track_caller]
    fn attend(&self, x: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        let y = self.self_attn.forward(x, x, x, masks, pass);
        self.dropout1.apply(&y, pass)
    }

    #[track_caller]
    fn feed(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let y = self.dropout.apply(&self.activation.apply(&self.linear1.forward(x)), pass);
        self.dropout2.apply(&self.linear2.forward(&y), pass)
    }
}

impl Forward for TransformerEncoderLayer {
    #[track_caller]
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.forward(x, Masks::default(), pass)
    }
}

/// Self-attention, attention to a memory, and a feed-forward part, each with dropout, residual sum and norm.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoderLayer {
    /// The attention to the target itself.
    pub self_attn: MultiheadAttention,
    /// The attention to the memory.
    pub multihead_attn: MultiheadAttention,
    /// The first linear layer of the feed-forward part.
    pub linear1: Linear,
    /// Between the linear layers.
    pub dropout: Dropout,
    /// The second linear layer.
    pub linear2: Linear,
    /// The norm of the self-attention.
    pub norm1: LayerNorm,
    /// The norm of the attention to the memory.
    pub norm2: LayerNorm,
    /// The norm of the feed-forward part.
    pub norm3: LayerNorm,
    /// After the self-attention.
    pub dropout1: Dropout,
    /// After the attention to the memory.
    pub dropout2: Dropout,
    /// After the feed-forward part.
    pub dropout3: Dropout,
    /// The activation.
    #[module(config)]
    pub activation: FeedForward,
    /// Where the norms stand.
    #[module(config)]
    pub norms: NormPlace,
}

impl TransformerDecoderLayer {
    /// A new layer.
    #[track_caller]
    pub fn new(options: &TransformerOptions, keys: &mut Keys) -> Self {
        let (d, hidden, drop) = (options.d_model, options.dim_feedforward, Dropout::new(options.dropout));
        TransformerDecoderLayer {
            self_attn: options.attention(keys),
            multihead_attn: options.attention(keys),
            linear1: options.linear(d, hidden, keys),
            dropout: drop.clone(),
            linear2: options.linear(hidden, d, keys),
            norm1: options.norm(),
            norm2: options.norm(),
            norm3: options.norm(),
            dropout1: drop.clone(),
            dropout2: drop.clone(),
            dropout3: drop,
            activation: options.activation,
            norms: options.norms,
        }
    }

    /// The result at `tgt` with a memory; masks for the target and for the memory.
    #[track_caller]
    pub fn forward(&self, tgt: &Tensor, memory: &Tensor, masks: [Masks; 2], pass: &mut Pass) -> Tensor {
        match self.norms {
            NormPlace::Before => {
                let x = tgt + self.attend(&self.norm1.forward(tgt), masks[0], pass);
                let x = &x + self.remember(&self.norm2.forward(&x), memory, masks[1], pass);
                &x + self.feed(&self.norm3.forward(&x), pass)
            }
            NormPlace::After => {
                let x = self.norm1.forward(&(tgt + self.attend(tgt, masks[0], pass)));
                let x = self.norm2.forward(&(&x + self.remember(&x, memory, masks[1], pass)));
                self.norm3.forward(&(&x + self.feed(&x, pass)))
            }
        }
    }

    #[track_caller]
    fn attend(&self, x: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        let y = self.self_attn.forward(x, x, x, masks, pass);
        self.dropout1.apply(&y, pass)
    }

    #[track_caller]
    fn remember(&self, x: &Tensor, memory: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        let y = self.multihead_attn.forward(x, memory, memory, masks, pass);
        self.dropout2.apply(&y, pass)
    }

    #[track_caller]
    fn feed(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let y = self.dropout.apply(&self.activation.apply(&self.linear1.forward(x)), pass);
        self.dropout3.apply(&self.linear2.forward(&y), pass)
    }
}

/// Encoder layers one after the other, and a last norm if there is one.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoder {
    /// The layers.
    pub layers: Vec<TransformerEncoderLayer>,
    /// The last norm.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// `num_layers` layers with these options, each with parameters of its own, without a last norm.
    #[track_caller]
    pub fn new(options: &TransformerOptions, num_layers: usize, keys: &mut Keys) -> Self {
        TransformerEncoder {
            layers: (0..num_layers).map(|_| TransformerEncoderLayer::new(options, keys)).collect(),
            norm: None,
        }
    }

    /// The same layers with a norm at the end.
    pub fn with_norm(self, norm: LayerNorm) -> Self {
        TransformerEncoder { norm: Some(norm), ..self }
    }

    /// The result at `src`, where `masks` forbid places in each layer.
    #[track_caller]
    pub fn forward(&self, src: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        let x = self.layers.iter().fold(src.clone(), |x, layer| layer.forward(&x, masks, pass));
        self.norm.as_ref().map_or(x.clone(), |norm| norm.forward(&x))
    }
}

impl Forward for TransformerEncoder {
    #[track_caller]
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.forward(x, Masks::default(), pass)
    }
}

/// Decoder layers one after the other, which see the same memory, and a last norm if there is one.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoder {
    /// The layers.
    pub layers: Vec<TransformerDecoderLayer>,
    /// The last norm.
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// `num_layers` layers with these options, each with parameters of its own, without a last norm.
    #[track_caller]
    pub fn new(options: &TransformerOptions, num_layers: usize, keys: &mut Keys) -> Self {
        TransformerDecoder {
            layers: (0..num_layers).map(|_| TransformerDecoderLayer::new(options, keys)).collect(),
            norm: None,
        }
    }

    /// The same layers with a norm at the end.
    pub fn with_norm(self, norm: LayerNorm) -> Self {
        TransformerDecoder { norm: Some(norm), ..self }
    }

    /// The result at `tgt` with a memory; masks for the target and for the memory, the same in each layer.
    #[track_caller]
    pub fn forward(&self, tgt: &Tensor, memory: &Tensor, masks: [Masks; 2], pass: &mut Pass) -> Tensor {
        let x = self.layers.iter().fold(tgt.clone(), |x, layer| layer.forward(&x, memory, masks, pass));
        self.norm.as_ref().map_or(x.clone(), |norm| norm.forward(&x))
    }
}
