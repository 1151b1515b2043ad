//! Systems of equations, inverses, functions and products of matrices.

use cotangent_aten::prelude::*;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::SolveTriangular;

use super::{Answer, many, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    if overload != "default" {
        return Ok(None);
    }
    match name {
        "inverse" => one(c.tensor("self")?.inv()),
        "linalg_inv" => one(c.tensor("A")?.inv()),
        "linalg_inv_ex" => many(c.tensor("A")?.inv_ex()),
        "linalg_solve" => one(c.tensor("A")?.solve_on(&c.tensor("B")?, side(c)?)),
        "linalg_solve_ex" => {
            let [x, _, _, info] = c.tensor("A")?.solve_ex(&c.tensor("B")?, side(c)?);
            many([x, info])
        }
        "_linalg_solve_ex" => many(c.tensor("A")?.solve_ex(&c.tensor("B")?, side(c)?)),
        "linalg_solve_triangular" => {
            let op = SolveTriangular {
                upper: c.bool_or("upper", false)?,
                left: c.bool_or("left", true)?,
                unitriangular: c.bool_or("unitriangular", false)?,
            };
            one(c.tensor("self")?.solve_triangular(&c.tensor("B")?, op))
        }
        // The old function has the right-hand side first, and returns the matrix too.
        "triangular_solve" => {
            let (b, a) = (c.tensor("self")?, c.tensor("A")?);
            let op = SolveTriangular {
                upper: c.bool_or("upper", true)?,
                left: true,
                unitriangular: c.bool_or("unitriangular", false)?,
            };
            let adjoint = if c.bool_or("transpose", false)? { Adjoint::Yes } else { Adjoint::No };
            many(b.triangular_solve(&a, op, adjoint))
        }
        "linalg_lu_solve" => {
            let adjoint = if c.bool_or("adjoint", false)? { Adjoint::Yes } else { Adjoint::No };
            one(c.tensor("LU")?.lu_solve(&c.tensor("pivots")?, &c.tensor("B")?, side(c)?, adjoint))
        }
        "lu_solve" => {
            let (b, lu, pivots) = (c.tensor("self")?, c.tensor("LU_data")?, c.tensor("LU_pivots")?);
            one(lu.lu_solve(&pivots, &b, Side::Left, Adjoint::No))
        }
        "linalg_ldl_factor" => many(c.tensor("self")?.ldl_factor()),
        "linalg_ldl_factor_ex" => many(c.tensor("self")?.ldl_factor_ex()),
        "linalg_ldl_solve" => one(c.tensor("LD")?.ldl_solve(&c.tensor("pivots")?, &c.tensor("B")?)),
        "linalg_lstsq" => lstsq(c),
        "matrix_exp" | "linalg_matrix_exp" => {
            let x = c.tensor("self")?;
            let halves = matches!(x.dtype(), DType::BF16 | DType::F16);
            one(if halves { x.convert(DType::F32).matrix_exp().convert(x.dtype()) } else { x.matrix_exp() })
        }
        "matrix_power" | "linalg_matrix_power" => one(c.tensor("self")?.matrix_power(c.int("n")?)),
        "linalg_matrix_sqrth" => one(c.tensor("self")?.matrix_sqrth()),
        "linalg_polar" => many(c.tensor("A")?.polar()),
        "linalg_multi_dot" => one(multi_dot(&c.tensors("tensors")?)),
        "chain_matmul" => one(multi_dot(&c.tensors("matrices")?)),
        "linalg_matmul" => one(c.tensor("self")?.matmul(&c.tensor("other")?)),
        "linalg_vecdot" => one(c.tensor("x")?.vecdot(&c.tensor("y")?, c.int_or("dim", -1)?)),
        "linalg_vander" => one(c.tensor("x")?.vander(count(c)?)),
        // The old function has the powers in descending order.
        "vander" => {
            let x = c.tensor("x")?;
            let powers = x.vander(count(c)?);
            one(if c.bool_or("increasing", false)? { powers } else { powers.flip(-1) })
        }
        "linalg_tensorinv" => one(c.tensor("self")?.tensorinv(usize::try_from(c.int_or("ind", 2)?).unwrap_or(0))),
        "linalg_tensorsolve" => {
            let dims = c.opt_ints("dims")?.unwrap_or_default();
            one(c.tensor("self")?.tensorsolve(&c.tensor("other")?, &dims))
        }
        "linalg_diagonal" => {
            let (first, second) = (c.int_or("dim1", -2)?, c.int_or("dim2", -1)?);
            one(c.tensor("A")?.diagonal(c.int_or("offset", 0)?, first, second))
        }
        "linalg_cross" => one(c.tensor("self")?.cross(&c.tensor("other")?, c.int_or("dim", -1)?)),
        // Without a dim: the first of size 3.
        "cross" => {
            let (a, b) = (c.tensor("self")?, c.tensor("other")?);
            let first = a.shape().dims().iter().position(|d| *d == 3).map_or(-1, |d| d as i64);
            one(a.cross(&b, c.opt_int("dim")?.unwrap_or(first)))
        }
        _ => Ok(None),
    }
}

fn side(c: &Call) -> Read<Side> {
    Ok(if c.bool_or("left", true)? { Side::Left } else { Side::Right })
}

/// The number of powers of a Vandermonde matrix.
fn count(c: &Call) -> Read<Option<usize>> {
    let n = c.opt_int("N")?;
    n.map(|n| usize::try_from(n).map_err(|_| c.wrong("N", "a number of powers"))).transpose()
}

/// Solution, residuals, rank and singular values; what the driver does not compute is empty.
fn lstsq(c: &Call) -> Answer {
    let (a, b) = (c.tensor("self")?, c.tensor("b")?);
    let rtol = c.opt_float("rcond")?;
    let tolerance = rtol.map_or_else(Tolerance::default, Tolerance::relative);
    let [x, rank] = a.lstsq(&b, tolerance);
    let none = |dtype: DType| x.full_of(&Aval::new(dtype, [0]), 0i64);
    let driver = c.str_or("driver", "gelsy")?;
    let rank = if driver == "gels" { none(DType::I64) } else { rank };
    let values = if matches!(driver, "gelsd" | "gelss") { a.svdvals() } else { none(a.dtype()) };
    // Residuals are those of systems with more equations than unknowns; a matrix of lower rank has none.
    let residuals = if a.size(-2) > a.size(-1) && driver != "gelsy" && b.rank() == a.rank() {
        let r = a.matmul(&x) - &b;
        (&r * &r).sum_dim(-2)
    } else {
        none(a.dtype())
    };
    many([x.clone(), residuals, rank, values])
}
