//! Attention.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, Aval, DType};

use crate::arg::{AsTensor, at, attempt, bad_operand, bad_pair, float, live};
use crate::call::{num, opt, optional, with_backward};
use crate::matmul::Products;
use crate::nn::softmax::Softmaxes;
use crate::reduce::Reductions;
use crate::schema;
use crate::shape::Shapes;

/// The options of an attention.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attention<'a> {
    /// What is added to the scores; or truth values, where `false` forbids a place.
    pub attn_mask: Option<&'a Tensor>,
    /// Whether a query sees only keys at its own place and before.
    pub is_causal: bool,
    /// What scores are multiplied by; `1 / √d` by default.
    pub scale: Option<f64>,
}

/// The scores, of which a causal attention sees those at and below the diagonal.
fn visible(scores: Tensor, is_causal: bool) -> Tensor {
    if !is_causal {
        return scores;
    }
    let all = scores.full_of(&Aval::new(DType::Bool, [scores.size(-2), scores.size(-1)]), true);
    scores.where_(&all.lower(0), f64::NEG_INFINITY)
}

/// Whether PyTorch has one operator for an attention without mask, and one for its derivative.
fn fits_flash(q: &Tensor, k: &Tensor, v: &Tensor) -> bool {
    let sizes = [q, k, v].map(|x| x.shape().sizes());
    sizes.iter().all(|s| s.len() == 4 && s[..2] == sizes[0][..2] && s[3] == sizes[0][3] && !s.contains(&0))
        && matches!(q.dtype(), DType::F32 | DType::F64)
}

/// Attention over `[n, h, …]`, whose derivative PyTorch takes from the result and from the logarithms of the sums of weights.
fn flash(q: &Tensor, k: &Tensor, v: &Tensor, is_causal: bool, scale: Option<f64>) -> Tensor {
    let factor = scale.unwrap_or(1.0 / (q.size(-1) as f64).sqrt());
    let params =
        [("dropout_p", num(0.0)), ("is_causal", num(is_causal)), ("attn_mask", Attr::None), ("scale", opt(scale))];
    let body = |a: &[Tensor]| {
        let scores = visible((&a[0] * factor).matmul(&a[1].mT()), is_causal);
        let y = scores.softmax_or_zero(-1).matmul(&a[2]);
        vec![y, scores.logsumexp(-1).detach()]
    };
    let backward = (schema::_SCALED_DOT_PRODUCT_FLASH_ATTENTION_FOR_CPU_BACKWARD, &params[..]);
    with_backward(schema::_SCALED_DOT_PRODUCT_FLASH_ATTENTION_FOR_CPU, &params, &[q, k, v], body, backward)
}

/// The parameters of an attention of several heads.
#[derive(Clone, Copy, Debug)]
pub struct MultiHead<'a> {
    /// The number of heads.
    pub num_heads: usize,
    /// `[3 e, e]`: the projections of queries, keys and values.
    pub in_proj_weight: &'a Tensor,
    /// `[3 e]`.
    pub in_proj_bias: Option<&'a Tensor>,
    /// `[e, e]`.
    pub out_proj_weight: &'a Tensor,
    /// `[e]`.
    pub out_proj_bias: Option<&'a Tensor>,
}

/// Attention under PyTorch's names; the receiver is the query.
pub trait Attentions: AsTensor {
    /// `softmax(scale · q kᵀ + mask) v` for `q` `[…, l, d]`, `k` `[…, s, d]`, `v` `[…, s, e]`; rows in which every
    /// place
    /// is forbidden are 0.
    ///
    /// *Errors*: `attention_c1` operands that do not fit; `attention_c2` a mask that is neither `bool` nor of the
    /// query's
    /// dtype, or beside `is_causal`.
    #[track_caller]
    fn scaled_dot_product_attention(&self, key: &Tensor, value: &Tensor, options: Attention) -> Tensor {
        let (q, k, v) = (self.tensor(), key, value);
        attempt!(float(at!("attention", 1), q));
        attempt!(live(&[k, v]));
        let small = q.rank() < 2 || k.rank() < 2 || v.rank() < 2;
        if small
            || q.size(-1) != k.size(-1)
            || k.size(-2) != v.size(-2)
            || q.dtype() != k.dtype()
            || q.dtype() != v.dtype()
        {
            return bad_pair(
                at!("attention", 1),
                q,
                k,
                "queries […, l, d], keys […, s, d] and values […, s, e] of one dtype",
            );
        }
        let Attention { attn_mask, is_causal, scale } = options;
        if let Some(m) = attn_mask {
            attempt!(live(&[m]));
            if is_causal || (m.dtype() != DType::Bool && m.dtype() != q.dtype()) {
                return bad_operand(
                    at!("attention", 2),
                    m,
                    "a mask of bool or of the query's dtype, without `is_causal`",
                );
            }
        }
        let factor = scale.unwrap_or(1.0 / (q.size(-1) as f64).sqrt());
        let params =
            [("dropout_p", num(0.0)), ("is_causal", num(is_causal)), ("scale", opt(scale)), ("enable_gqa", num(false))];
        let args = [("query", Some(q)), ("key", Some(k)), ("value", Some(v)), ("attn_mask", attn_mask)];
        let [y] = optional(schema::SCALED_DOT_PRODUCT_ATTENTION, &params, args, |[q, k, v, m]| {
            let (q, k, v) = (q.expect("always there"), k.expect("always there"), v.expect("always there"));
            if m.is_none() && fits_flash(q, k, v) {
                return [flash(q, k, v, is_causal, scale)];
            }
            let scores = (q * factor).matmul(&k.mT());
            let scores = match m {
                Some(m) if m.dtype() == DType::Bool => scores.where_(m, f64::NEG_INFINITY),
                Some(m) => scores + m,
                None => visible(scores, is_causal),
            };
            [scores.softmax_or_zero(-1).matmul(v)]
        });
        y
    }

    /// The attention of several heads for `[n, l, e]` or `[l, e]`: projections, attention of each head, projection.
    ///
    /// *Errors*: `multi_head_attention_c1` shapes that do not fit, or heads that do not divide `e`; as
    /// [`Attentions::scaled_dot_product_attention`].
    #[track_caller]
    fn multi_head_attention(&self, key: &Tensor, value: &Tensor, parameters: MultiHead, options: Attention) -> Tensor {
        let q = self.tensor();
        attempt!(live(&[q, key, value, parameters.in_proj_weight, parameters.out_proj_weight]));
        let MultiHead { num_heads: h, in_proj_weight: w, in_proj_bias: b, .. } = parameters;
        let e = if q.rank() == 0 { 0 } else { q.size(-1) };
        if q.rank() < 2 || h == 0 || e % h != 0 || w.shape().sizes().as_slice() != [3 * e, e] {
            let expected = format!("queries […, l, e] with e divided by {h} heads, and a weight [3 e, e]");
            return bad_pair(at!("multi_head_attention", 1), q, w, &expected);
        }
        let projected = |x: &Tensor, i: usize| {
            let bias = b.map(|b| b.slice_dim(0, i * e, (i + 1) * e, 1));
            let y = x.linear(&w.slice_dim(0, i * e, (i + 1) * e, 1), bias.as_ref());
            y.unflatten(-1, [h, e / h]).transpose(-2, -3)
        };
        let (q, k, v) = (projected(q, 0), projected(key, 1), projected(value, 2));
        let heads = q.scaled_dot_product_attention(&k, &v, options);
        heads.transpose(-2, -3).flatten(-2, -1).linear(parameters.out_proj_weight, parameters.out_proj_bias)
    }

    /// The elements where `mask` is true, divided by `1 - p`, and 0 elsewhere; 0 everywhere for `p` 1.
    ///
    /// *Errors*: `dropout_c1` a mask that is not `bool` or does not broadcast.
    #[track_caller]
    fn dropout_with(&self, mask: &Tensor, p: f64) -> Tensor {
        let x = self.tensor();
        attempt!(crate::pointwise::pair(at!("dropout", 1), x, mask));
        if mask.dtype() != DType::Bool {
            return bad_operand(at!("dropout", 1), mask, "a bool mask");
        }
        if p >= 1.0 {
            return x.zeros_like();
        }
        (x * (1.0 / (1.0 - p))).where_(mask, 0.0)
    }
}

impl Attentions for Tensor {}
