//! `eval_shape`: dtypes and shapes of a result without computing it.

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::tensor::trace::Level;

use crate::capture::capture;
use crate::function::{Arguments, Function};
use crate::tree::assemble;

/// The result of `f` at `args` with abstract tensors, which have a dtype and a shape but no elements.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let x = Tensor::abstract_(DType::F32, [1 << 20, 1 << 20]);
/// let y = eval_shape(|x: Tensor| x.sum_over(&[1]), (x,))?;
/// assert_eq!(y.aval().to_string(), "f32[1048576]");
/// # Ok(())
/// # }
/// ```
pub fn eval_shape<Args: Arguments, F: Function<Args>>(f: F, args: Args) -> Result<F::Output, Error> {
    let captured = capture("eval_shape", Level::Capture, &f, &args)?;
    let avals = captured.graph.result_avals();
    Ok(assemble(&captured.out_spec, avals.iter().map(|a| Tensor::abstract_(a.dtype, &a.shape))))
}
