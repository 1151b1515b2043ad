//! `jit`: a function as machine code.

mod cache;
mod executable;

use std::sync::Arc;

use cotangent_core::error::Error;
use cotangent_core::tensor::trace::Level;

use crate::capture::capture;
use crate::function::{Arguments, Function, by_reference};
use crate::tree::checked_leaves;
use cache::{Cache, Program};
pub use executable::Executable;

/// The function `f`, compiled to native loops.
///
/// The first call with arguments of some structure, dtypes and shapes traces, simplifies and compiles; later calls of the
/// same signature run machine code. What is not an argument, such as a captured tensor or a random key, is fixed when
/// the function is traced. Inside another trace, and at arguments without values, it is the function itself.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let f = jit(grad(|x: Tensor| x.square().sum()));
/// let x = Tensor::from([1.0f32, 2.0]);
/// assert_eq!(f.call((x.clone(),))?.to_vec::<f32>()?, [2.0, 4.0]);
/// assert_eq!(f.call((x,))?.to_vec::<f32>()?, [2.0, 4.0]);
/// assert_eq!(f.compilations(), 1);
/// # Ok(())
/// # }
/// ```
pub fn jit<F>(f: F) -> Jit<F> {
    Jit { f, cache: Cache::default() }
}

/// The function that [`jit`] makes. Many threads may call it at once.
#[derive(Debug)]
pub struct Jit<F> {
    f: F,
    cache: Cache,
}

impl<F> Jit<F> {
    /// How many programs were compiled so far.
    pub fn compilations(&self) -> usize {
        self.cache.compilations()
    }
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Jit<F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        if let Some(result) = self.cache.call(&args) {
            return result;
        }
        let (leaves, spec) = checked_leaves(&args)?;
        if leaves.iter().any(|x| x.as_array().is_none()) {
            return self.f.call(args);
        }
        let captured = capture("jit", Level::Capture, &self.f, &args)?;
        if !captured.captures.is_empty() {
            // It depends on an enclosing trace, which goes on recording.
            return self.f.call(args);
        }
        let (avals, executable) = (captured.graph.param_avals(), Executable::new(&captured.graph)?);
        let program = Arc::new(Program { args: spec, avals, out: captured.out_spec, executable });
        self.cache.keep(program.clone());
        program.call(&args).expect("a program takes the arguments that it was compiled for")
    }

    fn name(&self) -> String {
        format!("jit({})", self.f.name())
    }
}

by_reference!(Jit<F>);
