//! Clipping of gradients.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::error::Error;

use crate::function::Function;
use crate::tree::{Tree, checked_leaves};
use crate::vmap::vmap;

/// What PyTorch adds to a norm before dividing by it.
const ROOM: f64 = 1e-6;

/// Each number within ±`limit`: `torch.nn.utils.clip_grad_value_`.
#[track_caller]
pub fn clip_by_value<T: Tree>(grads: &T, limit: f64) -> T {
    grads.map_leaves(|g| g.clamp(-limit, limit))
}

/// The norm of all leaves together.
///
/// *Errors*: a tree without tensors; the first error that a leaf stands for.
#[track_caller]
pub fn global_norm<T: Tree>(tree: &T) -> Result<Tensor, Error> {
    let (leaves, _) = checked_leaves(tree)?;
    let squares = leaves.iter().map(|g| g.square().sum()).reduce(|a, b| a + b);
    let squares = squares.ok_or_else(|| Error::user("global_norm: expected at least one tensor"))?;
    squares.sqrt().ok()
}

/// The tree, shortened to `max_norm` if its norm over all leaves is larger, and that norm:
/// `torch.nn.utils.clip_grad_norm_`.
///
/// *Errors*: as [`global_norm`].
#[track_caller]
pub fn clip_by_norm<T: Tree>(grads: &T, max_norm: f64) -> Result<(T, Tensor), Error> {
    let norm = global_norm(grads)?;
    let factor = (max_norm / (&norm + ROOM)).clamp_max(1.0);
    Ok((grads.map_leaves(|g| g * factor.convert(g.dtype())), norm))
}

/// As [`clip_by_norm`] for each example by itself, where each leaf has examples along dim 0: what differentially
/// private training does with `vmap(grad(loss))`. The norms are `[examples]`.
///
/// *Errors*: as [`global_norm`]; leaves of different numbers of examples.
#[track_caller]
pub fn clip_per_sample<T: Tree>(grads: &T, max_norm: f64) -> Result<(T, Tensor), Error> {
    let (leaves, spec) = checked_leaves(grads)?;
    let (clipped, norms) = vmap(|leaves: Vec<Tensor>| clip_by_norm(&leaves, max_norm)).call((leaves,))?;
    Ok((crate::tree::assemble(&spec, clipped), norms))
}
