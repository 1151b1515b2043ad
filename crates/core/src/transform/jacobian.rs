//! Jacobians: the linear map of a function applied to every row or column of an identity at once, by `vmap`.

use std::num::NonZeroUsize;

use super::grad::check_float;
use super::lazy::Lazy;
use super::linearize::linearize;
use super::replay::replay;
use super::transpose::transpose;
use super::vmap::{move_dim, push_batched};
use crate::error::Error;
use crate::ir::{Aval, DType, Dim, Graph, Shape, Value};
use crate::ops::{Batched, Eye};
use crate::tensor::Tensor;
use crate::tensor::trace::build;

/// The Jacobians of the float results in the params `wrt`, by reverse mode: `vmap` of the pullback.
///
/// *Shape*: for each float result, for each param in `wrt`: the result's shape, then the param's.
/// *Errors*: a parameter in `wrt` that is not of floats.
pub fn jacrev(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    jacrev_with_aux(graph, wrt, graph.results().len(), None)
}

/// The Jacobians of the float results among the first `main`, then the other results as they are.
///
/// With `chunk`, at most so many rows of the identity are pulled back at a time; one at a time without `vmap`.
/// *Shape*, *Errors*: as [`jacrev`].
pub fn jacrev_with_aux(graph: &Graph, wrt: &[usize], main: usize, chunk: Option<NonZeroUsize>) -> Result<Graph, Error> {
    let avals = graph.param_avals();
    let lin = linearize(graph, wrt)?;
    let results = graph.results().len();
    let pullbacks: Vec<Option<Graph>> = (0..main)
        .map(|i| lin.linear.moving()[i].then(|| transpose(&lin.linear.of_result(i))).transpose())
        .collect::<Result<_, Error>>()?;
    build("jacrev", |t| {
        let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        let mut lazy = Lazy::new(&lin.primal, results, &x);
        let (y, residuals) = lin.primal.results().split_at(results);
        let y: Vec<Tensor> = y.iter().map(|v| lazy.compute(*v)).collect();
        let mut out = Vec::new();
        for (y, pullback) in y.iter().zip(&pullbacks).filter(|(y, _)| y.dtype().is_float()) {
            match pullback {
                None => out.extend(wrt.iter().map(|i| zero_block(y, &y.aval(), &avals[*i]))),
                Some(pullback) => {
                    let residuals = read_residuals(&mut lazy, pullback, residuals);
                    let rows = rows(pullback, &residuals, y, chunk);
                    let block = |(r, i): (Tensor, &usize)| r.view_to(&y.shape().concat(&avals[*i].shape));
                    out.extend(rows.into_iter().zip(wrt).map(block));
                }
            }
        }
        out.extend(y[main..].iter().cloned());
        Ok(out)
    })
}

/// The residuals that `pullback` reads; the others stay uncomputed.
fn read_residuals(lazy: &mut Lazy, pullback: &Graph, residuals: &[Value]) -> Vec<Option<Tensor>> {
    let uses = pullback.use_counts();
    residuals.iter().zip(pullback.params()).map(|(r, p)| (uses[p.index()] > 0).then(|| lazy.compute(*r))).collect()
}

/// The pullback of each row of an identity like `y`: for each result of `pullback`, `[numel(y), …]`.
fn rows(pullback: &Graph, residuals: &[Option<Tensor>], y: &Tensor, chunk: Option<NonZeroUsize>) -> Vec<Tensor> {
    let n = y.shape().numel();
    let args = |y_bar: Batched| -> Vec<Batched> {
        // What stands for a residual that is not there is never read.
        let read = |r: &Option<Tensor>| Batched { x: r.as_ref().unwrap_or(y).clone(), mapped: false };
        residuals.iter().map(read).chain([y_bar]).collect()
    };
    let size = chunk.map_or(n, NonZeroUsize::get).min(n);
    if size == n {
        let eye = Tensor::generate(Eye { n: n.into(), m: n.into(), dtype: y.dtype() }, Some(y));
        let y_bar = Batched::mapped(eye.view_to(&y.shape().inserted(0, n)));
        let rows = push_batched(pullback, &args(y_bar), n.into());
        return rows.iter().map(|r| r.materialised(n.into())).collect();
    }
    let mut pieces: Vec<Vec<Tensor>> = vec![Vec::new(); pullback.results().len()];
    for start in (0..n).step_by(size) {
        let len = size.min(n - start);
        let basis = some_rows(y, n, start, len).view_to(&y.shape().inserted(0, len));
        let rows: Vec<Tensor> = if size == 1 {
            let args: Vec<Tensor> =
                args(Batched { x: basis.view_to(y.shape()), mapped: false }).into_iter().map(|a| a.x).collect();
            replay(pullback, &args).into_iter().map(|r| r.view_to(&r.shape().inserted(0, 1))).collect()
        } else {
            let rows = push_batched(pullback, &args(Batched::mapped(basis)), len.into());
            rows.iter().map(|r| r.materialised(len.into())).collect()
        };
        for (p, r) in pieces.iter_mut().zip(rows) {
            p.push(r);
        }
    }
    pieces.iter().map(|p| Tensor::cat_dim(p, 0)).collect()
}

/// Rows `start` to `start + len` of an identity of `n` rows.
fn some_rows(like: &Tensor, n: usize, start: usize, len: usize) -> Tensor {
    let shape = Shape::from(vec![len, n]);
    let row = like.arange_like(len.into(), DType::I64) + start as i64;
    let column = like.arange_like(n.into(), DType::I64);
    row.view_to(&vec![len, 1].into()).expand_to(&shape).eq(column.expand_to(&shape)).convert(like.dtype())
}

/// The Jacobians of the float results in the params `wrt`, by forward mode: `vmap` of the pushforward.
///
/// *Shape*, *Errors*: as [`jacrev`]; and a function that has only a reverse rule.
pub fn jacfwd(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    jacfwd_with_aux(graph, wrt, graph.results().len())
}

/// The Jacobians of the float results among the first `main`, then the other results as they are.
///
/// *Shape*, *Errors*: as [`jacfwd`].
pub fn jacfwd_with_aux(graph: &Graph, wrt: &[usize], main: usize) -> Result<Graph, Error> {
    let avals = graph.param_avals();
    check_float("jacfwd", &avals, wrt)?;
    let lin = linearize(graph, wrt)?;
    super::jvp::check_forward("jacfwd", lin.linear.graph())?;
    build("jacfwd", |t| {
        let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        let mut y = replay(&lin.primal, &x);
        let residuals = y.split_off(graph.results().len());
        let inputs: Vec<&Tensor> = wrt.iter().map(|i| &x[*i]).collect();
        // One block of columns for each input; the results are ordered by output first.
        let columns: Vec<Vec<Batched>> = (0..inputs.len())
            .map(|k| {
                let args = basis_args(&residuals, &inputs, k);
                push_batched(lin.linear.graph(), &args, inputs[k].shape().numel().into())
            })
            .collect();
        let mut out = Vec::new();
        let mut next = 0;
        for (y, moving) in y[..main].iter().zip(lin.linear.moving()).filter(|(y, _)| y.dtype().is_float()) {
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
        out.extend(y[main..].iter().cloned());
        Ok(out)
    })
}

/// The second derivatives of the float results: forward mode over reverse mode.
///
/// *Shape*: for each float result, for each pair of params in `wrt`: the result's shape, then those of both params.
pub fn hessian(graph: &Graph, wrt: &[usize]) -> Result<Graph, Error> {
    jacfwd(&jacrev(graph, wrt)?, wrt)
}

/// Residuals, then tangents like `primals`: an identity for primal `which`, zeros for the others.
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
