//! Change of dtype.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, emit};

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// The operand with elements of another dtype.
    ///
    /// *Numerics*: the casts of [`Array::cast`].
    /// *Derivative*: linear between floats, whose transpose converts back; zero from or to other dtypes.
    /// *Source*: `torch.ops.prims.convert_element_type`.
    pub struct Convert {
        /// The dtype of the result.
        pub dtype: DType,
    }
}
from_text!(Convert, "convert_element_type");

impl Primitive for Convert {
    fn name(&self) -> &'static str {
        "convert_element_type"
    }

    fn schema(&self) -> &'static str {
        "prims::convert_element_type(Tensor a, ScalarType dtype) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        one(x.with_dtype(self.dtype))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![args[0].cast(self.dtype)])
    }

    fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![if y[0].dtype().is_float() { x_dot[0].map(|t| t.convert(self.dtype)) } else { Tangent::Zero }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| y_bar.convert(x.dtype))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(emit(self.clone(), &[&args[0].x]))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Convert(self.dtype))
    }
}

impl Samples for Convert {
    fn samples() -> Vec<Sample> {
        let x = Array::new([2, 2], vec![0.0, -1.5, 2.7, 1e3]);
        let to = |note, dtype, x: &Array| Sample::new(note, Convert { dtype }, [x.clone()]);
        let kinks = Array::new([4], vec![f64::NAN, f64::INFINITY, -1.0, 300.5]);
        vec![
            to("usual", DType::F32, &x),
            to("integer", DType::I64, &x),
            to("narrow", DType::U8, &kinks),
            to("from integer", DType::F64, &x.cast(DType::I64)),
            to("to i32", DType::I32, &kinks),
            to("bool", DType::Bool, &kinks),
            to("half", DType::BF16, &x),
            to("empty", DType::F32, &x.cast(DType::F64).pick([0], |i| i)),
            to("scalar", DType::F32, &x.pick((), |i| i)),
        ]
    }
}
