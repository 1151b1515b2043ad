//! Norms of matrices.

use cotangent_core::Tensor;
use cotangent_core::ir::Attr;
use cotangent_core::tensor::Dims;

use crate::arg::{AsTensor, At, Axes, Over, at, attempt, bad, dims_in_order, float, live};
use crate::call::{dtype, list, num, one, text};
use crate::schema;
use crate::stats::{Statistics, norm_over};

/// Which norm of a matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MatrixOrd {
    /// The root of the sum of squares.
    Fro,
    /// The sum of the singular values.
    Nuc,
    /// ±1: the largest or smallest sum of a column's absolute values; ±inf: of a row's; ±2: the largest or smallest
    /// singular value.
    Number(f64),
}

impl From<f64> for MatrixOrd {
    fn from(ord: f64) -> Self {
        MatrixOrd::Number(ord)
    }
}

/// Norms of matrices under PyTorch's names.
pub trait MatrixNorms: AsTensor {
    /// The norm over two dims, the last two unless others are given, rows first.
    ///
    /// *Numerics*: 0 for matrices without elements.
    /// *Derivative*: ties of maxima share it; 0 at 0 for the Frobenius norm.
    /// *Errors*: `matrix_norm_c1` not two different dims; `matrix_norm_c2` integers; `matrix_norm_c3` another order.
    #[track_caller]
    fn matrix_norm(&self, ord: impl Into<MatrixOrd>, over: impl Into<Over>) -> Tensor {
        let (x, ord, over) = (self.tensor(), ord.into(), over.into());
        attempt!(live(&[x]));
        let dims = over.dims.clone().unwrap_or_else(|| Dims::from([-2, -1]));
        let pair = attempt!(dims_in_order(at!("matrix_norm", 1), x, &dims));
        let [row, col] = pair[..] else {
            return bad(at!("matrix_norm", 1), &[x], "dim", "two different dims", &format!("{:?}", dims.0.as_slice()));
        };
        attempt!(float(at!("matrix_norm", 2), x));
        let tail = [("dim", list(&dims.0)), ("keepdim", num(over.keepdim)), ("dtype", dtype(None))];
        let with = |ord: Attr| std::iter::once(("ord", ord)).chain(tail.clone()).collect::<Vec<_>>();
        let axes = Axes { dims: vec![row.min(col), row.max(col)], keep: over.keepdim };
        match ord {
            MatrixOrd::Fro => one(schema::LINALG_MATRIX_NORM_STR_ORD, &with(text("fro")), &[x], |a| {
                axes.finish(x, &norm_over(&a[0], 2.0, &axes))
            }),
            MatrixOrd::Nuc => one(schema::LINALG_MATRIX_NORM_STR_ORD, &with(text("nuc")), &[x], |a| {
                let s = singular_values(&a[0], row, col);
                axes.finish(x, &s.sum_over(&[s.rank() - 1]))
            }),
            MatrixOrd::Number(ord) => {
                if ![1.0, 2.0, f64::INFINITY].contains(&ord.abs()) {
                    let expected = "±1, ±2 or ±inf";
                    return bad(at!("matrix_norm", 3), &[x], "ord", expected, &ord.to_string());
                }
                one(schema::LINALG_MATRIX_NORM, &with(num(ord)), &[x], |a| {
                    axes.finish(x, &extreme_norm(&a[0], ord, row, col))
                })
            }
        }
    }

    /// PyTorch's `linalg.norm`: of all elements without order and dims, of vectors over one dim, of matrices over two.
    ///
    /// *Errors*: as [`Statistics::vector_norm`] and [`MatrixNorms::matrix_norm`]; `linalg_norm_c1` an order without dims
    /// for a tensor of neither one nor two; `linalg_norm_c2` a matrix's order for vectors.
    #[track_caller]
    fn linalg_norm(&self, ord: impl Into<Option<MatrixOrd>>, over: impl Into<Over>) -> Tensor {
        let (x, ord, over) = (self.tensor(), ord.into(), over.into());
        attempt!(live(&[x]));
        let Some(ord) = ord else { return x.vector_norm(2.0, over) };
        let dims = over.dims.as_ref().map_or(x.rank(), |d| d.0.len());
        match (dims, ord) {
            (2, _) => x.matrix_norm(ord, over),
            (1, MatrixOrd::Number(p)) => x.vector_norm(p, over),
            (1, MatrixOrd::Fro | MatrixOrd::Nuc) => {
                let found = format!("{ord:?}");
                bad(at!("linalg_norm", 2), &[x], "ord", "a number for vectors", &found)
            }
            (_, MatrixOrd::Number(_) | MatrixOrd::Fro | MatrixOrd::Nuc) => {
                let at: At = at!("linalg_norm", 1);
                bad(at, &[x], "dim", "one or two dims", &dims.to_string())
            }
        }
    }
}

impl MatrixNorms for Tensor {}

/// The singular values of the matrices in two dims, as last dim.
#[track_caller]
fn singular_values(x: &Tensor, row: usize, col: usize) -> Tensor {
    let order: Vec<usize> = (0..x.rank()).filter(|d| *d != row && *d != col).chain([row, col]).collect();
    let [_, s, _] = x.permute_to(&order).svd_exact();
    s
}

/// A norm that is the largest or smallest of something; both dims disappear.
#[track_caller]
fn extreme_norm(x: &Tensor, ord: f64, row: usize, col: usize) -> Tensor {
    let mut rest = x.shape().clone();
    for d in [row.max(col), row.min(col)] {
        rest = rest.removed(d);
    }
    let extreme = |v: &Tensor, d: usize| if ord > 0.0 { v.amax_over(&[d]) } else { v.amin_over(&[d]) };
    let zeros = || x.full_of(&x.aval().with_shape(&rest), 0.0);
    if ord.abs() == 2.0 {
        let s = singular_values(x, row, col);
        let last = s.rank() - 1;
        return if s.shape()[last] == 0 { zeros() } else { extreme(&s, last) };
    }
    // Sums over one of the dims, and the extreme over what is left of the other.
    let (summed, other) = if ord.abs() == 1.0 { (row, col) } else { (col, row) };
    if x.shape()[other] == 0 {
        return zeros();
    }
    extreme(&x.abs().sum_over(&[summed]), if other > summed { other - 1 } else { other })
}
