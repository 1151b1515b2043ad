//! Attention, and an encoder block of a transformer.

use cotangent::prelude::*;

use super::reductions::EPS;
use crate::inputs::{Input, f32s};
use crate::workload::{Workload, compiled};

const HEADS: usize = 8;

/// `softmax(q kᵀ / √d) v`.
fn attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor {
    q.scaled_dot_product_attention(&k, &v, Attention::default())
}

/// The parameters of a pre-norm encoder block.
#[derive(Tree, Clone)]
struct Block {
    ln1w: Tensor,
    ln1b: Tensor,
    wqkv: Tensor,
    bqkv: Tensor,
    wo: Tensor,
    bo: Tensor,
    ln2w: Tensor,
    ln2b: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (batch, seq, dim) = (x.size(0), x.size(1), x.size(2));
        let norm = |x: &Tensor, w: &Tensor, b: &Tensor| x.layer_norm([dim], w, b, EPS);
        let qkv = norm(x, &self.ln1w, &self.ln1b).linear(&self.wqkv, &self.bqkv);
        let qkv = qkv.reshape([batch, seq, 3, HEADS, dim / HEADS]).permute([2, 0, 3, 1, 4]);
        let heads = attend(qkv.select(0, 0), qkv.select(0, 1), qkv.select(0, 2));
        let joined = heads.permute([0, 2, 1, 3]).reshape([batch, seq, dim]);
        let x = x + joined.linear(&self.wo, &self.bo);
        let hidden = norm(&x, &self.ln2w, &self.ln2b).linear(&self.w1, &self.b1).gelu_tanh();
        x + hidden.linear(&self.w2, &self.b2)
    }
}

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("attention", qkv(), |[q, k, v]| compiled(attend, (q, k, v))),
        Workload::new("attention_grad", qkv_with_cotangent(), |[q, k, v, g]| {
            let f = |q: Tensor, k: Tensor, v: Tensor, g: Tensor| (attend(q, k, v) * g).sum();
            compiled(grad(f).argnums::<(At<0>, At<1>, At<2>)>(), (q, k, v, g))
        }),
        Workload::new("transformer_fwd", block(), |[x, ln1w, ln1b, wqkv, bqkv, wo, bo, ln2w, ln2b, w1, b1, w2, b2]| {
            let block = Block { ln1w, ln1b, wqkv, bqkv, wo, bo, ln2w, ln2b, w1, b1, w2, b2 };
            compiled(|x: Tensor, block: Block| block.forward(&x), (x, block))
        }),
        Workload::after("transformer_grad", block().into(), [f32s("g", [8, 128, 256])], |tensors, [g]| {
            let [x, ln1w, ln1b, wqkv, bqkv, wo, bo, ln2w, ln2b, w1, b1, w2, b2] =
                tensors.try_into().expect("x and 12 parameters");
            let block = Block { ln1w, ln1b, wqkv, bqkv, wo, bo, ln2w, ln2b, w1, b1, w2, b2 };
            let f = |x: Tensor, block: Block, g: Tensor| (block.forward(&x) * g).sum();
            compiled(grad(f).argnums::<(At<0>, At<1>)>(), (x, block, g))
        }),
    ]
}

fn qkv() -> [Input; 3] {
    ["q", "k", "v"].map(|name| f32s(name, [4, HEADS, 512, 64]).scale(4.0))
}

fn qkv_with_cotangent() -> [Input; 4] {
    let [q, k, v] = qkv();
    [q, k, v, f32s("g", [4, HEADS, 512, 64])]
}

fn block() -> [Input; 13] {
    [
        f32s("x", [8, 128, 256]).scale(2.0),
        f32s("ln1w", [256]).scale(0.2).offset(1.0),
        f32s("ln1b", [256]).scale(0.2),
        f32s("wqkv", [768, 256]).scale(0.2),
        f32s("bqkv", [768]).scale(0.2),
        f32s("wo", [256, 256]).scale(0.2),
        f32s("bo", [256]).scale(0.2),
        f32s("ln2w", [256]).scale(0.2).offset(1.0),
        f32s("ln2b", [256]).scale(0.2),
        f32s("w1", [1024, 256]).scale(0.2),
        f32s("b1", [1024]).scale(0.2),
        f32s("w2", [256, 1024]).scale(0.1),
        f32s("b2", [256]).scale(0.2),
    ]
}
