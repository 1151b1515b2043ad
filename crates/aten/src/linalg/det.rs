//! Determinants.

use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::factor::attempt_all;
use super::{eye_like, square, with_jvp};
use crate::arg::{AsTensor, attempt};
use crate::call::{by_result, many, one};
use crate::schema;

/// Rows of matrices up to which a determinant is a polynomial of few terms.
const EXPANDED: usize = 3;

/// Determinants.
pub trait Determinants: AsTensor {
    /// The determinant; 1 for matrices without elements.
    ///
    /// *Numerics*: of up to three rows Laplace's expansion, in `f64` and rounded once; of more the product of pivots.
    /// *Derivative*: the cofactors, exact at singular matrices too: zero at ranks below `n - 1`. Second derivatives there
    /// come from a singular value decomposition, and need distinct singular values, of more than three rows.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn det(&self) -> Tensor {
        let x = self.tensor();
        attempt!(square("linalg_det", x));
        if (1..=EXPANDED).contains(&x.shape()[x.rank() - 1].get()) {
            return one(schema::LINALG_DET, &[], &[x], |a| expansion(&a[0]));
        }
        with_jvp(
            schema::LINALG_DET,
            &[],
            &[x],
            |a| by_pivots(&a[0]),
            |a, a_dot| {
                let r = a[0].rank();
                (cofactors(&a[0]) * &a_dot[0]).sum_over(&[r - 2, r - 1])
            },
        )
    }

    /// The determinant with the factors from which PyTorch computes it: those of the transposed matrix, without a
    /// derivative.
    ///
    /// *Errors*: as [`Determinants::det`].
    #[track_caller]
    fn det_factors(&self) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(square("linalg_det", x));
        many(schema::_LINALG_DET, &[], &[x], |a| {
            let [lu, pivots, _] = a[0].mt().lu_factor_exact();
            [a[0].det(), lu.detach(), pivots]
        })
    }

    /// The sign of the determinant and the logarithm of its absolute value: 0 and -inf at singular matrices.
    ///
    /// *Derivative*: that of the logarithm is the transposed inverse, infinite or NaN at singular matrices (PyTorch
    /// raises an error there); that of the sign is zero.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn slogdet(&self) -> [Tensor; 2] {
        let [sign, log, _, _] = self.slogdet_factors();
        [sign, log]
    }

    /// As [`Determinants::slogdet`], with the factors from which PyTorch computes it.
    #[track_caller]
    fn slogdet_factors(&self) -> [Tensor; 4] {
        let x = self.tensor();
        attempt_all!(square("linalg_slogdet", x));
        let value = |a: &[Tensor]| {
            let [lu, pivots, _] = a[0].mt().lu_factor_exact();
            let d = lu.main_diagonal();
            let last = d.rank() - 1;
            let sign = parity(&pivots, d.dtype()) * d.sign().prod_over(last);
            [sign, d.abs().log().sum_over(&[last]), lu.detach(), pivots]
        };
        // The trace of A⁻¹ dA.
        by_result(schema::_LINALG_SLOGDET, &[], &[x], value, |a, y, a_dot| {
            let [quotient, ..] = a[0].solve_exact(true, &a_dot[0]);
            let trace = quotient.main_diagonal().sum_over(&[a[0].rank() - 2]);
            vec![y[0].zeros_like(), trace, y[2].zeros_like()]
        })
    }

    /// The logarithm of the determinant: NaN where it is negative, -inf where it is 0.
    ///
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn logdet(&self) -> Tensor {
        let x = self.tensor();
        attempt!(square("logdet", x));
        one(schema::LOGDET, &[], &[x], |a| {
            let [sign, log] = a[0].slogdet();
            log.full_like(f64::NAN).where_(&sign.eq(-1.0), &log)
        })
    }
}

impl Determinants for Tensor {}

/// Whether an even number of rows was exchanged (1) or an odd one (-1).
fn parity(pivots: &Tensor, dtype: DType) -> Tensor {
    let last = pivots.rank() - 1;
    let own = pivots.arange_like(pivots.shape()[last], DType::I32) + 1i64;
    let one = pivots.full_of(&pivots.aval().with_dtype(dtype), 1.0);
    (-&one).where_exact(&pivots.ne(&own), &one).prod_over(last)
}

/// The determinant of one to three rows as the polynomial that it is, whose derivatives of any order are exact everywhere.
fn expansion(a: &Tensor) -> Tensor {
    let (last, n) = (a.rank() - 1, a.shape()[a.rank() - 1].get());
    let (wide, batch) = (a.convert(DType::F64), a.shape().removed(last).removed(last - 1));
    let at = |i: usize, j: usize| wide.slice_dim(last - 1, i, i + 1, 1).slice_dim(last, j, j + 1, 1).view_to(&batch);
    // The determinant of rows `r` and `r + 1` in columns `i` and `j`.
    let minor = |r: usize, i: usize, j: usize| at(r, i) * at(r + 1, j) - at(r, j) * at(r + 1, i);
    let det = match n {
        1 => at(0, 0),
        2 => minor(0, 0, 1),
        _ => at(0, 0) * minor(1, 1, 2) - at(0, 1) * minor(1, 0, 2) + at(0, 2) * minor(1, 0, 1),
    };
    det.convert(a.dtype())
}

/// The determinant as the product of pivots.
fn by_pivots(a: &Tensor) -> Tensor {
    let [lu, pivots, _] = a.lu_factor_exact();
    let d = lu.main_diagonal();
    parity(&pivots, a.dtype()) * d.prod_over(d.rank() - 1)
}

/// The determinant where it is part of a derivative, whose own derivative is that of the pivots.
fn plain_det(a: &Tensor) -> Tensor {
    one(schema::LINALG_DET, &[], &[a], |a| by_pivots(&a[0]))
}

/// The derivative of the determinant by each element.
///
/// Regular matrices have `det(A) A⁻ᵀ`. Numerically singular ones have `det(U) det(Vh) U diag(γ) Vh`, where `γᵢ` is the product of
/// the singular values other than the `i`-th, and needs no division. Each formula sees a harmless matrix in place of
/// those that belong to the other, so that no infinity meets its derivative.
fn cofactors(a: &Tensor) -> Tensor {
    let n = a.shape()[a.rank() - 1];
    if n == 0 {
        return a.clone();
    }
    let [lu, _, _] = a.detach().lu_factor_exact();
    let pivots = lu.main_diagonal().abs();
    let last = pivots.rank() - 1;
    let eps = if a.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let bound = pivots.amax_over(&[last]) * (100.0 * eps);
    let singular = pivots.amin_over(&[last]).le(&bound);
    let singular = singular.column().column().expand_to(a.shape());

    let regular = eye_like(a).where_exact(&singular, a);
    let [inverse, _] = regular.inverse_exact();
    let of_regular = plain_det(&regular).column().column() * inverse.mt();

    // Singular values 1, 2, … are distinct, so that the decomposition is smooth.
    let distinct = (a.arange_like(n, a.dtype()) + 1.0).expand_to(&a.shape().removed(a.rank() - 1));
    let distinct = distinct.diag_embed_at(0, a.rank() - 2, a.rank() - 1);
    let [u, s, vh] = a.where_exact(&singular, &distinct).svd_exact();
    let others = s.row().expand_to(a.shape());
    let others = others.ones_like().where_exact(&eye_like(a).ne(0.0), &others);
    let gamma = others.prod_over(a.rank() - 1);
    // It is 1 or -1: no small change of the factors changes it.
    let sign = (plain_det(&u) * plain_det(&vh)).round();
    let of_singular = sign.column().column() * (u * gamma.row()).matmul_exact(&vh);

    of_singular.where_exact(&singular, &of_regular)
}
