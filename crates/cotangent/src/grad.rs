//! `grad` and its variants with the value.

use std::marker::PhantomData;

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::TreeSpec;
use cotangent_core::tensor::trace::Level;
use cotangent_core::transform::grad::grad_and_value as grad_graph;

use crate::apply::apply;
use crate::argnums::{At, Select, selected_leaves};
use crate::auxiliary::{AuxMode, HasAux, NoAux};
use crate::capture::capture;
use crate::check::differentiable;
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{Tree, assemble};

/// The gradient of a function whose result is a float scalar, for argument 0 and with that argument's own type.
///
/// [`Grad::argnums`] selects other arguments, [`Grad::has_aux`] is for a function that returns `(output, aux)`. An
/// argument on which the result does not depend has the gradient zero.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let x = Tensor::from([0.0f32, 1.0]);
/// let g = grad(|x: Tensor| x.square().sum()).call((x,))?;
/// assert_eq!(g.to_vec::<f32>()?, [0.0, 2.0]);
/// # Ok(())
/// # }
/// ```
pub fn grad<F>(f: F) -> Grad<F> {
    Grad::new(f)
}

/// The gradient and then the value: `(grad, value)`, or `(grad, (value, aux))`.
pub fn grad_and_value<F>(f: F) -> Grad<F, At<0>, NoAux, GradFirst> {
    Grad::new(f)
}

/// The value and then the gradient, as JAX has it: `(value, grad)`, or `((value, aux), grad)`.
pub fn value_and_grad<F>(f: F) -> Grad<F, At<0>, NoAux, ValueFirst> {
    Grad::new(f)
}

/// The function that [`grad`], [`grad_and_value`] and [`value_and_grad`] make.
#[derive(Debug)]
pub struct Grad<F, W = At<0>, A = NoAux, V = GradOnly> {
    f: F,
    mode: PhantomData<(W, A, V)>,
}

impl<F: Clone, W, A, V> Clone for Grad<F, W, A, V> {
    fn clone(&self) -> Self {
        Grad::new(self.f.clone())
    }
}

impl<F, W, A, V> Grad<F, W, A, V> {
    pub(crate) fn new(f: F) -> Self {
        Grad { f, mode: PhantomData }
    }

    /// Selects the arguments that are differentiated: `argnums::<At<1>>()` gives the gradient of argument 1,
    /// `argnums::<(At<1>, At<0>)>()` a tuple in that order. Negative numbers count from the last argument.
    pub fn argnums<W2>(self) -> Grad<F, W2, A, V> {
        Grad::new(self.f)
    }

    /// For a function that returns `(output, aux)`: `aux`, any tree, is passed on undifferentiated.
    pub fn has_aux(self) -> Grad<F, W, HasAux, V> {
        Grad::new(self.f)
    }
}

/// Only the gradient is returned.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradOnly;

/// The gradient is returned before the value.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradFirst;

/// The value is returned before the gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueFirst;

/// What a gradient function returns, of the gradient `G` and a result that `A` divides into value and auxiliary part.
pub trait GradResult<G: Tree, Out: Tree, A: AuxMode<Out>> {
    /// The result.
    type Result: Tree;

    /// The transform's name.
    const NAME: &'static str;

    /// Puts it together.
    fn result(grad: G, value: A::Main, aux: A::Aux) -> Self::Result;
}

impl<G: Tree, Out: Tree, A: AuxMode<Out>> GradResult<G, Out, A> for GradOnly {
    type Result = A::With<G>;
    const NAME: &'static str = "grad";

    fn result(grad: G, _: A::Main, aux: A::Aux) -> A::With<G> {
        A::with(grad, aux)
    }
}

impl<G: Tree, Out: Tree, A: AuxMode<Out>> GradResult<G, Out, A> for GradFirst {
    type Result = (G, A::With<A::Main>);
    const NAME: &'static str = "grad_and_value";

    fn result(grad: G, value: A::Main, aux: A::Aux) -> Self::Result {
        (grad, A::with(value, aux))
    }
}

impl<G: Tree, Out: Tree, A: AuxMode<Out>> GradResult<G, Out, A> for ValueFirst {
    type Result = (A::With<A::Main>, G);
    const NAME: &'static str = "value_and_grad";

    fn result(grad: G, value: A::Main, aux: A::Aux) -> Self::Result {
        (A::with(value, aux), grad)
    }
}

impl<Args, F, W, A, V> Function<Args> for Grad<F, W, A, V>
where
    Args: Arguments,
    F: Function<Args>,
    W: Select<Args>,
    A: AuxMode<F::Output>,
    V: GradResult<W::Selected, F::Output, A>,
{
    type Output = V::Result;

    fn call(&self, args: Args) -> Result<V::Result, Error> {
        let captured = capture(V::NAME, Level::Wrapper, &self.f, &args)?;
        let wrt = selected_leaves::<Args, W>(V::NAME, &captured.arg_specs)?;
        let avals = captured.graph.param_avals();
        differentiable(V::NAME, "the arguments", &wrt.iter().map(|i| avals[*i].clone()).collect::<Vec<_>>())?;
        let (main, aux) = A::split(&captured.out_spec);
        single(&captured.graph.result_avals()[..main.num_leaves()])?;
        let graph = grad_graph(&captured.graph, &wrt)?;
        let mut out = apply(&graph, &captured.inputs())?.into_iter();
        let grad_spec = W::spec(&captured.arg_specs);
        let mut take = |spec: &TreeSpec| out.by_ref().take(spec.num_leaves()).collect::<Vec<Tensor>>();
        let grad = take(&grad_spec);
        let value = take(&main);
        let rest = take(&aux);
        Ok(V::result(assemble(&grad_spec, grad), assemble(&main, value), assemble(&aux, rest)))
    }

    fn name(&self) -> String {
        format!("{}({})", <V as GradResult<W::Selected, F::Output, A>>::NAME, self.f.name())
    }
}

by_reference!(Grad<F, W, A, V>);

/// Checks that a gradient can start from results of these avals.
fn single(main: &[cotangent_core::ir::Aval]) -> Result<(), Error> {
    match main {
        [] => cotangent_core::transform::grad::check_scalar(None),
        [one] => cotangent_core::transform::grad::check_scalar(Some(one)),
        several => {
            let problem = format!("expected f(*args) to return a tensor, got a tree of {} tensors", several.len());
            Err(cotangent_core::error::TransformError::Argnums { transform: "grad", problem }.into())
        }
    }
}
