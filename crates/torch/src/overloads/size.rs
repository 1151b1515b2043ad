//! Sizes: numbers of the program that are known when its graph is made.

use super::{Answer, parts};
use crate::args::{Arg, Call, Read, Value};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    if let Some(name) = c.target.strip_prefix("_operator.").or_else(|| c.target.strip_prefix("math.")) {
        return arithmetic(c, name);
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
    let numbers: Read<Vec<i64>> = c
        .args
        .iter()
        .map(|(_, a)| match a {
            Arg::Int(i) => Ok(*i),
            _ => Err(c.refused("only integers are computed with while a graph is made")),
        })
        .collect();
    let value = match (name, numbers?.as_slice()) {
        ("add", [a, b]) => a.checked_add(*b),
        ("sub", [a, b]) => a.checked_sub(*b),
        ("mul", [a, b]) => a.checked_mul(*b),
        ("floordiv", [a, b]) => {
            a.checked_div_euclid(*b).map(|q| if *b < 0 && a.rem_euclid(*b) != 0 { q - 1 } else { q })
        }
        ("mod", [a, b]) => a.checked_rem(*b).map(|r| if r != 0 && (r < 0) != (*b < 0) { r + b } else { r }),
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
