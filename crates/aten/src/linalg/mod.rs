//! Linear algebra: `torch.linalg` over the factorizations of the core.
//!
//! Matrices stand in the last two dims, under any number of batch dims, and are of `f32` or `f64`. The checks common to all
//! are labelled as those of the primitives: `linalg_c1` at least two dims, `linalg_c2` the dtype, `linalg_c3` square matrices.

mod det;
mod factor;
mod function;
mod householder;
mod norm;
mod pinv;
mod product;
mod solve;

pub use det::Determinants;
pub use factor::Factorizations;
pub use function::MatrixFunctions;
pub use householder::Reflections;
pub use norm::{MatrixNorms, MatrixOrd};
pub use pinv::{LeastSquares, Tolerance};
pub use product::{MatrixProducts, multi_dot};
pub use solve::{Adjoint, Side, Systems};

/// The extension traits and functions of this module.
pub mod prelude {
    pub use super::{
        Adjoint, Determinants, Factorizations, LeastSquares, MatrixFunctions, MatrixNorms, MatrixOrd, MatrixProducts,
        Reflections, Side, Systems, Tolerance, multi_dot,
    };
    pub use cotangent_core::ops::{QrMode, Triangle};
}

use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType, Shape};
use cotangent_core::ops::{Call, Rule};
use cotangent_core::tensor::{broadcast_shapes, emit_all};
use cotangent_core::transform::build;

use crate::arg::{At, bad_operand, bad_pair, live};

/// Rows and columns.
#[track_caller]
fn matrices(op: &'static str, x: &Tensor) -> Result<[usize; 2], Tensor> {
    live(&[x])?;
    let at = |label| At { op, label };
    let Some(lead) = x.rank().checked_sub(2) else {
        return Err(bad_operand(at("linalg_c1"), x, "a tensor of at least 2 dims"));
    };
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Err(bad_operand(at("linalg_c2"), x, "matrices of f32 or f64"));
    }
    Ok([x.shape()[lead].get(), x.shape()[lead + 1].get()])
}

/// The number of rows, and of columns.
#[track_caller]
fn square(op: &'static str, x: &Tensor) -> Result<usize, Tensor> {
    let [m, n] = matrices(op, x)?;
    if m == n { Ok(n) } else { Err(bad_operand(At { op, label: "linalg_c3" }, x, "batches of square matrices")) }
}

/// The batch dims.
fn batch(x: &Tensor) -> Shape {
    x.shape().slice(0, x.rank() - 2)
}

/// Matrices under the batch dims to which both broadcast.
#[track_caller]
fn under_one_batch(at: At, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor), Tensor> {
    let Some(lead) = broadcast_shapes(&batch(a), &batch(b)) else {
        return Err(bad_pair(at, a, b, "batch dims that broadcast"));
    };
    let expanded = |x: &Tensor| x.expand_to(&lead.concat(&x.shape().slice(x.rank() - 2, x.rank())));
    Ok((expanded(a), expanded(b)))
}

/// The identity of the size and batch of the square matrices `x`.
fn eye_like(x: &Tensor) -> Tensor {
    let [n, m] = [x.rank() - 2, x.rank() - 1].map(|d| x.shape()[d]);
    Tensor::generate(cotangent_core::ops::Eye { n, m, dtype: x.dtype() }, Some(x)).expand_to(x.shape())
}

/// The tensor, or an evaluation error with `message` unless all elements of `info` are 0.
#[track_caller]
fn checked(x: &Tensor, info: &Tensor, message: &str) -> Tensor {
    let failures = info.ne(0i64).convert(DType::I64);
    let dims: Vec<usize> = (0..failures.rank()).collect();
    x.assert_that(&failures.sum_over(&dims).eq(0i64), message)
}

/// A composite of one result whose derivative is `rule(x, x_dot)` rather than that of its body.
///
/// For functions that are smooth where the factorizations in their bodies are not. The rule is differentiated in turn
/// by what it is made of.
#[track_caller]
fn with_jvp(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Tensor,
    rule: impl FnOnce(&[Tensor], &[Tensor]) -> Tensor,
) -> Tensor {
    if let Err(poison) = live(args) {
        return poison;
    }
    let avals: Vec<_> = args.iter().map(|a| a.aval()).collect();
    let name = schema.split('(').next().unwrap_or(schema);
    let graphs = build(name, |t| {
        let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        Ok(vec![body(&x).ok()?])
    })
    .and_then(|body| {
        let rule = build(name, |t| {
            let x: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
            let x_dot: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
            Ok(vec![rule(&x, &x_dot).ok()?])
        })?;
        Ok((body, rule))
    });
    let (body, rule) = match graphs {
        Ok(graphs) => graphs,
        Err(e) => return Tensor::poison_like(e, args[0].aval()),
    };
    let params = params.iter().map(|(k, v)| Attr::List(vec![Attr::Str((*k).to_owned()), v.clone()])).collect();
    let call = Call { target: schema.to_owned(), params, body: Arc::new(body), rule: Rule::Jvp(Arc::new(rule)) };
    emit_all(call.into(), args).swap_remove(0)
}
