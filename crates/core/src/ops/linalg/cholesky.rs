//! The Cholesky factor.

use faer::Side;
use faer::linalg::cholesky::llt::factor::LltError;
use faer::linalg::solvers::{Llt, ShapeCore as _};

use super::{Kind, Matrices, each_matrix, row_major, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `L` with `self = L Lᵀ` (or `U` with `self = Uᵀ U`) for symmetric positive definite matrices.
    ///
    /// *Shape*: `[.., n, n] → [.., n, n]`.
    /// *Numerics*: reads one triangle only, the lower one unless `upper`; the other triangle of the result is zero.
    /// *Errors*: `linalg_c1`–`linalg_c3`; a matrix that is not positive definite, with the order of the first leading minor
    /// that is not.
    /// *Derivative*: that of a function of symmetric matrices: tangents are taken for symmetric, as PyTorch takes them,
    /// cotangents are symmetric.
    /// *Source*: `torch.linalg.cholesky`.
    pub struct Cholesky {
        /// Whether the factor is the upper one.
        pub upper: bool,
    }
}
from_text!(Cholesky, "linalg_cholesky");

impl Primitive for Cholesky {
    fn name(&self) -> &'static str {
        "linalg_cholesky"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        Matrices::square(x)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let side = if self.upper { Side::Upper } else { Side::Lower };
        each_matrix(args[0], [args[0].aval()], |x| {
            if x.rows == 0 {
                return Ok([Vec::new()]);
            }
            let llt =
                Llt::new(x.faer(), side).map_err(|LltError::NonPositivePivot { index }| not_positive(index + 1))?;
            debug_assert_eq!(llt.nrows(), x.rows);
            let l = llt.L();
            // A NaN is no positive pivot either.
            match (0..x.rows).find(|i| l[(*i, *i)].is_nan()) {
                Some(i) => Err(not_positive(i + 1)),
                None if self.upper => Ok([row_major(l.transpose())]),
                None => Ok([row_major(l)]),
            }
        })
        .map(Vec::from)
    }

    fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        // With X = L⁻¹ dA L⁻ᵀ = L⁻¹ dL + (L⁻¹ dL)ᵀ, the lower triangle of X with half of its diagonal is L⁻¹ dL.
        let turn = |x: &Tensor| if self.upper { x.mt() } else { x.clone() };
        vec![x_dot[0].map(|a_dot| {
            let l = turn(&y[0]);
            let x = a_dot.symmetric_tangent().solve_upper_right(&l.mt()).solve_lower(&l);
            turn(&l.matmul_exact(&((x.lower(0) + x.lower(-1)) * 0.5)))
        })]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.cholesky_exact(self.clone()))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Cholesky)
    }
}

fn not_positive(order: usize) -> String {
    format!(
        "the factorization could not be completed because the input is not positive-definite (the leading minor of \
         order {order} is not positive-definite)"
    )
}

impl Samples for Cholesky {
    fn samples() -> Vec<Sample> {
        let of = |note, upper, dtype, shape: &[usize]| {
            Sample::new(note, Cholesky { upper }, [sample_matrix(Kind::Positive, dtype, shape)]).symmetric()
        };
        vec![
            of("usual", false, DType::F64, &[3, 3]),
            of("upper batch", true, DType::F64, &[2, 3, 3]),
            of("one", false, DType::F64, &[1, 1]),
            of("empty", false, DType::F64, &[0, 0]),
            of("empty batch", true, DType::F64, &[0, 2, 2]),
            of("single", false, DType::F32, &[2, 2]),
        ]
    }
}
