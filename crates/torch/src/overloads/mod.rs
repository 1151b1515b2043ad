//! ATen's overloads, by name, as functions over cotangent's tensors.
//!
//! One theme a file; each has a function `call` that answers `None` to targets that are not of its theme. What ATen
//! computes is the business of `cotangent_aten`; here arguments are read and overloads told apart.

mod activation;
mod attention;
mod binary;
mod check;
mod compare;
mod conv;
mod convert;
mod creation;
mod ctc;
mod difference;
mod distance;
mod embedding;
mod factor;
mod fractional;
mod gradient;
mod index;
mod loss;
mod matmul;
mod matrix_norm;
mod norm;
mod number;
mod order;
mod pad;
mod piece;
mod pool;
mod prims;
mod quantize;
mod random;
mod recurrent;
mod reduce;
mod refused;
mod resample;
mod scan;
mod scatter;
mod signal;
mod size;
mod solve;
mod special;
mod split;
mod stats;
mod unary;
mod view;
mod window;

use cotangent_aten::prelude::scalar_tensor;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Scalar, Shape};
use cotangent_core::ops::{Arange, Full};
use cotangent_core::tensor::{Operand, result_type};

use crate::args::{Call, Value};
use crate::error::TorchError;

/// What a theme answers: `None` for a target that it does not have.
type Answer = Result<Option<Vec<Value>>, TorchError>;

/// The most elements whose values or places are listed in a program, not computed by it.
const MAX_LISTED: usize = 1 << 26;

/// The themes, the most frequent first, but for numbers that depend on data, which others refuse.
const THEMES: &[fn(&Call) -> Answer] = &[
    number::call,
    unary::call,
    binary::call,
    view::call,
    compare::call,
    convert::call,
    prims::call,
    reduce::call,
    creation::call,
    matmul::call,
    piece::call,
    split::call,
    index::call,
    scatter::call,
    scan::call,
    order::call,
    stats::call,
    special::call,
    pad::call,
    window::call,
    size::call,
    activation::call,
    attention::call,
    conv::call,
    difference::call,
    distance::call,
    embedding::call,
    factor::call,
    fractional::call,
    gradient::call,
    loss::call,
    ctc::call,
    matrix_norm::call,
    norm::call,
    pool::call,
    quantize::call,
    random::call,
    recurrent::call,
    resample::call,
    signal::call,
    solve::call,
    check::call,
    refused::call,
];

/// Whether the results of a target have PyTorch's default dtype where none is given, which a program was exported under and does not name.
pub(crate) fn has_default_dtype(target: &str) -> bool {
    const CREATED: [&str; 12] = [
        "zeros",
        "ones",
        "empty",
        "full",
        "eye",
        "arange",
        "linspace",
        "logspace",
        "scalar_tensor",
        "rand",
        "randn",
        "normal",
    ];
    target.strip_prefix("aten.").and_then(|t| t.split_once('.')).is_some_and(|(name, _)| CREATED.contains(&name))
}

/// Applies the overload that `call` names.
pub(crate) fn call(call: &Call) -> Result<Vec<Value>, TorchError> {
    for theme in THEMES {
        if let Some(outs) = theme(call)? {
            return Ok(outs);
        }
    }
    Err(TorchError::Unsupported { target: call.target.to_owned(), node: call.node.to_owned() })
}

/// Name and overload of an operator of ATen.
fn parts<'a>(c: &Call<'a>) -> Option<(&'a str, &'a str)> {
    c.target.strip_prefix("aten.")?.split_once('.')
}

/// One tensor.
fn one(t: Tensor) -> Answer {
    Ok(Some(vec![Value::Tensor(t)]))
}

/// Several tensors.
fn many(t: impl IntoIterator<Item = Tensor>) -> Answer {
    Ok(Some(t.into_iter().map(Value::Tensor).collect()))
}

/// Two tensors.
fn two((a, b): (Tensor, Tensor)) -> Answer {
    Ok(Some(vec![Value::Tensor(a), Value::Tensor(b)]))
}

/// A list of tensors, as one value.
fn list(v: Vec<Tensor>) -> Answer {
    Ok(Some(vec![Value::Tensors(v)]))
}

/// `f`, which adds, on operands of `x`'s dtype: a sum of truth values is whether any of them holds.
fn adding(x: &Tensor, y: &Tensor, f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Tensor {
    match x.dtype() {
        DType::Bool => f(&x.convert(DType::I64), &y.convert(DType::I64)).ne(0i64),
        _ => f(x, y), // Every number adds as itself.
    }
}

/// A number as a tensor of rank 0 in the dtype in which it meets `x`, where it promotes as a number does.
fn beside(s: Scalar, x: &Tensor) -> Tensor {
    let dtype = result_type(&[&Operand::Tensor(x.clone()), &Operand::Scalar(s)]);
    x.full_of(&Aval::new(dtype, ()), s.cast(dtype))
}

/// The positions in a contiguous tensor of `n` elements that the arguments `size`, `stride` and `storage_offset` name.
fn strided(c: &Call, n: usize) -> Result<Tensor, TorchError> {
    let (size, stride) = (c.sizes("size")?, c.sizes("stride")?);
    let offset = c.int_or("storage_offset", 0)?;
    let fits = || {
        let last = size.iter().zip(&stride).try_fold(usize::try_from(offset).ok()?, |at, (n, s)| {
            at.checked_add(n.saturating_sub(1).checked_mul(*s)?)
        })?;
        (size.contains(&0) || last < n).then_some(())
    };
    if size.len() != stride.len() || fits().is_none() {
        return Err(c.wrong("stride", &format!("a stride for each size, inside {n} elements")));
    }
    let aval = Aval::new(DType::I64, size.as_slice());
    let mut at =
        Tensor::generate(Full { size: aval.shape.clone(), fill_value: offset.into(), dtype: DType::I64 }, None);
    for (d, s) in stride.iter().enumerate() {
        let along: Shape = (0..size.len()).map(|i| if i == d { size[d] } else { 1 }).collect();
        let steps = Tensor::generate(Arange { end: size[d].into(), dtype: DType::I64 }, None);
        at = at + steps.view_to(&along) * *s as i64;
    }
    Ok(at)
}

/// Two operands of which either may be a number; two numbers are tensors of rank 0 in the dtypes that numbers have.
fn both(c: &Call, first: &str, second: &str) -> Result<(Tensor, Operand), TorchError> {
    match (c.operand(first)?, c.operand(second)?) {
        (Operand::Tensor(x), y) => Ok((x, y)),
        (Operand::Scalar(s), Operand::Tensor(y)) => Ok((beside(s, &y), Operand::Tensor(y))),
        (Operand::Scalar(s), Operand::Scalar(t)) => {
            let one = |s: Scalar| scalar_tensor(s, s.default_dtype());
            Ok((one(s), Operand::Tensor(one(t))))
        }
    }
}

/// The results of `target`, one after the other.
#[cfg(test)]
fn values(target: &str, args: Vec<(&str, crate::args::Arg)>) -> Vec<f64> {
    let outs = call(&Call { target, node: "n", args }).expect("it is known");
    let tensors = outs.into_iter().flat_map(|v| match v {
        Value::Tensor(t) => vec![t],
        Value::Tensors(v) => v,
        Value::Int(_) | Value::Number(_) | Value::None | Value::Check { .. } => Vec::new(),
    });
    tensors.flat_map(|t| t.to_vec::<f64>().expect("floats")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every overload that PyTorch 2.15 tags as core.
    const CORE: &str = include_str!("core_aten.txt");

    /// Those that no functional program of static shapes can express.
    const REFUSED: [&str; 5] = [
        "aten._fft_c2r.default",
        "aten._fft_r2c.default",
        "aten.resize_.default",
        "aten.sym_storage_offset.default",
        "aten.sym_stride.int",
    ];

    #[test]
    fn core_overloads_are_known_or_refused_with_a_reason() {
        for target in CORE.lines() {
            let refused = match call(&Call { target, node: "n", args: Vec::new() }) {
                Err(TorchError::Unsupported { .. }) => panic!("{target} is not known"),
                Err(TorchError::Refused { .. }) => true,
                Ok(_) | Err(_) => false,
            };
            assert_eq!(refused, REFUSED.contains(&target), "{target}");
        }
    }
}
