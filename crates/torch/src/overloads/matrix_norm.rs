//! Norms of vectors and matrices.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Scalar;

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    match (name, overload) {
        ("linalg_vector_norm", "default") => {
            let ord = c.opt_scalar("ord")?.map_or(2.0, Scalar::to_f64);
            one(operand(c)?.vector_norm(ord, over(c)?))
        }
        ("linalg_matrix_norm", _) => one(operand(c)?.matrix_norm(order(c)?.unwrap_or(MatrixOrd::Fro), over(c)?)),
        ("linalg_norm", _) => one(operand(c)?.linalg_norm(order(c)?, over(c)?)),
        ("norm", "Scalar" | "ScalarOpt_dim" | "ScalarOpt_dim_dtype" | "ScalarOpt_dtype") => {
            let p = c.opt_scalar("p")?.map_or(2.0, Scalar::to_f64);
            one(operand(c)?.vector_norm(p, over(c)?))
        }
        ("frobenius_norm", "dim") => one(operand(c)?.vector_norm(2.0, over(c)?)),
        ("nuclear_norm", _) => one(operand(c)?.matrix_norm(MatrixOrd::Nuc, over(c)?)),
        ("linalg_cond", _) => {
            let p = match c.str_or("p", "") {
                Ok("") | Err(_) => c.opt_scalar("p")?.map(|p| MatrixOrd::Number(p.to_f64())),
                Ok(word) => Some(named(c, "p", word)?),
            };
            one(c.tensor("self")?.cond(p))
        }
        _ => Ok(None),
    }
}

/// The operand in the dtype of the result, where one is given.
fn operand(c: &Call) -> Read<Tensor> {
    let x = c.tensor("self")?;
    Ok(c.dtype("dtype")?.map_or(x.clone(), |d| x.convert(d)))
}

/// The dims, an empty list for all, and whether they stay.
fn over(c: &Call) -> Read<Over> {
    let dims = c.opt_ints("dim")?.filter(|d| !d.is_empty());
    let over = dims.map_or_else(Over::default, |d| Over::from(d.as_slice()));
    Ok(Over { keepdim: c.bool_or("keepdim", false)?, ..over })
}

/// A matrix norm's order: a number or a word.
fn order(c: &Call) -> Read<Option<MatrixOrd>> {
    match c.str_or("ord", "") {
        Ok("") | Err(_) => Ok(c.opt_scalar("ord")?.map(|p| MatrixOrd::Number(p.to_f64()))),
        Ok(word) => named(c, "ord", word).map(Some),
    }
}

fn named(c: &Call, argument: &str, word: &str) -> Read<MatrixOrd> {
    match word {
        "fro" => Ok(MatrixOrd::Fro),
        "nuc" => Ok(MatrixOrd::Nuc),
        "inf" => Ok(MatrixOrd::Number(f64::INFINITY)),
        "-inf" => Ok(MatrixOrd::Number(f64::NEG_INFINITY)),
        _ => Err(c.wrong(argument, "\"fro\", \"nuc\" or a number")),
    }
}
