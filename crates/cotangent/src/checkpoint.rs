//! `checkpoint`: a function whose intermediate values are computed again in the backward pass.

use cotangent_core::error::Error;
use cotangent_core::ops::Rule;

use crate::call::{emit_call, trace_with_captures};
use crate::function::{Arguments, Function, by_reference};
use crate::tree::checked_leaves;

/// The function `f`, of which reverse mode keeps the arguments only and computes the rest again: less memory for
/// more work.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let f = checkpoint(|x: Tensor| x.sin().sin());
/// let g = grad(f).call((Tensor::from(0.0f32),))?;
/// assert_eq!(g.item::<f32>()?, 1.0);
/// # Ok(())
/// # }
/// ```
pub fn checkpoint<F>(f: F) -> Checkpoint<F> {
    Checkpoint { f }
}

/// The function that [`checkpoint`] makes.
#[derive(Clone, Debug)]
pub struct Checkpoint<F> {
    f: F,
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Checkpoint<F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let (leaves, spec) = checked_leaves(&args)?;
        match trace_with_captures(&self.f, &leaves, &spec)? {
            None => self.f.call(args),
            Some((body, captures)) => {
                let operands: Vec<_> = leaves.into_iter().chain(captures).collect();
                emit_call(body, Rule::Checkpoint, &operands)
            }
        }
    }

    fn name(&self) -> String {
        self.f.name()
    }
}

by_reference!(Checkpoint<F>);
