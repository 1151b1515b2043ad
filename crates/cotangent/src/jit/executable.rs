//! A graph as machine code.

use std::fmt::Display;

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph};
use cotangent_core::simplify::Options;
use cotangent_jit::{Block, CallError, Compiled, Timed};
use cotangent_loops::ir::LoopProgram;
use cotangent_loops::lower::{lower_as_is, prepared_with};
use smallvec::SmallVec;

use crate::check::arguments_like;

/// The elements of each argument.
pub(super) type Inputs<'a> = SmallVec<[&'a [u8]; 16]>;

/// The compiled program of a graph. Many threads may call it at once.
#[derive(Debug)]
pub struct Executable {
    name: String,
    params: Vec<Aval>,
    results: Vec<Aval>,
    compiled: Compiled,
}

impl Executable {
    /// Compiles `graph` for this machine.
    ///
    /// *Errors*: [`Error::Compile`].
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let program = cotangent_loops::lower(graph).map_err(|e| failed(graph.name(), e))?;
        Self::of(graph, &program)
    }

    /// As [`Executable::new`], with the simplifications of `options` alone.
    pub fn simplified(graph: &Graph, options: Options) -> Result<Self, Error> {
        let prepared = prepared_with(graph, options).map_err(|e| failed(graph.name(), e))?;
        let program = lower_as_is(&prepared).map_err(|e| failed(graph.name(), e))?;
        Self::of(graph, &program)
    }

    /// Compiles the loops of `graph`.
    pub(super) fn of(graph: &Graph, loops: &LoopProgram) -> Result<Self, Error> {
        let compiled = cotangent_jit::compile(loops).map_err(|e| failed(graph.name(), e))?;
        Ok(Executable {
            name: graph.name().to_owned(),
            params: graph.param_avals(),
            results: graph.result_avals(),
            compiled,
        })
    }

    /// Compiles loops whose parameters are memory rather than arrays: [`Executable::call_bytes`] is how to call them.
    pub(crate) fn of_loops(name: &str, loops: &LoopProgram, results: Vec<Aval>) -> Result<Self, Error> {
        let compiled = cotangent_jit::compile(loops).map_err(|e| failed(name, e))?;
        Ok(Executable { name: name.to_owned(), params: Vec::new(), results, compiled })
    }

    /// The results at the elements of the parameters.
    pub(crate) fn call_bytes(&self, inputs: &[&[u8]]) -> Result<Vec<Tensor>, Error> {
        self.run(inputs, |results| results.collect())
    }

    /// The results at concrete tensors, of the parameters' avals.
    ///
    /// *Errors*: arguments of other avals or without values; data that an op cannot compute with.
    pub fn call(&self, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        self.call_bytes(&self.inputs(args)?)
    }

    /// As [`Executable::call`], with the time of each step.
    pub fn call_timed(&self, args: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Timed>), Error> {
        let (blocks, times) = self.compiled.call_timed(&self.inputs(args)?).map_err(|e| self.called(e))?;
        Ok((self.tensors(blocks).collect(), times))
    }

    /// The loops that were compiled.
    pub fn loops(&self) -> &LoopProgram {
        self.compiled.program()
    }

    /// The machine code as assembly.
    pub fn disassembly(&self) -> String {
        self.compiled.disassembly()
    }

    /// What a call allocates at most beside its arguments, in bytes.
    pub fn peak_bytes(&self) -> usize {
        self.compiled.peak_bytes()
    }

    /// The size of the machine code, in bytes.
    pub fn code_bytes(&self) -> usize {
        self.compiled.code_bytes()
    }

    fn inputs<'a>(&self, args: &'a [Tensor]) -> Result<Inputs<'a>, Error> {
        arguments_like("compiled", args, &self.params)?;
        let inputs: Option<Inputs> = args.iter().map(|x| Some(x.as_array()?.data().bytes())).collect();
        inputs.ok_or_else(|| failed(&self.name, "expected tensors with values"))
    }

    /// What `take` makes of the results at `inputs`.
    ///
    /// *Errors*: as [`Executable::call`].
    pub(super) fn run<T>(
        &self,
        inputs: &[&[u8]],
        take: impl FnOnce(&mut dyn Iterator<Item = Tensor>) -> T,
    ) -> Result<T, Error> {
        let blocks = self.compiled.call(inputs).map_err(|e| self.called(e))?;
        Ok(take(&mut self.tensors(blocks)))
    }

    fn called(&self, e: CallError) -> Error {
        match e {
            CallError::Data { loc, op, source } => Error::Eval { op, loc, source },
            CallError::Arity { .. }
            | CallError::Length { .. }
            | CallError::Alignment { .. }
            | CallError::Panic { .. } => failed(&self.name, e),
        }
    }

    fn tensors(&self, blocks: Vec<Block>) -> impl Iterator<Item = Tensor> {
        self.results.iter().zip(blocks).map(|(aval, block)| {
            let array = cotangent_jit::array(aval, block).expect("P1: a result's block has the bytes of its aval");
            Tensor::from_array(array)
        })
    }
}

/// The error of a function that could not be compiled or run.
pub(crate) fn failed(function: &str, problem: impl Display) -> Error {
    Error::Compile { function: function.to_owned(), problem: problem.to_string().into() }
}
