//! Sizes: numbers of the program that are known when its graph is made.

use cotangent_core::Tensor;
use cotangent_core::array::Array;

use super::{Answer, parts};
use crate::args::{Arg, Call, Value};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    if let Some(name) = c.target.strip_prefix("_operator.").or_else(|| c.target.strip_prefix("math.")) {
        return arithmetic(c, name);
    }
    match (c.target, c.args.as_slice()) {
        ("torch.sym_float", [(_, Arg::Int(i))]) => return fraction(*i as f64),
        ("torch.sym_sqrt" | "torch._sym_sqrt", [(_, Arg::Int(i))]) => return fraction((*i as f64).sqrt()),
        (_, _) => {}
    }
    let Some((name, _)) = parts(c) else { return Ok(None) };
    let size = match name {
        "sym_size" => {
            let (x, dim) = (c.tensor("self")?, c.int("dim")?);
            let d = if dim < 0 { dim + x.rank() as i64 } else { dim };
            let found = usize::try_from(d).ok().and_then(|d| x.shape().dims().get(d));
            found.map(|n| n.get() as i64).ok_or_else(|| c.wrong("dim", "a dim of the tensor"))?
        }
        "sym_numel" => c.tensor("self")?.numel() as i64,
        "is_same_size" => i64::from(c.tensor("self")?.shape() == c.tensor("other")?.shape()),
        "_has_same_storage_numel" => i64::from(c.tensor("self")?.numel() == c.tensor("other")?.numel()),
        // Every tensor is as if laid out in order.
        "sym_is_contiguous" => 1,
        _ => return Ok(None),
    };
    Ok(Some(vec![Value::Int(size)]))
}

/// Python's operators on sizes.
fn arithmetic(c: &Call, name: &str) -> Answer {
    let numbers: Option<Vec<f64>> = c.args.iter().map(|(_, a)| as_float(a)).collect();
    let Some(numbers) = numbers else { return Err(c.refused("only numbers are computed with while a graph is made")) };
    match (name, numbers.as_slice()) {
        ("truediv", [_, 0.0]) => return Err(c.refused("a division by zero")),
        ("truediv", [a, b]) => return fraction(a / b),
        ("sqrt", [a]) => return fraction(a.sqrt()),
        ("pow", [a, b]) if *b < 0.0 => return fraction(a.powf(*b)),
        (_, _) => {}
    }
    let sizes: Option<Vec<i64>> =
        c.args.iter().map(|(_, a)| if let Arg::Int(i) = a { Some(*i) } else { None }).collect();
    let Some(sizes) = sizes else { return of_fractions(c, name, &numbers) };
    let value = match (name, sizes.as_slice()) {
        ("add", [a, b]) => a.checked_add(*b),
        ("sub", [a, b]) => a.checked_sub(*b),
        ("mul", [a, b]) => a.checked_mul(*b),
        ("floordiv", [a, b]) => {
            a.checked_div_euclid(*b).map(|q| if *b < 0 && a.rem_euclid(*b) != 0 { q - 1 } else { q })
        }
        ("mod", [a, b]) => a.checked_rem(*b).map(|r| if r != 0 && (r < 0) != (*b < 0) { r + b } else { r }),
        ("pow", [a, b]) => u32::try_from(*b).ok().and_then(|b| a.checked_pow(b)),
        ("neg", [a]) => a.checked_neg(),
        ("trunc" | "floor" | "ceil", [a]) => Some(*a),
        ("eq", [a, b]) => Some(i64::from(a == b)),
        ("ne", [a, b]) => Some(i64::from(a != b)),
        ("lt", [a, b]) => Some(i64::from(a < b)),
        ("le", [a, b]) => Some(i64::from(a <= b)),
        ("gt", [a, b]) => Some(i64::from(a > b)),
        ("ge", [a, b]) => Some(i64::from(a >= b)),
        (_, _) => return Ok(None),
    };
    let value = value.ok_or_else(|| c.refused("a size that is no 64-bit integer"))?;
    Ok(Some(vec![Value::Int(value)]))
}

/// Python's operators on numbers of which one at least is a float.
fn of_fractions(c: &Call, name: &str, numbers: &[f64]) -> Answer {
    let value = match (name, numbers) {
        ("add", [a, b]) => a + b,
        ("sub", [a, b]) => a - b,
        ("mul", [a, b]) => a * b,
        ("floordiv", [a, b]) if *b != 0.0 => (a / b).floor(),
        ("pow", [a, b]) => a.powf(*b),
        ("neg", [a]) => -a,
        ("trunc" | "floor" | "ceil", [a]) => {
            let whole = match name {
                "trunc" => a.trunc(),
                "floor" => a.floor(),
                _ => a.ceil(),
            };
            let fits = whole.abs() < i64::MAX as f64;
            return if fits {
                Ok(Some(vec![Value::Int(whole as i64)]))
            } else {
                Err(c.refused("a size that is no 64-bit integer"))
            };
        }
        (_, _) => return Ok(None),
    };
    fraction(value)
}

/// A float that is known when the graph is made, which operators take like one that depends on data.
fn fraction(x: f64) -> Answer {
    Ok(Some(vec![Value::Number(Tensor::from_array(Array::scalar(x)))]))
}

/// A number that is known.
fn as_float(a: &Arg) -> Option<f64> {
    match a {
        Arg::Int(i) => Some(*i as f64),
        Arg::Float(x) => Some(*x),
        Arg::Bool(b) => Some(f64::from(u8::from(*b))),
        Arg::None
        | Arg::Tensor(_)
        | Arg::Tensors(_)
        | Arg::OptionalTensors(_)
        | Arg::Number(_)
        | Arg::Ints(_)
        | Arg::Floats(_)
        | Arg::Bools(_)
        | Arg::Str(_)
        | Arg::DType(_)
        | Arg::Meaningless => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overloads::call;

    fn one(target: &str, args: Vec<Arg>) -> Value {
        let args = ["a", "b"].into_iter().zip(args).collect();
        call(&Call { target, node: "n", args }).expect("it is known").remove(0)
    }

    fn number(v: Value) -> Arg {
        let Value::Number(t) = v else { panic!("a number, not {v:?}") };
        Arg::Number(t)
    }

    /// `int(n ** 0.5 * 2.5)`, as a program with symbolic sizes has it.
    #[test]
    fn sizes_are_computed_by_way_of_floats() {
        let n = number(one("torch.sym_float", vec![Arg::Int(9)]));
        let root = number(one("_operator.pow", vec![n, Arg::Float(0.5)]));
        let scaled = number(one("_operator.mul", vec![root, Arg::Float(2.5)]));
        assert!(matches!(one("math.trunc", vec![scaled]), Value::Int(7)));
        let half = number(one("_operator.truediv", vec![Arg::Int(7), Arg::Int(2)]));
        assert!(matches!(one("math.ceil", vec![half]), Value::Int(4)));
        assert!(matches!(one("_operator.pow", vec![Arg::Int(3), Arg::Int(2)]), Value::Int(9)));
    }
}
