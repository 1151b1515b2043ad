//! A graph as machine code.

use std::fmt::Display;
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph, Loc};
use cotangent_core::simplify::Options;
use cotangent_jit::{Block, CallError, Compiled, Input, Output};
use cotangent_loops::ir::LoopProgram;
use cotangent_loops::lower::{Explained, explained, prepared, prepared_with};
use smallvec::SmallVec;

use super::profile::Profile;
use super::spare;
use crate::check::arguments_like;

/// What a call gives, which is moved several times on its way to the caller: an error is many times as large as most results.
pub(super) type Called<T> = Result<T, Box<Error>>;
/// The elements of each argument.
pub(super) type Inputs<'a> = SmallVec<[Input<'a>; 8]>;
/// A place for each result.
type Outputs<'a> = SmallVec<[Output<'a>; 4]>;
/// For each result an earlier one that is to be overwritten.
type Spares = SmallVec<[Option<Arc<Array>>; 4]>;

/// The compiled program of a graph. Many threads may call it at once.
#[derive(Debug)]
pub struct Executable {
    name: String,
    params: Vec<Aval>,
    results: Vec<Aval>,
    /// Which of the results are small.
    small: Vec<bool>,
    compiled: Compiled,
    /// What went into each step.
    nodes: Vec<Vec<(&'static str, Loc)>>,
}

impl Executable {
    /// Compiles `graph` for this machine.
    ///
    /// *Errors*: [`Error::Compile`].
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let prepared = prepared(graph).map_err(|e| failed(graph.name(), e))?;
        Self::of(graph, explained(&prepared).map_err(|e| failed(graph.name(), e))?)
    }

    /// As [`Executable::new`], with the simplifications of `options` alone.
    pub fn simplified(graph: &Graph, options: Options) -> Result<Self, Error> {
        let prepared = prepared_with(graph, options).map_err(|e| failed(graph.name(), e))?;
        Self::of(graph, explained(&prepared).map_err(|e| failed(graph.name(), e))?)
    }

    /// Compiles the loops of `graph`.
    pub(super) fn of(graph: &Graph, (loops, nodes): Explained) -> Result<Self, Error> {
        let compiled = cotangent_jit::compile(&loops).map_err(|e| failed(graph.name(), e))?;
        Ok(Executable {
            name: graph.name().to_owned(),
            params: graph.param_avals(),
            results: graph.result_avals(),
            small: graph.result_avals().iter().map(spare::is_small).collect(),
            compiled,
            nodes,
        })
    }

    /// Compiles loops whose parameters are memory rather than arrays: [`Executable::call_bytes`] is how to call them.
    pub(crate) fn of_loops(name: &str, loops: &LoopProgram, results: Vec<Aval>) -> Result<Self, Error> {
        let compiled = cotangent_jit::compile(loops).map_err(|e| failed(name, e))?;
        let small = results.iter().map(spare::is_small).collect();
        let nodes = vec![Vec::new(); loops.steps.len()];
        Ok(Executable { name: name.to_owned(), params: Vec::new(), results, small, compiled, nodes })
    }

    /// The same program, where results may stand in the memory of donated parameters of their aval.
    pub(super) fn donating(self, donated: &[bool]) -> Self {
        if !donated.contains(&true) {
            return self;
        }
        let (params, results) = (&self.params, &self.results);
        let compiled = self.compiled.donating(|p, k| donated[p] && params[p] == results[k]);
        Executable { compiled, ..self }
    }

    /// The results at the elements of the parameters.
    pub(crate) fn call_bytes(&self, inputs: &mut [Input]) -> Result<Vec<Tensor>, Error> {
        self.run(inputs, |results| results.collect()).map_err(|e| *e)
    }

    /// The results at concrete tensors, of the parameters' avals.
    ///
    /// *Errors*: arguments of other avals or without values; data that an op cannot compute with.
    pub fn call(&self, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        self.call_bytes(&mut self.inputs(args)?)
    }

    /// As [`Executable::call`], with the time that each kernel took.
    pub fn profile(&self, args: &[Tensor]) -> Result<(Vec<Tensor>, Profile), Error> {
        arguments_like("compiled", args, &self.params)?;
        let bytes: Option<Vec<&[u8]>> = args.iter().map(|x| Some(x.as_array()?.data().bytes())).collect();
        let bytes = bytes.ok_or_else(|| self.without_values())?;
        let (blocks, times) = self.compiled.call_timed(&bytes).map_err(|e| *self.called(e))?;
        let tensors = self.results.iter().zip(blocks).map(|(aval, block)| tensor(aval, block));
        Ok((tensors.collect(), Profile::new(self.loops(), &self.nodes, times)))
    }

    /// The loops that were compiled.
    pub fn loops(&self) -> &LoopProgram {
        self.compiled.program()
    }

    /// The machine code of the kernels as assembly, each beside the nodes that it is for, and what Cranelift has made it from, where the path is
    /// Cranelift's.
    pub fn as_text(&self) -> String {
        let parts =
            [cotangent_loops::explain(self.loops(), &self.nodes), self.compiled.clif(), self.compiled.disassembly()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
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
        let inputs: Option<Inputs> = args.iter().map(|x| Some(Input::Shared(x.as_array()?.data().bytes()))).collect();
        inputs.ok_or_else(|| self.without_values())
    }

    fn without_values(&self) -> Error {
        failed(&self.name, "expected tensors with values")
    }

    /// Checks that tensors have elements.
    pub(super) fn check_values(&self, args: &[Tensor]) -> Result<(), Error> {
        if args.iter().all(|x| x.as_array().is_some()) { Ok(()) } else { Err(self.without_values()) }
    }

    /// The avals of the parameters.
    pub(super) fn params(&self) -> &[Aval] {
        &self.params
    }

    /// The avals of the results.
    pub(super) fn results(&self) -> &[Aval] {
        &self.results
    }

    /// What `take` makes of the results at `inputs`.
    ///
    /// *Errors*: as [`Executable::call`].
    pub(super) fn run<T>(
        &self,
        inputs: &mut [Input],
        take: impl FnOnce(&mut dyn Iterator<Item = Tensor>) -> T,
    ) -> Called<T> {
        let mut spares = Spares::new();
        for (aval, small) in self.results.iter().zip(&self.small) {
            spares.push(if *small { spare::take(aval) } else { None });
        }
        let mut outputs = Outputs::new();
        for spare in &mut spares {
            outputs.push(match spare.as_mut().and_then(Arc::get_mut).and_then(Array::bytes_mut) {
                Some(bytes) => Output::Given(bytes),
                None => Output::Made(None),
            });
        }
        self.compiled.call_at(inputs, &mut outputs).map_err(|e| self.called(e))?;
        // In place: a list of outputs is large to move.
        let mut blocks = SmallVec::<[Option<Block>; 4]>::new();
        if outputs.iter().any(|output| matches!(output, Output::Made(_))) {
            outputs.iter_mut().for_each(|output| blocks.push(output.take_made()));
        }
        drop(outputs);
        Ok(take(&mut self.results.iter().enumerate().map(|(k, aval)| {
            let array = match blocks.get_mut(k).and_then(Option::take) {
                Some(block) => Arc::new(array(aval, block)),
                None => spares[k].take().expect("a result that was not made is in the array that was given"),
            };
            if self.small[k] {
                spare::keep(&array);
            }
            Tensor::from_shared(array)
        })))
    }

    /// As [`Executable::run`] at tensors of the parameters' avals; the memory of a donated one becomes that of a result where no other
    /// tensor has it.
    pub(super) fn run_donating<T>(
        &self,
        args: &mut [Tensor],
        take: impl FnOnce(&mut dyn Iterator<Item = Tensor>) -> T,
    ) -> Called<T> {
        let reused = |k: usize| self.compiled.reused(k);
        let wanted = |p: usize| (0..self.results.len()).any(|k| reused(k) == Some(p));
        let mut inputs = Inputs::new();
        for (p, x) in args.iter_mut().enumerate() {
            let alone = wanted(p) && x.bytes_mut().is_some();
            inputs.push(if alone {
                Input::Donated(x.bytes_mut().unwrap_or_default())
            } else {
                Input::Shared(x.as_array().map_or(&[][..], |a| a.data().bytes()))
            });
        }
        let donated = |p: usize, inputs: &[Input]| matches!(inputs[p], Input::Donated(_));
        let mut outputs: Outputs = (0..self.results.len())
            .map(|k| match reused(k).filter(|p| donated(*p, &inputs)) {
                Some(_) => Output::InPlace,
                None => Output::Made(None),
            })
            .collect();
        self.compiled.call_at(&mut inputs, &mut outputs).map_err(|e| self.called(e))?;
        drop(inputs);
        let mut results = self.results.iter().zip(&mut outputs).enumerate().map(|(k, (aval, output))| match output {
            Output::InPlace => args[reused(k).expect("a result in place has a donated argument")].clone(),
            Output::Made(_) | Output::Given(_) => {
                tensor(aval, output.take_made().expect("a call makes what it is asked for"))
            }
        });
        Ok(take(&mut results))
    }

    /// As [`Executable::run`], with a tensor for each result to put it in: in its memory where it has the result's aval and no other tensor
    /// has it.
    pub(super) fn run_into(&self, inputs: &mut [Input], places: &mut [&mut Tensor]) -> Called<()> {
        let mut outputs = Outputs::new();
        for (aval, x) in self.results.iter().zip(places.iter_mut()) {
            let same = x.dtype() == aval.dtype && *x.shape() == aval.shape;
            outputs.push(match x.bytes_mut().filter(|_| same) {
                Some(bytes) => Output::Given(bytes),
                None => Output::Made(None),
            });
        }
        self.compiled.call_at(inputs, &mut outputs).map_err(|e| self.called(e))?;
        let made: SmallVec<[Option<Block>; 4]> = outputs.iter_mut().map(Output::take_made).collect();
        drop(outputs);
        for ((aval, x), block) in self.results.iter().zip(places).zip(made) {
            if let Some(block) = block {
                **x = tensor(aval, block);
            }
        }
        Ok(())
    }

    #[cold]
    fn called(&self, e: CallError) -> Box<Error> {
        Box::new(match e {
            CallError::Data { loc, op, source } => Error::Eval { op, loc, source },
            CallError::Arity { .. }
            | CallError::Length { .. }
            | CallError::Alignment { .. }
            | CallError::Results { .. }
            | CallError::Output { .. }
            | CallError::Panic { .. } => failed(&self.name, e),
        })
    }
}

/// The elements of a result.
fn array(aval: &Aval, block: Block) -> Array {
    cotangent_jit::array(aval, block).expect("P1: a result's block has the bytes of its aval")
}

/// The tensor of a result.
fn tensor(aval: &Aval, block: Block) -> Tensor {
    Tensor::from_array(array(aval, block))
}

/// The error of a function that could not be compiled or run.
pub(crate) fn failed(function: &str, problem: impl Display) -> Error {
    Error::Compile { function: function.to_owned(), problem: problem.to_string().into() }
}
