//! `jvp`: the value of a function and its derivative along tangents.

use cotangent_core::error::{Error, TransformError};
use cotangent_core::tensor::trace::Level;
use cotangent_core::transform::jvp::jvp as jvp_graph;
use cotangent_core::transform::linearize::linearize;

use crate::apply::apply;
use crate::auxiliary::{AuxMode, HasAux, NoAux};
use crate::capture::capture;
use crate::check::{differentiable, leaves_like};
use crate::function::{Arguments, Function};
use crate::tree::{Tree, assemble};

/// The result of `f` at `primals`, and its derivative along `tangents`, which are like the primals.
///
/// A result that does not depend on the primals, or is not of floats, has the tangent zero.
///
/// *Errors*: those of the function; a primal that is not of floats; tangents unlike the primals in structure, shape or
/// dtype; a function that has only a reverse rule.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let (y, dy) = jvp(|x: Tensor| x.sin(), (Tensor::from(0.0f32),), (Tensor::from(2.0f32),))?;
/// assert_eq!((y.item::<f32>()?, dy.item::<f32>()?), (0.0, 2.0));
/// # Ok(())
/// # }
/// ```
pub fn jvp<Args, F>(f: F, primals: Args, tangents: Args) -> Result<(F::Output, F::Output), Error>
where
    Args: Arguments,
    F: Function<Args>,
{
    let (y, y_dot, ()) = push::<Args, F, NoAux>(&f, &primals, &tangents, &Dependence::Any)?;
    Ok((y, y_dot))
}

/// As [`jvp`], where a result that does not depend on the primals is an error.
pub fn jvp_strict<Args, F>(f: F, primals: Args, tangents: Args) -> Result<(F::Output, F::Output), Error>
where
    Args: Arguments,
    F: Function<Args>,
{
    let (y, y_dot, ()) = push::<Args, F, NoAux>(&f, &primals, &tangents, &Dependence::Strict)?;
    Ok((y, y_dot))
}

/// As [`jvp`] for a function that returns `(output, aux)`: the output, its tangent, and `aux` undifferentiated.
pub fn jvp_has_aux<Args, F, Y, Aux>(f: F, primals: Args, tangents: Args) -> Result<(Y, Y, Aux), Error>
where
    Args: Arguments,
    F: Function<Args, Output = (Y, Aux)>,
    Y: Tree,
    Aux: Tree,
{
    push::<Args, F, HasAux>(&f, &primals, &tangents, &Dependence::Any)
}

/// Whether results have to depend on the primals.
enum Dependence {
    Any,
    Strict,
}

type Parts<Y, Aux> = (Y, Y, Aux);

fn push<Args, F, A>(
    f: &F,
    primals: &Args,
    tangents: &Args,
    dependence: &Dependence,
) -> Result<Parts<A::Main, A::Aux>, Error>
where
    Args: Arguments,
    F: Function<Args>,
    A: AuxMode<F::Output>,
{
    let captured = capture("jvp", Level::Wrapper, f, primals)?;
    let n = captured.leaves.len();
    let avals = captured.graph.param_avals();
    differentiable("jvp", "primals", &avals[..n])?;
    let trees = ("tangents", "primals");
    let tangents = leaves_like("jvp", trees, "tangent", tangents, &primals.tree_spec(), &avals)?;
    let wrt: Vec<usize> = (0..n).collect();
    let (main, aux) = A::split(&captured.out_spec);
    match dependence {
        Dependence::Any => {}
        Dependence::Strict => {
            let moving = linearize(&captured.graph, &wrt)?;
            if let Some(index) = moving.linear.moving()[..main.num_leaves()].iter().position(|m| !m) {
                return Err(TransformError::Independent { transform: "jvp", index }.into());
            }
        }
    }
    let graph = jvp_graph(&captured.graph, &wrt)?;
    let mut inputs = captured.inputs();
    inputs.extend(tangents);
    let mut y = apply(&graph, &inputs)?;
    let mut dots = y.split_off(captured.graph.results().len()).into_iter();
    let rest = y.split_off(main.num_leaves());
    let y_dot: Vec<_> = y
        .iter()
        .map(|y| match y.dtype().is_float() {
            true => dots.next().expect("a tangent for each float result"),
            false => y.zeros_like(),
        })
        .collect();
    Ok((assemble(&main, y), assemble(&main, y_dot), assemble(&aux, rest)))
}
