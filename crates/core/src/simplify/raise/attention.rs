//! Attention, which exporters take apart to products and a softmax.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::norm::called;
use super::term::uniform;
use super::whole::beside_diagonal;
use super::{Found, Raising, number};
use crate::ir::{Attr, DType, Value};
use crate::ops::{Binary, Bmm, Op};

pub(super) static RULES: &[Raising] = &[Raising { class: Class::Rounding, find: attention }];

/// `softmax(q √s · (k √s)ᵀ + mask) v`, each product of matrices over heads that are one dim there; where all of a row is forbidden, 0.
fn attention(e: &Editor, id: NodeId) -> Option<Found> {
    let y = e.results(id)[0];
    // PyTorch computes half formats in another way.
    if e.shape(y).rank() != 4 || !matches!(e.dtype(y), DType::F32 | DType::F64) {
        return None;
    }
    let (weights, v) = product(e, e.as_view(y)?)?;
    let v = of_heads(e, v)?;
    let (softmax, scores) = called(e, of_heads(e, weights)?, "_safe_softmax")?;
    let dim = softmax.param("dim")?;
    let (scores, mask) = match e.as_binary(scores, Binary::Add) {
        Some((scores, mask)) => (scores, Some(e.as_expand(mask).unwrap_or(mask))),
        None => (scores, None),
    };
    let (q, k) = product(e, e.as_view(scores)?)?;
    let (q, by_q) = scaled(e, of_heads(e, q)?)?;
    let (k, by_k) = scaled(e, of_heads(e, k)?)?;
    let (dims, k) = e.as_permute(k)?;
    let fits = *dim == number(-1i64) || *dim == number(3i64);
    let width = e.shape(q)[3].get() as f64;
    let first = |v: Value| e.shape(v).sizes()[..2].to_vec();
    let alike = [q, k, v].iter().all(|x| first(*x) == first(y));
    if !fits || dims != [0, 1, 3, 2] || by_q != by_k || !alike {
        return None;
    }
    let scale = by_q * by_k;
    let usual = (scale * width.sqrt() - 1.0).abs() < 4.0 * f64::EPSILON;
    let causal = mask.is_some_and(|m| is_causal(e, m));
    let mask = mask.filter(|_| !causal);
    let absent = mask.is_none().then_some(("attn_mask", Attr::None));
    let params = absent.into_iter().chain([
        ("dropout_p", number(0.0)),
        ("is_causal", number(causal)),
        ("scale", if usual { Attr::None } else { number(scale) }),
        ("enable_gqa", number(false)),
    ]);
    Found::new(
        "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
        params,
        [q, k, v].into_iter().chain(mask),
    )
}

/// The operands of a product of matrices.
fn product(e: &Editor, v: Value) -> Option<(Value, Value)> {
    match e.def_op(v)? {
        (Op::Bmm(Bmm {}), at) => Some((e.arg(at, 0), e.arg(at, 1))),
        _ => None,
    }
}

/// The four dims of what is seen with batch and heads as one.
fn of_heads(e: &Editor, v: Value) -> Option<Value> {
    let whole = e.as_view(v)?;
    let (parts, joined) = (e.shape(whole).sizes(), e.shape(v).sizes());
    (parts.len() == 4 && joined.len() == 3 && parts[2..] == joined[1..]).then_some(whole)
}

/// The operand of a product with a positive number, and that.
fn scaled(e: &Editor, v: Value) -> Option<(Value, f64)> {
    let (x, c) = e.as_binary(v, Binary::Mul)?;
    let c = uniform(e, c)?.to_f64();
    (c > 0.0).then_some((x, c))
}

/// 0 at and below the diagonal of a matrix, -inf above.
fn is_causal(e: &Editor, mask: Value) -> bool {
    let number = |v: Value, x: f64| uniform(e, v).is_some_and(|c| c.to_f64() == x);
    e.as_where(mask).is_some_and(|(allowed, zero, forbidden)| {
        // Of a matrix of `true`.
        let below = called(e, allowed, "logical_and").filter(|(call, _)| call.body.params().len() == 2);
        let below = below.map_or(allowed, |(_, a)| a);
        let of_all = e.def_op(allowed).is_some_and(|(_, at)| below == allowed || number(e.arg(at, 1), 1.0));
        let diagonal = beside_diagonal(e, below, Binary::Le);
        number(zero, 0.0) && number(forbidden, f64::NEG_INFINITY) && of_all && diagonal == Some(0)
    })
}
