//! Checks: they have no value, but the program has none where they do not hold.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};

use super::{Answer, one};
use crate::args::{Arg, Call, Value};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    match c.target {
        "higher_order.with_effects" => with_effects(c),
        // Devices and layouts have no meaning here; what a tensor is, is known.
        "aten._assert_tensor_metadata.default" => {
            let x = c.tensor("a")?;
            if let Some(expected) = c.dtype("dtype")?
                && expected != x.dtype()
            {
                return Err(c.wrong("a", &format!("a tensor of {expected}")));
            }
            if let Some(sizes) = c.opt_sizes("size")?
                && x.shape().sizes().as_slice() != sizes
            {
                return Err(c.wrong("a", &format!("a tensor of shape {sizes:?}")));
            }
            nothing()
        }
        "aten._assert_async.msg" | "aten._assert_async.default" => {
            let condition = c.tensor("self")?;
            let message = c.str_or("assert_msg", "expected a tensor that is true")?;
            checked(truth(&condition), message)
        }
        "aten._functional_assert_async.msg" => {
            let (condition, token) = (c.tensor("self")?, c.tensor("dep_token")?);
            let message = c.str_or("assert_msg", "expected a tensor that is true")?.to_owned();
            Ok(Some(vec![Value::Check { condition: truth(&condition), message, token: Some(token) }]))
        }
        "aten._is_all_true.default" => one(all(&c.tensor("self")?)),
        "aten._is_any_true.default" => one(all(&c.tensor("self")?.logical_not()).logical_not()),
        "aten._linalg_check_errors.default" => {
            let failures = c.tensor("info")?.ne(0i64).convert(DType::I64);
            let dims: Vec<usize> = (0..failures.rank()).collect();
            let api = c.str_or("api_name", "linalg")?;
            let message = format!("{api}: expected matrices that can be factored, found one that cannot");
            checked(failures.sum_over(&dims).eq(0i64), &message)
        }
        "aten._assert_scalar.default" => {
            let holds = match c.scalar("self")? {
                Scalar::Bool(b) => b,
                Scalar::Int(i) => i != 0,
                Scalar::Float(x) => x != 0.0,
            };
            if holds { nothing() } else { Err(c.refused(c.str_or("assert_msg", "an assertion does not hold")?)) }
        }
        "aten.sym_constrain_range.default" | "aten.sym_constrain_range_for_size.default" => {
            let size = c.int("size")?;
            let in_range = c.opt_int("min")?.is_none_or(|m| size >= m) && c.opt_int("max")?.is_none_or(|m| size <= m);
            if in_range { nothing() } else { Err(c.wrong("size", "a size in the range of the program")) }
        }
        "aten._print.default" => nothing(),
        _ => Ok(None),
    }
}

fn nothing() -> Answer {
    Ok(Some(vec![Value::None]))
}

/// A condition on which the program's results depend.
fn checked(condition: Tensor, message: &str) -> Answer {
    Ok(Some(vec![Value::Check { condition, message: message.to_owned(), token: None }]))
}

/// Whether all elements are true.
fn all(x: &Tensor) -> Tensor {
    let dims: Vec<usize> = (0..x.rank()).collect();
    x.logical_not().convert(DType::I64).sum_over(&dims).eq(0i64)
}

/// Whether the one element of a tensor is not 0.
fn truth(x: &Tensor) -> Tensor {
    let scalar = x.view_to(&().into());
    if scalar.dtype() == DType::Bool { scalar } else { scalar.ne(0i64) }
}

/// The operator inside, on the arguments after the token; its results stand after the token's successor.
///
/// Inside, positional arguments have no names: those of the checks that programs contain are known here.
fn with_effects(c: &Call) -> Answer {
    let Some(Arg::Str(operator)) = c.args.get(1).map(|(_, a)| a) else {
        return Err(c.refused("it has no operator"));
    };
    let target = operator.strip_prefix("torch.ops.").unwrap_or(operator);
    let names: &[&str] = match target {
        "aten._linalg_check_errors.default" => &["info", "api_name"],
        "aten._assert_async.msg" | "aten._assert_scalar.default" => &["self", "assert_msg"],
        "aten._functional_assert_async.msg" => &["self", "assert_msg", "dep_token"],
        "aten._assert_async.default" => &["self"],
        "aten._print.default" => &["s"],
        "aten._assert_tensor_metadata.default" => &["a", "size", "stride", "dtype"],
        "aten.sym_constrain_range.default" | "aten.sym_constrain_range_for_size.default" => &["size"],
        _ => return Err(c.refused(&format!("the effects of {target} are not known"))),
    };
    let mut positions = names.iter();
    let mut args = Vec::new();
    for (name, arg) in &c.args[2..] {
        let name = if name.is_empty() { positions.next().copied() } else { Some(*name) };
        let Some(name) = name else { return Err(c.refused(&format!("{target} has too many arguments"))) };
        args.push((name, arg.clone()));
    }
    let inner = Call { target, node: c.node, args };
    let outs = call(&inner)?.unwrap_or_default();
    Ok(Some(std::iter::once(Value::None).chain(outs).collect()))
}
