//! Distances and similarities.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::gradient::pullback;
use super::{Answer, many, one};
use crate::args::Call;

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let pair = || -> Result<(Tensor, Tensor), crate::error::TorchError> { Ok((c.tensor("x1")?, c.tensor("x2")?)) };
    match c.target {
        // How distances are computed (`compute_mode`) has no part in their value.
        "aten.cdist.default" | "aten._cdist_forward.default" => {
            let (a, b) = pair()?;
            one(a.cdist(&b, c.float_or("p", 2.0)?))
        }
        "aten._euclidean_dist.default" => {
            let (a, b) = pair()?;
            one(a.cdist(&b, 2.0))
        }
        "aten._cdist_backward.default" => {
            let ((a, b), p) = (pair()?, c.float("p")?);
            many(pullback(&[a, b], &[0], &c.tensor("grad_output")?, |x| x[0].cdist(&x[1], p))?)
        }
        "aten.pdist.default" | "aten._pdist_forward.default" => one(c.tensor("self")?.pdist(c.float_or("p", 2.0)?)),
        "aten.cosine_similarity.default" => {
            let (a, b) = pair()?;
            one(a.cosine_similarity(&b, c.int_or("dim", 1)?, c.float_or("eps", 1e-8)?))
        }
        "aten.pairwise_distance.default" => {
            let (a, b) = pair()?;
            let d = a.pairwise_distance(&b, c.float_or("p", 2.0)?, c.float_or("eps", 1e-6)?);
            one(if c.bool_or("keepdim", false)? { d.unsqueeze(-1) } else { d })
        }
        _ => Ok(None),
    }
}
