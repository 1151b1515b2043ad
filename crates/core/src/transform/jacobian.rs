//! Jacobians: the linear map of a function applied to every row or column of an identity at once, by `vmap`.

use super::grad::check_float;
use super::linearize::{Linearized, linearize};
use super::replay::replay;
use super::transpose::transpose;
use super::vmap::{move_dim, push_batched};
use crate::error::Error;
use crate::ir::{Aval, Dim, Graph};
use crate::ops::{Batched, Eye};
use crate::tensor::Tensor;
use crate::tensor::trace::build;

/// The Jacobians of the float results in the params `wrt`, by reverse mode: `vmap` of the pullback.
///
/// *Shape*: for each float result, for each param in `wrt`: the result's shape, then the param's.
/// *Errors*: a parameter in `wrt` that is not of floats.
pub fn jacrev(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    let avals = graph.param_avals();
    let Linearized { primal, linear } = linearize(graph, wrt)?;
    let pullback = transpose(&linear)?;
    build("jacrev", |t| {
        let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        let mut y = replay(&primal, &x);
        let residuals = y.split_off(graph.results().len());
        let moving: Vec<&Tensor> = y.iter().zip(linear.moving()).filter(|(_, m)| **m).map(|(y, _)| y).collect();
        let mut out = Vec::new();
        let mut next = 0;
        for (y, is_moving) in y.iter().zip(linear.moving()).filter(|(y, _)| y.dtype().is_float()) {
            if !*is_moving {
                out.extend(wrt.iter().map(|i| zero_block(y, &y.aval(), &avals[*i])));
                continue;
            }
            let args = basis_args(&residuals, &moving, next);
            next += 1;
            let rows = push_batched(&pullback, &args, y.shape().numel().into());
            let size = Dim::new(y.shape().numel());
            let block = |(r, i): (Batched, &usize)| r.materialised(size).view_to(&y.shape().concat(&avals[*i].shape));
            out.extend(rows.into_iter().zip(wrt).map(block));
        }
        Ok(out)
    })
}

/// The Jacobians of the float results in the params `wrt`, by forward mode: `vmap` of the pushforward.
///
/// *Shape*, *Errors*: as [`jacrev`]; and a function that has only a reverse rule.
pub fn jacfwd(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    let avals = graph.param_avals();
    check_float("jacfwd", &avals, wrt)?;
    let Linearized { primal, linear } = linearize(graph, wrt)?;
    super::jvp::check_forward("jacfwd", linear.graph())?;
    build("jacfwd", |t| {
        let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        let mut y = replay(&primal, &x);
        let residuals = y.split_off(graph.results().len());
        let inputs: Vec<&Tensor> = wrt.iter().map(|i| &x[*i]).collect();
        // One block of columns for each input; the results are ordered by output first.
        let columns: Vec<Vec<Batched>> = (0..inputs.len())
            .map(|k| {
                let args = basis_args(&residuals, &inputs, k);
                push_batched(linear.graph(), &args, inputs[k].shape().numel().into())
            })
            .collect();
        let mut out = Vec::new();
        let mut next = 0;
        for (y, moving) in y.iter().zip(linear.moving()).filter(|(y, _)| y.dtype().is_float()) {
            for (x, columns) in inputs.iter().zip(&columns) {
                out.push(if *moving {
                    let size = Dim::new(x.shape().numel());
                    let block = move_dim(&columns[next].materialised(size), 0, y.rank());
                    block.view_to(&y.shape().concat(x.shape()))
                } else {
                    zero_block(y, &y.aval(), &x.aval())
                });
            }
            next += usize::from(*moving);
        }
        Ok(out)
    })
}

/// The second derivatives of the float results: forward mode over reverse mode.
///
/// *Shape*: for each float result, for each pair of params in `wrt`: the result's shape, then those of both params.
pub fn hessian(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    jacfwd(&jacrev(graph, wrt)?, wrt)
}

/// Residuals, then tangents (or cotangents) like `primals`: an identity for primal `which`, zeros for the others.
fn basis_args(residuals: &[Tensor], primals: &[&Tensor], which: usize) -> Vec<Batched> {
    let shared = |x: Tensor| Batched { x, mapped: false };
    let mut args: Vec<Batched> = residuals.iter().cloned().map(shared).collect();
    for (i, p) in primals.iter().enumerate() {
        args.push(if i == which {
            let n = Dim::new(p.shape().numel());
            let eye = Tensor::generate(Eye { n, m: n, dtype: p.dtype() }, Some(p));
            Batched::mapped(eye.view_to(&p.shape().inserted(0, n)))
        } else {
            shared(p.zeros_like())
        });
    }
    args
}

fn zero_block(like: &Tensor, y: &Aval, x: &Aval) -> Tensor {
    Tensor::zeros_of(&y.with_shape(y.shape.concat(&x.shape)), Some(like))
}
