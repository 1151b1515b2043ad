//! Attention.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::gradient::masked_pullback;
use super::random::dropped;
use super::{Answer, many, one};
use crate::args::{Call, Read, Value};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    match c.target {
        "aten.scaled_dot_product_attention.default" => {
            let (q, k, v, mask) = operands(c, "attn_mask")?;
            one(attended(c, &q, &k, &v, mask.as_ref())?)
        }
        "aten._scaled_dot_product_attention_math.default" => {
            let (q, k, v, mask) = operands(c, "attn_mask")?;
            let y = attended(c, &q, &k, &v, mask.as_ref())?;
            let weights = scores(c, &q, &k, mask.as_ref())?.softmax_or_zero(-1);
            many([y, weights])
        }
        "aten._scaled_dot_product_flash_attention_for_cpu.default" => {
            let (q, k, v, mask) = operands(c, "attn_mask")?;
            let y = attended(c, &q, &k, &v, mask.as_ref())?;
            // What is kept for the backward operator has no derivative.
            many([y, scores(c, &q, &k, mask.as_ref())?.logsumexp(-1).detach()])
        }
        "aten._scaled_dot_product_efficient_attention.default" => {
            let (q, k, v, mask) = operands(c, "attn_bias")?;
            let y = attended(c, &q, &k, &v, mask.as_ref())?;
            let sums = if c.bool_or("compute_log_sumexp", false)? {
                scores(c, &q, &k, mask.as_ref())?.logsumexp(-1).detach()
            } else {
                let none = [q.size(0), q.size(1), 0];
                q.full_of(&q.aval().with_shape(none), 0.0)
            };
            let seed = q.full_of(&cotangent_core::ir::Aval::new(DType::I64, ()), 0i64);
            many([y, sums, seed.clone(), seed])
        }
        "aten._scaled_dot_product_flash_attention_for_cpu_backward.default" => {
            let (q, k, v, mask) = operands(c, "attn_mask")?;
            let mut failed = None;
            let y_bar = c.tensor("grad_out")?;
            let outs = masked_pullback(&q, [Some(k), Some(v), mask], &[true, true, true], &y_bar, |q, rest| {
                let y = match rest {
                    [Some(k), Some(v), mask] => attended(c, q, &k, &v, mask.as_ref()),
                    [_, _, _] => Ok(q.clone()),
                };
                y.unwrap_or_else(|e| {
                    failed = Some(e);
                    q.clone()
                })
            })?;
            failed.map_or(Ok(Some(outs)), Err)
        }
        "aten._native_multi_head_attention.default" => native(c),
        "aten._transform_bias_rescale_qkv.default" => {
            let (qkv, bias, heads) = (c.tensor("qkv")?, c.tensor("qkv_bias")?, c.size("num_heads")?);
            let [q, k, v] = split_heads(&(qkv + bias), heads);
            let width = q.size(-1) as f64;
            many([q / width.sqrt(), k, v])
        }
        _ => Ok(None),
    }
}

fn operands(c: &Call, mask: &str) -> Read<(Tensor, Tensor, Tensor, Option<Tensor>)> {
    Ok((c.tensor("query")?, c.tensor("key")?, c.tensor("value")?, c.opt_tensor(mask)?))
}

/// Keys or values repeated so that there are as many heads as queries have.
fn for_each_head(c: &Call, q: &Tensor, k: &Tensor) -> Read<Tensor> {
    if !c.bool_or("enable_gqa", false)? || q.rank() < 3 || k.rank() < 3 || k.size(-3) == 0 {
        return Ok(k.clone());
    }
    Ok(k.repeat_interleave(q.size(-3) / k.size(-3), -3))
}

fn attended(c: &Call, q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Read<Tensor> {
    let (k, v) = (for_each_head(c, q, k)?, for_each_head(c, q, v)?);
    let p = c.float_or("dropout_p", 0.0)?;
    if p > 0.0 {
        let weights = scores(c, q, &k, mask)?.softmax_or_zero(-1);
        return Ok(dropped(&weights, p).matmul(&v));
    }
    let options =
        Attention { attn_mask: mask, is_causal: c.bool_or("is_causal", false)?, scale: c.opt_float("scale")? };
    Ok(q.scaled_dot_product_attention(&k, &v, options))
}

/// The scaled products of queries and keys, with -inf at forbidden places.
fn scores(c: &Call, q: &Tensor, k: &Tensor, mask: Option<&Tensor>) -> Read<Tensor> {
    let k = for_each_head(c, q, k)?;
    let factor = c.opt_float("scale")?.unwrap_or(1.0 / (q.size(-1) as f64).sqrt());
    let products = (q * factor).matmul(&k.mT());
    Ok(match mask {
        Some(m) if m.dtype() == DType::Bool => products.where_(m, f64::NEG_INFINITY),
        Some(m) => products + m,
        None if c.bool_or("is_causal", false)? => {
            let all = q.full_of(&cotangent_core::ir::Aval::new(DType::Bool, [q.size(-2), k.size(-2)]), true);
            products.where_(&all.tril(0), f64::NEG_INFINITY)
        }
        None => products,
    })
}

/// `[n, l, 3 e]` as queries, keys and values `[n, h, l, e / h]`.
fn split_heads(qkv: &Tensor, heads: usize) -> [Tensor; 3] {
    let each = qkv.size(-1) / 3;
    let part = |i: usize| {
        let x = qkv.narrow(-1, (i * each) as i64, each);
        x.unflatten(-1, [heads, each / heads.max(1)]).transpose(-2, -3)
    };
    [part(0), part(1), part(2)]
}

/// The fast path of `torch.nn.MultiheadAttention`; where the mask is true, a key is hidden.
fn native(c: &Call) -> Answer {
    let (q, k, v) = (c.tensor("query")?, c.tensor("key")?, c.tensor("value")?);
    let (heads, width) = (c.size("num_head")?, c.size("embed_dim")?);
    let (w, b) = (c.tensor("qkv_weight")?, c.tensor("qkv_bias")?);
    let projected = |x: &Tensor, i: usize| {
        let at = (i * width) as i64;
        let y = x.linear(&w.narrow(0, at, width), &b.narrow(0, at, width));
        y.unflatten(-1, [heads, width / heads.max(1)]).transpose(-2, -3)
    };
    let (q, k, v) = (projected(&q, 0), projected(&k, 1), projected(&v, 2));
    let products = (q / (width as f64 / heads.max(1) as f64).sqrt()).matmul(&k.mT());
    let products = match (c.opt_tensor("mask")?, c.opt_int("mask_type")?) {
        // [n, l]: keys that are padding.
        (Some(m), Some(1)) => {
            let hidden = m.unsqueeze(1).unsqueeze(1);
            products.full_like(f64::NEG_INFINITY).where_(&hidden, &products)
        }
        (Some(m), _) => products.full_like(f64::NEG_INFINITY).where_(&m, &products),
        (None, _) => products,
    };
    let weights = products.softmax_or_zero(-1);
    let heads = weights.matmul(&v).transpose(-2, -3).flatten(-2, -1);
    let y = heads.linear(&c.tensor("proj_weight")?, &c.tensor("proj_bias")?);
    if !c.bool_or("need_weights", true)? {
        return Ok(Some(vec![Value::Tensor(y), Value::None]));
    }
    many([y, if c.bool_or("average_attn_weights", true)? { weights.mean_dim(1i64) } else { weights }])
}
