//! Matrices in the last two dims, under equal leading batch dims: the exact methods of the linear-algebra primitives,
//! and the steps of which their rules and composites are made.

use super::{Tensor, emit, emit_all, linear_with_transpose};
use crate::ir::{DType, Dim, Shape};
use crate::ops::{
    AssertAsync, Binary, Cholesky, Eigh, Inverse, LdlFactor, LdlSolve, LuFactor, LuUnpack, Qr, QrMode, Solve,
    SolveTriangular, Svd, Triangle,
};

/// The results of an op that has `N` of them.
#[track_caller]
fn emit_array<const N: usize>(op: impl Into<crate::ops::Op>, args: &[&Tensor]) -> [Tensor; N] {
    <[Tensor; N]>::try_from(emit_all(op.into(), args)).expect("I3: the op's number of results")
}

impl Tensor {
    /// The Cholesky factor.
    #[track_caller]
    pub fn cholesky_exact(&self, op: Cholesky) -> Tensor {
        emit(op, &[self])
    }

    /// The solution `x` of `self · x = b` (or `x · self = b` unless `left`), the packed `LU` of the matrix, the exchanged
    /// rows and the place of a zero pivot.
    #[track_caller]
    pub fn solve_exact(&self, left: bool, b: &Tensor) -> [Tensor; 4] {
        emit_array(Solve { left, check_errors: false }, &[self, b])
    }

    /// The inverse and the place of a zero pivot.
    #[track_caller]
    pub fn inverse_exact(&self) -> [Tensor; 2] {
        emit_array(Inverse { check_errors: false }, &[self])
    }

    /// The solution `x` of `self · x = b` (or `x · self = b` unless `left`) for a triangular matrix.
    #[track_caller]
    pub fn solve_triangular_exact(&self, op: SolveTriangular, b: &Tensor) -> Tensor {
        emit(op, &[self, b])
    }

    /// The packed `LU`, the exchanged rows and the place of a zero pivot.
    #[track_caller]
    pub fn lu_factor_exact(&self) -> [Tensor; 3] {
        emit_array(LuFactor { pivot: true, check_errors: false }, &[self])
    }

    /// `P`, `L` and `U` of a packed `LU`.
    #[track_caller]
    pub fn lu_unpack_exact(&self, pivots: &Tensor) -> [Tensor; 3] {
        emit_array(LuUnpack { unpack_data: true, unpack_pivots: true }, &[self, pivots])
    }

    /// The solution of `A x = b` (or `x A = b` unless `left`), given the packed factors `self` and `pivots` of `A`, or of
    /// the system of the transposed matrix if `adjoint`.
    #[track_caller]
    pub fn solve_factored(&self, pivots: &Tensor, b: &Tensor, left: bool, adjoint: bool) -> Tensor {
        if !left {
            // x A = b is Aᵀ xᵀ = bᵀ.
            return self.solve_factored(pivots, &b.mt(), true, !adjoint).mt();
        }
        let [p, l, u] = self.lu_unpack_exact(pivots);
        if adjoint {
            p.matmul_exact(&b.solve_lower(&u.mt()).solve_unit_upper(&l.mt()))
        } else {
            p.mt().matmul_exact(b).solve_unit_lower(&l).solve_upper(&u)
        }
    }

    /// The packed factors of a symmetric matrix, the exchanged rows and the place of a zero block.
    #[track_caller]
    pub fn ldl_factor_exact(&self) -> [Tensor; 3] {
        emit_array(LdlFactor { hermitian: false, check_errors: false }, &[self])
    }

    /// The solution `x` of `A · x = b`, given the packed factors of the symmetric `A`.
    #[track_caller]
    pub fn ldl_solve_exact(&self, pivots: &Tensor, b: &Tensor) -> Tensor {
        emit(LdlSolve { hermitian: false }, &[self, pivots, b])
    }

    /// `Q`, `R`.
    #[track_caller]
    pub fn qr_exact(&self, mode: QrMode) -> [Tensor; 2] {
        emit_array(Qr { mode }, &[self])
    }

    /// Ascending eigenvalues and eigenvectors of a symmetric matrix.
    #[track_caller]
    pub fn eigh_exact(&self, triangle: Triangle) -> [Tensor; 2] {
        emit_array(Eigh { UPLO: triangle }, &[self])
    }

    /// The thin `U`, `S`, `Vh`.
    #[track_caller]
    pub fn svd_exact(&self) -> [Tensor; 3] {
        emit_array(Svd { full_matrices: false }, &[self])
    }

    /// The tensor itself, or an evaluation error with `message` unless the one element of `condition` is true.
    #[track_caller]
    pub fn assert_that(&self, condition: &Tensor, message: &str) -> Tensor {
        emit(AssertAsync { assert_msg: message.to_owned() }, &[condition, self])
    }

    /// The products of matrices under equal leading dims: `mm` for two matrices, else one `bmm`.
    #[track_caller]
    pub fn matmul_exact(&self, other: &Tensor) -> Tensor {
        let Some(lead) = self.rank().checked_sub(3) else { return self.mm(other) };
        let merged = |x: &Tensor| {
            let batch = x.shape().dims()[..=lead].iter().try_fold(Dim::new(1), |n, d| n.checked_mul(*d));
            let batch = batch.expect("I3: bounded sizes");
            x.view_to(&x.shape().slice(lead + 1, x.rank()).inserted(0, batch))
        };
        if lead == 0 {
            return self.bmm(other);
        }
        let y = merged(self).bmm(&merged(other));
        y.view_to(&self.shape().slice(0, lead + 1).concat(&y.shape().slice(1, 3)))
    }

    /// The last two dims exchanged.
    #[track_caller]
    pub fn mt(&self) -> Tensor {
        let mut dims: Vec<usize> = (0..self.rank()).collect();
        if let [.., a, b] = dims.as_mut_slice() {
            std::mem::swap(a, b);
        }
        self.permute_to(&dims)
    }

    /// Zeros above diagonal `offset`; negative offsets are below the main diagonal.
    #[track_caller]
    pub fn lower(&self, offset: i64) -> Tensor {
        self.where_exact(&self.band(Binary::Le, offset), &self.zeros_like())
    }

    /// Zeros below diagonal `offset`.
    #[track_caller]
    pub fn upper(&self, offset: i64) -> Tensor {
        self.where_exact(&self.band(Binary::Ge, offset), &self.zeros_like())
    }

    /// `value` on the main diagonal.
    #[track_caller]
    pub(crate) fn with_diagonal(&self, value: f64) -> Tensor {
        self.full_like(value).where_exact(&self.band(Binary::Eq, 0), self)
    }

    /// Where `column - row` compares with `offset`, of this tensor's shape.
    fn band(&self, compare: Binary, offset: i64) -> Tensor {
        let lead = self.rank() - 2;
        let (rows, cols) = (self.shape()[lead], self.shape()[lead + 1]);
        let matrix = Shape::from_iter([rows, cols]);
        let i = self.arange_like(rows, DType::I64).view_to(&Shape::from_iter([rows, Dim::new(1)]));
        let i = if offset == 0 { i } else { i + offset };
        let j = self.arange_like(cols, DType::I64).expand_to(&matrix);
        j.binary(compare, &i.expand_to(&matrix)).expand_to(self.shape())
    }

    /// The main diagonals.
    #[track_caller]
    pub fn main_diagonal(&self) -> Tensor {
        self.diagonal_of(0, self.rank() - 2, self.rank() - 1)
    }

    /// Vectors as matrices of one row.
    #[track_caller]
    pub fn row(&self) -> Tensor {
        self.view_to(&self.shape().inserted(self.rank() - 1, 1))
    }

    /// Vectors as matrices of one column.
    #[track_caller]
    pub fn column(&self) -> Tensor {
        self.view_to(&self.shape().inserted(self.rank(), 1))
    }

    /// `(x + xᵀ) / 2`.
    #[track_caller]
    pub(crate) fn symmetrised(&self) -> Tensor {
        (self + self.mt()) * 0.5
    }

    /// A tangent of a symmetric matrix: whole, as it is given. The cotangent that comes back to it is symmetric.
    ///
    /// PyTorch's forward mode takes any tangent for a symmetric one, where its reverse mode projects.
    #[track_caller]
    pub(crate) fn symmetric_tangent(&self) -> Tensor {
        linear_with_transpose("symmetric_tangent", &[], self, |_, x| x.clone(), |_, y_bar| y_bar.symmetrised())
    }

    /// The first `k` columns.
    #[track_caller]
    pub fn first_cols(&self, k: Dim) -> Tensor {
        self.slice_dim(self.rank() - 1, 0, k.get(), 1)
    }

    /// The first `k` rows.
    #[track_caller]
    pub fn first_rows(&self, k: Dim) -> Tensor {
        self.slice_dim(self.rank() - 2, 0, k.get(), 1)
    }

    /// Rows of zeros appended, to `k` rows.
    #[track_caller]
    pub fn padded_rows(&self, k: Dim) -> Tensor {
        self.padded(self.rank() - 2, k)
    }

    /// Columns of zeros appended, to `k` columns.
    #[track_caller]
    pub fn padded_cols(&self, k: Dim) -> Tensor {
        self.padded(self.rank() - 1, k)
    }

    fn padded(&self, dim: usize, k: Dim) -> Tensor {
        let missing = k.get() as i64 - self.shape()[dim].get() as i64;
        let border = |d: usize| if d == dim { (0, missing) } else { (0, 0) };
        self.pad_dims(&(0..self.rank()).map(border).collect::<Vec<_>>(), 0.0)
    }

    /// `l⁻¹ self`.
    pub(crate) fn solve_lower(&self, l: &Tensor) -> Tensor {
        l.solve_triangular_exact(SolveTriangular { upper: false, left: true, unitriangular: false }, self)
    }

    /// `l⁻¹ self` for ones on the diagonal of `l`.
    pub(crate) fn solve_unit_lower(&self, l: &Tensor) -> Tensor {
        l.solve_triangular_exact(SolveTriangular { upper: false, left: true, unitriangular: true }, self)
    }

    /// `u⁻¹ self`.
    pub(crate) fn solve_upper(&self, u: &Tensor) -> Tensor {
        u.solve_triangular_exact(SolveTriangular { upper: true, left: true, unitriangular: false }, self)
    }

    /// `u⁻¹ self` for ones on the diagonal of `u`.
    pub(crate) fn solve_unit_upper(&self, u: &Tensor) -> Tensor {
        u.solve_triangular_exact(SolveTriangular { upper: true, left: true, unitriangular: true }, self)
    }

    /// `self u⁻¹`.
    pub(crate) fn solve_upper_right(&self, u: &Tensor) -> Tensor {
        u.solve_triangular_exact(SolveTriangular { upper: true, left: false, unitriangular: false }, self)
    }
}
