//! Checks that the derivative transforms share.

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::{Aval, TreeSpec};

use crate::tree::{Tree, checked_leaves};

/// Checks that there are tensors to differentiate, all of floats.
///
/// *Errors*: no leaf; a leaf of integers or truth values.
pub(crate) fn differentiable(transform: &'static str, what: &'static str, avals: &[Aval]) -> Result<(), Error> {
    if avals.is_empty() {
        return Err(TransformError::Empty { transform, what }.into());
    }
    match avals.iter().enumerate().find(|(_, a)| !a.dtype.is_float()) {
        None => Ok(()),
        Some((i, a)) => {
            let what = format!("leaf {i} of {what}");
            Err(TransformError::NotFloat { transform, what, found: a.clone() }.into())
        }
    }
}

/// The leaves of a tree of tangents or cotangents, which has to be like a tree of structure `spec` and `avals`.
///
/// *Errors*: another structure; a leaf of another dtype or shape.
pub(crate) fn leaves_like<T: Tree>(
    transform: &'static str,
    (trees, like): (&'static str, &'static str),
    leaf: &'static str,
    tree: &T,
    spec: &TreeSpec,
    avals: &[Aval],
) -> Result<Vec<Tensor>, Error> {
    let (leaves, found) = checked_leaves(tree)?;
    if found != *spec {
        let expected = spec.clone();
        return Err(TransformError::Structure { transform, what: trees, like, expected, found }.into());
    }
    each_like(transform, leaf, &leaves, avals)?;
    Ok(leaves)
}

/// Checks that each tensor has its aval.
fn each_like(transform: &'static str, what: &'static str, tensors: &[Tensor], avals: &[Aval]) -> Result<(), Error> {
    for (index, (x, aval)) in tensors.iter().zip(avals).enumerate() {
        if x.dtype() != aval.dtype || *x.shape() != aval.shape {
            let (expected, found) = (aval.to_string(), x.aval().to_string());
            return Err(TransformError::Unlike { transform, what, index, expected, found }.into());
        }
    }
    Ok(())
}

/// Checks that `args` are one tensor for each of `avals`, of that aval.
///
/// *Errors*: another number; a tensor of another dtype or shape.
pub(crate) fn arguments_like(transform: &'static str, args: &[Tensor], avals: &[Aval]) -> Result<(), Error> {
    if args.len() != avals.len() {
        let (expected, found) = (avals.len().to_string(), args.len().to_string());
        let what = "number of arguments";
        return Err(TransformError::Unlike { transform, what, index: args.len(), expected, found }.into());
    }
    each_like(transform, "argument", args, avals)
}
