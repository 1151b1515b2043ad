//! Reverse mode on graphs: linearize, then transpose.

use super::lazy::replay_with_residuals;
use super::linearize::linearize;
use super::transpose::transpose;
use crate::error::{Error, TransformError};
use crate::ir::{Aval, Graph};
use crate::tensor::Tensor;
use crate::tensor::trace::build;

/// Checks that the parameters `wrt` exist and are of floats.
pub(crate) fn check_float(transform: &'static str, avals: &[Aval], wrt: &[usize]) -> Result<(), Error> {
    for i in wrt {
        let Some(aval) = avals.get(*i) else {
            let problem = format!("got argument {i}, but there are only {} flat arguments", avals.len());
            return Err(TransformError::Argnums { transform, problem }.into());
        };
        if !aval.dtype.is_float() {
            let what = format!("argument {i}");
            return Err(TransformError::NotFloat { transform, what, found: aval.clone() }.into());
        }
    }
    Ok(())
}

/// The graph `(x…, y_bar of the float results…) → (y…, x_bar of the params in wrt…)`.
///
/// *Errors*: a parameter in `wrt` that is not of floats.
pub fn vjp(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    let lin = linearize(graph, wrt)?;
    let pullback = transpose(&lin.linear)?;
    build("vjp", |t| {
        let x: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        let float: Vec<Aval> = graph.result_avals().into_iter().filter(|a| a.dtype.is_float()).collect();
        let mut y_bar = float.iter().map(|a| t.param(a)).collect::<Vec<_>>().into_iter();
        let (mut y, x_bar) = replay_with_residuals(&lin, graph.results().len(), &x, &pullback, |y| {
            let all = y.iter().zip(lin.linear.moving());
            let of_float = all.filter(|(y, _)| y.dtype().is_float());
            of_float.zip(&mut y_bar).filter(|((_, moving), _)| **moving).map(|(_, y_bar)| y_bar).collect()
        });
        y.extend(x_bar);
        Ok(y)
    })
}

/// The graph `x… → (x_bar of the params in wrt…, y…)` of a graph whose first result is a float scalar; further
/// results are auxiliary.
///
/// *Errors*: a first result that is no float scalar; a parameter in `wrt` that is not of floats.
pub fn grad_and_value(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    let found = graph.result_avals().into_iter().next();
    check_scalar(found.as_ref())?;
    let lin = linearize(graph, wrt)?;
    // Only the first result has a cotangent; what leads to auxiliary results alone is not in the backward pass.
    let linear = lin.linear.of_result(0);
    let pullback = transpose(&linear)?;
    build("grad", |t| {
        let x: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        let start = |y: &[Tensor]| if lin.linear.moving()[0] { vec![y[0].ones_like()] } else { Vec::new() };
        let (y, mut out) = replay_with_residuals(&lin, graph.results().len(), &x, &pullback, start);
        out.extend(y);
        Ok(out)
    })
}

/// Checks that a gradient can start from `aval`.
pub fn check_scalar(aval: Option<&Aval>) -> Result<(), Error> {
    match aval {
        Some(a) if a.rank() != 0 => Err(TransformError::NotScalar { found: a.clone() }.into()),
        Some(a) if !a.dtype.is_float() => {
            Err(TransformError::NotFloat { transform: "grad", what: "the result".to_owned(), found: a.clone() }.into())
        }
        Some(_) => Ok(()),
        None => {
            Err(TransformError::Argnums { transform: "grad", problem: "the function returns no tensor".to_owned() }
                .into())
        }
    }
}
