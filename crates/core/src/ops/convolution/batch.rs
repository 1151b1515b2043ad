//! Batching: the batch dim joins the batch, the result's channels, or the groups.

use crate::ir::{Dim, Shape};
use crate::tensor::Tensor;

use super::{Batched, Convolution, Primitive};

/// The convolutions of a batch of `size` examples, batch dim first.
pub(super) fn convolution(op: &Convolution, x: &Batched, w: &Batched, size: Dim) -> Tensor {
    if size == 0 {
        return empty(op, x, w);
    }
    match (x.mapped, w.mapped) {
        (true, false) => {
            let n = x.x.shape()[1];
            let y = merge(&x.x, 0, 1).conv(&w.x, op.clone());
            let rest = y.shape().slice(1, y.rank());
            y.view_to(&Shape::from_iter([size, n]).concat(&rest))
        }
        // Each group computes the channels of all examples.
        (false, true) => {
            let merged = if op.transposed { merge(&w.x, 1, 1) } else { merge(&w.x, 0, op.groups) };
            split_channels(&x.x.conv(&merged, op.clone()), op.groups, size)
        }
        (true, true) | (false, false) => {
            let groups = size.checked_mul(Dim::new(op.groups)).expect("I3: bounded sizes").get();
            let (x, w) = (x.materialised(size), w.materialised(size));
            let y = merge(&x, 1, 1).conv(&merge(&w, 0, 1), Convolution { groups, ..op.clone() });
            split_channels(&y, 1, size)
        }
    }
}

/// The result over no examples: channels and groups of size 0 would be no convolution.
fn empty(op: &Convolution, x: &Batched, w: &Batched) -> Tensor {
    let one = |b: &Batched| if b.mapped { b.x.aval().with_shape(b.x.shape().removed(0)) } else { b.x.aval() };
    let like = if x.mapped { &x.x } else { &w.x };
    let y = op.infer(&[&one(x), &one(w)]).expect("I3: the operands of one example have been inferred");
    like.full_of(&y[0].with_shape(y[0].shape.inserted(0, 0)), 0.0)
}

/// `[b, .., groups * c, ..] → [.., groups * b * c, ..]`, where the channels are dim `dim` of an example.
fn merge(x: &Tensor, dim: usize, groups: usize) -> Tensor {
    let (size, example) = (x.shape()[0], x.shape().removed(0));
    let merged = size.checked_mul(example[dim]).expect("I3: bounded sizes");
    // Channels are at `dim + 1` beside the batch dim; groups, if any, get a dim of their own there.
    let grouped = if groups == 1 { x.clone() } else { x.view_to(&split_dim(x.shape(), dim + 1, groups)) };
    let to = if groups == 1 { dim } else { dim + 1 };
    let mut dims: Vec<usize> = (1..grouped.rank()).collect();
    dims.insert(to, 0);
    grouped.permute_to(&dims).view_to(&example.with(dim, merged))
}

/// `[n, groups * b * c, ..] → [b, n, groups * c, ..]`.
fn split_channels(y: &Tensor, groups: usize, size: Dim) -> Tensor {
    let channels = Dim::new(y.shape()[1].get() / size.get());
    let example = y.shape().with(1, channels);
    let shape = if groups == 1 { y.shape().clone() } else { split_dim(y.shape(), 1, groups) };
    let at = if groups == 1 { 1 } else { 2 };
    let split = y.view_to(&split_dim(&shape, at, size.get()));
    let mut dims: Vec<usize> = (0..split.rank()).filter(|d| *d != at).collect();
    dims.insert(0, at);
    split.permute_to(&dims).view_to(&example.inserted(0, size))
}

/// The shape with dim `dim` split into `outer` and the rest.
fn split_dim(shape: &Shape, dim: usize, outer: usize) -> Shape {
    let inner = shape[dim].get() / outer;
    shape.with(dim, inner).inserted(dim, outer)
}
