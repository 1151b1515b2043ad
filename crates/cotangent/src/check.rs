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
    for (index, (x, aval)) in leaves.iter().zip(avals).enumerate() {
        if x.aval() != *aval {
            let (expected, found) = (aval.to_string(), x.aval().to_string());
            return Err(TransformError::Unlike { transform, what: leaf, index, expected, found }.into());
        }
    }
    Ok(leaves)
}
