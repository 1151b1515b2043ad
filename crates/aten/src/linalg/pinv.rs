//! Pseudoinverses, ranks and least squares.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType};
use cotangent_core::ops::Triangle;

use super::factor::{Factorizations, attempt_all};
use super::{batch, matrices, square, under_one_batch, with_jvp};
use crate::arg::{AsTensor, At, at, attempt, bad_pair, live};
use crate::call::{num, one};
use crate::schema;

/// What counts as zero among singular values: at most `max(atol, rtol · largest)`.
///
/// Without a relative tolerance it is 0 where the absolute one is positive, else the dtype's epsilon times the larger size.
#[derive(Clone, Debug, Default)]
pub struct Tolerance {
    /// Absolute, a number for each matrix.
    pub atol: Option<Tensor>,
    /// Relative, a number for each matrix.
    pub rtol: Option<Tensor>,
}

impl Tolerance {
    /// The relative tolerance `rtol`.
    pub fn relative(rtol: f64) -> Self {
        Tolerance { atol: None, rtol: Some(Tensor::scalar(rtol)) }
    }

    /// The absolute tolerance `atol`.
    pub fn absolute(atol: f64) -> Self {
        Tolerance { atol: Some(Tensor::scalar(atol)), rtol: None }
    }

    /// The bound for values `s ≥ 0` of matrices with a larger size of `n`, with a last dim of size 1.
    fn bound(&self, s: &Tensor, n: usize) -> Tensor {
        let lead = s.shape().removed(s.rank() - 1);
        let each = |t: &Tensor| t.convert(s.dtype()).expand_to(&lead).detach();
        let eps = if s.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let default = s.full_of(&s.aval().with_shape(&lead), eps * n as f64);
        let atol = self.atol.as_ref().map(each);
        let rtol = match (&self.rtol, &atol) {
            (Some(rtol), _) => each(rtol),
            (None, None) => default,
            (None, Some(atol)) => default.zeros_like().where_(&atol.gt(0.0), &default),
        };
        let largest = if s.shape()[s.rank() - 1] == 0 { rtol.zeros_like() } else { s.amax_over(&[s.rank() - 1]) };
        let bound = rtol * largest.detach();
        match atol {
            Some(atol) => bound.maximum(&atol).column(),
            None => bound.column(),
        }
    }

    fn operands(&self) -> Vec<&Tensor> {
        self.atol.iter().chain(&self.rtol).collect()
    }

    /// The tolerance with its tensors taken from the operands of a call.
    fn of_operands(&self, given: &[Tensor]) -> Self {
        let mut given = given.iter().cloned();
        Tolerance {
            atol: self.atol.as_ref().and_then(|_| given.next()),
            rtol: self.rtol.as_ref().and_then(|_| given.next()),
        }
    }

    /// The call's attributes: which of the tensors are absent.
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        let absent = |name, t: &Option<Tensor>| t.is_none().then_some((name, Attr::None));
        [absent("atol", &self.atol), absent("rtol", &self.rtol)].into_iter().flatten().collect()
    }

    #[track_caller]
    fn check(&self, at: At, x: &Tensor) -> Result<(), Tensor> {
        for t in self.operands() {
            live(&[t])?;
            if !cotangent_core::ops::Expand::fits(t.shape(), &batch(x)) {
                return Err(bad_pair(at, x, t, "a tolerance for each matrix"));
            }
        }
        Ok(())
    }
}

/// The pseudoinverse, the rank and least squares.
pub trait LeastSquares: AsTensor {
    /// The pseudoinverse.
    ///
    /// *Derivative*: that of matrices of the same rank; repeated singular values do no harm, up to third derivatives.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `linalg_pinv_c1` tolerances that do not fit.
    #[track_caller]
    fn pinv(&self, tolerance: Tolerance) -> Tensor {
        let x = self.tensor();
        attempt!(matrices("linalg_pinv", x));
        attempt!(tolerance.check(at!("linalg_pinv", 1), x));
        smooth_pinv(x, &tolerance, false, SMOOTH_ORDERS)
    }

    /// The pseudoinverse of symmetric matrices, of which the lower triangle is read.
    ///
    /// *Errors*: as [`LeastSquares::pinv`]; `linalg_c3`.
    #[track_caller]
    fn pinv_hermitian(&self, tolerance: Tolerance) -> Tensor {
        let x = self.tensor();
        attempt!(square("linalg_pinv", x));
        attempt!(tolerance.check(at!("linalg_pinv", 1), x));
        smooth_pinv(x, &tolerance, true, SMOOTH_ORDERS)
    }

    /// The number of singular values above the tolerance.
    ///
    /// *Errors*: `linalg_c1`, `linalg_c2`; `linalg_matrix_rank_c1` tolerances that do not fit.
    #[track_caller]
    fn matrix_rank(&self, tolerance: Tolerance) -> Tensor {
        let x = self.tensor();
        attempt!(matrices("linalg_matrix_rank", x));
        attempt!(tolerance.check(at!("linalg_matrix_rank", 1), x));
        rank_of(x, &tolerance, false)
    }

    /// The number of eigenvalues of symmetric matrices with an absolute value above the tolerance.
    ///
    /// *Errors*: as [`LeastSquares::matrix_rank`]; `linalg_c3`.
    #[track_caller]
    fn matrix_rank_hermitian(&self, tolerance: Tolerance) -> Tensor {
        let x = self.tensor();
        attempt!(square("linalg_matrix_rank", x));
        attempt!(tolerance.check(at!("linalg_matrix_rank", 1), x));
        rank_of(x, &tolerance, true)
    }

    /// The solution of `A X = B` with the least squares of errors, and of those the shortest; and the rank of `A`.
    ///
    /// *Numerics*: by the pseudoinverse. `B` is a vector if it has one dim less than `A`.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `linalg_lstsq_c1` sizes, dtypes or batches that do not fit.
    #[track_caller]
    fn lstsq(&self, b: &Tensor, tolerance: Tolerance) -> [Tensor; 2] {
        let a = self.tensor();
        let [m, _] = attempt_all!(matrices("linalg_lstsq", a));
        attempt_all!(live(&[b]));
        let vector = b.rank() + 1 == a.rank();
        let matrix = if vector { b.column() } else { b.clone() };
        let [rows, _] = attempt_all!(matrices("linalg_lstsq", &matrix));
        if rows != m || a.dtype() != b.dtype() {
            let error = bad_pair(at!("linalg_lstsq", 1), a, b, "[.., m, n] and [.., m, k] of one dtype");
            return [error.clone(), error];
        }
        let (a, matrix) = attempt_all!(under_one_batch(at!("linalg_lstsq", 1), a, &matrix));
        let x = a.pinv(tolerance.clone()).matmul_exact(&matrix);
        let x = if vector { x.view_to(&x.shape().removed(x.rank() - 1)) } else { x };
        [x, a.matrix_rank(tolerance)]
    }
}

impl LeastSquares for Tensor {}

/// Derivatives up to this order come from the pseudoinverse's own rule; further ones from the decomposition.
const SMOOTH_ORDERS: usize = 3;

#[track_caller]
fn smooth_pinv(x: &Tensor, tolerance: &Tolerance, hermitian: bool, orders: usize) -> Tensor {
    let operands: Vec<&Tensor> = std::iter::once(x).chain(tolerance.operands()).collect();
    let mut params = tolerance.attrs();
    params.push(("hermitian", num(hermitian)));
    let body = |t: &[Tensor]| plain_pinv(&t[0], &tolerance.of_operands(&t[1..]), hermitian);
    if orders == 0 {
        return one(schema::LINALG_PINV_ATOL_RTOL_TENSOR, &params, &operands, body);
    }
    with_jvp(schema::LINALG_PINV_ATOL_RTOL_TENSOR, &params, &operands, body, |t, dot| {
        // Golub and Pereyra: dP = -P dA P + P Pᵀ dAᵀ (I - A P) + (I - P A) dAᵀ Pᵀ P.
        let (a, a_dot) = (&t[0], &dot[0]);
        let p = smooth_pinv(a, &tolerance.of_operands(&t[1..]), hermitian, orders - 1);
        let (pt, at_dot) = (p.mt(), a_dot.mt());
        let rows = at_dot.matmul_exact(&(eye_of_rows(a) - a.matmul_exact(&p)));
        let cols = (eye_of_rows(&p) - p.matmul_exact(a)).matmul_exact(&at_dot);
        p.matmul_exact(&pt).matmul_exact(&rows) + cols.matmul_exact(&pt).matmul_exact(&p)
            - p.matmul_exact(a_dot).matmul_exact(&p)
    })
}

/// The identity `[.., m, m]` for `x: [.., m, n]`.
fn eye_of_rows(x: &Tensor) -> Tensor {
    let m = x.shape()[x.rank() - 2];
    let eye = Tensor::generate(cotangent_core::ops::Eye { n: m, m, dtype: x.dtype() }, Some(x));
    eye.expand_to(&x.shape().with(x.rank() - 1, m))
}

/// `1 / s` above the bound, 0 elsewhere; no infinity is computed on the way.
fn inverted(s: &Tensor, bound: &Tensor) -> Tensor {
    let large = s.abs().gt(bound);
    let safe = s.where_exact(&large, &s.ones_like());
    safe.reciprocal().where_exact(&large, &s.zeros_like())
}

#[track_caller]
fn plain_pinv(x: &Tensor, tolerance: &Tolerance, hermitian: bool) -> Tensor {
    let [m, n] = [x.rank() - 2, x.rank() - 1].map(|d| x.shape()[d].get());
    if hermitian {
        let [w, v] = x.eigh_exact(Triangle::Lower);
        let inverse = inverted(&w, &tolerance.bound(&w.abs(), n));
        return (&v * inverse.row()).matmul_exact(&v.mt());
    }
    let [u, s, vh] = x.svd_exact();
    let inverse = inverted(&s, &tolerance.bound(&s, m.max(n)));
    (vh.mt() * inverse.row()).matmul_exact(&u.mt())
}

#[track_caller]
fn rank_of(x: &Tensor, tolerance: &Tolerance, hermitian: bool) -> Tensor {
    let n = x.shape().dims()[x.rank() - 2..].iter().map(|d| d.get()).max().unwrap_or(0);
    let operands: Vec<&Tensor> = std::iter::once(x).chain(tolerance.operands()).collect();
    let mut params = tolerance.attrs();
    params.push(("hermitian", num(hermitian)));
    one(schema::LINALG_MATRIX_RANK_ATOL_RTOL_TENSOR, &params, &operands, |t| {
        let values = if hermitian { t[0].eigvalsh(Triangle::Lower).abs() } else { t[0].svdvals() };
        let bound = tolerance.of_operands(&t[1..]).bound(&values, n);
        values.gt(&bound).convert(DType::I64).sum_over(&[values.rank() - 1])
    })
}
