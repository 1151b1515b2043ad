//! Factorizations of matrices, and what is computed from them: determinants, pseudoinverses, ranks.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{QrMode, Triangle};

use super::{Answer, many, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    match (name, overload) {
        ("linalg_cholesky", "default") => one(matrix(c)?.cholesky(triangle(c)?)),
        ("linalg_cholesky_ex", "default") => many(matrix(c)?.cholesky_ex(triangle(c)?)),
        ("cholesky_solve", "default") => one(matrix(c)?.cholesky_solve(&c.tensor("input2")?, triangle(c)?)),
        ("cholesky_inverse", "default") => one(matrix(c)?.cholesky_inverse(triangle(c)?)),
        ("linalg_lu", "default") => {
            let a = matrix(c)?;
            pivoting(c, &a)?;
            many(a.lu())
        }
        ("linalg_lu_factor", "default") => {
            let a = matrix(c)?;
            pivoting(c, &a)?;
            many(a.lu_factor())
        }
        ("linalg_lu_factor_ex" | "_lu_with_info", "default") => {
            let a = matrix(c)?;
            pivoting(c, &a)?;
            many(a.lu_factor_ex())
        }
        ("lu_unpack", "default") => {
            let (lu, pivots) = (c.tensor("LU_data")?, c.tensor("LU_pivots")?);
            let [p, l, u] = lu.lu_unpack(&pivots);
            let none = || lu.full_of(&lu.aval().with_shape([0]), 0.0);
            let factors = c.bool_or("unpack_data", true)?;
            let p = if c.bool_or("unpack_pivots", true)? { p } else { none() };
            many(if factors { [p, l, u] } else { [p, none(), none()] })
        }
        ("linalg_qr", "default") => {
            let a = matrix(c)?;
            match c.str_or("mode", "reduced")? {
                "reduced" => many(a.qr(QrMode::Reduced)),
                "complete" => many(a.qr(QrMode::Complete)),
                // Only R; Q is empty, and there is no derivative in PyTorch.
                "r" => {
                    let [_, r] = a.qr(QrMode::Reduced);
                    many([r.full_of(&r.aval().with_shape([0]), 0.0), r])
                }
                _ => Err(c.wrong("mode", "\"reduced\", \"complete\" or \"r\"")),
            }
        }
        ("linalg_eigh", "default") => many(matrix(c)?.eigh(uplo(c)?)),
        ("_linalg_eigh", "default") => {
            let a = matrix(c)?;
            if c.bool_or("compute_v", true)? {
                return many(a.eigh(uplo(c)?));
            }
            many([a.eigvalsh(uplo(c)?), a.full_of(&a.aval().with_shape([0]), 0.0)])
        }
        ("linalg_eigvalsh", "default") => one(matrix(c)?.eigvalsh(uplo(c)?)),
        ("linalg_svd" | "_linalg_svd", "default") => {
            let a = matrix(c)?;
            if !c.bool_or("compute_uv", true)? {
                let none = a.full_of(&a.aval().with_shape([0]), 0.0);
                return many([none.clone(), a.svdvals(), none]);
            }
            let full = c.bool_or("full_matrices", name == "linalg_svd")?;
            many(if full { a.svd_full() } else { a.svd() })
        }
        ("svd", "default") => {
            let a = matrix(c)?;
            let some = c.bool_or("some", true)?;
            if !c.bool_or("compute_uv", true)? {
                return many(zero_vectors(&a, some));
            }
            let [u, s, vh] = if some { a.svd() } else { a.svd_full() };
            many([u, s, vh.mT()])
        }
        ("linalg_svdvals", "default") => one(matrix(c)?.svdvals()),
        ("det" | "linalg_det", "default") => one(matrix(c)?.det()),
        ("_linalg_det", "default") => many(matrix(c)?.det_factors()),
        ("slogdet" | "linalg_slogdet", "default") => many(matrix(c)?.slogdet()),
        ("_linalg_slogdet", "default") => many(matrix(c)?.slogdet_factors()),
        ("logdet", "default") => one(matrix(c)?.logdet()),
        ("linalg_householder_product" | "orgqr", "default") => {
            let (a, tau) = match c.opt_tensor("input")? {
                Some(a) => (a, c.tensor("tau")?),
                None => (c.tensor("self")?, c.tensor("input2")?),
            };
            one(a.householder_product(&tau))
        }
        ("geqrf", "default") => many(matrix(c)?.geqrf()),
        ("ormqr", "default") => {
            let (a, tau, other) = (c.tensor("self")?, c.tensor("input2")?, c.tensor("input3")?);
            let side = if c.bool_or("left", true)? { Side::Left } else { Side::Right };
            let adjoint = if c.bool_or("transpose", false)? { Adjoint::Yes } else { Adjoint::No };
            one(a.ormqr(&tau, &other, side, adjoint))
        }
        ("linalg_pinv" | "pinverse", _) => {
            let a = matrix(c)?;
            let t = tolerance(c, "rcond")?;
            one(if c.bool_or("hermitian", false)? { a.pinv_hermitian(t) } else { a.pinv(t) })
        }
        ("linalg_matrix_rank", _) => {
            let a = match c.opt_tensor("input")? {
                Some(a) => a,
                None => c.tensor("self")?,
            };
            let t = absolute_tolerance(c)?;
            one(if c.bool_or("hermitian", false)? { a.matrix_rank_hermitian(t) } else { a.matrix_rank(t) })
        }
        _ => Ok(None),
    }
}

/// The matrix, which some schemas call `A` and others `self`.
fn matrix(c: &Call) -> Read<Tensor> {
    match c.opt_tensor("A")? {
        Some(a) => Ok(a),
        None => c.tensor("self"),
    }
}

fn triangle(c: &Call) -> Read<Triangle> {
    Ok(if c.bool_or("upper", false)? { Triangle::Upper } else { Triangle::Lower })
}

fn uplo(c: &Call) -> Read<Triangle> {
    match c.str_or("UPLO", "L")? {
        "L" | "l" => Ok(Triangle::Lower),
        "U" | "u" => Ok(Triangle::Upper),
        _ => Err(c.wrong("UPLO", "\"L\" or \"U\"")),
    }
}

/// Exchanges of rows cannot be switched off, as on PyTorch's CPU.
fn pivoting(c: &Call, _: &Tensor) -> Read<()> {
    if c.bool_or("pivot", true)? { Ok(()) } else { Err(c.refused("LU without exchanges of rows is not available")) }
}

/// What the old `svd` returns when only singular values are wanted: vectors of zeros.
fn zero_vectors(a: &Tensor, some: bool) -> [Tensor; 3] {
    let s = a.svdvals();
    let (m, n) = (a.size(-2), a.size(-1));
    let k = m.min(n);
    let zeros = |rows: usize, columns: usize| {
        let shape = a.shape().slice(0, a.rank() - 2).concat(&[rows, columns].into());
        a.full_of(&Aval::new(a.dtype(), shape), 0.0)
    };
    [zeros(m, if some { k } else { m }), s, zeros(n, if some { k } else { n })]
}

/// A tolerance that may be a tensor or a number.
fn bound(c: &Call, name: &str) -> Read<Option<Tensor>> {
    match c.opt_tensor(name) {
        Ok(t) => Ok(t),
        Err(_) => Ok(c.opt_float(name)?.map(Tensor::scalar)),
    }
}

/// `atol` and `rtol`, or the relative tolerance under its old name.
fn tolerance(c: &Call, old: &str) -> Read<Tolerance> {
    let rtol = match bound(c, "rtol")? {
        Some(rtol) => Some(rtol),
        None => bound(c, old)?,
    };
    // The default of the old function is in its schema.
    let rtol = if rtol.is_none() && c.target == "aten.pinverse.default" { Some(Tensor::scalar(1e-15)) } else { rtol };
    Ok(Tolerance { atol: bound(c, "atol")?, rtol })
}

/// `atol` and `rtol`, or the absolute tolerance under its old name, beside which there is no relative one.
fn absolute_tolerance(c: &Call) -> Read<Tolerance> {
    match bound(c, "tol")? {
        Some(atol) => Ok(Tolerance { rtol: Some(atol.full_of(&Aval::new(DType::F64, ()), 0.0)), atol: Some(atol) }),
        None => Ok(Tolerance { atol: bound(c, "atol")?, rtol: bound(c, "rtol")? }),
    }
}
