//! Attention of several heads.

use cotangent_aten::nn::attention::Attention;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::tensor::reject;

use super::Module;
use super::init;
use super::linear::Linear;
use super::pass::Pass;
use super::python::truth;
use crate::random::Keys;

/// What an attention may not see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masks<'a> {
    /// `[l, s]` or `[n · heads, l, s]`: `true` forbids a place, a float is added to its score.
    pub attn_mask: Option<&'a Tensor>,
    /// `[n, s]` or `[s]`: `true` forbids a key, a float is added to its scores.
    pub key_padding_mask: Option<&'a Tensor>,
    /// Whether a query sees only keys at its own place and before.
    pub is_causal: bool,
}

/// The last projection, under the name that PyTorch prints.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct NonDynamicallyQuantizableLinear {
    /// `[out_features, in_features]`.
    pub weight: Tensor,
    /// `[out_features]`.
    pub bias: Option<Tensor>,
}

impl NonDynamicallyQuantizableLinear {
    fn extra_repr(&self) -> String {
        let n = self.weight.shape().dims().first().map_or(0, |n| n.get());
        format!("in_features={n}, out_features={n}, bias={}", truth(self.bias.is_some()))
    }
}

/// Attention of several heads: `[l, n, e]`, `[l, e]`, or `[n, l, e]` with [`MultiheadAttention::batch_first`].
///
/// The projections of queries, keys and values start by Glorot's uniform, biases as zeros. In a training pass the
/// weights of the attention drop out with probability `dropout`.
///
/// *Errors*: `multihead_layer_c1` inputs of another rank than 2 or 3, or unlike each other; as
/// [`scaled_dot_product_attention`](cotangent_aten::nn::attention::Attentions::scaled_dot_product_attention).
#[derive(Clone, Debug, Module)]
pub struct MultiheadAttention {
    /// `[3 e, e]`.
    pub in_proj_weight: Tensor,
    /// `[3 e]`.
    pub in_proj_bias: Option<Tensor>,
    /// The last projection.
    pub out_proj: NonDynamicallyQuantizableLinear,
    /// The number of heads.
    #[module(config)]
    pub num_heads: usize,
    /// The probability with which a weight of the attention drops out.
    #[module(config)]
    pub dropout: f64,
    /// Where the batch stands.
    #[module(config)]
    pub batch_first: bool,
}

impl MultiheadAttention {
    /// An attention over `embed_dim` numbers, which the heads share.
    #[track_caller]
    pub fn new(embed_dim: usize, num_heads: usize, keys: &mut Keys) -> Self {
        let out = Linear::new(embed_dim, embed_dim, keys);
        MultiheadAttention {
            in_proj_weight: init::xavier_uniform([3 * embed_dim, embed_dim], 1.0, keys),
            in_proj_bias: Some(init::zeros([3 * embed_dim])),
            out_proj: NonDynamicallyQuantizableLinear { weight: out.weight, bias: Some(init::zeros([embed_dim])) },
            num_heads,
            dropout: 0.0,
            batch_first: false,
        }
    }

    /// The same layer without biases.
    pub fn without_bias(self) -> Self {
        let out_proj = NonDynamicallyQuantizableLinear { bias: None, ..self.out_proj };
        MultiheadAttention { in_proj_bias: None, out_proj, ..self }
    }

    /// The same layer with this dropout.
    pub fn with_dropout(self, dropout: f64) -> Self {
        MultiheadAttention { dropout, ..self }
    }

    /// The same layer for inputs `[n, l, e]`.
    pub fn batch_first(self) -> Self {
        MultiheadAttention { batch_first: true, ..self }
    }

    /// The attention of `query` to `key` and `value`.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        self.attend(query, key, value, masks, pass).unwrap_or_else(|poison| poison)
    }

    /// The attention, or the error in a tensor.
    #[track_caller]
    fn attend(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: Masks,
        pass: &mut Pass,
    ) -> Result<Tensor, Tensor> {
        let e = self.out_proj.weight.shape().dims().first().map_or(0, |n| n.get());
        for x in [query, key, value] {
            let fits = matches!(x.rank(), 2 | 3) && x.rank() == query.rank() && x.size(-1) == e;
            if let Some(error) = x.error() {
                return Err(Tensor::poison_like(error.clone(), x.aval()));
            }
            if !fits || self.num_heads == 0 || !e.is_multiple_of(self.num_heads) {
                let expected = format!("inputs [l, n, {e}] or [l, {e}] and heads that divide {e}");
                let error = InferError::Operand { label: "multihead_layer_c1", expected, found: x.aval() };
                return Err(reject("multihead_attention", &[x], error, None));
            }
        }
        let batched = query.rank() == 3;
        let lead = |x: &Tensor| match (batched, self.batch_first) {
            (false, _) => x.unsqueeze(0),
            (true, false) => x.transpose(0, 1),
            (true, true) => x.clone(),
        };
        let heads = |x: &Tensor, i: usize| {
            let (start, end) = (i * e, (i + 1) * e);
            let bias = self.in_proj_bias.as_ref().map(|b| b.slice_dim(0, start, end, 1));
            let y = lead(x).linear(&self.in_proj_weight.slice_dim(0, start, end, 1), bias.as_ref());
            y.unflatten(-1, [self.num_heads, e / self.num_heads]).transpose(-2, -3)
        };
        let (q, k, v) = (heads(query, 0), heads(key, 1), heads(value, 2));
        let bias = self.scores_bias(&q, &k, masks);
        let y = match pass.next_key().filter(|_| self.dropout > 0.0) {
            None => {
                let is_causal = masks.is_causal && bias.is_none();
                q.scaled_dot_product_attention(&k, &v, Attention { attn_mask: bias.as_ref(), is_causal, scale: None })
            }
            Some(random) => {
                let scores = (&q / (q.size(-1) as f64).sqrt()).matmul(&k.mT());
                let scores = bias.map_or(scores.clone(), |b| &scores + b);
                random.dropout(&scores.softmax(-1), self.dropout).matmul(&v)
            }
        };
        let y = y.transpose(-2, -3).flatten(-2, -1).linear(&self.out_proj.weight, self.out_proj.bias.as_ref());
        Ok(match (batched, self.batch_first) {
            (false, _) => y.squeeze(0),
            (true, false) => y.transpose(0, 1),
            (true, true) => y,
        })
    }

    /// What is added to the scores `[n, heads, l, s]`: all masks together. `None` for none, and for causality alone,
    /// unless a dropout needs the scores.
    #[track_caller]
    fn scores_bias(&self, q: &Tensor, k: &Tensor, masks: Masks) -> Option<Tensor> {
        let added = |mask: &Tensor| {
            if mask.dtype() == DType::Bool {
                let zero = q.full_of(&Aval::new(q.dtype(), mask.shape().clone()), 0.0);
                zero.masked_fill(mask, f64::NEG_INFINITY)
            } else {
                mask.convert(q.dtype())
            }
        };
        let attn = masks.attn_mask.map(|m| {
            let m = added(m);
            if m.rank() == 3 { m.unflatten(0, [q.size(0), self.num_heads]) } else { m }
        });
        let keys = masks.key_padding_mask.map(|m| {
            let m = added(m);
            if m.rank() == 2 { m.unsqueeze(1).unsqueeze(1) } else { m }
        });
        let alone = attn.is_none() && keys.is_none() && self.dropout == 0.0;
        let causal = (masks.is_causal && !alone).then(|| {
            let shape = [q.size(-2), k.size(-2)];
            let all = q.full_of(&Aval::new(DType::Bool, shape), true);
            added(&all.triu(1))
        });
        [attn, keys, causal].into_iter().flatten().reduce(|a, b| a + b)
    }
}
