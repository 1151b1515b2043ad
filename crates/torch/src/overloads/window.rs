//! Windows as columns.

use cotangent_aten::prelude::*;
use cotangent_core::ir::DType;

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, "default")) = parts(c) else { return Ok(None) };
    one(match name {
        "im2col" => {
            let (size, windows) = (c.sizes("kernel_size")?, windows(c)?);
            match c.tensor("self")? {
                // Truth values are only moved.
                x if x.dtype() == DType::Bool => x.convert(DType::U8).im2col(size, &windows).convert(DType::Bool),
                x => x.im2col(size, &windows),
            }
        }
        "col2im" => {
            let size = c.sizes("output_size")?;
            let size = size.try_into().map_err(|_| c.wrong("output_size", "two sizes"))?;
            c.tensor("self")?.col2im(size, c.sizes("kernel_size")?, &windows(c)?)
        }
        _ => return Ok(None),
    })
}

fn windows(c: &Call) -> Read<Pool> {
    Ok(Pool {
        stride: Some(c.sizes("stride")?.into()),
        padding: c.sizes("padding")?.into(),
        dilation: c.sizes("dilation")?.into(),
        ..Pool::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::call;
    use super::*;
    use crate::args::{Arg, Value};
    use cotangent_core::Tensor;

    #[test]
    fn truth_values_are_moved_into_columns() {
        let x = Tensor::from_vec(vec![true, false, false, true], [1, 2, 2]);
        let ints = |v: [i64; 2]| Arg::Ints(v.to_vec());
        let args = vec![
            ("self", Arg::Tensor(x)),
            ("kernel_size", ints([2, 1])),
            ("dilation", ints([1, 1])),
            ("padding", ints([0, 0])),
            ("stride", ints([1, 1])),
        ];
        let outs = call(&Call { target: "aten.im2col.default", node: "n", args }).expect("columns");
        let [Value::Tensor(y)] = outs.as_slice() else { panic!("one tensor, found {outs:?}") };
        assert_eq!(y.to_vec::<bool>().expect("truth values"), [true, false, false, true]);
    }
}
