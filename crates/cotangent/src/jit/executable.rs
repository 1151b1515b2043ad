//! A graph as machine code.

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph};
use cotangent_jit::{CallError, Compiled};

/// The compiled program of a graph.
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
        let failed = |problem: String| Error::Compile { function: graph.name().to_owned(), problem: problem.into() };
        let program = cotangent_loops::lower(graph).map_err(|e| failed(e.to_string()))?;
        let compiled = cotangent_jit::compile(&program).map_err(|e| failed(e.to_string()))?;
        Ok(Executable { name: graph.name().to_owned(), results: graph.result_avals(), compiled })
    }

    /// The results at concrete tensors of the parameters' avals.
    ///
    /// *Errors*: data that an op cannot compute with; tensors that are not concrete or of other sizes.
    pub fn call(&self, args: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        let failed = |problem: String| Error::Compile { function: self.name.clone(), problem: problem.into() };
        let inputs: Option<Vec<&[u8]>> = args.iter().map(|a| Some(a.as_array()?.data().bytes())).collect();
        let inputs = inputs.ok_or_else(|| failed("expected tensors with values".to_owned()))?;
        let blocks = self.compiled.call(&inputs).map_err(|e| match e {
            CallError::Data { loc, op, source } => Error::Eval { op, loc, source },
            CallError::Arity { .. }
            | CallError::Length { .. }
            | CallError::Alignment { .. }
            | CallError::Panic { .. } => failed(e.to_string()),
        })?;
        let arrays = self.results.iter().zip(blocks).map(|(aval, block)| {
            let array = cotangent_jit::array(aval, block);
            array.map(Tensor::from_array).ok_or_else(|| failed(format!("a result is not {aval}")))
        });
        arrays.collect()
    }

    /// What one call allocates at most beside its arguments, in bytes.
    pub fn peak_bytes(&self) -> usize {
        self.compiled.peak_bytes()
    }

    /// The loops that it runs, as text.
    pub fn loops(&self) -> String {
        cotangent_loops::text::print(self.compiled.program())
    }
}
