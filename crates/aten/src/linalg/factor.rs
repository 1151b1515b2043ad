//! Factorizations under PyTorch's names.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType, Dim};
use cotangent_core::ops::{Cholesky, QrMode, SolveTriangular, Triangle};
use cotangent_core::tensor::linear_with_transpose;

use super::{batch, checked, eye_like, matrices, square, under_one_batch};
use crate::arg::{AsTensor, at, bad_pair, live};
use crate::call::{by_result, many, num, one, text};
use crate::schema;

/// Returns the poisoned tensor as each of the results.
macro_rules! attempt_all {
    ($e:expr) => {
        match $e {
            Ok(v) => v,
            Err(poison) => return std::array::from_fn(|_| poison.clone()),
        }
    };
}
pub(super) use attempt_all;

use crate::arg::attempt;

/// Factorizations, and what is computed from factors.
pub trait Factorizations: AsTensor {
    /// The Cholesky factor: `x = L Lᵀ`, or `x = Uᵀ U`.
    ///
    /// *Errors*: `linalg_c1`–`linalg_c3`; in evaluation, a matrix that is not positive definite.
    #[track_caller]
    fn cholesky(&self, triangle: Triangle) -> Tensor {
        let x = self.tensor();
        attempt!(square("linalg_cholesky", x));
        x.cholesky_exact(Cholesky { upper: triangle == Triangle::Upper })
    }

    /// The Cholesky factor and `info`, which is 0: a matrix without a factor is an error here, where PyTorch leaves it to the
    /// caller.
    ///
    /// *Errors*: as [`Factorizations::cholesky`].
    #[track_caller]
    fn cholesky_ex(&self, triangle: Triangle) -> [Tensor; 2] {
        let x = self.tensor();
        attempt_all!(square("linalg_cholesky_ex", x));
        let upper = triangle == Triangle::Upper;
        let params = [("upper", num(upper)), ("check_errors", num(false))];
        many(schema::LINALG_CHOLESKY_EX, &params, &[x], |a| {
            let info = cotangent_core::ir::Aval::new(DType::I32, batch(&a[0]));
            [a[0].cholesky_exact(Cholesky { upper }), a[0].full_of(&info, 0i64)]
        })
    }

    /// The solution `y` of `A y = x`, given the Cholesky factor of `A`.
    ///
    /// *Derivative*: that of `A = L Lᵀ` or `A = Uᵀ U` with the whole matrix, both triangles, though the value is read from
    /// one.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `cholesky_solve_c1` sizes or batches that do not fit.
    #[track_caller]
    fn cholesky_solve(&self, factor: &Tensor, triangle: Triangle) -> Tensor {
        let (b, l) = (self.tensor(), factor);
        let [m, _] = attempt!(matrices("cholesky_solve", b));
        let n = attempt!(square("cholesky_solve", l));
        if m != n || b.dtype() != l.dtype() {
            return bad_pair(at!("cholesky_solve", 1), b, l, "[.., n, k] and [.., n, n] of one dtype");
        }
        let (l, b) = attempt!(under_one_batch(at!("cholesky_solve", 1), l, b));
        solved(&b, &l, triangle)
    }

    /// The inverse `X` of `A`, given its Cholesky factor.
    ///
    /// *Derivative*: in reverse mode that of `A = L Lᵀ` or `A = Uᵀ U` with the whole matrix, as [`Factorizations::cholesky_solve`], of
    /// any order. In forward mode PyTorch takes `K + Kᵀ` with `K = -X L_dot X Lᵀ` (`-X U_dotᵀ X U`), where the derivative has
    /// `-X L_dot Lᵀ X`; the tangent here is PyTorch's.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn cholesky_inverse(&self, triangle: Triangle) -> Tensor {
        let l = self.tensor();
        attempt!(square("cholesky_inverse", l));
        let params = [("upper", num(triangle == Triangle::Upper))];
        let value = |t: &[Tensor]| [solve_with_factor(&t[0], triangle, &eye_like(&t[0]))];
        let [y] = by_result(schema::CHOLESKY_INVERSE, &params, &[l], value, |t, y, t_dot| {
            let tangent = |r: &[Tensor], l_dot: &Tensor| {
                let (first, last) = match triangle {
                    Triangle::Upper => (l_dot.mt(), r[0].clone()),
                    Triangle::Lower => (l_dot.clone(), r[0].mt()),
                };
                let half = -r[1].matmul_exact(&first).matmul_exact(&r[1]).matmul_exact(&last);
                &half + half.mt()
            };
            let cotangent = |r: &[Tensor], x_bar: &Tensor| {
                let a_bar = r[1].matmul_exact(&(x_bar + x_bar.mt()).matmul_exact(&r[1]));
                match triangle {
                    Triangle::Upper => -r[0].matmul_exact(&a_bar),
                    Triangle::Lower => -a_bar.matmul_exact(&r[0]),
                }
            };
            vec![linear_with_transpose("cholesky_inverse_tangent", &[&t[0], &y[0]], &t_dot[0], tangent, cotangent)]
        });
        y
    }

    /// The packed `LU`, the exchanged rows (from 1) and the place (from 1) of the first zero pivot, or 0.
    ///
    /// *Errors*: `linalg_c1`, `linalg_c2`.
    #[track_caller]
    fn lu_factor_ex(&self) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(matrices("linalg_lu_factor_ex", x));
        x.lu_factor_exact()
    }

    /// The packed `LU` and the exchanged rows.
    ///
    /// *Errors*: `linalg_c1`, `linalg_c2`; in evaluation, a zero pivot.
    #[track_caller]
    fn lu_factor(&self) -> [Tensor; 2] {
        let x = self.tensor();
        attempt_all!(matrices("linalg_lu_factor", x));
        let [lu, pivots, info] = x.lu_factor_exact();
        let message = "torch.linalg.lu_factor: U has a zero on its diagonal, and using it on lu_solve would result in a \
                       division by zero. If you still want to perform the factorization, call lu or lu_factor_ex";
        [checked(&lu, &info, message), pivots]
    }

    /// `P`, `L` and `U` of a packed `LU`.
    ///
    /// *Errors*: `linalg_c1`, `linalg_c2`; `lu_unpack_c1` pivots that do not fit.
    #[track_caller]
    fn lu_unpack(&self, pivots: &Tensor) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(matrices("lu_unpack", x));
        attempt_all!(live(&[pivots]));
        x.lu_unpack_exact(pivots)
    }

    /// `x = P L U`.
    ///
    /// *Errors*: `linalg_c1`, `linalg_c2`.
    #[track_caller]
    fn lu(&self) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(matrices("linalg_lu", x));
        many(schema::LINALG_LU, &[("pivot", num(true))], &[x], |a| {
            let [lu, pivots, _] = a[0].lu_factor_exact();
            lu.lu_unpack_exact(&pivots)
        })
    }

    /// The packed factors of symmetric matrices (of which the lower triangle is read), the exchanged rows and the place
    /// (from 1) of the first zero block, or 0.
    ///
    /// *Derivative*: none; a tangent is an error.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn ldl_factor_ex(&self) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(square("linalg_ldl_factor_ex", x));
        x.ldl_factor_exact()
    }

    /// The packed factors of symmetric matrices and the exchanged rows.
    ///
    /// *Errors*: as [`Factorizations::ldl_factor_ex`]; in evaluation, a zero block.
    #[track_caller]
    fn ldl_factor(&self) -> [Tensor; 2] {
        let [ld, pivots, info] = self.ldl_factor_ex();
        attempt_all!(live(&[&ld]));
        let message = "torch.linalg.ldl_factor: the factorization has a zero on the diagonal of D";
        [checked(&ld, &info, message), pivots]
    }

    /// The solution of `A X = B` given the packed factors of the symmetric `A`; batches broadcast.
    ///
    /// *Errors*: `linalg_c1`–`linalg_c3`; `ldl_solve_c1` sizes, dtypes or batches that do not fit.
    #[track_caller]
    fn ldl_solve(&self, pivots: &Tensor, b: &Tensor) -> Tensor {
        let ld = self.tensor();
        let n = attempt!(square("linalg_ldl_solve", ld));
        attempt!(matrices("linalg_ldl_solve", b));
        attempt!(live(&[pivots]));
        let (ld, b) = attempt!(under_one_batch(at!("ldl_solve", 1), ld, b));
        let rows = batch(&ld).concat(&[n].into());
        if !cotangent_core::ops::Expand::fits(pivots.shape(), &rows) {
            return bad_pair(at!("ldl_solve", 1), &ld, pivots, "[.., n, n] and pivots [.., n]");
        }
        ld.ldl_solve_exact(&pivots.expand_to(&rows), &b)
    }

    /// `x = Q R`.
    ///
    /// *Errors*: `linalg_c1`, `linalg_c2`.
    #[track_caller]
    fn qr(&self, mode: QrMode) -> [Tensor; 2] {
        let x = self.tensor();
        attempt_all!(matrices("linalg_qr", x));
        x.qr_exact(mode)
    }

    /// Ascending eigenvalues and the eigenvectors of symmetric matrices, of which one triangle is read.
    ///
    /// *Derivative*: of the vectors infinite or NaN at repeated eigenvalues.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn eigh(&self, triangle: Triangle) -> [Tensor; 2] {
        let x = self.tensor();
        attempt_all!(square("linalg_eigh", x));
        x.eigh_exact(triangle)
    }

    /// Ascending eigenvalues of symmetric matrices.
    ///
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn eigvalsh(&self, triangle: Triangle) -> Tensor {
        let x = self.tensor();
        attempt!(square("linalg_eigvalsh", x));
        let name = text(if triangle == Triangle::Upper { "U" } else { "L" });
        one(schema::LINALG_EIGVALSH, &[("UPLO", name)], &[x], |a| {
            let [w, _] = a[0].eigh_exact(triangle);
            w
        })
    }

    /// The thin `U`, `S`, `Vh`.
    ///
    /// *Derivative*: of the vectors infinite or NaN at repeated singular values.
    /// *Errors*: `linalg_c1`, `linalg_c2`; in evaluation, elements that are not finite.
    #[track_caller]
    fn svd(&self) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(matrices("linalg_svd", x));
        x.svd_exact()
    }

    /// `U`, `S`, `Vh` with square `U` and `Vh`.
    ///
    /// The columns that the thin factors lack are those of the reflections that make the thin ones, so that they have a
    /// derivative, where PyTorch takes none.
    ///
    /// *Errors*: as [`Factorizations::svd`].
    #[track_caller]
    fn svd_full(&self) -> [Tensor; 3] {
        let x = self.tensor();
        attempt_all!(matrices("linalg_svd", x));
        let params = [("full_matrices", num(true)), ("driver", Attr::None)];
        many(schema::LINALG_SVD, &params, &[x], |a| {
            let [u, s, vh] = a[0].svd_exact();
            [completed(&u), s, completed(&vh.mt()).mt()]
        })
    }

    /// Descending singular values.
    ///
    /// *Errors*: as [`Factorizations::svd`].
    #[track_caller]
    fn svdvals(&self) -> Tensor {
        let x = self.tensor();
        attempt!(matrices("linalg_svdvals", x));
        one(schema::LINALG_SVDVALS, &[("driver", Attr::None)], &[x], |a| {
            let [_, s, _] = a[0].svd_exact();
            s
        })
    }
}

impl Factorizations for Tensor {}

/// `A⁻¹ b` for `A = L Lᵀ`, or `A = Uᵀ U`.
#[track_caller]
fn solve_with_factor(factor: &Tensor, triangle: Triangle, b: &Tensor) -> Tensor {
    let l = if triangle == Triangle::Upper { factor.mt() } else { factor.clone() };
    let op = |upper| SolveTriangular { upper, left: true, unitriangular: false };
    let half = l.solve_triangular_exact(op(false), b);
    l.mt().solve_triangular_exact(op(true), &half)
}

/// `A⁻¹ b` with the derivative that reads both triangles of the factor.
#[track_caller]
fn solved(b: &Tensor, factor: &Tensor, triangle: Triangle) -> Tensor {
    let params = [("upper", num(triangle == Triangle::Upper))];
    let value = |t: &[Tensor]| [solve_with_factor(&whole_factor(&t[1], triangle), triangle, &t[0])];
    let [y] = by_result(schema::CHOLESKY_SOLVE, &params, &[b, factor], value, |t, y, t_dot| {
        let a_dot = product_dot(&t[1], &t_dot[1], triangle);
        let b_dot = &t_dot[0] - a_dot.matmul_exact(&y[0]);
        vec![solved(&b_dot, &t[1], triangle)]
    });
    y
}

/// The factor, whose tangent is that of the factor of the product of both triangles.
///
/// What reads but one triangle of it has so, at every order, the derivative that PyTorch writes down for the product.
#[track_caller]
fn whole_factor(factor: &Tensor, triangle: Triangle) -> Tensor {
    let [l] = by_result(
        "cotangent::whole_factor(...)",
        &[],
        &[factor],
        |t| [t[0].clone()],
        |t, y, t_dot| {
            let turn = |x: &Tensor| if triangle == Triangle::Upper { x.mt() } else { x.clone() };
            let l = turn(&y[0]).lower(0);
            let op = |upper, left| SolveTriangular { upper, left, unitriangular: false };
            let right = l.mt().solve_triangular_exact(op(true, false), &product_dot(&t[0], &t_dot[0], triangle));
            // The lower triangle of `L⁻¹ A_dot L⁻ᵀ` with half of its diagonal is `L⁻¹ L_dot`.
            let x = l.solve_triangular_exact(op(false, true), &right);
            vec![turn(&l.matmul_exact(&((x.lower(0) + x.lower(-1)) * 0.5)))]
        },
    );
    l
}

/// The tangent of `L Lᵀ`, or of `Uᵀ U`.
#[track_caller]
fn product_dot(factor: &Tensor, factor_dot: &Tensor, triangle: Triangle) -> Tensor {
    let half = match triangle {
        Triangle::Upper => factor_dot.mt().matmul_exact(factor),
        Triangle::Lower => factor_dot.matmul_exact(&factor.mt()),
    };
    &half + half.mt()
}

/// Orthonormal columns and more of them, to a square matrix.
#[track_caller]
fn completed(u: &Tensor) -> Tensor {
    let (rows, cols) = (u.rank() - 2, u.rank() - 1);
    let (m, k): (Dim, Dim) = (u.shape()[rows], u.shape()[cols]);
    if m == k {
        return u.clone();
    }
    let [q, _] = u.qr_exact(QrMode::Complete);
    Tensor::cat_dim(&[u.clone(), q.slice_dim(cols, k.get(), m.get(), 1)], cols)
}
