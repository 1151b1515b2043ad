//! The compiled programs of one function, by signature.
//!
//! A call compares its arguments with the signatures where they lie: it builds no key, takes no lock and, as long as one signature is
//! called, writes to no memory that other threads read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, TreeSpec};

use super::executable::{Executable, Inputs};
use crate::tree::Tree;

/// Programs that one function keeps.
const KEPT: usize = 64;

/// A compiled program and the calls that it is for.
#[derive(Debug)]
pub(super) struct Program {
    pub args: TreeSpec,
    pub avals: Vec<Aval>,
    pub out: TreeSpec,
    pub executable: Executable,
}

impl Program {
    /// The result at `args`; `None` if the program is for other arguments.
    pub fn call<A: Tree, T: Tree>(&self, args: &A) -> Option<Result<T, Error>> {
        let mut inputs = Inputs::new();
        if !self.take(args, &mut inputs) {
            return None;
        }
        Some(self.executable.run(&inputs, |results| {
            T::from_leaves(&self.out, results).expect("the structure comes from a tree of this type")
        }))
    }

    /// Fills `inputs` with the elements of the leaves, if structure, dtypes and shapes are the program's and every leaf has
    /// elements.
    fn take<'a, A: Tree>(&self, args: &'a A, inputs: &mut Inputs<'a>) -> bool {
        let mut avals = self.avals.iter();
        let mut same = true;
        let structure = args.visit_leaves(&self.args, &mut |x| match (x.as_array(), avals.next()) {
            (Some(x), Some(a)) if x.dtype() == a.dtype && *x.shape() == a.shape => inputs.push(x.data().bytes()),
            (Some(_) | None, Some(_) | None) => same = false,
        });
        structure && same && inputs.len() == self.avals.len()
    }
}

/// Programs, at most [`KEPT`]: of more, one goes that was not used since the last time that room was needed.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: ArcSwap<Vec<Kept>>,
    /// Where the program of the last call is, probably.
    last: AtomicUsize,
    compilations: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Kept {
    program: Arc<Program>,
    used: Arc<AtomicBool>,
}

impl Cache {
    /// How many programs were kept so far.
    pub fn compilations(&self) -> usize {
        self.compilations.load(Ordering::Relaxed)
    }

    /// The result at `args`; `None` if there is no program for them.
    pub fn call<A: Tree, T: Tree>(&self, args: &A) -> Option<Result<T, Error>> {
        let kept = self.kept.load();
        let last = self.last.load(Ordering::Relaxed);
        if let Some(result) = kept.get(last).and_then(|k| k.program.call(args)) {
            return Some(result);
        }
        kept.iter().enumerate().filter(|(i, _)| *i != last).find_map(|(i, k)| {
            let result = k.program.call(args)?;
            k.used.store(true, Ordering::Relaxed);
            self.last.store(i, Ordering::Relaxed);
            Some(result)
        })
    }

    /// Keeps a program for later calls.
    pub fn keep(&self, program: Arc<Program>) {
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let new = Kept { program, used: Arc::new(AtomicBool::new(true)) };
        self.kept.rcu(|kept| {
            let mut kept = kept.as_ref().clone();
            if kept.len() == KEPT {
                let unused = kept.iter().position(|k| !k.used.swap(false, Ordering::Relaxed));
                kept.remove(unused.unwrap_or(0));
            }
            kept.push(new.clone());
            kept
        });
        self.last.store(self.kept.load().len() - 1, Ordering::Relaxed);
    }
}
