//! Products of Householder reflections.

use cotangent_core::Tensor;
use cotangent_core::ir::Dim;
use cotangent_core::ops::{Eye, SolveTriangular};

use super::{batch, matrices};
use crate::arg::{AsTensor, At, at, attempt, bad_pair, live};
use crate::call::{many, num, one};
use crate::linalg::factor::attempt_all;
use crate::linalg::solve::{Adjoint, Side};
use crate::schema;

/// Products of reflections `I - τᵢ vᵢ vᵢᵀ`, as LAPACK's `geqrf` stores them: `vᵢ` below the diagonal of column `i`.
pub trait Reflections: AsTensor {
    /// The first columns of the product, as many as `self` has.
    ///
    /// *Shape*: `[.., m, n], [.., k] → [.., m, n]` with `m ≥ n ≥ k`.
    /// *Derivative*: of what is read, the elements below the diagonal of the first `k` columns.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `householder_product_c1` shapes or dtypes that do not fit.
    #[track_caller]
    fn householder_product(&self, tau: &Tensor) -> Tensor {
        let a = self.tensor();
        let [rows, _] = attempt!(matrices("householder_product", a));
        attempt!(reflectors(at!("householder_product", 1), a, tau, rows));
        one(schema::LINALG_HOUSEHOLDER_PRODUCT, &[], &[a, tau], |t| {
            let (rows, cols) = (t[0].rank() - 2, t[0].rank() - 1);
            let [n, m] = [t[0].shape()[rows], t[0].shape()[cols]];
            let eye = Tensor::generate(Eye { n, m, dtype: t[0].dtype() }, Some(&t[0])).expand_to(t[0].shape());
            reflected(&t[0], &t[1], &eye, false)
        })
    }

    /// The reflections of a QR factorization with `R` on and above the diagonal, and their `τ`.
    ///
    /// *Shape*: `[.., m, n] → [.., m, n], [.., min(m, n)]`.
    /// *Numerics*: the diagonal of `R` has the other sign than what was eliminated; a column of zeros has `τ = 0`.
    /// *Errors*: `linalg_c1`, `linalg_c2`.
    /// *Source*: LAPACK's `geqr2` and `larfg`.
    #[track_caller]
    fn geqrf(&self) -> [Tensor; 2] {
        let a = self.tensor();
        attempt_all!(matrices("geqrf", a));
        many(schema::GEQRF, &[], &[a], |t| factored(&t[0]))
    }

    /// The product `Q` of the reflections of `self`, all `m` columns of it, times `other`.
    ///
    /// Columns of `self` beyond the `k` reflections are not read, and may be more than its rows.
    ///
    /// *Shape*: `other` is `[.., m, n]`, or `[.., n, m]` on the left of `Q`; `Qᵀ` in place of `Q` if `adjoint`.
    /// *Errors*: as [`Reflections::householder_product`]; `ormqr_c1` another matrix that does not fit.
    #[track_caller]
    fn ormqr(&self, tau: &Tensor, other: &Tensor, side: Side, adjoint: Adjoint) -> Tensor {
        let a = self.tensor();
        attempt!(reflectors(at!("ormqr", 1), a, tau, usize::MAX));
        let [m, n] = attempt!(matrices("ormqr", other));
        let inner = if side == Side::Left { m } else { n };
        if a.shape()[a.rank() - 2] != inner || batch(a) != batch(other) || a.dtype() != other.dtype() {
            return bad_pair(at!("ormqr", 1), a, other, "matrices whose product exists, of one batch and dtype");
        }
        let (left, transpose) = (side == Side::Left, adjoint == Adjoint::Yes);
        let params = [("left", num(left)), ("transpose", num(transpose))];
        one(schema::ORMQR, &params, &[a, tau, other], |t| {
            if left {
                reflected(&t[0], &t[1], &t[2], transpose)
            } else {
                reflected(&t[0], &t[1], &t[2].mt(), !transpose).mt()
            }
        })
    }
}

impl Reflections for Tensor {}

/// Checks that there are `k` reflections in a matrix of at most so many columns.
#[track_caller]
fn reflectors(at: At, a: &Tensor, tau: &Tensor, most: usize) -> Result<(), Tensor> {
    let [m, n] = matrices(at.op, a)?;
    live(&[tau])?;
    let k = if tau.rank() + 1 == a.rank() { tau.shape()[tau.rank() - 1].get() } else { usize::MAX };
    if n > most || m < k || n < k || tau.shape().slice(0, tau.rank() - 1) != batch(a) || tau.dtype() != a.dtype() {
        return Err(bad_pair(
            at,
            a,
            tau,
            "[.., m, n] and [.., k] of one dtype, with m ≥ n ≥ k, or n > m ≥ k for `ormqr`",
        ));
    }
    Ok(())
}

/// One column after the other: `work` holds the columns that are left.
#[track_caller]
fn factored(a: &Tensor) -> [Tensor; 2] {
    let (rows, cols) = (a.rank() - 2, a.rank() - 1);
    let [m, n] = [a.shape()[rows].get(), a.shape()[cols].get()];
    let k = m.min(n);
    let (mut work, mut done, mut taus) = (a.clone(), Vec::new(), Vec::new());
    for j in 0..k {
        let left = n - j;
        let column = work.slice_dim(cols, 0, 1, 1);
        let [above, alpha, below] =
            [(0, j), (j, j + 1), (j + 1, m)].map(|(from, to)| column.slice_dim(rows, from, to, 1));
        let tail = (&below * &below).sum_over(&[rows]).view_to(alpha.shape());
        let norm = (&alpha * &alpha + &tail).sqrt();
        let nothing = tail.eq(0.0);
        let beta = alpha.where_(&nothing, norm.where_(&alpha.lt(0.0), -&norm));
        let one = alpha.ones_like();
        let tau = alpha.zeros_like().where_(&nothing, &((&beta - &alpha) / one.where_(&nothing, &beta)));
        let v = &below / one.where_(&nothing, &(&alpha - &beta));
        let reflection = Tensor::cat_dim(&[one, v.clone()], rows);
        let rest = work.slice_dim(cols, 1, left, 1);
        let block = rest.slice_dim(rows, j, m, 1);
        let moved = &block - (&tau * &reflection).matmul_exact(&reflection.mt().matmul_exact(&block));
        work = Tensor::cat_dim(&[rest.slice_dim(rows, 0, j, 1), moved], rows);
        done.push(Tensor::cat_dim(&[above, beta, v], rows));
        taus.push(tau);
    }
    done.push(work);
    let shape = batch(a).concat(&[k].into());
    let tau =
        if k == 0 { a.full_of(&a.aval().with_shape(shape), 0.0) } else { Tensor::cat_dim(&taus, rows).view_to(&shape) };
    [Tensor::cat_dim(&done, cols), tau]
}

/// The product of the reflections, or its transpose, times `x`.
///
/// In compact form the product is `I - V T Vᵀ`, where `T⁻¹ = diag(1 / τ) + S` with the strictly upper part `S` of `Vᵀ V`. As τ may
/// be zero, `T = D (I + S D)⁻¹` with `D = diag(τ)`: the matrix to be inverted is unit upper triangular.
#[track_caller]
fn reflected(a: &Tensor, tau: &Tensor, x: &Tensor, transposed: bool) -> Tensor {
    let k: Dim = tau.shape()[tau.rank() - 1];
    let v = a.first_cols(k);
    let eye = Tensor::generate(Eye { n: a.shape()[a.rank() - 2], m: k, dtype: a.dtype() }, Some(a));
    let v = v.lower(-1) + eye;
    let sd = v.mt().matmul_exact(&v).upper(1) * tau.row();
    let vx = v.mt().matmul_exact(x);
    // Only the strict triangle is read: the ones of I + S D are implied.
    let y = if transposed {
        // Tᵀ = (I + S D)⁻ᵀ D.
        let op = SolveTriangular { upper: false, left: true, unitriangular: true };
        sd.mt().solve_triangular_exact(op, &(tau.column() * vx))
    } else {
        let op = SolveTriangular { upper: true, left: true, unitriangular: true };
        tau.column() * sd.solve_triangular_exact(op, &vx)
    };
    x - v.matmul_exact(&y)
}
