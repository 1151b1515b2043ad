//! Eigenvalues and eigenvectors of symmetric matrices.

use faer::Side;

use super::{Kind, Matrices, Triangle, each_matrix, row_major, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `self = V diag(w) Vᵀ` for symmetric matrices.
    ///
    /// *Shape*: `[.., n, n] → [.., n], [.., n, n]`.
    /// *Numerics*: `w` ascends; reads one triangle only. Eigenvectors have unit length; of the two signs, the one with
    /// which the element of largest magnitude is positive.
    /// *Errors*: `linalg_c1`–`linalg_c3`; no convergence. Elements that are not finite give NaN.
    /// *Derivative*: that of a function of symmetric matrices: tangents are taken for symmetric, as PyTorch takes them,
    /// cotangents are symmetric. That of the vectors is infinite or NaN at repeated eigenvalues; that of the values is not.
    /// *Source*: `torch.linalg.eigh`.
    #[allow(non_snake_case, reason = "fields have the names of the ATen schema")]
    pub struct Eigh {
        /// The triangle that is read.
        pub UPLO: Triangle,
    }
}
from_text!(Eigh, "linalg_eigh");

const NO_CONVERGENCE: &str =
    "the algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated eigenvalues";

impl Eigh {
    fn side(&self) -> Side {
        match self.UPLO {
            Triangle::Lower => Side::Lower,
            Triangle::Upper => Side::Upper,
        }
    }

    /// `w` alone.
    pub(super) fn values(&self, x: &Array) -> Result<Array, EvalError> {
        let aval = x.aval();
        let a = Matrices::of(&aval).expect("I3: inferred");
        let [w] = each_matrix(x, [a.with(aval.dtype, &[a.rows])], |a| {
            if a.rows == 0 {
                return Ok([Vec::new()]);
            }
            if !a.is_finite() {
                return Ok([vec![f64::NAN; a.rows]]);
            }
            Ok([a.faer().self_adjoint_eigenvalues(self.side()).map_err(|_| NO_CONVERGENCE.to_owned())?])
        })?;
        Ok(w)
    }
}

impl Primitive for Eigh {
    fn name(&self) -> &'static str {
        "linalg_eigh"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_eigh(Tensor self, str UPLO=\"L\") -> (Tensor eigenvalues, Tensor eigenvectors)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let a = Matrices::square(x)?;
        Ok([a.with(x.dtype, &[a.rows]), x.clone()].into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0].aval();
        let a = Matrices::of(&x).expect("I3: inferred");
        each_matrix(args[0], [a.with(x.dtype, &[a.rows]), x], |a| {
            if a.rows == 0 {
                return Ok([Vec::new(), Vec::new()]);
            }
            if !a.is_finite() {
                return Ok([vec![f64::NAN; a.rows], vec![f64::NAN; a.rows * a.rows]]);
            }
            let eigen = a.faer().self_adjoint_eigen(self.side()).map_err(|_| NO_CONVERGENCE.to_owned())?;
            let w: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
            let mut v = row_major(eigen.U());
            super::pin_signs(&mut v, a.rows, a.rows, &mut []);
            Ok([w, v])
        })
        .map(Vec::from)
    }

    fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let Tangent::Is(a_dot) = &x_dot[0] else { return vec![Tangent::Zero; 2] };
        let (w, v) = (&y[0], &y[1]);
        let p = v.mt().matmul_exact(&a_dot.symmetric_tangent().matmul_exact(v));
        // The diagonal of the gaps is set to one before dividing, so that no derivative meets 0 / 0 there.
        let gaps = (w.row() - w.column()).with_diagonal(1.0);
        let v_dot = v.matmul_exact(&(p.with_diagonal(0.0) / gaps));
        vec![Tangent::Is(p.main_diagonal()), Tangent::Is(v_dot)]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.eigh_exact(self.UPLO).map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Eigh)
    }
}

impl Samples for Eigh {
    fn samples() -> Vec<Sample> {
        use Triangle::{Lower, Upper};
        let of = |note, triangle, dtype, shape: &[usize]| {
            Sample::new(note, Eigh { UPLO: triangle }, [sample_matrix(Kind::Positive, dtype, shape)]).symmetric()
        };
        vec![
            of("usual", Lower, DType::F64, &[3, 3]),
            of("upper batch", Upper, DType::F64, &[2, 3, 3]),
            of("one", Lower, DType::F64, &[1, 1]),
            of("empty", Lower, DType::F64, &[0, 0]),
            of("empty batch", Upper, DType::F64, &[0, 2, 2]),
            of("single", Lower, DType::F32, &[2, 2]),
        ]
    }
}
