//! The compiled programs of one function, by signature.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph, TreeSpec};
use cotangent_jit::Input;

use super::executable::{Called, Executable, Inputs};
use super::trap::{Trap, Trapped};
use crate::programs::Programs;
use crate::tree::{Tree, assemble};

/// Reasons that are remembered.
const REASONS: usize = 64;

/// The structure and avals of arguments.
pub(super) type Signature = (TreeSpec, Vec<Aval>);

/// A compiled program and the calls that it is for.
#[derive(Debug)]
pub(super) struct Program {
    pub args: TreeSpec,
    pub avals: Vec<Aval>,
    pub out: TreeSpec,
    pub run: Run,
}

/// How a program runs.
#[derive(Debug)]
pub(super) enum Run {
    Plain(Executable),
    Trapped(Trapped),
}

impl Run {
    /// The program of `graph`; one that traps keeps the memory of `donated` arguments as it is.
    pub fn new(graph: &Graph, trap: Option<Trap>, donated: &[bool]) -> Result<Self, Error> {
        Ok(match trap {
            None => Run::Plain(Executable::new(graph)?.donating(donated)),
            Some(trap) => Run::Trapped(Trapped::new(graph, trap)?),
        })
    }
}

impl Program {
    /// Whether it is for arguments like `args`, which have elements.
    pub fn fits<A: Tree>(&self, args: &A) -> bool {
        let mut leaves = 0;
        self.each(args, |_| leaves += 1) && leaves == self.avals.len()
    }

    /// The result at `args`; `None` if the program is for other arguments.
    pub fn call<A: Tree, T: Tree>(&self, args: &A) -> Option<Called<T>> {
        let mut inputs = Inputs::new();
        if !self.take(args, &mut inputs) {
            return None;
        }
        Some(match &self.run {
            Run::Plain(executable) => executable.run(&mut inputs, |results| assemble(&self.out, results)),
            Run::Trapped(trapped) => {
                let results = trapped.call(&self.avals, &mut inputs).map_err(Box::new);
                results.map(|results| assemble(&self.out, results))
            }
        })
    }

    /// As [`Program::call`] for arguments that fit, of which the donated ones may be overwritten where nobody else has them.
    pub fn call_donating<A: Tree, T: Tree>(&self, args: A) -> Called<T> {
        let Run::Plain(executable) = &self.run else {
            return self.call(&args).expect("the arguments fit");
        };
        let mut leaves = smallvec::SmallVec::<[Tensor; 16]>::new();
        let fits = args.visit_leaves(&self.args, &mut |x| leaves.push(x.clone()));
        debug_assert!(fits, "the arguments fit");
        // Then the leaves are the only tensors that have the memory, unless the caller kept some.
        drop(args);
        executable.run_donating(&mut leaves, |results| assemble(&self.out, results))
    }

    /// As [`Program::call`], with the result in `out`, whose memory is written where nobody else has it and the structure is the
    /// result's.
    pub fn call_into<A: Tree, T: Tree>(&self, args: &A, out: &mut T) -> Option<Called<()>> {
        let mut inputs = Inputs::new();
        if !self.take(args, &mut inputs) {
            return None;
        }
        let Run::Plain(executable) = &self.run else {
            return Some(self.call(args)?.map(|result| *out = result));
        };
        {
            let mut places = smallvec::SmallVec::<[&mut Tensor; 16]>::new();
            let same = out.visit_leaves_mut(&self.out, &mut |x| places.push(x));
            if same && places.len() == executable.results().len() {
                return Some(executable.run_into(&mut inputs, &mut places));
            }
        }
        Some(executable.run(&mut inputs, |results| *out = assemble(&self.out, results)))
    }

    /// What differs from the signature of `before`, first difference first.
    fn difference(&self, before: &Program) -> String {
        if self.args != before.args {
            return format!("arguments of structure {} in place of {}", self.args, before.args);
        }
        let differs = self.avals.iter().zip(&before.avals).enumerate().find(|(_, (a, b))| a != b);
        match differs {
            Some((i, (a, b))) => format!("leaf {i}: {a} in place of {b}"),
            None => "the same signature again, which had been dropped".to_owned(),
        }
    }

    /// Fills `inputs` with the elements of the leaves, if structure, dtypes and shapes are the program's and every leaf has elements.
    fn take<'a, A: Tree>(&self, args: &'a A, inputs: &mut Inputs<'a>) -> bool {
        self.each(args, |bytes| inputs.push(Input::Shared(bytes))) && inputs.len() == self.avals.len()
    }

    /// Calls `f` with the elements of each leaf, as long as they fit.
    fn each<'a, A: Tree>(&self, args: &'a A, mut f: impl FnMut(&'a [u8])) -> bool {
        let mut avals = self.avals.iter();
        let mut same = true;
        let structure = args.visit_leaves(&self.args, &mut |x| match (x.as_array(), avals.next()) {
            (Some(a), Some(aval)) if a.dtype() == aval.dtype && *a.shape() == aval.shape => f(a.data().bytes()),
            (Some(_) | None, Some(_) | None) => same = false,
        });
        structure && same
    }
}

/// Programs and why they were compiled.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub programs: Programs<Signature, Program>,
    /// Why, at most [`REASONS`].
    reasons: Mutex<VecDeque<String>>,
}

impl Cache {
    /// Why programs were compiled after the first.
    pub fn recompilations(&self) -> Vec<String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The program for arguments like `args`, which `compile` makes if it is not known.
    pub fn program<A: Tree>(
        &self,
        signature: Signature,
        args: &A,
        compile: impl FnOnce() -> Result<Option<Program>, Error>,
    ) -> Result<Option<Arc<Program>>, Error> {
        self.programs.or_make(
            signature,
            |p| p.fits(args),
            || {
                let program = compile()?;
                if let Some((new, before)) = program.as_ref().zip(self.programs.newest()) {
                    let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
                    if reasons.len() == REASONS {
                        reasons.pop_front();
                    }
                    reasons.push_back(new.difference(&before));
                }
                Ok(program)
            },
        )
    }
}
