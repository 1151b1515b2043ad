//! `jit`: a function as machine code.

mod executable;
mod profile;
mod stages;
mod trap;

use std::sync::{Arc, Mutex, PoisonError};

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph, TreeSpec};
use cotangent_core::tensor::trace::Level;

use crate::capture::capture;
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{assemble, checked_leaves};
pub use executable::Executable;

pub use cotangent_loops::cost::Cost;
pub use profile::{Kernel, Profile};
pub use stages::{Compiled, Lowered};
pub use trap::Trap;
use trap::Trapped;

/// Programs that one function keeps; the one that was used least recently makes room.
const KEPT: usize = 64;

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
    Jit { f, trap: None, cache: Mutex::new(Cache::default()) }
}

/// The function that [`jit`] makes. Many threads may call it at once.
#[derive(Debug)]
pub struct Jit<F> {
    f: F,
    trap: Option<Trap>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// The most recently used one comes last.
    programs: Vec<Arc<Program>>,
    compilations: usize,
}

/// A compiled program and the calls that it is for.
#[derive(Debug)]
struct Program {
    args: TreeSpec,
    avals: Vec<Aval>,
    out: TreeSpec,
    run: Run,
}

/// How a program runs.
#[derive(Debug)]
enum Run {
    Plain(Executable),
    Trapped(Trapped),
}

impl Run {
    fn new(graph: &Graph, trap: Option<Trap>) -> Result<Self, Error> {
        Ok(match trap {
            None => Run::Plain(Executable::new(graph)?),
            Some(trap) => Run::Trapped(Trapped::new(graph, trap)?),
        })
    }

    fn call(&self, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        match self {
            Run::Plain(executable) => executable.call(args),
            Run::Trapped(trapped) => trapped.call(args),
        }
    }
}

impl Program {
    fn takes(&self, args: &TreeSpec, leaves: &[Tensor]) -> bool {
        let same = |(a, x): (&Aval, &Tensor)| a.dtype == x.dtype() && a.shape == *x.shape();
        self.avals.len() == leaves.len() && self.avals.iter().zip(leaves).all(same) && self.args == *args
    }
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
        Jit { f: self.f, trap: Some(trap), cache: Mutex::default() }
    }

    /// How many programs were compiled so far.
    pub fn compilations(&self) -> usize {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).compilations
    }

    fn find(&self, args: &TreeSpec, leaves: &[Tensor]) -> Option<Arc<Program>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cache.programs.iter().rposition(|p| p.takes(args, leaves))?;
        if at + 1 < cache.programs.len() {
            cache.programs[at..].rotate_left(1);
        }
        cache.programs.last().cloned()
    }

    fn keep(&self, program: Program) -> Arc<Program> {
        let program = Arc::new(program);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.programs.len() == KEPT {
            cache.programs.remove(0);
        }
        cache.programs.push(program.clone());
        cache.compilations += 1;
        program
    }
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Jit<F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let (leaves, spec) = checked_leaves(&args)?;
        if leaves.iter().any(|x| x.as_array().is_none()) {
            return self.f.call(args);
        }
        let program = match self.find(&spec, &leaves) {
            Some(program) => program,
            None => {
                let captured = capture("jit", Level::Capture, &self.f, &args)?;
                if !captured.captures.is_empty() {
                    // It depends on an enclosing trace, which goes on recording.
                    return self.f.call(args);
                }
                let (avals, run) = (captured.graph.param_avals(), Run::new(&captured.graph, self.trap)?);
                self.keep(Program { args: spec, avals, out: captured.out_spec, run })
            }
        };
        Ok(assemble(&program.out, program.run.call(&leaves)?))
    }

    fn name(&self) -> String {
        format!("jit({})", self.f.name())
    }
}

by_reference!(Jit<F>);
