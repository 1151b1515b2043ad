//! Losses.

use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::{Attr, DType};
use cotangent_core::tensor::{broadcast_shapes, reject};

use crate::arg::{AsTensor, At, at, attempt, bad_operand, bad_pair, float, live};
use crate::call::{by_result, num, one, optional, optional_by_result};
use crate::nn::activation::log_sigmoid;
use crate::nn::softmax::Softmaxes;
use crate::pointwise::Pointwise;
use crate::reduce::Reductions;
use crate::schema;

/// What becomes of the losses of the examples.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reduction {
    /// Each stays.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// PyTorch's number.
    pub(crate) fn code(self) -> cotangent_core::ir::Attr {
        num(match self {
            Reduction::None => 0i64,
            Reduction::Mean => 1i64,
            Reduction::Sum => 2i64,
        })
    }

    /// The losses reduced.
    #[track_caller]
    pub fn apply(self, losses: &Tensor) -> Tensor {
        match self {
            Reduction::None => losses.clone(),
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
        }
    }
}

/// The options of a cross entropy.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    /// A weight for each class.
    pub weight: Option<&'a Tensor>,
    /// A target that does not count.
    pub ignore_index: i64,
    /// What becomes of the examples' losses.
    pub reduction: Reduction,
    /// How much of the target is spread over all classes.
    pub label_smoothing: f64,
}

impl Default for CrossEntropy<'_> {
    fn default() -> Self {
        CrossEntropy { weight: None, ignore_index: -100, reduction: Reduction::Mean, label_smoothing: 0.0 }
    }
}

/// Losses under PyTorch's names; the receiver is the prediction.
///
/// *Errors*: `mse_loss_c1`, `l1_loss_c1`, `smooth_l1_loss_c1`, `huber_loss_c1`, `kl_div_c1`, `soft_margin_loss_c1`,
/// `poisson_nll_loss_c1`, `gaussian_nll_loss_c1` shapes that do not broadcast; `binary_cross_entropy_c1`,
/// `binary_cross_entropy_with_logits_c1` integers, or a target of another shape.
pub trait Losses: AsTensor {
    /// The mean cross entropy of logits `[n, c, …]` or `[c]` against classes `[n, …]` or probabilities like the
    /// logits.
    ///
    /// *Errors*: see [`Losses::cross_entropy_with`].
    #[track_caller]
    fn cross_entropy(&self, target: &Tensor) -> Tensor {
        self.cross_entropy_with(target, CrossEntropy::default())
    }

    /// As [`Losses::cross_entropy`] with options. The mean with weights divides by the weights of the targets; it is
    /// NaN where all are ignored. With probabilities it divides by the number of examples.
    ///
    /// *Errors*: `cross_entropy_c1` logits that are not of floats or have no dim; `cross_entropy_c2` probabilities of
    /// another shape; as [`Losses::nll_loss`].
    #[track_caller]
    fn cross_entropy_with(&self, target: &Tensor, options: CrossEntropy) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("cross_entropy", 1), x));
        attempt!(live(&[target]));
        if x.rank() == 0 {
            return bad_operand(at!("cross_entropy", 1), x, "logits [c] or [n, c, …]");
        }
        let class = usize::from(x.rank() > 1);
        let log_p = x.log_softmax(class as i64);
        if target.dtype().is_float() {
            if target.shape() != x.shape() {
                return bad_pair(
                    at!("cross_entropy", 2),
                    x,
                    target,
                    "probabilities like the logits, or classes of i64",
                );
            }
            return of_probabilities(&log_p, target, class, options);
        }
        let CrossEntropy { weight, ignore_index, reduction, label_smoothing } = options;
        let nll = log_p.nll_loss(target, weight, ignore_index, reduction);
        attempt!(live(&[&nll]));
        if label_smoothing == 0.0 {
            return nll;
        }
        let n = x.shape()[class].get() as f64;
        let weighted = match weight {
            Some(w) => &log_p * per_class(w, &log_p, class),
            None => log_p.clone(),
        };
        let counts = target.ne(ignore_index);
        let spread = -weighted.sum_over(&[class]);
        let spread = spread.where_(&counts, 0.0);
        let spread = match reduction {
            Reduction::None => spread,
            Reduction::Sum => spread.sum(),
            Reduction::Mean => {
                let each = weights_of(weight, target, &counts, log_p.dtype());
                spread.sum() / each.sum()
            }
        };
        nll * (1.0 - label_smoothing) + spread * (label_smoothing / n)
    }

    /// The negative of the logarithm of the probability of the target, given the logarithms `[n, c, …]` or `[c]`.
    ///
    /// *Errors*: `nll_loss_c1` logarithms without a class dim; `nll_loss_c2` targets of another shape or not of
    /// `i64`;
    /// `nll_loss_c3` weights that are not `[c]`; a target out of range when evaluated.
    #[track_caller]
    fn nll_loss<'a>(
        &self,
        target: &Tensor,
        weight: impl Into<Option<&'a Tensor>>,
        ignore_index: i64,
        reduction: Reduction,
    ) -> Tensor {
        match nll_loss_forward(self.tensor(), target, weight.into(), ignore_index, reduction) {
            Ok([loss, _]) => loss,
            Err(poison) => poison,
        }
    }

    /// The squared difference.
    #[track_caller]
    fn mse_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("mse_loss", 1), self.tensor(), target));
        one(schema::MSE_LOSS, &[("reduction", reduction.code())], &[&x, &t], |a| {
            let d = &a[0] - &a[1];
            reduction.apply(&(&d * &d))
        })
    }

    /// The absolute difference; derivative 0 at 0.
    #[track_caller]
    fn l1_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("l1_loss", 1), self.tensor(), target));
        reduction.apply(&(x - t).abs())
    }

    /// `½ d² / beta` for `|d| < beta`, `|d| - ½ beta` elsewhere; the absolute difference for `beta` 0.
    ///
    /// *Derivative*: the second one is 0 where `|d|` is `beta`.
    #[track_caller]
    fn smooth_l1_loss(&self, target: &Tensor, reduction: Reduction, beta: f64) -> Tensor {
        if beta == 0.0 {
            return self.l1_loss(target, reduction);
        }
        let (x, t) = attempt!(broadcast(at!("smooth_l1_loss", 1), self.tensor(), target));
        let params = [("reduction", reduction.code()), ("beta", num(beta))];
        let value = |d: &Tensor| {
            let size = d.abs();
            (d * d * (0.5 / beta)).where_(&size.lt(beta), &size - 0.5 * beta)
        };
        of_difference(schema::SMOOTH_L1_LOSS, &params, [&x, &t], reduction, value, |d| {
            d.sign().where_(&d.abs().ge(beta), d / beta)
        })
    }

    /// `½ d²` for `|d| <= delta`, `delta (|d| - ½ delta)` elsewhere.
    ///
    /// *Derivative*: the second one is 1 where `|d|` is `delta`, as in PyTorch's forward mode (its `huber_loss_double_backward` has 0 there).
    #[track_caller]
    fn huber_loss(&self, target: &Tensor, reduction: Reduction, delta: f64) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("huber_loss", 1), self.tensor(), target));
        let params = [("reduction", reduction.code()), ("delta", num(delta))];
        let value = |d: &Tensor| {
            let size = d.abs();
            (d * d * 0.5).where_(&size.le(delta), (&size - 0.5 * delta) * delta)
        };
        of_difference(schema::HUBER_LOSS, &params, [&x, &t], reduction, value, |d| {
            (d.sign() * delta).where_(&d.abs().gt(delta), d)
        })
    }

    /// The cross entropy of probabilities in [0, 1]; logarithms are at least -100.
    ///
    /// *Derivative*: `(x - t) / max(x (1 - x), 1e-12)`.
    #[track_caller]
    fn binary_cross_entropy<'a>(
        &self,
        target: &Tensor,
        weight: impl Into<Option<&'a Tensor>>,
        reduction: Reduction,
    ) -> Tensor {
        let (x, weight) = (self.tensor(), weight.into());
        attempt!(float(at!("binary_cross_entropy", 1), x));
        attempt!(live(&[target]));
        if x.shape() != target.shape() {
            return bad_pair(at!("binary_cross_entropy", 1), x, target, "targets like the input");
        }
        let args = [("self", Some(x)), ("target", Some(target)), ("weight", weight)];
        let params = [("reduction", reduction.code())];
        let weighted = |losses: Tensor, w: Option<&Tensor>| w.map_or(losses.clone(), |w| losses * w);
        let losses =
            |x: Option<&Tensor>, t: Option<&Tensor>| binary_losses(x.expect("always there"), t.expect("always there"));
        let value = |[x, t, w]: [Option<&Tensor>; 3]| [reduction.apply(&weighted(losses(x, t), w))];
        let [y] = optional_by_result(schema::BINARY_CROSS_ENTROPY, &params, args, value, |[x, t, w], _, x_dot| {
            let [x_dot, t_dot, w_dot] = x_dot;
            let (p, q) = (x.expect("always there"), t.expect("always there"));
            let room = ((1.0 - p) * p).maximum(ROOM);
            let by_input = x_dot.expect("always there") * ((p - q) / room);
            let by_target = t_dot.expect("always there") * p.logit(None);
            let along = weighted(by_input - by_target, w);
            let along = w_dot.map_or(along.clone(), |w_dot| along + losses(x, t) * w_dot);
            vec![reduction.apply(&along)]
        });
        y
    }

    /// The cross entropy of the logistic function of the input, without overflow in between; `pos_weight` multiplies
    /// the part of positive targets.
    #[track_caller]
    fn binary_cross_entropy_with_logits<'a>(
        &self,
        target: &Tensor,
        weight: impl Into<Option<&'a Tensor>>,
        pos_weight: impl Into<Option<&'a Tensor>>,
        reduction: Reduction,
    ) -> Tensor {
        let (x, weight, pos) = (self.tensor(), weight.into(), pos_weight.into());
        attempt!(float(at!("binary_cross_entropy_with_logits", 1), x));
        attempt!(live(&[target]));
        if x.shape() != target.shape() {
            return bad_pair(at!("binary_cross_entropy_with_logits", 1), x, target, "targets like the input");
        }
        let args = [("self", Some(x)), ("target", Some(target)), ("weight", weight), ("pos_weight", pos)];
        let params = [("reduction", reduction.code())];
        let [y] = optional(schema::BINARY_CROSS_ENTROPY_WITH_LOGITS, &params, args, |[x, t, w, p]| {
            let (x, t) = (x.expect("always there"), t.expect("always there"));
            let log = log_sigmoid(x);
            let log = match p {
                Some(p) => log * ((p - 1.0) * t + 1.0),
                None => log,
            };
            let losses = (1.0 - t) * x - log;
            [reduction.apply(&w.map_or(losses.clone(), |w| losses * w))]
        });
        y
    }

    /// `t (log t - x)` for logarithms `x` of probabilities; 0 where the target is 0.
    #[track_caller]
    fn kl_div(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("kl_div", 1), self.tensor(), target));
        reduction.apply(&(t.xlogy(&t) - &t * x))
    }

    /// As [`Losses::kl_div`] with logarithms of the target's probabilities.
    #[track_caller]
    fn kl_div_log_target(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("kl_div", 1), self.tensor(), target));
        reduction.apply(&(t.exp() * (&t - x)))
    }

    /// `log(1 + e^(-t x))` for targets ±1.
    #[track_caller]
    fn soft_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("soft_margin_loss", 1), self.tensor(), target));
        one(schema::SOFT_MARGIN_LOSS, &[("reduction", reduction.code())], &[&x, &t], |a| {
            reduction.apply(&(-(&a[1]) * &a[0]).exp().log1p())
        })
    }

    /// `eˣ - t x` for logarithms `x` of rates.
    #[track_caller]
    fn poisson_nll_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("poisson_nll_loss", 1), self.tensor(), target));
        reduction.apply(&(x.exp() - t * x))
    }

    /// `x - t log(x + eps)` for rates `x`.
    #[track_caller]
    fn poisson_nll_loss_of_rates(&self, target: &Tensor, reduction: Reduction, eps: f64) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("poisson_nll_loss", 1), self.tensor(), target));
        reduction.apply(&(&x - t * (&x + eps).log()))
    }

    /// `½ (log v + (x - t)² / v)` with variances `v`, at least `eps`; the derivative passes the bound.
    #[track_caller]
    fn gaussian_nll_loss(&self, target: &Tensor, var: &Tensor, reduction: Reduction, eps: f64) -> Tensor {
        let (x, t) = attempt!(broadcast(at!("gaussian_nll_loss", 1), self.tensor(), target));
        attempt!(live(&[var]));
        let var =
            if var.rank() + 1 == x.rank() { var.view_to(&var.shape().inserted(var.rank(), 1)) } else { var.clone() };
        let var = &var + (var.maximum(eps) - &var).detach();
        let d = x - t;
        reduction.apply(&((var.log() + &d * &d / &var) * 0.5))
    }
}

impl Losses for Tensor {}

/// A loss of the difference `d = x - t`, with its derivative `slope(d)`.
#[track_caller]
fn of_difference(
    schema: &str,
    params: &[(&str, Attr)],
    args: [&Tensor; 2],
    reduction: Reduction,
    value: impl FnOnce(&Tensor) -> Tensor,
    slope: impl FnOnce(&Tensor) -> Tensor,
) -> Tensor {
    let body = |a: &[Tensor]| [reduction.apply(&value(&(&a[0] - &a[1])))];
    let [y] = by_result(schema, params, &args, body, |x, _, x_dot| {
        let slope = slope(&(&x[0] - &x[1]));
        vec![reduction.apply(&((&x_dot[0] - &x_dot[1]) * slope))]
    });
    y
}

/// The loss and the sum of the weights that count, as `aten::nll_loss_forward` returns them.
///
/// *Errors*: see [`Losses::nll_loss`].
#[track_caller]
pub fn nll_loss_forward(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: i64,
    reduction: Reduction,
) -> Result<[Tensor; 2], Tensor> {
    float(at!("nll_loss", 1), x)?;
    live(&[target])?;
    if x.rank() == 0 {
        return Err(bad_operand(at!("nll_loss", 1), x, "log-probabilities [c] or [n, c, …]"));
    }
    let class = usize::from(x.rank() > 1);
    if target.dtype() != DType::I64 || *target.shape() != x.shape().removed(class) {
        let e = InferError::Mismatch {
            label: "nll_loss_c2",
            expected: "targets of i64 in the shape of the input without the class dim".to_owned(),
            lhs: x.aval(),
            rhs: target.aval(),
        };
        return Err(reject("nll_loss", &[x, target], e, Some("convert class numbers with `.long()`".to_owned())));
    }
    if let Some(w) = weight {
        live(&[w])?;
        if w.rank() != 1 || w.shape()[0] != x.shape()[class] {
            return Err(bad_pair(at!("nll_loss", 3), x, w, "a weight for each class"));
        }
    }
    let schema = if x.rank() <= 2 { schema::NLL_LOSS_FORWARD } else { schema::NLL_LOSS2D_FORWARD };
    let params = [("reduction", reduction.code()), ("ignore_index", num(ignore_index))];
    let args = [("self", Some(x)), ("target", Some(target)), ("weight", weight)];
    Ok(optional(schema, &params, args, |[x, target, weight]| {
        let (x, target) = (x.expect("always there"), target.expect("always there"));
        let counts = target.ne(ignore_index);
        let safe = target.where_(&counts, 0i64);
        let index = safe.view_to(&target.shape().inserted(class, 1));
        let picked = x.gather_along(class, &index).view_to(target.shape());
        let each = weights_of(weight, &safe, &counts, x.dtype());
        let losses = match weight {
            Some(_) => -(picked * &each),
            None => -picked,
        };
        let losses = losses.where_(&counts, 0.0);
        match reduction {
            Reduction::None => [losses.clone(), losses.full_of(&cotangent_core::ir::Aval::new(x.dtype(), ()), 0.0)],
            Reduction::Sum => [losses.sum(), each.sum()],
            Reduction::Mean => [losses.sum() / each.sum(), each.sum()],
        }
    }))
}

/// Prediction and target in one shape.
#[track_caller]
pub(crate) fn broadcast(at: At, x: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
    live(&[x, target])?;
    match broadcast_shapes(x.shape(), target.shape()) {
        Some(shape) => Ok((x.expand_to(&shape), target.expand_to(&shape))),
        None => Err(bad_pair(at, x, target, "shapes that broadcast")),
    }
}

/// `[c]` beside a tensor with classes at dim `class`.
#[track_caller]
fn per_class(w: &Tensor, like: &Tensor, class: usize) -> Tensor {
    let shape = (0..like.rank()).map(|d| if d == class { w.numel() } else { 1 }).collect();
    w.view_to(&shape)
}

/// The weight of each target, 0 where it does not count.
#[track_caller]
fn weights_of(weight: Option<&Tensor>, target: &Tensor, counts: &Tensor, dtype: DType) -> Tensor {
    match weight {
        None => counts.convert(dtype),
        Some(w) => {
            let safe = target.where_(counts, 0i64);
            let each = w.index_select_along(0, &safe.view_to(&[safe.numel()].into()));
            each.view_to(target.shape()).where_(counts, 0.0)
        }
    }
}

#[track_caller]
fn of_probabilities(log_p: &Tensor, target: &Tensor, class: usize, options: CrossEntropy) -> Tensor {
    let CrossEntropy { weight, reduction, label_smoothing, ignore_index: _ } = options;
    let n = log_p.shape()[class].get() as f64;
    let t = if label_smoothing > 0.0 { target * (1.0 - label_smoothing) + label_smoothing / n } else { target.clone() };
    let product = log_p * t;
    let weighted = match weight {
        Some(w) => product * per_class(w, log_p, class),
        None => product,
    };
    reduction.apply(&-weighted.sum_over(&[class]))
}

/// The least `x (1 - x)` in the derivative of the cross entropy: PyTorch's constant, which is of single precision.
const ROOM: f64 = 1e-12f32 as f64;

/// Near 0 and 1 the derivative is that of a line, since there the logarithms are bounded but PyTorch's derivative is not 0.
#[track_caller]
fn binary_losses(x: &Tensor, t: &Tensor) -> Tensor {
    let fixed = x.detach();
    let room = &fixed * (1.0 - &fixed);
    let edge = room.lt(ROOM);
    let inside = x.full_like(0.5).where_(&edge, x);
    let smooth = -(t * inside.log() + (1.0 - t) * (-&inside).log1p());
    let bounded = -(t * fixed.log().maximum(-100.0) + (1.0 - t) * (-&fixed).log1p().maximum(-100.0));
    let line = bounded + (x - &fixed) * ((&fixed - t) / ROOM);
    line.where_(&edge, smooth)
}
