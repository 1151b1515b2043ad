//! Connectionist temporal classification.

use cotangent_aten::nn::ctc::{ctc_loss_forward, ctc_reduced};
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::gradient::pullback;
use super::loss::reduction;
use super::{Answer, many, one};
use crate::args::{Arg, Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    match c.target {
        "aten._ctc_loss.default" | "aten._ctc_loss.Tensor" => many(losses(c, &operands(c)?)?),
        "aten.ctc_loss.IntList" | "aten.ctc_loss.Tensor" => {
            let mut given = operands(c)?;
            // One example may have no batch dim.
            let single = given[0].rank() == 2;
            if single {
                given[0] = given[0].view_to(&given[0].shape().inserted(1, 1));
            }
            let [losses, _] = losses(c, &given)?;
            let reduced = ctc_reduced(&losses, &given[3], reduction(c)?);
            one(if single { reduced.view_to(&().into()) } else { reduced })
        }
        "aten._ctc_loss_backward.default" | "aten._ctc_loss_backward.Tensor" => {
            let mut failed = None;
            let bars = pullback(&operands(c)?, &[0], &c.tensor("grad")?, |x| match losses(c, x) {
                Ok([losses, _]) => losses,
                Err(e) => {
                    failed = Some(e);
                    x[0].clone()
                }
            });
            match failed {
                Some(e) => Err(e),
                None => many(bars?),
            }
        }
        _ => Ok(None),
    }
}

/// Logarithms of probabilities, targets, and the lengths of both.
fn operands(c: &Call) -> Read<[Tensor; 4]> {
    Ok([c.tensor("log_probs")?, c.tensor("targets")?, lengths(c, "input_lengths")?, lengths(c, "target_lengths")?])
}

fn losses(c: &Call, x: &[Tensor]) -> Read<[Tensor; 2]> {
    let (blank, zero_infinity) = (c.int_or("blank", 0)?, c.bool_or("zero_infinity", false)?);
    // A tensor that stands for an error says what is wrong.
    Ok(ctc_loss_forward(&x[0], &x[1], &x[2], &x[3], blank, zero_infinity)
        .unwrap_or_else(|poison| [poison.clone(), poison]))
}

/// Lengths as numbers of the program, or as data.
fn lengths(c: &Call, name: &str) -> Read<Tensor> {
    let lengths = match c.get(name) {
        Some(Arg::Tensor(t)) => t.convert(DType::I64),
        _ => Tensor::from_slice(&c.ints(name)?),
    };
    Ok(if lengths.rank() == 0 { lengths.view_to(&[1].into()) } else { lengths })
}
