//! Change of shape.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, ViewForm, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// The same elements in row-major order under another shape.
    ///
    /// *Shape*: equally many elements (`view_c1`); no size is -1.
    /// *Derivative*: linear; the transpose is the view back.
    /// *Source*: `torch.Tensor.view`; printed as `aten.reshape`, which is right for any strides.
    pub struct View {
        /// The shape of the result.
        pub shape: Shape,
    }
}
from_text!(View, "reshape");

impl Primitive for View {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn schema(&self) -> &'static str {
        "aten::reshape(Tensor self, SymInt[] shape) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        if x.shape.checked_numel() != self.shape.checked_numel() {
            return Err(InferError::Operand {
                label: "view_c1",
                expected: format!("as many elements as {}", self.shape),
                found: x.clone(),
            });
        }
        one(x.with_shape(&self.shape))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![args[0].reshaped(&self.shape)])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.view_to(&self.shape))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| y_bar.view_to(&x.shape))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.view_to(&self.shape.inserted(0, size)))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Reshape)
    }
}

impl Samples for View {
    fn samples() -> Vec<Sample> {
        let of = |note, from: &[usize], to: &[usize]| {
            let n: usize = from.iter().product();
            let x = Array::new(from, (0..n).map(|i| i as f64 - 2.0).collect());
            Sample::new(note, View { shape: to.into() }, [x])
        };
        vec![
            of("usual", &[2, 6], &[3, 4]),
            of("scalar", &[1], &[]),
            of("new dims", &[4], &[1, 2, 2]),
            of("empty", &[0, 3], &[5, 0]),
        ]
    }
}
