//! Systems of equations and inverses.

use cotangent_core::Tensor;
use cotangent_core::ops::SolveTriangular;
use cotangent_core::tensor::linear_with_transpose;

use super::factor::attempt_all;
use super::{checked, matrices, square, under_one_batch};
use crate::arg::{AsTensor, At, at, attempt, bad_pair, live};
use crate::call::{by_result, many, num, one};
use crate::schema;

/// On which side of the unknown the matrix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `A X = B`.
    Left,
    /// `X A = B`.
    Right,
}

const SINGULAR: &str = "torch.linalg.solve: the solver failed because the input matrix is singular";

/// Systems of equations and inverses.
pub trait Systems: AsTensor {
    /// The inverse and the place (from 1) of the first zero pivot, or 0; at singular matrices infinite or NaN.
    ///
    /// *Derivative*: `-X A_dot X` by the inverse `X`.
    /// *Errors*: `linalg_c1`–`linalg_c3`.
    #[track_caller]
    fn inv_ex(&self) -> [Tensor; 2] {
        let x = self.tensor();
        attempt_all!(square("linalg_inv", x));
        x.inverse_exact()
    }

    /// The inverse.
    ///
    /// *Errors*: `linalg_c1`–`linalg_c3`; in evaluation, a singular matrix.
    #[track_caller]
    fn inv(&self) -> Tensor {
        let [inverse, info] = self.inv_ex();
        attempt!(live(&[&inverse]));
        let message = "linalg.inv: the inversion could not be completed because the input matrix is singular";
        checked(&inverse, &info, message)
    }

    /// The solution of `A X = B`, with the factors of `A` (which have no derivative here, as in PyTorch) and the place (from 1) of the first zero pivot, or 0.
    ///
    /// *Derivative*: by the same system: `A X_dot = B_dot - A_dot X`.
    /// *Shape*: `B` is a batch of vectors if it has one dim, or one less than `A` and `A`'s shape without the last.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `linalg_solve_c1` sizes, dtypes or batches that do not fit; `linalg_solve_c2`
    /// vectors on the left of the matrix.
    #[track_caller]
    fn solve_ex(&self, b: &Tensor, side: Side) -> [Tensor; 4] {
        let a = self.tensor();
        attempt_all!(square("linalg_solve", a));
        attempt_all!(live(&[b]));
        let vector = b.rank() == 1 || (b.rank() + 1 == a.rank() && *b.shape() == a.shape().removed(a.rank() - 1));
        if vector && side == Side::Right {
            let expected = "matrices for `X A = B` (vectors stand right of the matrix)";
            return std::array::from_fn(|_| bad_pair(at!("linalg_solve", 2), a, b, expected));
        }
        let matrix = if vector { b.column() } else { b.clone() };
        let (wide, matrix) = attempt_all!(fitting(at!("linalg_solve", 1), a, &matrix, side));
        let b = if vector { matrix.view_to(&matrix.shape().removed(matrix.rank() - 1)) } else { matrix };
        let left = side == Side::Left;
        if wide.shape() == a.shape() {
            return a.solve_exact(left, &b);
        }
        // The factors are those of the matrices that are given.
        let params = [("left", num(left)), ("check_errors", num(false))];
        many(schema::_LINALG_SOLVE_EX, &params, &[a, &b], |t| {
            let [x, ..] = t[0].expand_to(wide.shape()).solve_exact(left, &t[1]);
            let [lu, pivots, info] = t[0].lu_factor_exact();
            [x, lu.detach(), pivots, info]
        })
    }

    /// The solution of `A X = B`.
    ///
    /// *Errors*: as [`Systems::solve_ex`]; in evaluation, a singular matrix.
    #[track_caller]
    fn solve(&self, b: &Tensor) -> Tensor {
        self.solve_on(b, Side::Left)
    }

    /// The solution of `A X = B` or `X A = B`.
    ///
    /// *Errors*: as [`Systems::solve`].
    #[track_caller]
    fn solve_on(&self, b: &Tensor, side: Side) -> Tensor {
        let [x, _, _, info] = self.solve_ex(b, side);
        attempt!(live(&[&x]));
        checked(&x, &info, SINGULAR)
    }

    /// The solution of a triangular system, whose batches broadcast.
    ///
    /// *Numerics*: a zero on the diagonal divides; that is no error.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `solve_triangular_c1` sizes, dtypes or batches that do not fit.
    #[track_caller]
    fn solve_triangular(&self, b: &Tensor, op: SolveTriangular) -> Tensor {
        let a = self.tensor();
        attempt!(square("linalg_solve_triangular", a));
        let side = if op.left { Side::Left } else { Side::Right };
        let (a, b) = attempt!(fitting(at!("solve_triangular", 1), a, b, side));
        a.solve_triangular_exact(op, &b)
    }

    /// The solution `X` of `A X = x`, or of `Aᵀ X = x`, for the triangle of `A` that `op` names, and `A` under the same batch:
    /// the older form of [`Systems::solve_triangular`], of which the matrix stands left.
    ///
    /// *Derivative*: PyTorch's, whose modes disagree: the tangent of the matrix counts whole, and is not transposed with it;
    /// the cotangent lies in the triangle that is read. Cotangents are solutions of the same kind, so second derivatives differ too.
    /// *Errors*: as [`Systems::solve_triangular`].
    #[track_caller]
    fn triangular_solve(&self, a: &Tensor, op: SolveTriangular, adjoint: Adjoint) -> [Tensor; 2] {
        let b = self.tensor();
        attempt_all!(square("triangular_solve", a));
        let (a, b) = attempt_all!(fitting(at!("solve_triangular", 1), a, b, Side::Left));
        let transposed = adjoint == Adjoint::Yes;
        let of = OldTriangular { upper: op.upper, transposed, unitriangular: op.unitriangular };
        let params =
            [("upper", num(op.upper)), ("transpose", num(transposed)), ("unitriangular", num(op.unitriangular))];
        let value = |t: &[Tensor]| {
            let op = SolveTriangular { upper: op.upper != transposed, left: true, unitriangular: op.unitriangular };
            [of.turned(&t[1]).solve_triangular_exact(op, &t[0]), t[1].clone()]
        };
        by_result(schema::TRIANGULAR_SOLVE, &params, &[&b, &a], value, |t, y, t_dot| {
            let moved = &t_dot[0] - of.tangent(&t_dot[1]).matmul_exact(&y[0]);
            let solution = |b: &Tensor, a: &Tensor, adjoint: Adjoint| {
                let [x, _] = b.triangular_solve(a, op.clone(), adjoint);
                x
            };
            let x_dot = linear_with_transpose(
                "triangular_solution",
                &[&t[1]],
                &moved,
                |a, b| solution(b, &a[0], adjoint),
                |a, y_bar| solution(y_bar, &a[0], adjoint.other()),
            );
            vec![x_dot, t_dot[1].clone()]
        })
    }

    /// The solution of a system given the factors (`self`, `pivots`) of its matrix, or of the transposed matrix if `adjoint`.
    ///
    /// *Errors*: `linalg_c1`–`linalg_c3`; `lu_solve_c1` sizes, dtypes or batches that do not fit.
    #[track_caller]
    fn lu_solve(&self, pivots: &Tensor, b: &Tensor, side: Side, adjoint: Adjoint) -> Tensor {
        let lu = self.tensor();
        let n = attempt!(square("linalg_lu_solve", lu));
        attempt!(live(&[pivots]));
        let lead = super::batch(lu);
        if *pivots.shape() != lead.inserted(lead.rank(), n) {
            return bad_pair(at!("lu_solve", 1), lu, pivots, "[.., n, n] and pivots [.., n]");
        }
        let (lu, b) = attempt!(fitting(at!("lu_solve", 1), lu, b, side));
        let lead = super::batch(&lu);
        let pivots = pivots.expand_to(&lead.inserted(lead.rank(), n));
        let transposed = adjoint == Adjoint::Yes;
        let params = [("left", num(side == Side::Left)), ("adjoint", num(transposed))];
        one(schema::LINALG_LU_SOLVE, &params, &[&lu, &pivots, &b], |t| {
            t[0].solve_factored(&t[1], &t[2], side == Side::Left, transposed)
        })
    }
}

impl Systems for Tensor {}

/// How `triangular_solve` reads its matrix.
#[derive(Clone, Copy)]
struct OldTriangular {
    upper: bool,
    transposed: bool,
    unitriangular: bool,
}

impl OldTriangular {
    fn turned(self, a: &Tensor) -> Tensor {
        if self.transposed { a.mt() } else { a.clone() }
    }

    /// What is read of a matrix, without a diagonal of ones.
    fn part(self, a: &Tensor) -> Tensor {
        let off = i64::from(self.unitriangular);
        if self.upper { a.upper(off) } else { a.lower(-off) }
    }

    /// The tangent of the matrix, which counts whole and as it stands; the cotangent lies in the triangle.
    fn tangent(self, a_dot: &Tensor) -> Tensor {
        let back = |y_bar: &Tensor| self.part(&self.turned(y_bar));
        linear_with_transpose("triangular_tangent", &[], a_dot, |_, t| t.clone(), |_, y_bar| back(y_bar))
    }
}

/// Whether a system is that of the transposed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjoint {
    /// The matrix itself.
    No,
    /// The transposed matrix.
    Yes,
}

impl Adjoint {
    const fn other(self) -> Self {
        match self {
            Adjoint::No => Adjoint::Yes,
            Adjoint::Yes => Adjoint::No,
        }
    }
}

/// Matrix and right-hand side under one batch, if their sizes and dtypes fit.
#[track_caller]
fn fitting(at: At, a: &Tensor, b: &Tensor, side: Side) -> Result<(Tensor, Tensor), Tensor> {
    let [rows, cols] = matrices(at.op, b)?;
    let inner = match side {
        Side::Left => rows,
        Side::Right => cols,
    };
    if a.shape()[a.rank() - 1] != inner || a.dtype() != b.dtype() {
        let expected = match side {
            Side::Left => "[.., n, n] and [.., n, k] of one dtype, for `A X = B`",
            Side::Right => "[.., n, n] and [.., k, n] of one dtype, for `X A = B`",
        };
        return Err(bad_pair(at, a, b, expected));
    }
    under_one_batch(at, a, b)
}
