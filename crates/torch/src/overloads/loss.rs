//! Losses.

use cotangent_aten::nn::distance::multilabel_margin_loss_forward;
use cotangent_aten::nn::loss::nll_loss_forward;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::gradient::masked_pullback;
use super::{Answer, many, one};
use crate::args::{Call, Read, Value};

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
        // A list of one class may stand beside the scores of one row.
        let x = if x.rank() < 2 && t.rank() == 1 { &x.view_to(&[1, x.numel()].into()) } else { x };
        Ok(x.multi_margin_loss(t, p as i64, margin, c.opt_tensor("weight")?.as_ref(), r))
    }),
    ("hinge_embedding_loss", |c, x, t, r| Ok(x.hinge_embedding_loss(t, c.float_or("margin", 1.0)?, r))),
    ("nll_loss", nll),
    ("nll_loss2d", nll),
    ("nll_loss_nd", nll),
    ("cross_entropy_loss", |c, x, t, r| {
        let label_smoothing = c.float_or("label_smoothing", 0.0)?;
        let picks = !t.dtype().is_float() && label_smoothing == 0.0;
        let weight = if picks { class_weights(c)? } else { c.opt_tensor("weight")? };
        let ignore_index = c.int_or("ignore_index", -100)?;
        let options = CrossEntropy { weight: weight.as_ref(), ignore_index, reduction: r, label_smoothing };
        Ok(x.cross_entropy_with(t, options))
    }),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    if let Some(name) = c.target.strip_prefix("torch_nn._linear_cross_entropy_batch_chunked") {
        return match name {
            ".default" => many(linear_cross_entropy(c)?),
            "_no_reduction.default" => one(projected_cross_entropy(c, Reduction::None)?),
            _ => Ok(None),
        };
    }
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
            let (x, t, weight) = (c.tensor("self")?, c.tensor("target")?, class_weights(c)?);
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

/// The cross entropy of a projection, and its cotangents for a cotangent of one: those of input, weight and bias that
/// are asked for, and nothing for the others.
fn linear_cross_entropy(c: &Call) -> Read<[Tensor; 4]> {
    let reduction = match c.str_or("reduction", "mean")? {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        _ => return Err(c.wrong("reduction", "\"mean\" or \"sum\"")),
    };
    let loss = projected_cross_entropy(c, reduction)?;
    let [input, weight, bias] = ["compute_input_grad", "compute_linear_weight_grad", "compute_linear_bias_grad"];
    let mask = [c.bool_or(input, false)?, c.bool_or(weight, false)?, c.bool_or(bias, false)?];
    let (x, operands) = projection(c)?;
    let mut failed = None;
    let bars = masked_pullback(&x, operands, &mask, &loss.ones_like(), |x, operands| {
        cross_entropy_of(c, x, operands, reduction).unwrap_or_else(|e| {
            failed = Some(e);
            x.clone()
        })
    })?;
    if let Some(e) = failed {
        return Err(e);
    }
    let none = |rank: usize| x.full_of(&x.aval().with_shape(vec![0; rank]), 0.0);
    let mut outs = [loss, none(2), none(2), none(1)];
    for (out, bar) in outs[1..].iter_mut().zip(bars) {
        if let Value::Tensor(bar) = bar {
            *out = bar.detach();
        }
    }
    Ok(outs)
}

fn projected_cross_entropy(c: &Call, reduction: Reduction) -> Read<Tensor> {
    let (x, operands) = projection(c)?;
    cross_entropy_of(c, &x, operands, reduction)
}

/// What is projected; the weight and the bias of the projection, the target, and the weights of the classes.
fn projection(c: &Call) -> Read<(Tensor, [Option<Tensor>; 4])> {
    let (w, b) = (c.tensor("linear_weight")?, c.opt_tensor("linear_bias")?);
    Ok((c.tensor("input")?, [Some(w), b, Some(c.tensor("target")?), c.opt_tensor("weight")?]))
}

/// The cross entropy of the logits `x wᵀ + b`, computed in the dtype of accumulation, in that of `x`.
fn cross_entropy_of(
    c: &Call,
    x: &Tensor,
    [w, b, target, weight]: [Option<Tensor>; 4],
    reduction: Reduction,
) -> Read<Tensor> {
    let wide = c.dtype("acc_dtype")?.unwrap_or(x.dtype());
    let [w, target] =
        [(w, "linear_weight"), (target, "target")].map(|(t, name)| t.ok_or_else(|| c.wrong(name, "a tensor")));
    let logits = x.convert(wide).linear(&w?.convert(wide), b.map(|b| b.convert(wide)).as_ref());
    let target = target?;
    let target = if target.dtype().is_float() { target.convert(wide) } else { target };
    let picks = !target.dtype().is_float() && c.float_or("label_smoothing", 0.0)? == 0.0;
    let weight = weight.map(|w| if picks { w.detach() } else { w }.convert(wide));
    let options = CrossEntropy {
        weight: weight.as_ref(),
        ignore_index: c.int_or("ignore_index", -100)?,
        reduction,
        label_smoothing: c.float_or("label_smoothing", 0.0)?,
    };
    let loss = logits.cross_entropy_with(&target, options);
    Ok(loss.convert(x.dtype()))
}

/// The weights of classes, by which PyTorch's losses of classes have no derivative: reverse mode refuses it, forward mode
/// takes a tangent for zero.
fn class_weights(c: &Call) -> Read<Option<Tensor>> {
    Ok(c.opt_tensor("weight")?.map(|w| w.detach()))
}

fn nll(c: &Call, x: &Tensor, t: &Tensor, r: Reduction) -> Read<Tensor> {
    Ok(x.nll_loss(t, class_weights(c)?.as_ref(), c.int_or("ignore_index", -100)?, r))
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
    let approximation = t * t.log() - t + (t * std::f64::consts::TAU).log() * 0.5;
    approximation.where_(&large, 0.0)
}

#[cfg(test)]
mod tests {
    use cotangent_core::array::Array;
    use cotangent_core::ir::verify::verify;
    use cotangent_core::ir::{Aval, DType};
    use cotangent_core::transform::build;
    use cotangent_core::transform::eval::eval;
    use cotangent_core::transform::grad::grad_and_value;

    use super::*;
    use crate::args::Arg;

    /// PyTorch's values.
    #[test]
    fn the_cross_entropy_of_a_projection_comes_with_its_cotangents() {
        let args = |more: &[(&'static str, Arg)]| {
            let mut args = vec![
                ("input", Arg::Tensor(Tensor::from_vec(vec![1.0, -1.0, 0.5, 2.0, 0.0, 1.0], [3, 2]))),
                ("linear_weight", Arg::Tensor(Tensor::from_vec(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [3, 2]))),
                ("target", Arg::Tensor(Tensor::from([0i64, 2, -100]))),
                ("linear_bias", Arg::Tensor(Tensor::from([0.1, 0.2, 0.3]))),
                ("acc_dtype", Arg::DType(DType::F64)),
            ];
            args.extend(more.iter().cloned());
            args
        };
        let values = |target: &str, args| -> Vec<Vec<f64>> {
            let outs = call(&Call { target, node: "n", args }).expect("it is known").expect("it is a loss");
            outs.iter()
                .map(|v| match v {
                    Value::Tensor(t) => t.to_vec().expect("floats"),
                    Value::Tensors(_) | Value::Int(_) | Value::Number(_) | Value::None | Value::Check { .. } => {
                        Vec::new()
                    }
                })
                .collect()
        };
        let close = |got: &[f64], expected: &[f64]| {
            let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(got.len() == expected.len() && near, "{got:?}, expected {expected:?}");
        };
        let each = values("torch_nn._linear_cross_entropy_batch_chunked_no_reduction.default", args(&[]));
        close(&each[0], &[0.4693143813563827, 0.5065855239080163, 0.0]);
        let wanted = [("compute_input_grad", Arg::Bool(true)), ("compute_linear_bias_grad", Arg::Bool(true))];
        let got = values("torch_nn._linear_cross_entropy_batch_chunked.default", args(&wanted));
        close(&got[0], &[0.4879499526321995]);
        let input = [-0.04677242019160746, 0.1872845357889808, -0.16534307778143204, -0.033382191678590634, 0.0, 0.0];
        close(&got[1], &input);
        close(&got[2], &[]);
        close(&got[3], &[-0.15390234411039022, 0.21211549797303947, -0.058213153862649275]);
    }

    #[test]
    fn cross_entropies_of_rows_have_the_dtype_of_the_rows() {
        let half = |shape: &[usize]| {
            Arg::Tensor(Tensor::from_array(Array::from_f64_fn(&Aval::new(DType::F16, shape), |_| 0.5)))
        };
        let args = vec![
            ("input", half(&[2, 3])),
            ("linear_weight", half(&[4, 3])),
            ("target", Arg::Tensor(Tensor::from([1i64, 2]))),
            ("acc_dtype", Arg::DType(DType::F32)),
        ];
        for (target, shape) in [("_no_reduction", vec![2]), ("", vec![])] {
            let target = &format!("torch_nn._linear_cross_entropy_batch_chunked{target}.default");
            let outs =
                call(&Call { target, node: "n", args: args.clone() }).expect("it is known").expect("it is a loss");
            let Some(Value::Tensor(loss)) = outs.first() else { panic!("a loss, not {outs:?}") };
            assert_eq!(loss.aval(), Aval::new(DType::F16, shape));
        }
    }

    /// PyTorch's value.
    #[test]
    fn a_list_of_one_class_stands_beside_one_row() {
        let args = vec![
            ("self", Arg::Tensor(Tensor::from([0.1, 0.5, 0.3]))),
            ("target", Arg::Tensor(Tensor::from([1i64]))),
            ("reduction", Arg::Int(0)),
        ];
        let loss = super::super::values("aten.multi_margin_loss.default", args);
        assert!(loss.len() == 1 && (loss[0] - 1.4 / 3.0).abs() < 1e-12, "{loss:?}");
    }

    /// As in PyTorch, the mask of small counts leaves out the value of Stirling's formula, and of its derivative all but the pole of the logarithm.
    #[test]
    fn the_derivative_of_stirlings_formula_has_the_logarithms_pole() {
        let aval = Aval::new(DType::F64, [3]);
        let graph = build("loss", |t| {
            let args = vec![
                ("input", Arg::Tensor(t.param(&aval))),
                ("target", Arg::Tensor(t.param(&aval))),
                ("full", Arg::Bool(true)),
                ("reduction", Arg::Int(2)),
            ];
            let outs = call(&Call { target: "aten.poisson_nll_loss.default", node: "n", args });
            let Some(Value::Tensor(loss)) = outs.expect("it is known").and_then(|o| o.into_iter().next()) else {
                panic!("a loss")
            };
            Ok(vec![loss])
        });
        let slope = grad_and_value(&graph.expect("it can be traced"), &[1]).expect("it has a derivative");
        let [x, t] = [[0.5, 0.5, 0.5], [0.0, 0.5, 2.0]].map(|v| Array::new([3], v.to_vec()));
        let results = eval(&slope, &[x, t]).expect("it can be evaluated");
        let got = results.iter().find(|r| r.numel() == 3).expect("a derivative");
        let got = [0, 1, 2].map(|i| got.get(i).to_f64());
        assert!(got[0].is_nan() && got[1] == -0.5 && (got[2] - (2f64.ln() + 0.25 - 0.5)).abs() < 1e-12, "{got:?}");
    }

    /// The target belongs to the program that is traced: the pullback must not reach outside of its own graph for it.
    #[test]
    fn the_cross_entropy_of_a_projection_is_traced() {
        let avals = [Aval::new(DType::F64, [3, 2]), Aval::new(DType::F64, [4, 2]), Aval::new(DType::I64, [3])];
        let graph = build("loss", |t| {
            let [x, w, target] = avals.each_ref().map(|a| Arg::Tensor(t.param(a)));
            let args = vec![
                ("input", x),
                ("linear_weight", w),
                ("target", target),
                ("compute_linear_weight_grad", Arg::Bool(true)),
            ];
            let target = "torch_nn._linear_cross_entropy_batch_chunked.default";
            let outs = call(&Call { target, node: "n", args }).expect("it is known").expect("it is a loss");
            let tensors = outs.into_iter().filter_map(|v| if let Value::Tensor(t) = v { Some(t) } else { None });
            Ok(tensors.collect())
        });
        let graph = graph.expect("it can be traced");
        verify(&graph).expect("it is closed");
        assert_eq!(graph.result_avals()[2], avals[1]);
    }
}
