//! The compiled programs of one function, by signature.
//!
//! A call compares its arguments with the signatures where they lie: it builds no key, takes no lock and, as long as one signature is
//! called, writes to no memory that other threads read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph, TreeSpec};

use super::executable::{Executable, Inputs};
use super::trap::{Trap, Trapped};
use crate::tree::{Tree, assemble};

/// Programs that one function keeps.
const KEPT: usize = 64;

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
    pub fn new(graph: &Graph, trap: Option<Trap>) -> Result<Self, Error> {
        Ok(match trap {
            None => Run::Plain(Executable::new(graph)?),
            Some(trap) => Run::Trapped(Trapped::new(graph, trap)?),
        })
    }
}

impl Program {
    /// The result at `args`; `None` if the program is for other arguments.
    pub fn call<A: Tree, T: Tree>(&self, args: &A) -> Option<Result<T, Error>> {
        let mut inputs = Inputs::new();
        if !self.take(args, &mut inputs) {
            return None;
        }
        Some(match &self.run {
            Run::Plain(executable) => executable.run(&inputs, |results| assemble(&self.out, results)),
            Run::Trapped(trapped) => trapped.call(&self.avals, &inputs).map(|results| assemble(&self.out, results)),
        })
    }

    /// What differs from the signature of `before`, first difference first.
    fn difference(&self, before: &Program) -> String {
        if self.args != before.args {
            return format!("arguments of structure {} in place of {}", self.args, before.args);
        }
        let differs = self.avals.iter().zip(&before.avals).enumerate().find(|(_, (a, b))| a != b);
        match differs {
            Some((i, (a, b))) => format!("leaf {i}: {a} in place of {b}"),
            // Two threads have compiled the same program at once, or it had been dropped.
            None => "the same signature again".to_owned(),
        }
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
    /// Why, at most [`KEPT`].
    reasons: Mutex<VecDeque<String>>,
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

    /// Why programs were compiled after the first.
    pub fn recompilations(&self) -> Vec<String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Keeps a program for later calls.
    pub fn keep(&self, program: Arc<Program>) {
        if let Some(before) = self.kept.load().last() {
            let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
            if reasons.len() == KEPT {
                reasons.pop_front();
            }
            reasons.push_back(program.difference(&before.program));
        }
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
