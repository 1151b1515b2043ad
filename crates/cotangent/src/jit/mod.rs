//! `jit`: a function as machine code.

mod cache;
mod executable;
mod profile;
mod spare;
mod stages;
mod trap;

use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::TreeSpec;
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
    Jit { f, trap: None, donated: Vec::new(), cache: Cache::default() }
}

/// The function that [`jit`] makes. Many threads may call it at once.
#[derive(Debug)]
pub struct Jit<F> {
    f: F,
    trap: Option<Trap>,
    /// The arguments whose memory a call may overwrite.
    donated: Vec<usize>,
    cache: Cache,
}

impl<F> Jit<F> {
    /// The same function, whose results may stand in the memory of the arguments `argnums`: JAX's `donate_argnums`.
    ///
    /// A training step gives its parameters and the state of its optimiser away and gets new ones, which then need no memory of their
    /// own: the largest model that fits is twice as large. The plan is made when the function is compiled: a result takes the memory of
    /// a donated leaf of its dtype and shape that is dead, or updated element by element, when the result is written. Nothing is ever
    /// corrupted: a leaf that another tensor shares keeps its elements, and the result has memory of its own. A call that fails may leave
    /// donated memory overwritten; the arguments are gone then.
    ///
    /// ```
    /// use cotangent::prelude::*;
    ///
    /// # fn main() -> Result<(), Error> {
    /// let step = jit(|w: Tensor, dw: Tensor| w - dw * 0.5).donate([0]);
    /// let mut w = Tensor::from([1.0f32, 2.0]);
    /// let start = w.clone();
    /// for _ in 0..3 {
    ///     w = step.call((w, Tensor::from([1.0f32, 0.0])))?;
    /// }
    /// assert_eq!(w.to_vec::<f32>()?, [-0.5, 2.0]);
    /// // It was shared in the first call.
    /// assert_eq!(start.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// *Errors* (of calls): an argument that the function does not have.
    pub fn donate(self, argnums: impl IntoIterator<Item = usize>) -> Self {
        Jit { donated: argnums.into_iter().collect(), cache: Cache::default(), ..self }
    }

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
        Jit { trap: Some(trap), cache: Cache::default(), ..self }
    }

    /// How many programs were compiled so far.
    pub fn compilations(&self) -> usize {
        self.cache.programs.made()
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

impl<F> Jit<F> {
    /// As a call, with the result in `out`: in the memory of its tensors where dtype and shape are the result's and nobody else has them.
    /// Called again and again, it allocates nothing.
    ///
    /// If the call fails, tensors of `out` may hold anything.
    ///
    /// ```
    /// use cotangent::prelude::*;
    ///
    /// # fn main() -> Result<(), Error> {
    /// let f = jit(|x: Tensor, y: Tensor| (&x + &y, x * y));
    /// let args = (Tensor::from([1.0f32, 2.0]), Tensor::from([3.0f32, 4.0]));
    /// let mut out = f.call(args.clone())?;
    /// f.call_into(&args, &mut out)?;
    /// assert_eq!(out.1.to_vec::<f32>()?, [3.0, 8.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// *Errors*: as a call.
    pub fn call_into<Args: Arguments + Clone>(&self, args: &Args, out: &mut F::Output) -> Result<(), Error>
    where
        F: Function<Args>,
    {
        match self.cache.programs.find_map(|p| p.call_into(args, out)) {
            Some(done) => done.map_err(|e| *e),
            None => {
                *out = self.call(args.clone())?;
                Ok(())
            }
        }
    }

    /// The program for arguments like `args`, of structure `spec`; `None` if the function depends on an enclosing trace.
    fn compile<Args: Arguments>(&self, args: &Args, spec: &TreeSpec) -> Result<Option<Program>, Error>
    where
        F: Function<Args>,
    {
        let donated = self.donated_leaves(spec)?;
        let captured = capture("jit", Level::Capture, &self.f, args)?;
        if !captured.captures.is_empty() {
            return Ok(None);
        }
        let (avals, run) = (captured.graph.param_avals(), Run::new(&captured.graph, self.trap, &donated)?);
        Ok(Some(Program { args: spec.clone(), avals, out: captured.out_spec, run }))
    }

    /// Which leaves of arguments of structure `spec` are donated.
    fn donated_leaves(&self, spec: &TreeSpec) -> Result<Vec<bool>, Error> {
        let args = match spec {
            TreeSpec::Tuple(items) => items.as_slice(),
            TreeSpec::Leaf | TreeSpec::None | TreeSpec::List(_) | TreeSpec::Dict(_) | TreeSpec::Struct(..) => &[],
        };
        if let Some(wrong) = self.donated.iter().find(|i| **i >= args.len()) {
            let problem = format!("expected donated arguments below {}, found {wrong}", args.len());
            return Err(TransformError::Argnums { transform: "jit", problem }.into());
        }
        let leaves = |(i, t): (usize, &TreeSpec)| std::iter::repeat_n(self.donated.contains(&i), t.num_leaves());
        Ok(args.iter().enumerate().flat_map(leaves).collect())
    }
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Jit<F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let programs = &self.cache.programs;
        if self.donated.is_empty() {
            if let Some(result) = programs.find_map(|p| p.call(&args)) {
                return result.map_err(|e| *e);
            }
        } else if let Some(program) = programs.find_map(|p| p.fits(&args).then(|| p.clone())) {
            return program.call_donating(args).map_err(|e| *e);
        }
        let (leaves, spec) = checked_leaves(&args)?;
        if leaves.iter().any(|x| x.as_array().is_none()) {
            return self.f.call(args);
        }
        let avals = leaves.iter().map(|x| x.aval()).collect();
        drop(leaves);
        let signature = (spec.clone(), avals);
        match self.cache.program(signature, &args, || self.compile(&args, &spec))? {
            // It depends on an enclosing trace, which goes on recording.
            None => self.f.call(args),
            Some(program) => program.call_donating(args).map_err(|e| *e),
        }
    }

    fn name(&self) -> String {
        format!("jit({})", self.f.name())
    }
}

by_reference!(Jit<F>);
