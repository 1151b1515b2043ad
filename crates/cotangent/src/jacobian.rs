//! `jacrev` and `jacfwd`: all derivatives of a function's results.

use std::marker::PhantomData;
use std::num::NonZeroUsize;

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::{Aval, Graph};
use cotangent_core::tensor::trace::Level;
use cotangent_core::transform::jacobian::{jacfwd_with_aux, jacrev_with_aux};

use crate::apply::apply;
use crate::argnums::{At, Select, selected_leaves};
use crate::auxiliary::{AuxMode, HasAux, NoAux};
use crate::capture::{Captured, capture};
use crate::check::differentiable;
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{Tree, assemble, nest};

/// The Jacobian in argument 0, by reverse mode: cheap where results are few.
///
/// The result has the structure of the function's result, with the structure of the selected arguments in place of
/// each tensor; each leaf has the shape of the result's leaf followed by that of the argument's leaf. Random
/// draws inside `f` happen once.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let j = jacrev(|x: Tensor| &x * &x).call((Tensor::from([1.0f32, 2.0]),))?;
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok(())
/// # }
/// ```
pub fn jacrev<F>(f: F) -> JacRev<F> {
    JacRev::new(f, None)
}

/// The function that [`jacrev`] makes.
#[derive(Debug)]
pub struct JacRev<F, W = At<0>, A = NoAux> {
    f: F,
    chunk_size: Option<usize>,
    mode: PhantomData<fn() -> (W, A)>,
}

impl<F: Clone, W, A> Clone for JacRev<F, W, A> {
    fn clone(&self) -> Self {
        JacRev { f: self.f.clone(), chunk_size: self.chunk_size, mode: PhantomData }
    }
}

impl<F, W, A> JacRev<F, W, A> {
    pub(crate) fn new(f: F, chunk_size: Option<usize>) -> Self {
        JacRev { f, chunk_size, mode: PhantomData }
    }

    /// Selects the arguments: one for its own type, several for a tuple.
    pub fn argnums<W2>(self) -> JacRev<F, W2, A> {
        JacRev::new(self.f, self.chunk_size)
    }

    /// For a function that returns `(output, aux)`: the result is `(jacobian, aux)`.
    pub fn has_aux(self) -> JacRev<F, W, HasAux> {
        JacRev::new(self.f, self.chunk_size)
    }

    /// Computes so many rows at a time, for less memory; one row at a time does without `vmap`.
    pub fn chunk_size(mut self, rows: usize) -> Self {
        self.chunk_size = Some(rows);
        self
    }
}

impl<Args, F, W, A> Function<Args> for JacRev<F, W, A>
where
    Args: Arguments,
    F: Function<Args>,
    W: Select<Args>,
    A: AuxMode<F::Output>,
{
    type Output = A::With<<A::Main as Tree>::Map<W::Selected>>;

    fn call(&self, args: Args) -> Result<Self::Output, Error> {
        let chunk = match self.chunk_size {
            None => None,
            Some(k) => Some(NonZeroUsize::new(k).ok_or(TransformError::ChunkSize { transform: "jacrev" })?),
        };
        jacobian::<Args, F, W, A>("jacrev", &self.f, &args, |captured, wrt, main| {
            differentiable("jacrev", "the result of f", &captured.graph.result_avals()[..main])?;
            jacrev_with_aux(&captured.graph, wrt, main, chunk)
        })
    }

    fn name(&self) -> String {
        format!("jacrev({})", self.f.name())
    }
}

by_reference!(JacRev<F, W, A>);

/// The Jacobian in argument 0, by forward mode: cheap where arguments are small.
///
/// The result is arranged as that of [`jacrev`]. A result that is not of floats has the Jacobian zero.
pub fn jacfwd<F>(f: F) -> JacFwd<F> {
    JacFwd::new(f)
}

/// The function that [`jacfwd`] makes.
#[derive(Debug)]
pub struct JacFwd<F, W = At<0>, A = NoAux> {
    f: F,
    mode: PhantomData<fn() -> (W, A)>,
}

impl<F: Clone, W, A> Clone for JacFwd<F, W, A> {
    fn clone(&self) -> Self {
        JacFwd { f: self.f.clone(), mode: PhantomData }
    }
}

impl<F, W, A> JacFwd<F, W, A> {
    pub(crate) fn new(f: F) -> Self {
        JacFwd { f, mode: PhantomData }
    }

    /// Selects the arguments: one for its own type, several for a tuple.
    pub fn argnums<W2>(self) -> JacFwd<F, W2, A> {
        JacFwd::new(self.f)
    }

    /// For a function that returns `(output, aux)`: the result is `(jacobian, aux)`.
    pub fn has_aux(self) -> JacFwd<F, W, HasAux> {
        JacFwd::new(self.f)
    }
}

impl<Args, F, W, A> Function<Args> for JacFwd<F, W, A>
where
    Args: Arguments,
    F: Function<Args>,
    W: Select<Args>,
    A: AuxMode<F::Output>,
{
    type Output = A::With<<A::Main as Tree>::Map<W::Selected>>;

    fn call(&self, args: Args) -> Result<Self::Output, Error> {
        jacobian::<Args, F, W, A>("jacfwd", &self.f, &args, |captured, wrt, main| {
            jacfwd_with_aux(&captured.graph, wrt, main)
        })
    }

    fn name(&self) -> String {
        format!("jacfwd({})", self.f.name())
    }
}

by_reference!(JacFwd<F, W, A>);

/// The result of `A::Main`'s structure with a `X` in place of each tensor, beside the auxiliary part.
type Jacobian<A, Out, X> = <A as AuxMode<Out>>::With<<<A as AuxMode<Out>>::Main as Tree>::Map<X>>;

fn jacobian<Args, F, W, A>(
    transform: &'static str,
    f: &F,
    args: &Args,
    make: impl FnOnce(&Captured, &[usize], usize) -> Result<Graph, Error>,
) -> Result<Jacobian<A, F::Output, W::Selected>, Error>
where
    Args: Arguments,
    F: Function<Args>,
    W: Select<Args>,
    A: AuxMode<F::Output>,
{
    let captured = capture(transform, Level::Wrapper, f, args)?;
    let wrt = selected_leaves::<Args, W>(transform, &captured.arg_specs)?;
    let avals = captured.graph.param_avals();
    let inputs: Vec<&Aval> = wrt.iter().map(|i| &avals[*i]).collect();
    differentiable(transform, "the arguments", &inputs.iter().copied().cloned().collect::<Vec<_>>())?;
    let (main, aux) = A::split(&captured.out_spec);
    let graph = make(&captured, &wrt, main.num_leaves())?;
    let mut blocks = apply(&graph, &captured.inputs())?;
    let rest = blocks.split_off(blocks.len() - aux.num_leaves());
    let mut blocks = blocks.into_iter();
    let mut leaves: Vec<Tensor> = Vec::new();
    for y in &captured.graph.result_avals()[..main.num_leaves()] {
        for x in &inputs {
            leaves.push(match y.dtype.is_float() {
                true => blocks.next().expect("a block for each float result and argument"),
                false => Tensor::zeros_of(&y.with_shape(y.shape.concat(&x.shape)), None),
            });
        }
    }
    let spec = nest(&main, &W::spec(&captured.arg_specs));
    Ok(A::with(assemble(&spec, leaves), assemble(&aux, rest)))
}
