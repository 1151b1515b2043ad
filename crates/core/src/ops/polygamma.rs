//! The polygamma functions.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, emit, float_of};

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent, arity, from_text,
    nonlinear, one, special,
};

attr_struct! {
    /// The derivative of order `n` of the digamma function.
    ///
    /// *Numerics*: +inf or -inf at the poles 0, -1, …; halves and `f32` are computed in `f64`.
    /// *Errors*: `polygamma_c1` floats; `polygamma_c2` the order.
    /// *Derivative*: the function of the next order.
    /// *Source*: `aten::polygamma`.
    pub struct Polygamma {
        /// The order, not negative.
        pub n: i64,
    }
}
from_text!(Polygamma, "polygamma");

impl Tensor {
    /// The derivative of order `n` of the digamma function; integers are computed in `f32`.
    #[track_caller]
    pub fn polygamma(&self, n: i64) -> Tensor {
        emit(Polygamma { n }, &[&self.convert(float_of(self.dtype()))])
    }
}

impl Polygamma {
    /// The function at `x`, a number of `dtype`: halves are computed as `f32` is.
    pub fn at(&self, x: f64, dtype: DType) -> f64 {
        if self.n == 1 && dtype != DType::F64 { special::trigamma_of_single(x) } else { special::polygamma(self.n, x) }
    }
}

impl Primitive for Polygamma {
    fn name(&self) -> &'static str {
        "polygamma"
    }

    fn schema(&self) -> &'static str {
        "aten::polygamma(int n, Tensor self) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        if !x.dtype.is_float() {
            let expected = "a float tensor".to_owned();
            return Err(InferError::Operand { label: "polygamma_c1", expected, found: x.clone() });
        }
        if u32::try_from(self.n).is_err() {
            return Err(InferError::Attribute {
                label: "polygamma_c2",
                attr: "n",
                expected: "in [0, 2^32)".to_owned(),
                found: self.n.to_string(),
            });
        }
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0].to_f64_vec();
        Ok(vec![Array::from_f64_fn(&args[0].aval(), |i| self.at(x[i], args[0].dtype()))])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t * x[0].polygamma(self.n + 1))]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.polygamma(self.n))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Polygamma(self.n))
    }
}

impl Samples for Polygamma {
    fn samples() -> Vec<Sample> {
        let at = |d, x: &[f64]| Array::from_f64_fn(&Aval::new(d, [x.len()]), |i| x[i]);
        let usual = [0.7, 1.3, 2.9, -0.4];
        let mut out: Vec<Sample> =
            (0..4).map(|n| Sample::new("usual", Polygamma { n }, [at(DType::F64, &usual)])).collect();
        out.push(Sample::new("f32", Polygamma { n: 1 }, [at(DType::F32, &usual)]));
        out.push(Sample::new("empty", Polygamma { n: 2 }, [at(DType::F64, &[])]));
        out.push(Sample::kink("pole", Polygamma { n: 1 }, [at(DType::F64, &[0.0])]));
        out.push(Sample::kink("pole", Polygamma { n: 2 }, [at(DType::F64, &[0.0])]));
        out
    }
}
