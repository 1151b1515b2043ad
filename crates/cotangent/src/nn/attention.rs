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
use super::module::{Part, PartMut};
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

/// Which weights of an attention come back beside its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AttentionWeights {
    /// Their mean over the heads, `[n, l, s]` or `[l, s]`.
    #[default]
    Averaged,
    /// Those of each head, `[n, heads, l, s]` or `[heads, l, s]`: PyTorch's `average_attn_weights=False`.
    EachHead,
}

/// The projections of queries, keys and values, under PyTorch's names.
#[derive(Clone, Debug)]
pub enum InProjection {
    /// `[3 e, e]`, where keys and values are as wide as queries: `in_proj_weight`.
    Joint(Tensor),
    /// `[e, e]`, `[e, kdim]` and `[e, vdim]`: `q_proj_weight`, `k_proj_weight` and `v_proj_weight`.
    Separate([Tensor; 3]),
}

/// The names of separate projections.
const SEPARATE: [&str; 3] = ["q_proj_weight", "k_proj_weight", "v_proj_weight"];
/// The name of the joint one.
const JOINT: &str = "in_proj_weight";

impl InProjection {
    /// The projection of queries (0), keys (1) or values (2).
    #[track_caller]
    fn part(&self, i: usize, e: usize) -> Tensor {
        match self {
            InProjection::Joint(w) => w.slice_dim(0, i * e, (i + 1) * e, 1),
            InProjection::Separate(all) => all[i].clone(),
        }
    }

    /// How wide queries, keys and values are.
    fn widths(&self) -> [usize; 3] {
        let width = |w: &Tensor| w.shape().dims().get(1).map_or(0, |n| n.get());
        match self {
            InProjection::Joint(w) => [width(w); 3],
            InProjection::Separate(all) => all.each_ref().map(width),
        }
    }
}

impl Module for InProjection {
    fn class_name(&self) -> String {
        "InProjection".to_owned()
    }

    fn members(&self) -> Vec<(String, Part<'_>)> {
        match self {
            InProjection::Joint(w) => vec![(JOINT.to_owned(), Part::Parameter(w))],
            InProjection::Separate(all) => {
                SEPARATE.iter().zip(all).map(|(name, w)| ((*name).to_owned(), Part::Parameter(w))).collect()
            }
        }
    }

    fn members_mut(&mut self) -> Vec<(String, PartMut<'_>)> {
        match self {
            InProjection::Joint(w) => vec![(JOINT.to_owned(), PartMut::Parameter(w))],
            InProjection::Separate(all) => {
                SEPARATE.iter().zip(all).map(|(name, w)| ((*name).to_owned(), PartMut::Parameter(w))).collect()
            }
        }
    }
}

/// Attention of several heads: `[l, n, e]`, `[l, e]`, or `[n, l, e]` with [`MultiheadAttention::batch_first`].
///
/// The projections of queries, keys and values start by Glorot's uniform, biases as zeros. In a training pass the
/// weights of the attention drop out with probability `dropout`.
///
/// *Errors*: `multihead_layer_c1` inputs of another rank than 2 or 3, unlike each other, or of another width than the
/// projections; as
/// [`scaled_dot_product_attention`](cotangent_aten::nn::attention::Attentions::scaled_dot_product_attention).
#[derive(Clone, Debug, Module)]
pub struct MultiheadAttention {
    /// The projections of the inputs.
    #[module(flatten)]
    pub in_proj: InProjection,
    /// `[3 e]`.
    pub in_proj_bias: Option<Tensor>,
    /// The last projection.
    pub out_proj: NonDynamicallyQuantizableLinear,
    /// `[1, 1, e]`: one more key for each query.
    pub bias_k: Option<Tensor>,
    /// `[1, 1, e]`: the value of that key.
    pub bias_v: Option<Tensor>,
    /// Whether each query also sees a key and a value of zeros.
    #[module(config)]
    pub add_zero_attn: bool,
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
        let joint = init::xavier_uniform([3 * embed_dim, embed_dim], 1.0, keys);
        Self::of(InProjection::Joint(joint), embed_dim, num_heads, keys)
    }

    /// An attention to keys of `kdim` and values of `vdim` numbers.
    #[track_caller]
    pub fn with_dims(embed_dim: usize, num_heads: usize, kdim: usize, vdim: usize, keys: &mut Keys) -> Self {
        if (kdim, vdim) == (embed_dim, embed_dim) {
            return Self::new(embed_dim, num_heads, keys);
        }
        let separate = [embed_dim, kdim, vdim].map(|n| init::xavier_uniform([embed_dim, n], 1.0, keys));
        Self::of(InProjection::Separate(separate), embed_dim, num_heads, keys)
    }

    #[track_caller]
    fn of(in_proj: InProjection, embed_dim: usize, num_heads: usize, keys: &mut Keys) -> Self {
        let out = Linear::new(embed_dim, embed_dim, keys);
        MultiheadAttention {
            in_proj,
            in_proj_bias: Some(init::zeros([3 * embed_dim])),
            out_proj: NonDynamicallyQuantizableLinear { weight: out.weight, bias: Some(init::zeros([embed_dim])) },
            bias_k: None,
            bias_v: None,
            add_zero_attn: false,
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

    /// The same layer with one more key and value, which are trained: PyTorch's `add_bias_kv`.
    #[track_caller]
    pub fn with_bias_kv(self, keys: &mut Keys) -> Self {
        let e = self.embed_dim();
        let [bias_k, bias_v] = [(); 2].map(|()| Some(init::xavier_normal([1, 1, e], 1.0, keys)));
        MultiheadAttention { bias_k, bias_v, ..self }
    }

    /// The same layer with one more key and value, of zeros: PyTorch's `add_zero_attn`.
    pub fn with_zero_attn(self) -> Self {
        MultiheadAttention { add_zero_attn: true, ..self }
    }

    /// The same layer with this dropout.
    pub fn with_dropout(self, dropout: f64) -> Self {
        MultiheadAttention { dropout, ..self }
    }

    /// The same layer for inputs `[n, l, e]`.
    pub fn batch_first(self) -> Self {
        MultiheadAttention { batch_first: true, ..self }
    }

    fn embed_dim(&self) -> usize {
        self.out_proj.weight.shape().dims().first().map_or(0, |n| n.get())
    }

    /// The attention of `query` to `key` and `value`.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: Masks, pass: &mut Pass) -> Tensor {
        match self.heads(query, key, value) {
            Err(poison) => poison,
            Ok(heads) => {
                let y = self.fused(&heads, masks, pass).unwrap_or_else(|| {
                    let (y, _) = self.weighted(&heads, masks, pass);
                    y
                });
                self.joined(&y, query)
            }
        }
    }

    /// The attention, and its weights after dropout; PyTorch's `need_weights=True`.
    #[track_caller]
    pub fn forward_with_weights(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: Masks,
        which: AttentionWeights,
        pass: &mut Pass,
    ) -> (Tensor, Tensor) {
        let heads = match self.heads(query, key, value) {
            Ok(heads) => heads,
            Err(poison) => return (poison.clone(), poison),
        };
        let (y, weights) = self.weighted(&heads, masks, pass);
        let weights = match which {
            AttentionWeights::Averaged => weights.mean_dim(1),
            AttentionWeights::EachHead => weights,
        };
        (self.joined(&y, query), if query.rank() == 2 { weights.squeeze(0) } else { weights })
    }

    /// The projected inputs, or the error in a tensor.
    #[track_caller]
    fn heads(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Heads, Tensor> {
        let (e, widths) = (self.embed_dim(), self.in_proj.widths());
        for (x, width) in [query, key, value].into_iter().zip(widths) {
            let fits = matches!(x.rank(), 2 | 3) && x.rank() == query.rank() && x.size(-1) == width;
            if let Some(error) = x.error() {
                return Err(Tensor::poison_like(error.clone(), x.aval()));
            }
            if !fits || self.num_heads == 0 || !e.is_multiple_of(self.num_heads) {
                let expected = format!("inputs [l, n, {width}] or [l, {width}] and heads that divide {e}");
                let error = InferError::Operand { label: "multihead_layer_c1", expected, found: x.aval() };
                return Err(reject("multihead_attention", &[x], error, None));
            }
        }
        let lead = |x: &Tensor| match (x.rank() == 3, self.batch_first) {
            (false, _) => x.unsqueeze(0),
            (true, false) => x.transpose(0, 1),
            (true, true) => x.clone(),
        };
        let split = |x: &Tensor| x.unflatten(-1, [self.num_heads, e / self.num_heads]).transpose(-2, -3);
        let project = |x: &Tensor, i: usize| {
            let bias = self.in_proj_bias.as_ref().map(|b| b.slice_dim(0, i * e, (i + 1) * e, 1));
            split(&lead(x).linear(&self.in_proj.part(i, e), bias.as_ref()))
        };
        let more = |x: Tensor, bias: Option<&Tensor>| {
            let one = x.shape().with(2, 1);
            let bias = bias.map(|b| split(b).expand_to(&one));
            let zeros = self.add_zero_attn.then(|| x.full_of(&Aval::new(x.dtype(), one), 0.0));
            bias.iter().chain(&zeros).fold(x, |x, row| cat(&[&x, row], 2))
        };
        Ok(Heads {
            q: project(query, 0),
            k: more(project(key, 1), self.bias_k.as_ref()),
            v: more(project(value, 2), self.bias_v.as_ref()),
            more: usize::from(self.bias_k.is_some()) + usize::from(self.add_zero_attn),
        })
    }

    /// The attention without its weights; `None` if a dropout needs them.
    #[track_caller]
    fn fused(&self, Heads { q, k, v, more }: &Heads, masks: Masks, pass: &Pass) -> Option<Tensor> {
        if pass.is_training() && self.dropout > 0.0 {
            return None;
        }
        let causal_alone = Masks { is_causal: false, ..masks };
        let is_causal = masks.is_causal && *more == 0 && masks.attn_mask.is_none() && masks.key_padding_mask.is_none();
        let bias = scores_bias(q, k, *more, if is_causal { causal_alone } else { masks });
        let options = Attention { attn_mask: bias.as_ref(), is_causal, scale: None };
        Some(q.scaled_dot_product_attention(k, v, options))
    }

    /// The attention of each head and its weights `[n, heads, l, s]`.
    #[track_caller]
    fn weighted(&self, Heads { q, k, v, more }: &Heads, masks: Masks, pass: &mut Pass) -> (Tensor, Tensor) {
        let scores = (q / (q.size(-1) as f64).sqrt()).matmul(&k.mT());
        let scores = scores_bias(q, k, *more, masks).map_or(scores.clone(), |b| &scores + b);
        let weights = scores.softmax(-1);
        let weights = match pass.next_key().filter(|_| self.dropout > 0.0) {
            None => weights,
            Some(key) => key.dropout(&weights, self.dropout),
        };
        (weights.matmul(v), weights)
    }

    /// The last projection of all heads together, with the batch where `query` has it.
    #[track_caller]
    fn joined(&self, y: &Tensor, query: &Tensor) -> Tensor {
        let y = y.transpose(-2, -3).flatten(-2, -1).linear(&self.out_proj.weight, self.out_proj.bias.as_ref());
        match (query.rank() == 3, self.batch_first) {
            (false, _) => y.squeeze(0),
            (true, false) => y.transpose(0, 1),
            (true, true) => y,
        }
    }
}

/// Queries, keys and values as `[n, heads, length, e / heads]`.
struct Heads {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    /// How many keys were added to those of the input.
    more: usize,
}

/// What is added to the scores `[n, heads, l, s]`: all masks together, which allow the last `more` keys. `None` for none.
#[track_caller]
fn scores_bias(q: &Tensor, k: &Tensor, more: usize, masks: Masks) -> Option<Tensor> {
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
        if m.rank() == 3 { m.unflatten(0, [q.size(0), q.size(1)]) } else { m }
    });
    let keys = masks.key_padding_mask.map(|m| {
        let m = added(m);
        if m.rank() == 2 { m.unsqueeze(1).unsqueeze(1) } else { m }
    });
    let causal = masks.is_causal.then(|| {
        let all = q.full_of(&Aval::new(DType::Bool, [q.size(-2), k.size(-2) - more]), true);
        added(&all.triu(1))
    });
    let bias = [attn, keys, causal].into_iter().flatten().reduce(|a, b| a + b)?;
    Some(bias.pad(&[0, more as i64], PadMode::Constant(0.0)))
}
