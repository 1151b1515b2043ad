//! The steps of `jit` one by one: lowered, then compiled.

use std::marker::PhantomData;

use cotangent_core::error::Error;
use cotangent_core::ir::{Graph, Loc, TreeSpec};
use cotangent_core::tensor::trace::Level;
use cotangent_loops::cost::{Cost, costs};
use cotangent_loops::ir::LoopProgram;

use super::Jit;
use super::executable::{Executable, failed};
use super::profile::Profile;
use crate::capture::capture;
use crate::check::leaves_like;
use crate::function::{Arguments, Function};
use crate::tree::{Tree, assemble, checked_leaves};

impl<F> Jit<F> {
    /// The first step of a call: the loops of the function at arguments like `args`, whose values do not matter
    /// ([`Tensor::abstract_`](cotangent_core::Tensor::abstract_) has none).
    ///
    /// ```
    /// use cotangent::prelude::*;
    ///
    /// # fn main() -> Result<(), Error> {
    /// let x = Tensor::from([0.0f32, 1.0]);
    /// let lowered = jit(grad(|x: Tensor| x.sin().sum())).lower((x.clone(),))?;
    /// assert_eq!(lowered.graph().len(), 1);
    /// assert_eq!(lowered.cost().flops, 2);
    /// let compiled = lowered.compile()?;
    /// assert_eq!(compiled.call((x.clone(),))?.to_vec::<f32>()?, x.cos().to_vec::<f32>()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// *Errors*: those of the function; a function that uses a tensor of an enclosing trace.
    pub fn lower<Args: Arguments>(&self, args: Args) -> Result<Lowered<Args, F::Output>, Error>
    where
        F: Function<Args>,
    {
        let (_, spec) = checked_leaves(&args)?;
        let captured = capture("jit", Level::Capture, &self.f, &args)?.closed("jit")?;
        let donated = self.donated_leaves(&spec)?;
        let name = captured.graph.name().to_owned();
        let graph = cotangent_loops::lower::prepared(&captured.graph).map_err(|e| failed(&name, e))?;
        let (loops, nodes) = cotangent_loops::lower::explained(&graph).map_err(|e| failed(&name, e))?;
        Ok(Lowered { graph, loops, nodes, args: spec, donated, out: captured.out_spec, of: PhantomData })
    }
}

/// A function as loops, which [`Lowered::compile`] makes machine code of.
#[derive(Debug)]
pub struct Lowered<Args, Out> {
    graph: Graph,
    loops: LoopProgram,
    /// What went into each step.
    nodes: Vec<Vec<(&'static str, Loc)>>,
    args: TreeSpec,
    /// Which leaves of the arguments are donated.
    donated: Vec<bool>,
    out: TreeSpec,
    of: PhantomData<fn(Args) -> Out>,
}

impl<Args: Arguments, Out: Tree> Lowered<Args, Out> {
    /// The graph that was lowered: simplified, with composites inlined.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The loop program.
    pub fn loops(&self) -> &LoopProgram {
        &self.loops
    }

    /// The loop program as text, which [`cotangent_loops::text::parse`] reads.
    pub fn as_text(&self) -> String {
        cotangent_loops::text::print(&self.loops)
    }

    /// Which nodes were fused into which kernel, by source line.
    pub fn explain(&self) -> String {
        cotangent_loops::explain(&self.loops, &self.nodes)
    }

    /// Operations and traffic of a call, from shapes.
    pub fn cost(&self) -> Cost {
        costs(&self.loops).into_iter().sum()
    }

    /// The second step: machine code.
    ///
    /// *Errors*: [`Error::Compile`].
    pub fn compile(self) -> Result<Compiled<Args, Out>, Error> {
        let executable = Executable::of(&self.graph, (self.loops, self.nodes))?.donating(&self.donated);
        Ok(Compiled { args: self.args, out: self.out, executable, of: PhantomData })
    }
}

/// A function as machine code for arguments of one signature. Many threads may call it at once.
#[derive(Debug)]
pub struct Compiled<Args, Out> {
    args: TreeSpec,
    out: TreeSpec,
    executable: Executable,
    of: PhantomData<fn(Args) -> Out>,
}

impl<Args: Arguments, Out: Tree> Compiled<Args, Out> {
    /// The result at `args`.
    ///
    /// *Errors*: arguments of another signature; data that an op cannot compute with.
    pub fn call(&self, args: Args) -> Result<Out, Error> {
        let mut leaves = self.leaves(&args)?;
        drop(args);
        self.executable.run_donating(&mut leaves, |results| assemble(&self.out, results)).map_err(|e| *e)
    }

    /// As [`Compiled::call`], with the time that each kernel took.
    pub fn profile(&self, args: Args) -> Result<(Out, Profile), Error> {
        let leaves = self.leaves(&args)?;
        let (results, profile) = self.executable.profile(&leaves)?;
        Ok((assemble(&self.out, results), profile))
    }

    /// The machine code of the kernels as assembly, each beside the nodes that it is for, and what Cranelift has made it from, where the path is
    /// Cranelift's.
    pub fn as_text(&self) -> String {
        self.executable.as_text()
    }

    /// Operations and traffic of a call, from shapes.
    pub fn cost(&self) -> Cost {
        costs(self.executable.loops()).into_iter().sum()
    }

    /// What a call allocates at most beside its arguments, in bytes.
    pub fn peak_bytes(&self) -> usize {
        self.executable.peak_bytes()
    }

    /// The size of the machine code with its constants, in bytes.
    pub fn code_bytes(&self) -> usize {
        self.executable.code_bytes()
    }

    fn leaves(&self, args: &Args) -> Result<Vec<cotangent_core::Tensor>, Error> {
        let trees = ("arguments", "parameters");
        let leaves = leaves_like("compiled", trees, "argument", args, &self.args, self.executable.params())?;
        self.executable.check_values(&leaves)?;
        Ok(leaves)
    }
}
