//! `linearize`: the value of a function and its derivative as a function of tangents.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, Graph, TreeSpec};
use cotangent_core::tensor::trace::Level;
use cotangent_core::transform::jvp::check_forward;
use cotangent_core::transform::linearize::linearize as linearize_graph;

use crate::apply::{apply, apply_primal};
use crate::capture::capture;
use crate::check::{differentiable, leaves_like};
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{Tree, assemble};

/// The result of `f` at `primals`, and the linear map of tangents there.
///
/// `f` is evaluated once; each call of the map costs only the derivative.
///
/// *Errors*: as [`jvp`](crate::jvp::jvp); the map checks its tangents.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let (y, derivative) = linearize(|x: Tensor| &x * &x, (Tensor::from(3.0f32),))?;
/// assert_eq!(y.item::<f32>()?, 9.0);
/// assert_eq!(derivative.call((Tensor::from(1.0f32),))?.item::<f32>()?, 6.0);
/// # Ok(())
/// # }
/// ```
#[allow(clippy::type_complexity, reason = "the pair that functorch returns")]
pub fn linearize<Args, F>(f: F, primals: Args) -> Result<(F::Output, Pushforward<Args, F::Output>), Error>
where
    Args: Arguments,
    F: Function<Args>,
{
    let captured = capture("linearize", Level::Wrapper, &f, &primals)?;
    let n = captured.leaves.len();
    let avals = captured.graph.param_avals()[..n].to_vec();
    differentiable("linearize", "primals", &avals)?;
    let lin = linearize_graph(&captured.graph, &(0..n).collect::<Vec<_>>())?;
    check_forward("linearize", lin.linear.graph())?;
    let results = captured.graph.results().len();
    let mut y = apply_primal(&lin.primal, results, &captured.inputs())?;
    let residuals = y.split_off(results);
    let pushforward = Pushforward {
        graph: Arc::new(lin.linear.graph().clone()),
        residuals,
        moving: lin.linear.moving().to_vec(),
        out: captured.graph.result_avals(),
        out_spec: captured.out_spec.clone(),
        avals,
        arg_spec: primals.tree_spec(),
        types: PhantomData,
    };
    Ok((assemble(&captured.out_spec, y), pushforward))
}

/// The map of tangents that [`linearize`] returns.
pub struct Pushforward<Args, Y> {
    /// `(residual…, x_dot…) → y_dot…`.
    graph: Arc<Graph>,
    residuals: Vec<Tensor>,
    moving: Vec<bool>,
    out: Vec<Aval>,
    out_spec: TreeSpec,
    avals: Vec<Aval>,
    arg_spec: TreeSpec,
    types: PhantomData<fn(Args) -> Y>,
}

impl<Args, Y> Clone for Pushforward<Args, Y> {
    fn clone(&self) -> Self {
        Pushforward {
            graph: self.graph.clone(),
            residuals: self.residuals.clone(),
            moving: self.moving.clone(),
            out: self.out.clone(),
            out_spec: self.out_spec.clone(),
            avals: self.avals.clone(),
            arg_spec: self.arg_spec.clone(),
            types: PhantomData,
        }
    }
}

impl<Args, Y> fmt::Debug for Pushforward<Args, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pushforward({} -> {}, {} residuals)", self.arg_spec, self.out_spec, self.residuals.len())
    }
}

impl<Args: Arguments, Y: Tree> Function<Args> for Pushforward<Args, Y> {
    type Output = Y;

    fn call(&self, tangents: Args) -> Result<Y, Error> {
        let trees = ("tangents", "primals");
        let tangents = leaves_like("linearize", trees, "tangent", &tangents, &self.arg_spec, &self.avals)?;
        let like = tangents[0].clone();
        let inputs: Vec<Tensor> = self.residuals.iter().cloned().chain(tangents).collect();
        let mut dots = apply(&self.graph, &inputs)?.into_iter();
        let dot = |(moving, aval): (&bool, &Aval)| match moving {
            true => dots.next().expect("a tangent for each moving result"),
            false => Tensor::zeros_of(aval, Some(&like)),
        };
        Ok(assemble(&self.out_spec, self.moving.iter().zip(&self.out).map(dot).collect::<Vec<_>>()))
    }

    fn name(&self) -> String {
        "pushforward".to_owned()
    }
}

by_reference!(Pushforward<A, Y>);
