//! `vjp`: the value of a function and the linear map that pulls cotangents back.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph, TreeSpec};
use cotangent_core::tensor::trace::Level;
use cotangent_core::transform::linearize::linearize;
use cotangent_core::transform::transpose::transpose;

use crate::apply::{apply, apply_primal};
use crate::auxiliary::{AuxMode, HasAux, NoAux};
use crate::capture::capture;
use crate::check::{differentiable, leaves_like};
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{Tree, assemble};

/// The result of `f` at `primals`, and its pullback there.
///
/// The pullback takes a cotangent like the result and returns a tuple with a cotangent for each argument. It can be
/// called many times, and inside other transforms.
///
/// *Errors*: those of the function; a primal or result that is not of floats; no tensor among them.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let (y, pullback) = vjp(|x: Tensor, w: Tensor| x * w, (Tensor::from(3.0f32), Tensor::from(4.0f32)))?;
/// let (dx, dw) = pullback.call((Tensor::from(1.0f32),))?;
/// assert_eq!((y.item::<f32>()?, dx.item::<f32>()?, dw.item::<f32>()?), (12.0, 4.0, 3.0));
/// # Ok(())
/// # }
/// ```
#[allow(clippy::type_complexity, reason = "the pair that functorch returns")]
pub fn vjp<Args, F>(f: F, primals: Args) -> Result<(F::Output, Pullback<Args, F::Output>), Error>
where
    Args: Arguments,
    F: Function<Args>,
{
    let (y, pullback, ()) = pull_back::<Args, F, NoAux>(&f, &primals)?;
    Ok((y, pullback))
}

/// As [`vjp`] for a function that returns `(output, aux)`: the output, its pullback, and `aux` undifferentiated.
pub fn vjp_has_aux<Args, F, Y, Aux>(f: F, primals: Args) -> Result<(Y, Pullback<Args, Y>, Aux), Error>
where
    Args: Arguments,
    F: Function<Args, Output = (Y, Aux)>,
    Y: Tree,
    Aux: Tree,
{
    pull_back::<Args, F, HasAux>(&f, &primals)
}

type Parts<Args, Y, Aux> = (Y, Pullback<Args, Y>, Aux);

fn pull_back<Args, F, A>(f: &F, primals: &Args) -> Result<Parts<Args, A::Main, A::Aux>, Error>
where
    Args: Arguments,
    F: Function<Args>,
    A: AuxMode<F::Output>,
{
    let captured = capture("vjp", Level::Wrapper, f, primals)?;
    let n = captured.leaves.len();
    differentiable("vjp", "primals", &captured.graph.param_avals()[..n])?;
    let (main, aux) = A::split(&captured.out_spec);
    let out = captured.graph.result_avals()[..main.num_leaves()].to_vec();
    differentiable("vjp", "the result of f", &out)?;
    let lin = linearize(&captured.graph, &(0..n).collect::<Vec<_>>())?;
    let linear = lin.linear.of_first(main.num_leaves());
    let results = captured.graph.results().len();
    let mut y = apply_primal(&lin.primal, results, &captured.inputs())?;
    let residuals = y.split_off(results);
    let rest = y.split_off(main.num_leaves());
    let pullback = Pullback {
        graph: Arc::new(transpose(&linear)?),
        residuals,
        moving: linear.moving()[..main.num_leaves()].to_vec(),
        out,
        out_spec: main.clone(),
        arg_spec: primals.tree_spec(),
        types: PhantomData,
    };
    Ok((assemble(&main, y), pullback, assemble(&aux, rest)))
}

/// The map of cotangents that [`vjp`] returns.
pub struct Pullback<Args, Y> {
    /// `(residual…, y_bar that matter…) → x_bar…`.
    graph: Arc<Graph>,
    residuals: Vec<Tensor>,
    moving: Vec<bool>,
    out: Vec<Aval>,
    out_spec: TreeSpec,
    arg_spec: TreeSpec,
    types: PhantomData<fn(Y) -> Args>,
}

impl<Args, Y> Clone for Pullback<Args, Y> {
    fn clone(&self) -> Self {
        Pullback {
            graph: self.graph.clone(),
            residuals: self.residuals.clone(),
            moving: self.moving.clone(),
            out: self.out.clone(),
            out_spec: self.out_spec.clone(),
            arg_spec: self.arg_spec.clone(),
            types: PhantomData,
        }
    }
}

impl<Args, Y> fmt::Debug for Pullback<Args, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pullback({} -> {}, {} residuals)", self.out_spec, self.arg_spec, self.residuals.len())
    }
}

impl<Args: Arguments, Y: Tree> Function<(Y,)> for Pullback<Args, Y> {
    type Output = Args;

    fn call(&self, (y_bar,): (Y,)) -> Result<Args, Error> {
        let trees = ("cotangents", "outputs to the function");
        let y_bar = leaves_like("vjp", trees, "cotangent", &y_bar, &self.out_spec, &self.out)?;
        let mut inputs = self.residuals.clone();
        inputs.extend(y_bar.into_iter().zip(&self.moving).filter(|(_, m)| **m).map(|(y_bar, _)| y_bar));
        Ok(assemble(&self.arg_spec, apply(&self.graph, &inputs)?))
    }

    fn name(&self) -> String {
        "pullback".to_owned()
    }
}

by_reference!(Pullback<A, Y>);
