//! Windows as columns.

use cotangent_aten::prelude::*;

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, "default")) = parts(c) else { return Ok(None) };
    one(match name {
        "im2col" => c.tensor("self")?.im2col(c.sizes("kernel_size")?, &windows(c)?),
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
