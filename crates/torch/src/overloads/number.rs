//! Numbers that a program takes out of its tensors: here tensors of rank 0, so that the program stays one of static shapes.
//!
//! Places, operands and checks may be such numbers; sizes may not, and an operator that wants a number which is known refuses them.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

use super::{Answer, one, parts};
use crate::args::{Arg, Call, Read, Value};

/// The overloads of this theme: those that make such a number, and those that have one among their arguments.
pub(super) fn call(c: &Call) -> Answer {
    if let Some(("_local_scalar_dense" | "item", _)) = parts(c) {
        let x = c.tensor("self")?;
        if x.numel() != 1 {
            return Err(c.wrong("self", "a tensor of one element"));
        }
        // A number that does not depend on data may be a size.
        let known = x.known().filter(|_| !x.dtype().is_float()).map(|array| array.get(0).to_i64());
        return match known {
            Some(i) => Ok(Some(vec![Value::Int(i)])),
            None => number(as_number(&x.view_to(&().into()).detach())),
        };
    }
    if !c.args.iter().any(|(_, a)| matches!(a, Arg::Number(_))) {
        return Ok(None);
    }
    if let Some(name) = c.target.strip_prefix("_operator.") {
        return arithmetic(c, name);
    }
    match c.target {
        "torch.sym_float" => number(given(c)?[0].convert(DType::F64)),
        "torch.sym_int" | "math.trunc" => whole(&given(c)?[0]),
        "math.floor" => whole(&given(c)?[0].floor()),
        "math.ceil" => whole(&given(c)?[0].ceil()),
        "torch.sym_sqrt" | "torch._sym_sqrt" | "math.sqrt" => number(given(c)?[0].convert(DType::F64).sqrt()),
        "torch.sym_not" => number(truth(&given(c)?[0]).logical_not()),
        "aten._assert_scalar.default" => {
            let message = c.str_or("assert_msg", "an assertion does not hold")?.to_owned();
            check(truth(&given(c)?[0]), message)
        }
        "aten.sym_constrain_range.default" | "aten.sym_constrain_range_for_size.default" => {
            let n = &given(c)?[0];
            let low = c.opt_int("min")?.map_or(n.ones_like().convert(DType::Bool), |m| n.ge(m));
            let high = c.opt_int("max")?.map_or(n.ones_like().convert(DType::Bool), |m| n.le(m));
            check(low.bitwise_and(high), "expected a number in the range of the program".to_owned())
        }
        "aten.select.int" | "aten.select_copy.int" => selected(c),
        "aten.scalar_tensor.default" | "aten.full.default" => {
            let n = &given(c)?[0];
            let dtype = c.dtype("dtype")?.unwrap_or(if n.dtype() == DType::F64 { DType::F32 } else { n.dtype() });
            one(n.convert(dtype).broadcast_to(&c.opt_sizes("size")?.unwrap_or_default().into()))
        }
        _ => Ok(None),
    }
}

/// The slice at a place that depends on data, from the end if negative.
fn selected(c: &Call) -> Answer {
    let (x, dim) = (c.tensor("self")?, c.int("dim")?);
    let [at] = given(c)?.try_into().map_err(|_| c.wrong("dim", "an integer that is known"))?;
    let d = usize::try_from(if dim < 0 { dim + x.rank() as i64 } else { dim }).unwrap_or(usize::MAX);
    let Some(n) = x.shape().dims().get(d).map(|n| n.get() as i64) else {
        return Err(c.wrong("dim", "a dim of the tensor"));
    };
    let at = (&at + n).where_(&at.lt(0i64), &at).view_to(&[1].into());
    one(x.index_select_along(d, &at).view_to(&x.shape().removed(d)))
}

/// Python's operators on numbers of which one at least depends on data.
fn arithmetic(c: &Call, name: &str) -> Answer {
    let n = given(c)?;
    let numbers: Vec<Tensor> = n.iter().map(as_integer).collect();
    let value = match (name, numbers.as_slice()) {
        ("add", [a, b]) => a + b,
        ("sub", [a, b]) => a - b,
        ("mul", [a, b]) => a * b,
        ("truediv", [a, b]) => a.convert(DType::F64) / b.convert(DType::F64),
        ("floordiv", [a, b]) => a.floor_divide(b),
        ("mod", [a, b]) => a.remainder(b),
        ("pow", [a, b]) if a.dtype().is_float() || b.dtype().is_float() => {
            a.convert(DType::F64).pow(b.convert(DType::F64))
        }
        ("pow", [a, b]) => a.pow(b),
        ("neg", [a]) => -a,
        ("eq", [a, b]) => a.eq(b),
        ("ne", [a, b]) => a.ne(b),
        ("lt", [a, b]) => a.lt(b),
        ("le", [a, b]) => a.le(b),
        ("gt", [a, b]) => a.gt(b),
        ("ge", [a, b]) => a.ge(b),
        ("and_", [_, _]) => truth(&n[0]).bitwise_and(truth(&n[1])),
        ("or_", [_, _]) => truth(&n[0]).bitwise_or(truth(&n[1])),
        ("not_", [_]) => truth(&n[0]).logical_not(),
        (_, _) => return Ok(None),
    };
    number(value)
}

/// The arguments that are numbers, as tensors of rank 0, in order.
fn given(c: &Call) -> Read<Vec<Tensor>> {
    let Some(beside) = c.args.iter().find_map(|(_, a)| if let Arg::Number(t) = a { Some(t) } else { None }) else {
        return Err(c.refused("it has no number that depends on data"));
    };
    if !c.target.starts_with("_operator.") {
        return Ok(vec![beside.clone()]);
    }
    let known = |dtype, value: f64| beside.full_of(&Aval::new(dtype, ()), value);
    c.args
        .iter()
        .map(|(_, a)| match a {
            Arg::Number(t) => Ok(t.clone()),
            Arg::Int(i) => Ok(beside.full_of(&Aval::new(DType::I64, ()), *i)),
            Arg::Float(x) => Ok(known(DType::F64, *x)),
            Arg::Bool(b) => Ok(known(DType::Bool, f64::from(u8::from(*b)))),
            Arg::None
            | Arg::Tensor(_)
            | Arg::Tensors(_)
            | Arg::OptionalTensors(_)
            | Arg::Ints(_)
            | Arg::Floats(_)
            | Arg::Bools(_)
            | Arg::Str(_)
            | Arg::DType(_)
            | Arg::Meaningless => Err(c.refused("only numbers are computed with beside tensors")),
        })
        .collect()
}

/// Python has one kind of integers, one of floats and truth values.
fn as_number(x: &Tensor) -> Tensor {
    match x.dtype() {
        DType::Bool => x.clone(),
        d if d.is_float() => x.convert(DType::F64),
        _ => x.convert(DType::I64),
    }
}

/// A truth value counts as 0 or 1.
fn as_integer(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Bool { x.convert(DType::I64) } else { x.clone() }
}

fn truth(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Bool { x.clone() } else { x.ne(x.zeros_like()) }
}

/// The whole part of a number, which is a size if it does not depend on data.
fn whole(t: &Tensor) -> Answer {
    let t = t.convert(DType::I64);
    match t.known().map(|array| array.get(0).to_i64()) {
        Some(i) => Ok(Some(vec![Value::Int(i)])),
        None => number(t),
    }
}

fn number(t: Tensor) -> Answer {
    Ok(Some(vec![Value::Number(t)]))
}

fn check(condition: Tensor, message: String) -> Answer {
    Ok(Some(vec![Value::Check { condition, message, token: None }]))
}
