//! Products of vectors, matrices and batches.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};

use super::{Answer, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let x = || c.tensor("self");
    // The factors take the tensor's dtype: those of integers are rounded towards zero.
    let factors_of = |x: &Tensor| -> Read<(Scalar, Scalar)> {
        Ok((c.scalar_or("beta", 1i64)?.cast(x.dtype()), c.scalar_or("alpha", 1i64)?.cast(x.dtype())))
    };
    let factors = || factors_of(&x()?);
    one(match (name, overload) {
        ("mm", "default") => x()?.mm(&c.tensor("mat2")?),
        ("bmm", "default") => x()?.bmm(&c.tensor("mat2")?),
        ("matmul", "default") => x()?.matmul(&c.tensor("other")?),
        ("dot" | "vdot", "default") => {
            let other = if name == "dot" { "tensor" } else { "other" };
            x()?.dot(&c.tensor(other)?)
        }
        ("mv", "default") => x()?.mv(&c.tensor("vec")?),
        ("outer" | "ger", "default") => x()?.outer(&c.tensor("vec2")?),
        ("inner", "default") => x()?.inner(&c.tensor("other")?),
        ("kron", "default") => x()?.kron(&c.tensor("other")?),
        ("tensordot", "default") => x()?.tensordot(&c.tensor("other")?, &c.ints("dims_self")?, &c.ints("dims_other")?),
        ("addmm", "default") => {
            let (beta, alpha) = factors()?;
            x()?.addmm(&c.tensor("mat1")?, &c.tensor("mat2")?, beta, alpha)
        }
        ("baddbmm", "default") => {
            let (beta, alpha) = factors()?;
            x()?.baddbmm(&c.tensor("batch1")?, &c.tensor("batch2")?, beta, alpha)
        }
        ("addbmm", "default") => {
            let product = wide(&c.tensor("batch1")?).bmm(&wide(&c.tensor("batch2")?));
            plus(&wide(&x()?), &product.sum_dim(0).convert(product.dtype()), factors_of(&product)?)
                .convert(x()?.dtype())
        }
        ("addmv", "default") => plus(&x()?, &c.tensor("mat")?.mv(&c.tensor("vec")?), factors()?),
        ("addr", "default") => {
            let product = wide(&c.tensor("vec1")?).outer(&wide(&c.tensor("vec2")?));
            plus(&wide(&x()?), &product, factors_of(&product)?).convert(x()?.dtype())
        }
        ("einsum", "default") => {
            let tensors = c.tensors("tensors")?;
            einsum(c.str_or("equation", "")?, &tensors)
        }
        (_, _) => return Ok(None),
    })
}

/// Halves as `f32`: a sum of several products and a tensor, which may cancel, is rounded once, at its end.
fn wide(x: &Tensor) -> Tensor {
    match x.dtype() {
        DType::F16 | DType::BF16 => x.convert(DType::F32),
        DType::F32 | DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
            x.clone()
        }
    }
}

/// `beta · x + alpha · product`; a tensor times 0 is not read.
fn plus(x: &Tensor, product: &Tensor, (beta, alpha): (Scalar, Scalar)) -> Tensor {
    let scaled = |t: &Tensor, by: Scalar| if by.to_f64() == 1.0 { t.clone() } else { t.mul(by) };
    let product = scaled(product, alpha);
    if beta.to_f64() == 0.0 { product } else { scaled(x, beta).add(product) }
}
