//! Traps: compiled programs that stop at a NaN or an infinity and say where it came from.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::error::{Error, NonFinite};
use cotangent_core::ir::{Aval, Graph, Loc, Value};

use cotangent_jit::Input;

use super::executable::{Executable, failed};

/// What a compiled program stops at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Trap {
    /// NaN. Infinities are often meant, as in a mask.
    Nan,
    /// NaN and infinities.
    NonFinite,
}

/// A program that hands out all its floats, so that they can be looked at.
///
/// Values that fusion would keep in registers are stored: a call costs the memory of all intermediate values.
#[derive(Debug)]
pub(super) struct Trapped {
    trap: Trap,
    executable: Executable,
    /// Where each watched result comes from, in the order of computation; they follow the function's own results.
    watched: Vec<(&'static str, Loc)>,
    results: usize,
}

impl Trapped {
    pub fn new(graph: &Graph, trap: Trap) -> Result<Self, Error> {
        let graph = cotangent_loops::lower::prepared(graph).map_err(|e| failed(graph.name(), e))?;
        let mut results: Vec<Value> = graph.results().to_vec();
        let own = results.len();
        let mut watched = Vec::new();
        for node in graph.nodes() {
            for v in node.results.iter().filter(|v| graph.aval(**v).dtype.is_float()) {
                results.push(*v);
                watched.push((node.op.name(), graph.loc(node).clone()));
            }
        }
        let graph = graph.with_results(results);
        let loops = cotangent_loops::lower::explained(&graph).map_err(|e| failed(graph.name(), e))?;
        Ok(Trapped { trap, executable: Executable::of(&graph, loops)?, watched, results: own })
    }

    /// The results at `args`.
    ///
    /// *Errors*: [`Error::NonFinite`] for the first value in the order of computation; an argument counts as the first.
    pub fn call(&self, avals: &[Aval], inputs: &mut [Input]) -> Result<Vec<Tensor>, Error> {
        for (i, (aval, input)) in avals.iter().zip(inputs.iter()).enumerate() {
            if let Some(x) = Array::from_le_bytes(aval, input.bytes()) {
                self.check(&x, || (format!("argument {i}"), Loc::default()))?;
            }
        }
        let mut results = self.executable.call_bytes(inputs)?;
        for (x, (op, loc)) in results[self.results..].iter().zip(&self.watched) {
            if let Some(x) = x.as_array() {
                self.check(x, || ((*op).to_owned(), loc.clone()))?;
            }
        }
        results.truncate(self.results);
        Ok(results)
    }

    fn check(&self, array: &Array, origin: impl FnOnce() -> (String, Loc)) -> Result<(), Error> {
        if !array.dtype().is_float() {
            return Ok(());
        }
        let caught = |value: f64| match self.trap {
            Trap::Nan => value.is_nan(),
            Trap::NonFinite => !value.is_finite(),
        };
        let Some(at) = (0..array.numel()).find(|i| caught(array.get(*i).to_f64())) else { return Ok(()) };
        let index =
            array.shape().strides().iter().zip(array.shape().sizes()).map(|(s, n)| at / s.max(&1) % n).collect();
        let (op, loc) = origin();
        let value = array.get(at).to_f64();
        Err(Error::NonFinite(Box::new(NonFinite { op, loc, value, index, aval: array.aval() })))
    }
}
