//! A condition on data that a value depends on.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text, one,
};

attr_struct! {
    /// The second operand, `dep_token`, unchanged, where the first is true; an error otherwise.
    ///
    /// A pure graph has no effects, so that the check hangs on a value: who does not use the value is not stopped.
    ///
    /// *Shape*: `self` is `bool` of one element and 0 dims (`assert_async_c1`).
    /// *Errors*: `assert_msg`, where `self` is false. Under `vmap`, where it is false for any example.
    /// *Derivative*: the identity in `dep_token`; tangents are not checked again.
    /// *Source*: `torch.ops.aten._functional_assert_async.msg`.
    pub struct AssertAsync {
        /// What is wrong, if it is.
        pub assert_msg: String,
    }
}
from_text!(AssertAsync, "_functional_assert_async");

impl Primitive for AssertAsync {
    fn name(&self) -> &'static str {
        "_functional_assert_async"
    }

    fn schema(&self) -> &'static str {
        "aten::_functional_assert_async.msg(Tensor self, str assert_msg, Tensor dep_token) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [condition, x] = arity(args)?;
        if *condition != Aval::new(DType::Bool, ()) {
            return Err(InferError::Operand {
                label: "assert_async_c1",
                expected: "a bool of 0 dims".to_owned(),
                found: condition.clone(),
            });
        }
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        if args[0].elems::<bool>()[0] {
            return Ok(vec![args[1].clone()]);
        }
        Err(EvalError::Assertion { message: self.assert_msg.clone() })
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[1].clone()]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let x_bar = match &args[1] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].clone(),
        };
        vec![Cotangent::Zero, x_bar]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (condition, x) = (&args[0], &args[1]);
        if !condition.mapped {
            return vec![Batched::mapped(x.x.assert_that(&condition.x, &self.assert_msg))];
        }
        // Every example must hold: none may be false.
        let failures = condition.x.bitwise_not().convert(DType::I64).sum_over(&[0]);
        let x = x.materialised(size);
        vec![Batched::mapped(x.assert_that(&failures.eq(0i64), &self.assert_msg))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Assert)
    }
}

impl Samples for AssertAsync {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize]| {
            let x = Array::from_f64_fn(&Aval::new(DType::F64, shape), |i| i as f64 + 0.5);
            Sample::new(note, AssertAsync { assert_msg: "holds".to_owned() }, [Array::scalar(true), x])
        };
        vec![of("usual", &[2, 2]), of("scalar", &[]), of("empty", &[0])]
    }
}
