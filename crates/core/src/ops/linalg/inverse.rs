//! Inverses of square matrices.

use super::lu_factor::{factor, substitute};
use super::{Kind, Matrices, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text, nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// The inverse, and the place (from 1) of the first zero pivot of [`super::LuFactor`], or 0.
    ///
    /// *Shape*: `[.., n, n] → [.., n, n], i32[..]`.
    /// *Numerics*: infinities and NaN at singular matrices.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `inverse_c1` `check_errors`, for which an assertion on `info` stands.
    /// *Derivative*: `-X A_dot X` by the inverse `X`.
    /// *Source*: `torch.linalg.inv_ex`.
    pub struct Inverse {
        /// Whether a singular matrix is an error: never in a primitive.
        pub check_errors: bool,
    }
}
from_text!(Inverse, "linalg_inv_ex");

impl Primitive for Inverse {
    fn name(&self) -> &'static str {
        "linalg_inv_ex"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a] = arity(args)?;
        let m = Matrices::square(a)?;
        if self.check_errors {
            let (expected, found) = ("false (assert on `info`)".to_owned(), "true".to_owned());
            return Err(InferError::Attribute { label: "inverse_c1", attr: "check_errors", expected, found });
        }
        Ok([a.clone(), m.with(DType::I32, &[])].into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let a = args[0].aval();
        let m = Matrices::square(&a).expect("I3: inferred");
        let n = m.rows.get();
        let mut x = vec![0.0; a.shape.numel()];
        let mut info = Vec::new();
        for (i, matrix) in m.each(&args[0].to_f64_vec()).enumerate() {
            let of = factor(matrix);
            let inverse = &mut x[i * n * n..][..n * n];
            for c in 0..n {
                let mut column: Vec<f64> = (0..n).map(|r| f64::from(u8::from(r == c))).collect();
                substitute(&of.0, &of.1, &mut column, false);
                column.into_iter().enumerate().for_each(|(r, v)| inverse[r * n + c] = v);
            }
            info.push(of.2);
        }
        Ok(vec![Array::from_f64_fn(&a, |i| x[i]), Array::new(&m.batch, info)])
    }

    fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|a_dot| -y[0].matmul_exact(a_dot).matmul_exact(&y[0])), Tangent::Zero]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.inverse_exact().map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Inline
    }
}

impl Samples for Inverse {
    fn samples() -> Vec<Sample> {
        let of = |note, dtype, shape: &[usize]| {
            Sample::new(note, Inverse { check_errors: false }, [sample_matrix(Kind::General, dtype, shape)])
        };
        vec![
            of("usual", DType::F64, &[3, 3]),
            of("batch", DType::F64, &[2, 2, 2]),
            of("one", DType::F64, &[1, 1]),
            of("empty", DType::F64, &[0, 0]),
            of("empty batch", DType::F64, &[0, 2, 2]),
            of("single", DType::F32, &[2, 2]),
        ]
    }
}
