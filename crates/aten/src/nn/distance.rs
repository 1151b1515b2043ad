//! Distances and similarities, and the losses made of them.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::DType;

use super::activation::log_sigmoid;
use super::loss::{Reduction, broadcast};
use crate::arg::{AsTensor, Axes, Over, at, attempt, bad_operand, bad_pair, float, keepdim, live};
use crate::call::{by_result, num, one, optional};
use crate::compare::Comparisons;
use crate::pointwise::pair;
use crate::reduce::Reductions;
use crate::schema;
use crate::stats::{Statistics, norm_over};

/// Distances, similarities and margin losses under PyTorch's names.
///
/// *Errors*: `pairwise_distance_c1`, `cosine_similarity_c1`, `margin_ranking_loss_c1`, `hinge_embedding_loss_c1`,
/// `cosine_embedding_loss_c1`, `multilabel_soft_margin_loss_c1` shapes that do not broadcast.
pub trait Distances: AsTensor {
    /// The `p`-norms of the differences of all rows `[…, n, d]` and all rows `[…, m, d]`: `[…, n, m]`; derivative 0
    /// at
    /// equal rows.
    ///
    /// *Errors*: `cdist_c1` rows of different lengths, or batches that do not broadcast; `cdist_c2` integers.
    #[track_caller]
    fn cdist(&self, other: &Tensor, p: f64) -> Tensor {
        let (x, y) = (self.tensor(), other);
        attempt!(float(at!("cdist", 2), x));
        attempt!(live(&[y]));
        if x.rank() < 2 || y.rank() < 2 || x.size(-1) != y.size(-1) || x.dtype() != y.dtype() {
            return bad_pair(at!("cdist", 1), x, y, "[…, n, d] and […, m, d] of one dtype");
        }
        let (r, s) = (x.rank(), y.rank());
        let (row, column) = (x.view_to(&x.shape().inserted(r - 1, 1)), y.view_to(&y.shape().inserted(s - 2, 1)));
        attempt!(pair(at!("cdist", 1), &row, &column));
        let params = [("p", num(p)), ("compute_mode", cotangent_core::ir::Attr::None)];
        let differences = |a: &[Tensor]| a[0].view_to(row.shape()) - a[1].view_to(column.shape());
        if p != 2.0 {
            return one(schema::_CDIST_FORWARD, &params, &[x, y], |a| last_norm(&differences(a), p));
        }
        let value = |a: &[Tensor]| [last_norm(&differences(a), p)];
        let [distances] = by_result(schema::_CDIST_FORWARD, &params, &[x, y], value, |a, y, a_dot| {
            let (d, d_dot) = (differences(a), differences(a_dot));
            let dot = (d * d_dot).sum_over(&[row.rank() - 1]);
            // By infinity where rows are equal: the derivatives of all orders are 0 there.
            vec![dot / y[0].full_like(f64::INFINITY).where_(&y[0].eq(0.0), &y[0])]
        });
        distances
    }

    /// The `p`-norms of the differences of all pairs of rows, in order; derivative 0 at equal rows.
    ///
    /// *Errors*: `pdist_c1` no matrix of floats.
    #[track_caller]
    fn pdist(&self, p: f64) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("pdist", 1), x));
        if x.rank() != 2 {
            return bad_operand(at!("pdist", 1), x, "a matrix of rows");
        }
        one(schema::_PDIST_FORWARD, &[("p", num(p))], &[x], |a| {
            let n = a[0].shape()[0].get() as i64;
            let pairs: Vec<(i64, i64)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
            let rows = |at: Vec<i64>| {
                let at = Tensor::from_array(Array::new([at.len()], at));
                a[0].index_select_along(0, &at)
            };
            let first = rows(pairs.iter().map(|(i, _)| *i).collect());
            last_norm(&(first - rows(pairs.iter().map(|(_, j)| *j).collect())), p)
        })
    }

    /// The `p`-norm of `x - y + eps` over the last dim.
    #[track_caller]
    fn pairwise_distance(&self, other: &Tensor, p: f64, eps: f64) -> Tensor {
        let (x, y) = attempt!(pair(at!("pairwise_distance", 1), self.tensor(), other));
        (x - y + eps).vector_norm(p, -1)
    }

    /// The cosine of the angle along `dim`; norms are at least `eps`.
    #[track_caller]
    fn cosine_similarity(&self, other: &Tensor, dim: i64, eps: f64) -> Tensor {
        let (x, y) = attempt!(broadcast(at!("cosine_similarity", 1), self.tensor(), other));
        let direction = |x: &Tensor| {
            let norm = x.vector_norm(2.0, keepdim(dim));
            // The bound has no part in the derivative, as in PyTorch.
            let bounded = &norm + (norm.maximum(eps) - &norm).detach();
            x / bounded
        };
        (direction(&x) * direction(&y)).sum_dim(dim)
    }

    /// `max(0, margin - t (x₁ - x₂))` for targets ±1.
    #[track_caller]
    fn margin_ranking_loss(&self, input2: &Tensor, target: &Tensor, margin: f64, reduction: Reduction) -> Tensor {
        let (x, y) = attempt!(broadcast(at!("margin_ranking_loss", 1), self.tensor(), input2));
        let (d, t) = attempt!(broadcast(at!("margin_ranking_loss", 1), &(x - y), target));
        reduction.apply(&(-t * d + margin).clamp_min(0.0))
    }

    /// `x` for targets 1, `max(0, margin - x)` for targets -1.
    #[track_caller]
    fn hinge_embedding_loss(&self, target: &Tensor, margin: f64, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("hinge_embedding_loss", 1), self.tensor(), target));
        let far = (margin - &x).clamp_min(0.0).where_(&t.ne(1.0), 0.0);
        reduction.apply(&(far + x.where_(&t.ne(-1.0), 0.0)))
    }

    /// `1 - cos` for targets 1, `max(0, cos - margin)` for targets -1, of rows.
    #[track_caller]
    fn cosine_embedding_loss(&self, input2: &Tensor, target: &Tensor, margin: f64, reduction: Reduction) -> Tensor {
        let (x, y) = attempt!(broadcast(at!("cosine_embedding_loss", 1), self.tensor(), input2));
        attempt!(live(&[target]));
        // PyTorch's constant, which is of single precision.
        let eps = f64::from(1e-12f32);
        let squares = |x: &Tensor| (x * x).sum_dim(-1) + eps;
        let cos = (&x * &y).sum_dim(-1) / (squares(&x) * squares(&y)).sqrt();
        let near = (1.0 - &cos).where_(&target.eq(1i64), 0.0);
        let far = (cos - margin).clamp_min(0.0).where_(&target.eq(-1i64), 0.0);
        reduction.apply(&(near + far))
    }

    /// `max(0, d(x, positive) - d(x, negative) + margin)` with the
    /// [`pairwise_distance`](Distances::pairwise_distance).
    #[track_caller]
    fn triplet_margin_loss(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        margin: f64,
        p: f64,
        eps: f64,
        reduction: Reduction,
    ) -> Tensor {
        let x = self.tensor();
        let (near, far) = (x.pairwise_distance(positive, p, eps), x.pairwise_distance(negative, p, eps));
        reduction.apply(&(near - far + margin).clamp_min(0.0))
    }

    /// As [`Distances::triplet_margin_loss`], where the negative may be nearer to the positive than to the anchor.
    #[track_caller]
    fn triplet_margin_loss_swap(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        margin: f64,
        p: f64,
        eps: f64,
        reduction: Reduction,
    ) -> Tensor {
        let x = self.tensor();
        let (near, far) = (x.pairwise_distance(positive, p, eps), x.pairwise_distance(negative, p, eps));
        let far = far.minimum(positive.pairwise_distance(negative, p, eps));
        reduction.apply(&(near - far + margin).clamp_min(0.0))
    }

    /// `Σ max(0, margin - x[t] + x[i])^p / c` over the classes `i` but the target, with weights for each class.
    ///
    /// *Errors*: `multi_margin_loss_c1` scores that are not `[n, c]` or `[c]`, or targets of another shape.
    #[track_caller]
    fn multi_margin_loss(
        &self,
        target: &Tensor,
        p: i64,
        margin: f64,
        weight: Option<&Tensor>,
        reduction: Reduction,
    ) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("multi_margin_loss", 1), x));
        attempt!(live(&[target]));
        let fits = (1..=2).contains(&x.rank()) && *target.shape() == x.shape().removed(x.rank() - 1);
        if !fits || target.dtype() != DType::I64 {
            return bad_pair(
                at!("multi_margin_loss", 1),
                x,
                target,
                "scores [n, c] or [c] and a class of i64 for each row",
            );
        }
        let params = [("p", num(p)), ("margin", num(margin)), ("reduction", reduction.code())];
        let args = [("self", Some(x)), ("target", Some(target)), ("weight", weight)];
        let [y] = optional(schema::MULTI_MARGIN_LOSS, &params, args, |[x, t, w]| {
            let (x, t) = (x.expect("always there"), t.expect("always there"));
            let last = x.rank() - 1;
            let c = x.shape()[last];
            let at = t.view_to(&t.shape().inserted(last, 1));
            let z = margin - x.gather_along(last, &at) + x;
            let z = z.where_(&z.gt(0.0), 0.0);
            let z = if p == 2 { &z * &z } else { z };
            let z = match w {
                Some(w) => z * w.index_select_along(0, &t.view_to(&[t.numel()].into())).view_to(at.shape()),
                None => z,
            };
            let own = x.arange_like(c, DType::I64).eq(&at);
            [reduction.apply(&(z.zeros_like().where_(&own, &z).sum_over(&[last]) / c.get() as f64))]
        });
        y
    }

    /// `Σ max(0, 1 - x[t] + x[i]) / c` over the targets `t` of a row, which end at the first -1, and the classes `i`
    /// that are none.
    ///
    /// *Shape*: `[n, c]`, `[c]`, or a scalar, which is the score of a single class.
    /// *Errors*: `multilabel_margin_loss_c1` scores of another shape, or targets of another one than theirs.
    #[track_caller]
    fn multilabel_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        match multilabel_margin_loss_forward(self.tensor(), target, reduction) {
            Ok([loss, _]) => loss,
            Err(poison) => poison,
        }
    }

    /// The mean over classes of the cross entropy of the logistic function, with a weight for each class.
    #[track_caller]
    fn multilabel_soft_margin_loss(&self, target: &Tensor, weight: Option<&Tensor>, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("multilabel_soft_margin_loss", 1), self.tensor(), target));
        attempt!(float(at!("multilabel_soft_margin_loss", 1), &x));
        let losses = -(&t * log_sigmoid(&x) + (1.0 - &t) * log_sigmoid(&-&x));
        let losses = weight.map_or(losses.clone(), |w| losses * w);
        let classes = losses.shape().dims().last().map_or(1, |d| d.get());
        reduction.apply(&(losses.sum_dim(Over::from(-1)) / classes as f64))
    }
}

impl Distances for Tensor {}

/// The loss, and 1 at the classes that are targets, as `aten::multilabel_margin_loss_forward` returns them.
///
/// *Errors*: see [`Distances::multilabel_margin_loss`].
#[track_caller]
pub fn multilabel_margin_loss_forward(
    x: &Tensor,
    target: &Tensor,
    reduction: Reduction,
) -> Result<[Tensor; 2], Tensor> {
    float(at!("multilabel_margin_loss", 1), x)?;
    live(&[target])?;
    if x.rank() > 2 || target.shape() != x.shape() || target.dtype() != DType::I64 {
        return Err(bad_pair(
            at!("multilabel_margin_loss", 1),
            x,
            target,
            "scores [n, c], [c] or [] and as many classes of i64",
        ));
    }
    let params = [("reduction", reduction.code())];
    Ok(crate::call::many(schema::MULTILABEL_MARGIN_LOSS_FORWARD, &params, &[x, target], |a| {
        let shape = a[0].shape();
        let of_classes = |x: &Tensor| if x.rank() == 0 { x.view_to(&[1].into()) } else { x.clone() };
        let (x, t) = (&of_classes(&a[0]), &of_classes(&a[1]));
        let last = x.rank() - 1;
        let c = x.shape()[last].get();
        let counts = t.ge(0i64).convert(DType::I64).cumprod_along(last).ne(0i64);
        let at = t.where_(&counts, 0i64);
        let hits = t.zeros_like().scatter_add_along(last, &at, &counts.convert(DType::I64));
        let is_target = hits.gt(0i64);
        let wanted = x.gather_along(last, &at);
        let pairs = x.shape().inserted(last, c);
        let z = 1.0 - wanted.view_to(&x.shape().inserted(last + 1, 1)) + x.view_to(&x.shape().inserted(last, 1));
        let row = |m: &Tensor, d: usize| m.view_to(&m.shape().inserted(d, 1)).expand_to(&pairs);
        let both = row(&counts, last + 1).bitwise_and(row(&is_target.bitwise_not(), last)).bitwise_and(z.gt(0.0));
        let losses = z.where_(&both, 0.0).sum_over(&[last, last + 1]) / c as f64;
        [reduction.apply(&losses), is_target.convert(x.dtype()).view_to(shape)]
    }))
}

/// The norm over the last dim.
#[track_caller]
fn last_norm(x: &Tensor, p: f64) -> Tensor {
    let axes = Axes { dims: vec![x.rank() - 1], keep: false };
    if x.shape()[x.rank() - 1] == 0 {
        return x.sum_over(&axes.dims);
    }
    norm_over(x, p, &axes)
}
