//! Factorizations and triangular solves of matrices in the last two dims, under any number of leading batch dims.
//!
//! The reference computes in `f64` and rounds once. [`faer`] does the iterative factorizations (QR, Cholesky,
//! symmetric eigenvalues, SVD); LU and substitution are written out, because PyTorch shows their pivots and their
//! divisions by zero.

mod cholesky;
mod eigh;
mod inverse;
mod ldl_factor;
mod ldl_solve;
mod lu_factor;
mod lu_unpack;
mod qr;
mod solve;
mod solve_triangular;
mod spectral;
mod svd;

pub use cholesky::Cholesky;
pub use eigh::Eigh;
pub use inverse::Inverse;
pub use ldl_factor::LdlFactor;
pub use ldl_solve::LdlSolve;
pub use lu_factor::LuFactor;
pub use lu_unpack::LuUnpack;
pub use qr::{Qr, QrMode};
pub use solve::Solve;
pub use solve_triangular::SolveTriangular;
pub use spectral::Spectral;
pub use svd::Svd;

use faer::{MatMut, MatRef};

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attr, AttrField, Aval, DType, Dim, Shape};
use crate::tensor::Tensor;

/// The half of a square matrix that an op reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Triangle {
    /// On and below the diagonal.
    Lower,
    /// On and above the diagonal.
    Upper,
}

impl AttrField for Triangle {
    const KIND: &'static str = "\"L\" or \"U\"";

    fn to_attr(&self) -> Attr {
        Attr::Str(match self {
            Triangle::Lower => "L".to_owned(),
            Triangle::Upper => "U".to_owned(),
        })
    }

    fn from_attr(attr: &Attr) -> Option<Self> {
        match String::from_attr(attr)?.as_str() {
            "L" => Some(Triangle::Lower),
            "U" => Some(Triangle::Upper),
            _ => None,
        }
    }
}

/// An aval taken apart: `[batch.., rows, cols]`.
struct Matrices {
    batch: Shape,
    rows: Dim,
    cols: Dim,
}

impl Matrices {
    /// *Errors*: `linalg_c1` fewer than two dims; `linalg_c2` a dtype other than `f32` and `f64`.
    fn of(x: &Aval) -> Result<Self, InferError> {
        let Some(lead) = x.rank().checked_sub(2) else {
            let expected = "a tensor of at least 2 dims".to_owned();
            return Err(InferError::Operand { label: "linalg_c1", expected, found: x.clone() });
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            let expected = "matrices of f32 or f64 (LAPACK has no other real dtype)".to_owned();
            return Err(InferError::Operand { label: "linalg_c2", expected, found: x.clone() });
        }
        Ok(Matrices { batch: x.shape.slice(0, lead), rows: x.shape[lead], cols: x.shape[lead + 1] })
    }

    /// *Errors*: as [`Matrices::of`]; `linalg_c3` the matrices are not square.
    fn square(x: &Aval) -> Result<Self, InferError> {
        let m = Matrices::of(x)?;
        if m.rows != m.cols {
            let expected = "batches of square matrices".to_owned();
            return Err(InferError::Operand { label: "linalg_c3", expected, found: x.clone() });
        }
        Ok(m)
    }

    fn small(&self) -> Dim {
        self.rows.min(self.cols)
    }

    /// Each matrix of the row-major `data`.
    fn each<'a>(&self, data: &'a [f64]) -> impl Iterator<Item = Matrix<'a>> {
        let (rows, cols) = (self.rows.get(), self.cols.get());
        (0..self.batch.numel()).map(move |b| Matrix { rows, cols, data: &data[b * rows * cols..][..rows * cols] })
    }

    /// The aval of these batch dims followed by `dims`.
    fn with(&self, dtype: DType, dims: &[Dim]) -> Aval {
        Aval::new(dtype, self.batch.concat(&dims.iter().copied().collect()))
    }
}

/// One matrix, row-major.
struct Matrix<'a> {
    rows: usize,
    cols: usize,
    data: &'a [f64],
}

impl Matrix<'_> {
    fn faer(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(self.data, self.rows, self.cols)
    }

    fn is_finite(&self) -> bool {
        self.data.iter().all(|x| x.is_finite())
    }
}

/// The elements of a `faer` matrix in row-major order.
fn row_major(x: MatRef<'_, f64>) -> Vec<f64> {
    let mut out = vec![0.0; x.nrows() * x.ncols()];
    MatMut::from_row_major_slice_mut(&mut out, x.nrows(), x.ncols()).copy_from(x);
    out
}

/// Applies `f` to each matrix of `x`; it gives one row-major matrix for each of the results' avals, or what went
/// wrong with this one.
fn each_matrix<const N: usize>(
    x: &Array,
    results: [Aval; N],
    f: impl Fn(Matrix<'_>) -> Result<[Vec<f64>; N], String>,
) -> Result<[Array; N], EvalError> {
    let m = Matrices::of(&x.aval()).expect("I3: inferred");
    let data = x.to_f64_vec();
    let mut out = [(); N].map(|()| Vec::new());
    for (b, matrix) in m.each(&data).enumerate() {
        let parts = f(matrix).map_err(|problem| EvalError::Linalg(in_batch(&m.batch, b, &problem)))?;
        out.iter_mut().zip(parts).for_each(|(out, part)| out.extend(part));
    }
    Ok(std::array::from_fn(|r| Array::from_f64_fn(&results[r], |i| out[r][i])))
}

/// PyTorch's words for the place of a failure: nothing for a single matrix.
fn in_batch(batch: &Shape, element: usize, problem: &str) -> String {
    if batch.rank() == 0 { problem.to_owned() } else { format!("(Batch element {element}): {problem}") }
}

/// The batch dim 0 of a tensor as part of another dim, where one matrix meets all examples at once.
struct Joined {
    order: Vec<usize>,
    apart: Shape,
    together: Shape,
}

impl Joined {
    /// The batch of `x` with its `size` joined to dim `free`, which it precedes.
    fn new(x: &Tensor, free: usize, size: Dim) -> Self {
        let (rank, shape) = (x.rank(), x.shape());
        let order: Vec<usize> = (1..free).chain([0]).chain(free..rank).collect();
        let apart: Shape = order.iter().map(|d| shape[*d]).collect();
        let joined = Dim::checked_mul(size, shape[free]).expect("I3: bounded sizes");
        let together = apart.removed(free).with(free - 1, joined);
        Joined { order, apart, together }
    }

    fn together(&self, x: &Tensor) -> Tensor {
        x.permute_to(&self.order).view_to(&self.together)
    }

    /// What [`Joined::together`] made, or a tensor of its shape, with the batch at 0 again.
    fn apart(&self, x: &Tensor) -> Tensor {
        let at = |d: usize| self.order.iter().position(|o| *o == d).expect("a permutation");
        let back: Vec<usize> = (0..self.order.len()).map(at).collect();
        x.view_to(&self.apart).permute_to(&back)
    }
}

/// Matrices for samples.
#[derive(Clone, Copy)]
enum Kind {
    /// Far from singular: every singular value and every pivot distinct.
    General,
    /// Symmetric positive definite with distinct eigenvalues.
    Positive,
}

/// A sample operand of `shape`.
fn sample_matrix(kind: Kind, dtype: DType, shape: &[usize]) -> Array {
    let (rows, cols) = (shape[shape.len() - 2].max(1), shape[shape.len() - 1].max(1));
    Array::from_f64_fn(&Aval::new(dtype, shape), |i| {
        let (b, row, col) = (i / (rows * cols), i / cols % rows, i % cols);
        let wave = |i: usize, j: usize| 0.4 * ((1 + i) as f64 * 1.7 + (1 + j) as f64 * 2.3 + b as f64 * 0.9).sin();
        let diagonal = if row == col { 2.0 + 0.8 * (row + b) as f64 } else { 0.0 };
        diagonal
            + match kind {
                Kind::General => wave(row, col),
                Kind::Positive => 0.5 * (wave(row, col) + wave(col, row)),
            }
    })
}

/// Chooses among the two signs of each column of `v: [rows, cols]`, turning the row of the same number of `partner` along:
/// the element of largest magnitude (the first of nearly equal ones) becomes positive.
fn pin_signs(v: &mut [f64], rows: usize, cols: usize, partner: &mut [f64]) {
    let width = partner.len() / cols.max(1);
    for j in 0..cols {
        let at = |i: usize| v[i * cols + j];
        let largest = (0..rows).map(|i| at(i).abs()).fold(0.0, f64::max);
        // Rounding must not decide between elements that are equal but for their sign.
        let lead = (0..rows).map(at).find(|x| x.abs() >= largest * (1.0 - 1e-6));
        if lead.is_some_and(|x| x < 0.0) {
            (0..rows).for_each(|i| v[i * cols + j] = -v[i * cols + j]);
            partner[j * width..][..width].iter_mut().for_each(|x| *x = -*x);
        }
    }
}
