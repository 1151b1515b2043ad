//! `jit`: a function as machine code.

mod cache;
mod executable;
mod profile;
mod stages;
mod trap;

use std::sync::Arc;

use cotangent_core::error::Error;
use cotangent_core::tensor::trace::Level;

use crate::capture::capture;
use crate::function::{Arguments, Function, by_reference};
use crate::tree::checked_leaves;
use cache::{Cache, Program, Run};

pub use cotangent_loops::cost::Cost;
pub use executable::Executable;
pub(crate) use executable::failed;
pub use profile::{Kernel, Profile};
pub use stages::{Compiled, Lowered};
pub use trap::Trap;

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
    Jit { f, trap: None, cache: Cache::default() }
}

/// The function that [`jit`] makes. Many threads may call it at once.
#[derive(Debug)]
pub struct Jit<F> {
    f: F,
    trap: Option<Trap>,
    cache: Cache,
}

impl<F> Jit<F> {
    /// The same function whose programs stop at the first value that `trap` catches, and name its op, index and source line.
    ///
    /// Indices out of bounds and integer divisions by zero are always caught. A call keeps all intermediate values and looks at
    /// each, so this is for finding a mistake.
    ///
    /// ```
    /// use cotangent::jit::Trap;
    /// use cotangent::prelude::*;
    ///
    /// # fn main() -> Result<(), Error> {
    /// let f = jit(|x: Tensor| (x - 1.0).log().sum()).trap(Trap::Nan);
    /// let e = f.call((Tensor::from([2.0f32, 0.5]),)).unwrap_err();
    /// assert!(e.to_string().starts_with("`log` at "), "{e}");
    /// assert!(e.to_string().ends_with(": NaN at index [1] of f32[2]"), "{e}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn trap(self, trap: Trap) -> Self {
        Jit { f: self.f, trap: Some(trap), cache: Cache::default() }
    }

    /// How many programs were compiled so far.
    pub fn compilations(&self) -> usize {
        self.cache.compilations()
    }

    /// Why programs were compiled after the first: what differed from the program before it. The latest come last; of very many, the
    /// first are forgotten.
    ///
    /// ```
    /// use cotangent::prelude::*;
    ///
    /// # fn main() -> Result<(), Error> {
    /// let f = jit(|x: Tensor| x.exp());
    /// for n in [2, 3] {
    ///     f.call((Tensor::from(vec![0.0f32; n]),))?;
    /// }
    /// assert_eq!(f.recompilations(), ["leaf 0: f32[3] in place of f32[2]"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recompilations(&self) -> Vec<String> {
        self.cache.recompilations()
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
        let (avals, run) = (captured.graph.param_avals(), Run::new(&captured.graph, self.trap)?);
        let program = Arc::new(Program { args: spec, avals, out: captured.out_spec, run });
        self.cache.keep(program.clone());
        program.call(&args).expect("a program takes the arguments that it was compiled for")
    }

    fn name(&self) -> String {
        format!("jit({})", self.f.name())
    }
}

by_reference!(Jit<F>);
