//! Connectionist temporal classification: the probability of a sequence of labels, whatever their alignment to the steps of the input.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::ops::{Arange, Binary};

use crate::arg::{at, bad_operand, bad_pair, float, live};
use crate::call::{many, num};
use crate::nn::loss::Reduction;
use crate::reduce::Reductions;
use crate::schema;

/// The negative logarithm of the probability of each example's labels, and the logarithms of the forward probabilities.
///
/// *Shape*: `log_probs: [t, n, c]`; `targets: [n, s]`, or those of all examples one after the other; lengths `[n]` of `i64`. Results `[n]`
/// and `[n, t, 2 s + 1]`, where `s` of joined targets is their number. The steps are unrolled.
/// *Numerics*: infinite where the labels do not fit into the steps, 0 with `zero_infinity`.
/// *Errors*: `_ctc_loss_c1`, `_ctc_loss_c2`, `_ctc_loss_c3` operands of other shapes or dtypes.
/// *Derivative*: by `log_probs`, as if they were made by `log_softmax`: `e^log_probs` less the occupancy of each label; NaN in the steps of an
/// example whose loss is infinite.
/// *Source*: `torch.ops.aten._ctc_loss`; Graves et al., "Connectionist temporal classification", ICML 2006, eq. 6 to 8.
#[track_caller]
pub fn ctc_loss_forward(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: &Tensor,
    target_lengths: &Tensor,
    blank: i64,
    zero_infinity: bool,
) -> Result<[Tensor; 2], Tensor> {
    let operands = [log_probs, targets, input_lengths, target_lengths];
    live(&operands)?;
    float(at!("_ctc_loss", 1), log_probs)?;
    if log_probs.rank() != 3 || log_probs.shape().dims()[0] == 0 {
        return Err(bad_operand(
            at!("_ctc_loss", 1),
            log_probs,
            "logarithms of probabilities [t, n, c] of at least one step",
        ));
    }
    let n = log_probs.shape()[1].get();
    let joined = targets.rank() == 1;
    if targets.dtype().is_float() || !(joined || targets.rank() == 2 && targets.shape()[0].get() == n) {
        return Err(bad_pair(at!("_ctc_loss", 2), log_probs, targets, "labels [n, s], or joined"));
    }
    for lengths in [input_lengths, target_lengths] {
        if lengths.dtype() != DType::I64 || *lengths.shape() != Shape::from([n]) {
            return Err(bad_pair(at!("_ctc_loss", 3), log_probs, lengths, "a length of i64 for each example"));
        }
    }
    let params = [("blank", num(blank)), ("zero_infinity", num(zero_infinity))];
    Ok(many(schema::CTC_LOSS, &params, &operands, |a| forward([&a[0], &a[1], &a[2], &a[3]], blank, zero_infinity)))
}

/// 0, 1, … along the last dim of `shape`.
fn places(shape: &Shape) -> Tensor {
    let n = shape.dims()[shape.rank() - 1];
    Tensor::generate(Arange { end: n, dtype: DType::I64 }, None).expand_to(shape)
}

/// The labels of each example in a row of its own; what stands behind its length is arbitrary.
fn rows(targets: &Tensor, lengths: &Tensor) -> Tensor {
    let targets = targets.convert(DType::I64);
    if targets.rank() == 2 {
        return targets;
    }
    let (n, s) = (lengths.numel(), targets.numel());
    let shape = Shape::from([n, s]);
    let before = lengths.cumsum_along(0) - lengths;
    let at = places(&shape) + before.view_to(&[n, 1].into()).expand_to(&shape);
    let last = (s as i64 - 1).max(0);
    targets.index_select_along(0, &at.minimum(last).view_to(&[n * s].into())).view_to(&shape)
}

/// `log(Σ e^x)` of equal tensors, where all may be `-inf`.
fn log_sum_exp(terms: &[Tensor]) -> Tensor {
    let largest = terms[1..].iter().fold(terms[0].clone(), |m, t| m.maximum(t)).detach();
    let none = largest.eq(f64::NEG_INFINITY);
    let shift = largest.zeros_like().where_(&none, &largest);
    let sum = terms[1..].iter().fold((&terms[0] - &shift).exp(), |sum, t| sum + (t - &shift).exp());
    let safe = sum.ones_like().where_(&none, &sum);
    largest.where_(&none, safe.log() + shift)
}

fn forward(
    [log_probs, targets, input_lengths, target_lengths]: [&Tensor; 4],
    blank: i64,
    zero_infinity: bool,
) -> [Tensor; 2] {
    let [steps, n, classes] = [0, 1, 2].map(|d| log_probs.shape()[d].get());
    let labels = rows(targets, target_lengths);
    let s = labels.shape()[1].get();
    let states = Shape::from([n, 2 * s + 1]);
    // Blanks before, between and after the labels.
    let place = places(&states);
    let (half, odd) = (place.binary(Binary::DivFloor, &place.full_like(2i64)), place.remainder(2i64).ne(0i64));
    let extended = match s {
        0 => place.full_like(blank),
        s => {
            let label = labels.gather_along(1, &half.minimum(s as i64 - 1));
            label.where_(&odd, blank)
        }
    };
    // Labels behind the length may be anything, also no class.
    let extended = extended.maximum(0i64).minimum(classes as i64 - 1);
    // Without labels there is one state, which cannot move by two.
    let two = 2.min(2 * s as i64 + 1);
    let shifted = |x: &Tensor, by: i64| x.pad_dims(&[(0, 0), (by, -by)], f64::NEG_INFINITY);
    // A blank between different labels may be left out.
    let two_before = extended.pad_dims(&[(0, 0), (two, -two)], blank);
    let skips = odd.bitwise_and(extended.ne(two_before)).bitwise_and(place.gt(1i64));
    let emitted =
        |t: usize| log_probs.slice_dim(0, t, t + 1, 1).view_to(&[n, classes].into()).gather_along(1, &extended);
    let never = emitted(0).full_like(f64::NEG_INFINITY);

    let first = emitted(0).where_(&place.lt(2i64), &never);
    let mut alphas = vec![first];
    for t in 1..steps {
        let a = &alphas[t - 1];
        let skipped = shifted(a, two).where_(&skips, &never);
        alphas.push(log_sum_exp(&[a.clone(), shifted(a, 1), skipped]) + emitted(t));
    }
    let stacked: Vec<Tensor> = alphas.iter().map(|a| a.view_to(&[n, 1, 2 * s + 1].into())).collect();
    let all = Tensor::cat_dim(&stacked, 1);

    // The last step of each example, in its last label or the blank after it.
    let at_end = (input_lengths - 1i64).maximum(0i64).view_to(&[n, 1, 1].into()).expand_to(&[n, 1, 2 * s + 1].into());
    let end = all.gather_along(1, &at_end).view_to(&states);
    let last = (target_lengths * 2i64).view_to(&[n, 1].into());
    let in_blank = end.gather_along(1, &last);
    let in_label = end.gather_along(1, &(&last - 1i64).maximum(0i64));
    let has_label = last.gt(0i64);
    let in_label = in_label.where_(&has_label, in_label.full_like(f64::NEG_INFINITY));
    let probability = log_sum_exp(&[in_blank, in_label]).view_to(&[n].into());
    let loss = -probability + softmax_part(log_probs, input_lengths);
    let impossible = loss.eq(f64::INFINITY);
    let infinite = if zero_infinity { loss.zeros_like() } else { without_slope(log_probs, input_lengths, &impossible) };
    [infinite.where_(&impossible, &loss), all.detach()]
}

/// Infinity where the labels are impossible, with derivative NaN by each step of such an example, as PyTorch has it.
fn without_slope(log_probs: &Tensor, input_lengths: &Tensor, impossible: &Tensor) -> Tensor {
    let nothing = softmax_part(log_probs, input_lengths);
    // -log z² at 0 is infinite, and its derivative 2 z / z² is 0/0.
    let square = &nothing * &nothing;
    -square.where_(impossible, 1.0).log()
}

/// Zeros `[n]` whose derivative by normalized `log_probs` is `e^log_probs` in the steps of each example.
fn softmax_part(log_probs: &Tensor, input_lengths: &Tensor) -> Tensor {
    let [steps, n] = [0, 1].map(|d| log_probs.shape()[d].get());
    // Impossible labels have no part: infinities have no difference.
    let possible = log_probs.ne(f64::NEG_INFINITY);
    let finite = log_probs.where_(&possible, log_probs.zeros_like());
    let weight = log_probs.detach().exp();
    let grown = weight * (&finite - finite.detach());
    let of_steps = grown.sum_over(&[2]).permute_to(&[1, 0]);
    let shape = Shape::from([n, steps]);
    let inside = places(&shape).lt(input_lengths.view_to(&[n, 1].into()).expand_to(&shape));
    let zeros = of_steps.full_of(&Aval::new(log_probs.dtype(), &shape), 0i64);
    of_steps.where_(&inside, zeros).sum_over(&[1])
}

/// The losses of examples under a reduction: the mean is of losses by the number of labels.
///
/// *Errors*: see [`ctc_loss_forward`].
#[track_caller]
pub fn ctc_reduced(losses: &Tensor, target_lengths: &Tensor, reduction: Reduction) -> Tensor {
    match reduction {
        Reduction::Mean => (losses / target_lengths.maximum(1i64).convert(losses.dtype())).mean(),
        Reduction::None | Reduction::Sum => reduction.apply(losses),
    }
}
