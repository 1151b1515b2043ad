//! The singular value decomposition.

use super::{Kind, Matrices, Matrix, each_matrix, row_major, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `A = U diag(S) Vh` with orthonormal columns of `U` and rows of `Vh`.
    ///
    /// *Shape*: `[.., m, n] → [.., m, k], [.., k], [.., k, n]` with `k = min(m, n)`.
    /// *Numerics*: `S` descends and is not negative; in each column of `U` the
    /// element of largest magnitude is positive, and the row of `Vh` follows.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `svd_c1` full matrices, which a composite adds to the thin ones; no
    /// convergence, which non-finite elements cause.
    /// *Derivative*: that of the vectors is infinite or NaN at repeated singular values, and at zero for matrices that are not
    /// square; that of the values is not.
    /// *Source*: `torch.linalg.svd`.
    pub struct Svd {
        /// Whether `U` and `Vh` are square: never in a primitive.
        pub full_matrices: bool,
    }
}
from_text!(Svd, "linalg_svd");

impl Svd {
    fn results(&self, x: &Aval) -> Result<[Aval; 3], InferError> {
        let a = Matrices::of(x)?;
        let k = a.small();
        Ok([a.with(x.dtype, &[a.rows, k]), a.with(x.dtype, &[k]), a.with(x.dtype, &[k, a.cols])])
    }

    /// `S` alone.
    pub(super) fn values(&self, x: &Array) -> Result<Array, EvalError> {
        let [_, s, _] = self.results(&x.aval()).expect("I3: inferred");
        let [s] = each_matrix(x, [s], |a| {
            if a.rows.min(a.cols) == 0 {
                return Ok([Vec::new()]);
            }
            check_finite(&a)?;
            Ok([a.faer().singular_values().map_err(|_| NO_CONVERGENCE.to_owned())?])
        })?;
        Ok(s)
    }
}

const NO_CONVERGENCE: &str = "the algorithm failed to converge";

fn check_finite(a: &Matrix) -> Result<(), String> {
    if a.is_finite() {
        return Ok(());
    }
    Err(format!("{NO_CONVERGENCE} because the input matrix contained non-finite values"))
}

/// The decomposition of a matrix that has nothing beside its diagonal: a permutation. Derivatives of determinants put such matrices where a
/// decomposition is not asked for.
fn of_diagonal(a: &Matrix, k: usize) -> Option<[Vec<f64>; 3]> {
    let at = |i: usize, j: usize| a.data[i * a.cols + j];
    if (0..a.rows).any(|i| (0..a.cols).any(|j| i != j && at(i, j) != 0.0)) {
        return None;
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|i, j| at(*j, *j).abs().total_cmp(&at(*i, *i).abs()));
    let (mut u, mut vh) = (vec![0.0; a.rows * k], vec![0.0; k * a.cols]);
    for (place, i) in order.iter().copied().enumerate() {
        u[i * k + place] = 1.0;
        vh[place * a.cols + i] = 1f64.copysign(at(i, i));
    }
    Some([u, order.iter().map(|i| at(*i, *i).abs()).collect(), vh])
}

impl Primitive for Svd {
    fn name(&self) -> &'static str {
        "linalg_svd"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let results = self.results(x)?;
        if self.full_matrices {
            return Err(InferError::Attribute {
                label: "svd_c1",
                attr: "full_matrices",
                expected: "false".to_owned(),
                found: "true".to_owned(),
            });
        }
        Ok(results.into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let results = self.results(&args[0].aval()).expect("I3: inferred");
        each_matrix(args[0], results, |a| {
            let k = a.rows.min(a.cols);
            if k == 0 {
                return Ok([Vec::new(), Vec::new(), Vec::new()]);
            }
            check_finite(&a)?;
            if let Some(done) = of_diagonal(&a, k) {
                return Ok(done);
            }
            let svd = a.faer().thin_svd().map_err(|_| NO_CONVERGENCE.to_owned())?;
            let (mut u, mut vh) = (row_major(svd.U()), row_major(svd.V().transpose()));
            super::pin_signs(&mut u, a.rows, k, &mut vh);
            Ok([u, svd.S().column_vector().iter().copied().collect(), vh])
        })
        .map(Vec::from)
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let Tangent::Is(a_dot) = &x_dot[0] else { return vec![Tangent::Zero; 3] };
        let a = Matrices::of(&x[0].aval()).expect("I3: inferred");
        let (u, s, vh) = (&y[0], &y[1], &y[2]);
        let (row, column) = (s.row(), s.column());
        let p = u.mt().matmul_exact(a_dot).matmul_exact(&vh.mt());
        // The diagonal of the gaps is set to one before dividing, so that no derivative meets 0 / 0 there.
        let gaps = ((&row - &column) * (&row + &column)).with_diagonal(1.0);
        let turned = |x: Tensor| x.with_diagonal(0.0) / &gaps;
        let mut u_dot = u.matmul_exact(&turned(&p * &row + &column * p.mt()));
        if a.rows > a.cols {
            let outside = a_dot.matmul_exact(&vh.mt()) - u.matmul_exact(&p);
            u_dot = u_dot + outside / &row;
        }
        let mut vh_dot = turned(&column * &p + p.mt() * &row).mt().matmul_exact(vh);
        if a.cols > a.rows {
            let outside = u.mt().matmul_exact(a_dot) - p.matmul_exact(vh);
            vh_dot = vh_dot + outside / &column;
        }
        vec![Tangent::Is(u_dot), Tangent::Is(p.main_diagonal()), Tangent::Is(vh_dot)]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.svd_exact().map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Svd)
    }
}

impl Samples for Svd {
    fn samples() -> Vec<Sample> {
        let of = |note, dtype, shape: &[usize]| {
            Sample::new(note, Svd { full_matrices: false }, [sample_matrix(Kind::General, dtype, shape)])
        };
        vec![
            of("usual", DType::F64, &[3, 3]),
            of("tall batch", DType::F64, &[2, 3, 2]),
            of("wide", DType::F64, &[2, 4]),
            of("one", DType::F64, &[1, 1]),
            of("empty", DType::F64, &[0, 0]),
            of("no columns", DType::F64, &[2, 0]),
            of("empty batch", DType::F64, &[0, 2, 2]),
            of("single", DType::F32, &[2, 2]),
        ]
    }
}
