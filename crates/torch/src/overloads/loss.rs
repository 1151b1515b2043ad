//! Losses.

use cotangent_aten::nn::distance::multilabel_margin_loss_forward;
use cotangent_aten::nn::loss::nll_loss_forward;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::gradient::masked_pullback;
use super::{Answer, many, one};
use crate::args::{Call, Read};

/// A loss of `self` and `target` under a reduction.
type OfTarget = fn(&Call, &Tensor, &Tensor, Reduction) -> Read<Tensor>;

const OF_TARGET: &[(&str, OfTarget)] = &[
    ("mse_loss", |_, x, t, r| Ok(x.mse_loss(t, r))),
    ("l1_loss", |_, x, t, r| Ok(x.l1_loss(t, r))),
    ("smooth_l1_loss", |c, x, t, r| Ok(x.smooth_l1_loss(t, r, c.float_or("beta", 1.0)?))),
    ("huber_loss", |c, x, t, r| Ok(x.huber_loss(t, r, c.float_or("delta", 1.0)?))),
    ("soft_margin_loss", |_, x, t, r| Ok(x.soft_margin_loss(t, r))),
    ("kl_div", |c, x, t, r| {
        Ok(if c.bool_or("log_target", false)? { x.kl_div_log_target(t, r) } else { x.kl_div(t, r) })
    }),
    ("binary_cross_entropy", |c, x, t, r| Ok(x.binary_cross_entropy(t, c.opt_tensor("weight")?.as_ref(), r))),
    ("binary_cross_entropy_with_logits", |c, x, t, r| {
        let (weight, positive) = (c.opt_tensor("weight")?, c.opt_tensor("pos_weight")?);
        Ok(x.binary_cross_entropy_with_logits(t, weight.as_ref(), positive.as_ref(), r))
    }),
    ("multilabel_margin_loss", |_, x, t, r| Ok(x.multilabel_margin_loss(t, r))),
    ("multi_margin_loss", |c, x, t, r| {
        let (p, margin) = (c.number_or("p", 1.0)?, c.number_or("margin", 1.0)?);
        Ok(x.multi_margin_loss(t, p as i64, margin, c.opt_tensor("weight")?.as_ref(), r))
    }),
    ("hinge_embedding_loss", |c, x, t, r| Ok(x.hinge_embedding_loss(t, c.float_or("margin", 1.0)?, r))),
    ("nll_loss", nll),
    ("nll_loss2d", nll),
    ("nll_loss_nd", nll),
    ("cross_entropy_loss", |c, x, t, r| {
        let weight = c.opt_tensor("weight")?;
        let options = CrossEntropy {
            weight: weight.as_ref(),
            ignore_index: c.int_or("ignore_index", -100)?,
            reduction: r,
            label_smoothing: c.float_or("label_smoothing", 0.0)?,
        };
        Ok(x.cross_entropy_with(t, options))
    }),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some(name) = c.target.strip_prefix("aten.").and_then(|t| t.strip_suffix(".default")) else { return Ok(None) };
    let find = |name: &str| OF_TARGET.iter().find(|(n, _)| *n == name).map(|(_, f)| f);
    if let Some(f) = find(name) {
        return one(f(c, &c.tensor("self")?, &c.tensor("target")?, reduction(c)?)?);
    }
    // The cotangent of the prediction.
    if let Some(f) = name.strip_suffix("_backward").and_then(find) {
        let mut failed = None;
        let (x, t, y_bar) = (c.tensor("self")?, c.tensor("target")?, c.tensor("grad_output")?);
        let r = reduction(c)?;
        let bars = masked_pullback(&x, [Some(t)], &[true], &y_bar, |x, [t]| {
            let y = t.map_or_else(|| Ok(x.clone()), |t| f(c, x, &t, r));
            y.unwrap_or_else(|e| {
                failed = Some(e);
                x.clone()
            })
        })?;
        return failed.map_or(Ok(Some(bars)), Err);
    }
    match name {
        "nll_loss_forward" | "nll_loss2d_forward" => {
            let (x, t, weight) = (c.tensor("self")?, c.tensor("target")?, c.opt_tensor("weight")?);
            let ignored = c.int_or("ignore_index", -100)?;
            match nll_loss_forward(&x, &t, weight.as_ref(), ignored, reduction(c)?) {
                Ok(results) => many(results),
                Err(poison) => many([poison.clone(), poison]),
            }
        }
        "multilabel_margin_loss_forward" => {
            let (x, t) = (c.tensor("self")?, c.tensor("target")?);
            match multilabel_margin_loss_forward(&x, &t, reduction(c)?) {
                Ok(results) => many(results),
                Err(poison) => many([poison.clone(), poison]),
            }
        }
        "poisson_nll_loss" => {
            let (x, t, r) = (c.tensor("input")?, c.tensor("target")?, reduction(c)?);
            let (eps, full) = (c.float_or("eps", 1e-8)?, c.bool_or("full", false)?);
            one(match (c.bool_or("log_input", true)?, full) {
                (true, false) => x.poisson_nll_loss(&t, r),
                (false, false) => x.poisson_nll_loss_of_rates(&t, r, eps),
                (of_logs, true) => {
                    let each = if of_logs {
                        x.poisson_nll_loss(&t, Reduction::None)
                    } else {
                        x.poisson_nll_loss_of_rates(&t, Reduction::None, eps)
                    };
                    r.apply(&(each + stirling(&t)))
                }
            })
        }
        "margin_ranking_loss" => {
            let (a, b, t) = (c.tensor("input1")?, c.tensor("input2")?, c.tensor("target")?);
            one(a.margin_ranking_loss(&b, &t, c.float_or("margin", 0.0)?, reduction(c)?))
        }
        "cosine_embedding_loss" => {
            let (a, b, t) = (c.tensor("input1")?, c.tensor("input2")?, c.tensor("target")?);
            one(a.cosine_embedding_loss(&b, &t, c.float_or("margin", 0.0)?, reduction(c)?))
        }
        "triplet_margin_loss" => {
            let (a, p, n) = (c.tensor("anchor")?, c.tensor("positive")?, c.tensor("negative")?);
            let (margin, norm, eps) = (c.float_or("margin", 1.0)?, c.float_or("p", 2.0)?, c.float_or("eps", 1e-6)?);
            let r = reduction(c)?;
            one(if c.bool_or("swap", false)? {
                a.triplet_margin_loss_swap(&p, &n, margin, norm, eps, r)
            } else {
                a.triplet_margin_loss(&p, &n, margin, norm, eps, r)
            })
        }
        _ => Ok(None),
    }
}

fn nll(c: &Call, x: &Tensor, t: &Tensor, r: Reduction) -> Read<Tensor> {
    Ok(x.nll_loss(t, c.opt_tensor("weight")?.as_ref(), c.int_or("ignore_index", -100)?, r))
}

/// The reduction that PyTorch counts as 0, 1 or 2.
pub(super) fn reduction(c: &Call) -> Read<Reduction> {
    match c.int_or("reduction", 1)? {
        0 => Ok(Reduction::None),
        1 => Ok(Reduction::Mean),
        2 => Ok(Reduction::Sum),
        _ => Err(c.wrong("reduction", "0 (none), 1 (mean) or 2 (sum)")),
    }
}

/// Stirling's approximation of `log t!`, for counts above 1.
fn stirling(t: &Tensor) -> Tensor {
    let large = t.gt(1i64);
    let safe = t.where_(&large, 1i64);
    let approximation = &safe * safe.log() - &safe + (&safe * std::f64::consts::TAU).log() * 0.5;
    approximation.where_(&large, 0.0)
}
