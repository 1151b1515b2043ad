//! What a workload is: a name, inputs, and a function to compile and call.

use std::hint::black_box;

use cotangent::function::{Arguments, Function};
use cotangent::jit::Jit;
use cotangent::prelude::*;

use crate::inputs::Input;

/// A function that is timed, with its inputs.
pub struct Workload {
    /// The name.
    pub name: String,
    /// The inputs in order.
    pub inputs: Vec<Input>,
    arrange: Box<dyn Fn(Vec<Tensor>) -> Box<dyn Program>>,
}

/// A function beside its arguments, whatever their types are.
pub trait Program {
    /// Traces, compiles and calls, at the first time; then calls. Gives the flattened results.
    fn results(&mut self) -> Result<Vec<Tensor>, Error>;

    /// Calls and drops the results.
    fn again(&mut self) -> Result<(), Error>;

    /// What is compiled.
    fn graph(&self) -> Result<Graph, Error>;
}

struct Compiled<Args, F> {
    function: Jit<F>,
    args: Args,
}

impl<Args: Arguments + Clone, F: Function<Args>> Program for Compiled<Args, F> {
    fn results(&mut self) -> Result<Vec<Tensor>, Error> {
        Ok(self.function.call(self.args.clone())?.to_leaves().0)
    }

    fn again(&mut self) -> Result<(), Error> {
        black_box(self.function.call(black_box(&self.args).clone())?);
        Ok(())
    }

    fn graph(&self) -> Result<Graph, Error> {
        make_fx(&self.function, self.args.clone())
    }
}

/// `function`, to be compiled at its first call, with its arguments.
pub fn compiled<Args, F>(function: F, args: Args) -> Box<dyn Program>
where
    Args: Arguments + Clone + 'static,
    F: Function<Args> + 'static,
{
    Box::new(Compiled { function: jit(function), args })
}

impl Workload {
    /// The workload whose program `arrange` makes of the input tensors.
    pub fn new<const N: usize>(
        name: impl Into<String>,
        inputs: [Input; N],
        arrange: impl Fn([Tensor; N]) -> Box<dyn Program> + 'static,
    ) -> Self {
        Workload::after(name, Vec::new(), inputs, move |_, tensors| arrange(tensors))
    }

    /// The workload with any number of inputs, `first`, before the others: the parameters of a model, say.
    pub fn after<const N: usize>(
        name: impl Into<String>,
        first: Vec<Input>,
        rest: [Input; N],
        arrange: impl Fn(Vec<Tensor>, [Tensor; N]) -> Box<dyn Program> + 'static,
    ) -> Self {
        let split = first.len();
        let arrange = Box::new(move |mut tensors: Vec<Tensor>| {
            let rest = tensors.split_off(split).try_into();
            arrange(tensors, rest.expect("a tensor for each input"))
        });
        Workload { name: name.into(), inputs: first.into_iter().chain(rest).collect(), arrange }
    }

    /// Makes the inputs, and puts them beside the function.
    pub fn program(&self) -> Box<dyn Program> {
        (self.arrange)(self.inputs.iter().enumerate().map(|(position, input)| input.make(position)).collect())
    }
}
