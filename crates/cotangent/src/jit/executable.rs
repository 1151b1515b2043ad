//! A graph as machine code.

use std::fmt::Display;

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph};
use cotangent_jit::{CallError, Compiled};
use smallvec::SmallVec;

/// The elements of each argument.
pub(super) type Inputs<'a> = SmallVec<[&'a [u8]; 16]>;

/// The compiled program of a graph. Many threads may call it at once.
#[derive(Debug)]
pub struct Executable {
    name: String,
    results: Vec<Aval>,
    compiled: Compiled,
}

impl Executable {
    /// Compiles `graph` for this machine.
    ///
    /// *Errors*: [`Error::Compile`].
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let program = cotangent_loops::lower(graph).map_err(|e| failed(graph.name(), e))?;
        let compiled = cotangent_jit::compile(&program).map_err(|e| failed(graph.name(), e))?;
        Ok(Executable { name: graph.name().to_owned(), results: graph.result_avals(), compiled })
    }

    /// The results at concrete tensors, which the caller knows to have the parameters' avals.
    ///
    /// *Errors*: data that an op cannot compute with.
    pub fn call(&self, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let inputs: Option<Inputs> = args.iter().map(|a| Some(a.as_array()?.data().bytes())).collect();
        self.run(&inputs.ok_or_else(|| failed(&self.name, "expected tensors with values"))?, |results| {
            results.collect()
        })
    }

    /// What `take` makes of the results at `inputs`.
    ///
    /// *Errors*: as [`Executable::call`].
    pub(super) fn run<T>(
        &self,
        inputs: &[&[u8]],
        take: impl FnOnce(&mut dyn Iterator<Item = Tensor>) -> T,
    ) -> Result<T, Error> {
        let blocks = self.compiled.call(inputs).map_err(|e| match e {
            CallError::Data { loc, op, source } => Error::Eval { op, loc, source },
            CallError::Arity { .. }
            | CallError::Length { .. }
            | CallError::Alignment { .. }
            | CallError::Panic { .. } => failed(&self.name, e),
        })?;
        let tensors = self.results.iter().zip(blocks).map(|(aval, block)| {
            let array = cotangent_jit::array(aval, block).expect("P1: a result's block has the bytes of its aval");
            Tensor::from_array(array)
        });
        Ok(take(&mut { tensors }))
    }
}

fn failed(function: &str, problem: impl Display) -> Error {
    Error::Compile { function: function.to_owned(), problem: problem.to_string().into() }
}
