//! Reverse mode on graphs: linearize, then transpose.

use super::linearize::{Linearized, linearize};
use super::replay::replay;
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
    let Linearized { primal, linear } = linearize(graph, wrt)?;
    let pullback = transpose(&linear)?;
    build("vjp", |t| {
        let x: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        let mut y = replay(&primal, &x);
        let mut args = y.split_off(graph.results().len());
        for (y, moving) in y.iter().zip(linear.moving()) {
            if y.dtype().is_float() {
                let y_bar = t.param(&y.aval());
                if *moving {
                    args.push(y_bar);
                }
            }
        }
        y.extend(replay(&pullback, &args));
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
    let Linearized { primal, linear } = linearize(graph, wrt)?;
    let pullback = transpose(&linear)?;
    build("grad", |t| {
        let x: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        let mut y = replay(&primal, &x);
        let mut args = y.split_off(graph.results().len());
        for (i, (y, moving)) in y.iter().zip(linear.moving()).enumerate() {
            if *moving {
                args.push(if i == 0 { y.ones_like() } else { y.zeros_like() });
            }
        }
        let mut out = replay(&pullback, &args);
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
