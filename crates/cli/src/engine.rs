//! What evaluates graphs.

use cotangent::array::Array;
use cotangent::ir::Graph;
use cotangent::jit::{Executable, Profile};
use cotangent::simplify::{Options, simplify_with};
use cotangent::transform::eval::eval;
use cotangent::{Error, Tensor};

/// What evaluates a graph.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Engine {
    /// Native code.
    Jit,
    /// The reference evaluator, op by op.
    Eval,
}

/// A graph ready to be evaluated at arguments of its avals.
pub type Evaluate<'g> = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>, Error> + 'g>;

impl Engine {
    /// The results of `graph` at arguments of its avals, with the simplifications of `options` alone.
    pub fn run(self, graph: &Graph, args: &[Array], options: Options) -> Result<Vec<Array>, Error> {
        match self {
            Engine::Eval => eval(&simplify_with(graph, options).0, args),
            Engine::Jit => {
                let args: Vec<Tensor> = args.iter().cloned().map(Tensor::from_array).collect();
                self.prepare(graph, options)?(&args)?.iter().map(Tensor::to_array).collect()
            }
        }
    }

    /// Makes `graph` ready: compiles it, with the simplifications of `options` alone, where the engine compiles.
    pub fn prepare(self, graph: &Graph, options: Options) -> Result<Evaluate<'_>, Error> {
        Ok(match self {
            Engine::Jit => {
                let executable = Executable::simplified(graph, options)?;
                Box::new(move |args| executable.call(args))
            }
            Engine::Eval => Box::new(|args| {
                let args = args.iter().map(Tensor::to_array).collect::<Result<Vec<_>, _>>()?;
                Ok(eval(graph, &args)?.into_iter().map(Tensor::from_array).collect())
            }),
        })
    }
    /// The time of each kernel in a call after a first one, where the engine has kernels.
    pub fn profile(self, graph: &Graph, options: Options, args: &[Tensor]) -> Result<Option<Profile>, Error> {
        Ok(match self {
            Engine::Jit => {
                let executable = Executable::simplified(graph, options)?;
                executable.call(args)?;
                Some(executable.profile(args)?.1)
            }
            Engine::Eval => None,
        })
    }
}
