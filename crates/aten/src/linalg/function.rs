//! Functions of matrices: powers, exponential, square root, polar decomposition, condition number.

use cotangent_core::Tensor;
use cotangent_core::ir::Attr;
use cotangent_core::ops::Triangle;
use cotangent_core::tensor::linear_with_transpose;

use super::factor::{Factorizations, attempt_all};
use super::norm::{MatrixNorms, MatrixOrd};
use super::solve::Systems;
use super::{batch, eye_like, matrices, square, with_jvp};
use crate::arg::{AsTensor, at, attempt, bad_operand, live};
use crate::call::{by_result, many, num, one};
use crate::schema;

/// Functions of matrices under PyTorch's names.
pub trait MatrixFunctions: AsTensor {
    /// The product of `n` equal matrices, by repeated squaring; for negative `n`, of the inverse.
    ///
    /// *Errors*: `matrix_power_c1` no square matrices; for negative `n` as [`Systems::inv`].
    #[track_caller]
    fn matrix_power(&self, n: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let [.., rows, cols] = x.shape().dims() else {
            return bad_operand(at!("matrix_power", 1), x, "batches of square matrices");
        };
        if rows != cols {
            return bad_operand(at!("matrix_power", 1), x, "batches of square matrices");
        }
        let mut base = if n < 0 { x.inv() } else { x.clone() };
        attempt!(live(&[&base]));
        let (mut power, mut left) = (None, n.unsigned_abs());
        while left > 0 {
            if left & 1 == 1 {
                power = Some(power.map_or(base.clone(), |p: Tensor| p.matmul_exact(&base)));
            }
            left >>= 1;
            if left > 0 {
                base = base.matmul_exact(&base);
            }
        }
        power.unwrap_or_else(|| eye_like(x))
    }

    /// The exponential.
    ///
    /// *Numerics*: a Taylor polynomial of degree 18 of the matrix halved until its 1-norm is below one, squared back; at most
    /// 20 times, which is enough wherever the result is finite, and for norms up to 2^20.
    /// *Derivative*: a block of the exponential of a matrix of twice the size (Mathias, "A chain rule for matrix functions", 1996); from the fourth
    /// order on that of the polynomial.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn matrix_exp(&self) -> Tensor {
        let x = self.tensor();
        let n = attempt!(square("linalg_matrix_exp", x));
        if n == 0 {
            return x.clone();
        }
        exponential(x, n, BLOCK_ORDERS)
    }

    /// The symmetric square root of symmetric positive semidefinite matrices; negative eigenvalues count as zero.
    ///
    /// *Derivative*: the solution of `R dR + dR R = dA`; infinite or NaN where two eigenvalues are zero.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn matrix_sqrth(&self) -> Tensor {
        let x = self.tensor();
        attempt!(square("linalg_matrix_sqrth", x));
        let parts = |a: &Tensor| {
            let [w, v] = a.eigh_exact(Triangle::Lower);
            (w.maximum(w.zeros_like()).sqrt(), v)
        };
        with_jvp(
            schema::LINALG_MATRIX_SQRTH,
            &[],
            &[x],
            |a| {
                let (r, v) = parts(&a[0]);
                (&v * r.row()).matmul_exact(&v.mt())
            },
            |a, a_dot| {
                let (r, v) = parts(&a[0]);
                let symmetric = (&a_dot[0] + a_dot[0].mt()) * 0.5;
                let inside = v.mt().matmul_exact(&symmetric).matmul_exact(&v) / (r.row() + r.column());
                v.matmul_exact(&inside).matmul_exact(&v.mt())
            },
        )
    }

    /// `x = U H` with orthonormal columns of `U` and a symmetric positive semidefinite `H`.
    ///
    /// *Derivative*: infinite or NaN for a matrix whose rank is lower by two or more than its columns, or by one if it is tall.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `linalg_polar_c1` fewer rows than columns.
    #[track_caller]
    fn polar(&self) -> [Tensor; 2] {
        let x = self.tensor();
        let [m, n] = attempt_all!(matrices("linalg_polar", x));
        if m < n {
            let error = bad_operand(at!("linalg_polar", 1), x, "matrices with at least as many rows as columns");
            return [error.clone(), error];
        }
        many(schema::LINALG_POLAR, &[], &[x], |a| {
            let u = unitary(&a[0], m > n);
            let h = u.mt().matmul_exact(&a[0]);
            let h = (&h + h.mt()) * 0.5;
            [u, h]
        })
    }

    /// The condition number: the norm of the matrix times that of its inverse; without an order, or with ±2, the quotient of
    /// the singular values.
    ///
    /// *Numerics*: infinite at singular matrices; 0 for matrices without elements.
    /// *Errors*: `linalg_c1`–`linalg_c3` (±2 take rectangular matrices too); as [`MatrixNorms::matrix_norm`].
    #[track_caller]
    fn cond(&self, ord: impl Into<Option<MatrixOrd>>) -> Tensor {
        let (x, ord) = (self.tensor(), ord.into().unwrap_or(MatrixOrd::Number(2.0)));
        let [m, n] = attempt!(matrices("linalg_cond", x));
        let zeros = || x.full_of(&x.aval().with_shape(batch(x)), 0.0);
        let spectral = matches!(ord, MatrixOrd::Number(p) if p.abs() == 2.0);
        if !spectral {
            attempt!(square("linalg_cond", x));
        }
        if m * n == 0 {
            return zeros();
        }
        if let MatrixOrd::Number(p) = ord
            && spectral
        {
            return one(schema::LINALG_COND, &[("p", num(p))], &[x], |a| {
                let s = a[0].svdvals();
                let last = s.rank() - 1;
                let (top, low) = (s.slice_dim(last, 0, 1, 1), s.slice_dim(last, m.min(n) - 1, m.min(n), 1));
                let quotient = if p > 0.0 { top / low } else { low / top };
                quotient.sum_over(&[last])
            });
        }
        let (schema, p) = match ord {
            MatrixOrd::Number(p) => (schema::LINALG_COND, num(p)),
            MatrixOrd::Fro => (schema::LINALG_COND_P_STR, Attr::Str("fro".to_owned())),
            MatrixOrd::Nuc => (schema::LINALG_COND_P_STR, Attr::Str("nuc".to_owned())),
        };
        one(schema, &[("p", p)], &[x], |a| {
            let [inverse, info] = a[0].inv_ex();
            let singular = info.ne(0i64);
            // The inverse of a singular matrix is not looked at: its norm need not exist.
            let masked = singular.column().column().expand_to(inverse.shape());
            let inverse = inverse.zeros_like().where_exact(&masked, &inverse);
            let product = a[0].matrix_norm(ord, ()) * inverse.matrix_norm(ord, ());
            product.full_like(f64::INFINITY).where_exact(&singular, &product)
        })
    }
}

impl MatrixFunctions for Tensor {}

/// The most squarings of [`MatrixFunctions::matrix_exp`].
pub const SQUARINGS: usize = 20;

/// How often the exponential is differentiated by exponentials of larger matrices.
const BLOCK_ORDERS: u32 = 3;

/// The exponential of square matrices with at least one element, upper triangular in blocks of which those on the diagonal are all as the first
/// one, of `n` rows; it is differentiated `orders` times by such matrices.
#[track_caller]
fn exponential(x: &Tensor, n: usize, orders: u32) -> Tensor {
    if orders == 0 {
        return one(schema::LINALG_MATRIX_EXP, &[], &[x], |a| polynomial(&a[0], n));
    }
    let slope = |a: &Tensor, e: &Tensor| {
        let square = Tensor::cat_dim(&[upper(a, e), upper(&a.zeros_like(), a)], a.rank() - 2);
        let [rows, columns] = [a.rank() - 2, a.rank() - 1];
        let m = a.shape()[columns].get();
        exponential(&square, n, orders - 1).slice_dim(rows, 0, m, 1).slice_dim(columns, m, 2 * m, 1)
    };
    let tangent = |a: &[Tensor], _: &[Tensor], a_dot: &[Tensor]| {
        // <G, L(A, E)> = <L(Aᵀ, G), E>
        let transpose = |a: &[Tensor], g: &Tensor| slope(&a[0].mt(), g);
        vec![linear_with_transpose("matrix_exp_tangent", &[&a[0]], &a_dot[0], |a, e| slope(&a[0], e), transpose)]
    };
    let [y] = by_result(schema::LINALG_MATRIX_EXP, &[], &[x], |a| [polynomial(&a[0], n)], tangent);
    y
}

/// Two blocks beside each other.
fn upper(left: &Tensor, right: &Tensor) -> Tensor {
    Tensor::cat_dim(&[left.clone(), right.clone()], left.rank() - 1)
}

/// The exponential of [`exponential`]: the norm of the first block says how often it is halved, as what stands beside it enters as a factor only.
#[track_caller]
fn polynomial(a: &Tensor, n: usize) -> Tensor {
    let [rows, columns] = [a.rank() - 2, a.rank() - 1];
    let norm = a.detach().slice_dim(rows, 0, n, 1).slice_dim(columns, 0, n, 1).matrix_norm(1.0, ());
    // 2^s is at least the norm; the comparison below is false for NaN, which then stays NaN.
    let squarings = norm.log2().ceil().column().column();
    let squarings = squarings.maximum(squarings.zeros_like());
    let squarings = squarings.minimum(squarings.full_like(SQUARINGS as f64));
    let scaled = a * (-&squarings).exp2();
    // Σ aᵏ / k! by Horner's rule.
    let eye = eye_like(a);
    let mut sum = eye.clone();
    for k in (1..=18).rev() {
        sum = &eye + scaled.matmul_exact(&sum) / f64::from(k);
    }
    for i in 0..SQUARINGS {
        let more = squarings.gt(i as f64).expand_to(a.shape());
        // Where no squaring is due, zeros are squared: no overflow in what is not looked at.
        let base = sum.where_exact(&more, &sum.zeros_like());
        sum = base.matmul_exact(&base).where_exact(&more, &sum);
    }
    sum
}

/// The orthonormal factor of the polar decomposition.
#[track_caller]
fn unitary(a: &Tensor, tall: bool) -> Tensor {
    with_jvp(
        "cotangent::linalg_polar_unitary(Tensor A) -> Tensor",
        &[],
        &[a],
        |a| {
            let [u, _, vh] = a[0].svd_exact();
            u.matmul_exact(&vh)
        },
        |a, a_dot| {
            // With A = W S Vᵀ and dP = Wᵀ dA V: dU = W (dP - dPᵀ) / (sᵢ + sⱼ) Vᵀ, and what leaves the columns of W, over s.
            let [w, s, vh] = a[0].svd_exact();
            let av = a_dot[0].matmul_exact(&vh.mt());
            let p = w.mt().matmul_exact(&av);
            let inside = w.matmul_exact(&((&p - p.mt()) / (s.row() + s.column())));
            let turned = if tall { inside + (av - w.matmul_exact(&p)) / s.row() } else { inside };
            turned.matmul_exact(&vh)
        },
    )
}
