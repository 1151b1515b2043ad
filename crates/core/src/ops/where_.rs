//! Elementwise choice.

use crate::array::{Array, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, emit};

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent, arity, from_text,
    nonlinear, one,
};

attr_struct! {
    /// `condition ? self : other`, element by element.
    ///
    /// *Shape*: all operands and the result have one shape; the condition is `bool`.
    /// *Errors*: `where_c1` a condition that is not `bool`; `where_c2` operands that do not fit.
    /// *Derivative*: linear in both branches; only the cotangent is masked, so NaN in the branch not taken
    /// stays out of values but not out of derivatives computed before it.
    /// *Source*: `torch.where`.
    pub struct Where {}
}
from_text!(Where, "where");

impl Primitive for Where {
    fn name(&self) -> &'static str {
        "where"
    }

    fn schema(&self) -> &'static str {
        "aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [p, a, b] = arity(args)?;
        if p.dtype != DType::Bool {
            return Err(InferError::Operand {
                label: "where_c1",
                expected: "a bool condition".to_owned(),
                found: p.clone(),
            });
        }
        if a != b || p.shape != a.shape {
            let other = if a == b { p } else { b };
            return Err(InferError::Mismatch {
                label: "where_c2",
                expected: "branches of one aval and a condition of their shape".to_owned(),
                lhs: a.clone(),
                rhs: other.clone(),
            });
        }
        one(a.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let p = args[0].elems::<bool>();
        Ok(vec![dispatch!(args[1].dtype(), T => {
            let branches = args[1].elems::<T>().iter().zip(args[2].elems::<T>());
            let y = p.iter().zip(branches).map(|(p, (a, b))| if *p { *a } else { *b });
            Array::new(args[1].shape(), y.collect::<Vec<T>>())
        })])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        // Zeros are made beside the other tangent: beside the primal they would be a residual.
        vec![match (&x_dot[1], &x_dot[2]) {
            (Tangent::Zero, Tangent::Zero) => Tangent::Zero,
            (Tangent::Is(a), Tangent::Zero) => Tangent::Is(a.where_exact(&x[0], &a.zeros_like())),
            (Tangent::Zero, Tangent::Is(b)) => Tangent::Is(b.zeros_like().where_exact(&x[0], b)),
            (Tangent::Is(a), Tangent::Is(b)) => Tangent::Is(a.where_exact(&x[0], b)),
        }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let LinArg::Residual(p) = &args[0] else { return nonlinear("where") };
        let first = match &args[1] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|t| t.where_exact(p, &t.zeros_like())),
        };
        let second = match &args[2] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|t| t.zeros_like().where_exact(p, t)),
        };
        vec![Cotangent::Zero, first, second]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [p, a, b] = [0, 1, 2].map(|i| args[i].materialised(size));
        vec![Batched::mapped(emit(self.clone(), &[&p, &a, &b]))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Select)
    }
}

impl Samples for Where {
    fn samples() -> Vec<Sample> {
        let sample = |note, shape: &[usize]| {
            let n: usize = shape.iter().product();
            let p = Array::new(shape, (0..n).map(|i| i % 3 != 1).collect());
            let a = Array::new(shape, (0..n).map(|i| i as f64 + 0.5).collect());
            let b = Array::new(shape, (0..n).map(|i| -(i as f64)).collect());
            Sample::new(note, Where {}, [p, a, b])
        };
        let p = Array::new([2], vec![true, false]);
        let (a, b) = (Array::new([2], vec![1.0, f64::NAN]), Array::new([2], vec![f64::INFINITY, 2.0]));
        let ints = [p.clone(), Array::new([2], vec![1i64, 2]), Array::new([2], vec![3i64, 4])];
        vec![
            sample("usual", &[2, 3]),
            sample("scalar", &[]),
            sample("empty", &[0]),
            // Differences of what is not finite are NaN.
            Sample::kink("NaN in the branch not taken", Where {}, [p, a, b]),
            Sample::new("integer", Where {}, ints),
        ]
    }
}
