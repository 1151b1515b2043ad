//! Elementwise functions of one operand: a table of complete rows.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{AttrError, AttrReader, Attrs, Aval, DType, Dim, Scalar};
use crate::tensor::Tensor;

mod table;

pub use table::Unary;
use table::{D, Fns};

use super::{
    Avals, Batched, Cotangent, Domain, FromText, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent,
    arity, no_derivative, nonlinear, one, transpose_unary,
};

impl Unary {
    /// The domain of the function.
    pub fn domain(self) -> Domain {
        self.row().domain
    }

    /// Whether the result is `bool` whatever the operand is.
    pub fn is_predicate(self) -> bool {
        matches!(self.row().f, Fns::Predicate { .. })
    }

    /// The function on `f64`, predicates giving 0 and 1.
    pub fn eval_f64(self, x: f64) -> f64 {
        match self.row().f {
            Fns::Same { f64, .. } => f64(x),
            Fns::Predicate { f64, .. } => f64::from(u8::from(f64(x))),
        }
    }
}

impl Primitive for Unary {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn schema(&self) -> &'static str {
        self.row().schema
    }

    fn attrs(&self) -> Attrs {
        Vec::new()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let domain = self.row().domain;
        if !domain.has(x.dtype) {
            return Err(InferError::Operand {
                label: "unary_c1",
                expected: domain.words().to_owned(),
                found: x.clone(),
            });
        }
        one(if self.is_predicate() { x.with_dtype(DType::Bool) } else { x.clone() })
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        Ok(vec![match self.row().f {
            Fns::Predicate { f64, i64 } => {
                let each = |v: Scalar| match v {
                    Scalar::Float(v) => f64(v),
                    Scalar::Int(_) | Scalar::Bool(_) => i64(v.to_i64()),
                };
                dispatch!(x.dtype(), T => {
                    Array::new(x.shape(), x.elems::<T>().iter().map(|v| each(v.to_scalar())).collect::<Vec<bool>>())
                })
            }
            Fns::Same { f64, f32, i64 } => match x.dtype() {
                DType::F64 => Array::new(x.shape(), x.elems::<f64>().iter().map(|v| f64(*v)).collect()),
                DType::F32 => Array::new(x.shape(), x.elems::<f32>().iter().map(|v| f32(*v)).collect()),
                DType::BF16 | DType::F16 => self.eval(&[&x.cast(DType::F32)])?[0].cast(x.dtype()),
                // The complement of the bits of 0 and 1 would be two truths.
                DType::Bool if *self == Unary::BitwiseNot => {
                    Array::new(x.shape(), x.elems::<bool>().iter().map(|v| !v).collect())
                }
                d @ (DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool) => {
                    let apply = |v: i64| Scalar::Int(i64(v));
                    dispatch!(d, T => Array::new(
                        x.shape(),
                        x.elems::<T>().iter().map(|v| T::from_scalar(apply(v.to_scalar().to_i64()))).collect::<Vec<T>>()
                    ))
                }
            },
        }])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![match self.row().derivative {
            D::Zero => Tangent::Zero,
            D::Linear => x_dot[0].map(|t| t.unary(*self)),
            D::Is(f) => x_dot[0].map(|t| f(&x[0], &y[0], t)),
            D::Missing => x_dot[0].map(|t| no_derivative(self.name(), "unary_c2", "self", t)),
        }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        match self.row().derivative {
            D::Linear => transpose_unary(y_bar, args, |y_bar, _| y_bar.unary(*self)),
            D::Zero | D::Is(_) | D::Missing => nonlinear(self.name()),
        }
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.unary(*self))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Unary(*self))
    }
}

impl FromText for Unary {
    fn from_text(name: &str, _: &mut AttrReader) -> Option<Result<Self, AttrError>> {
        Unary::ALL.iter().find(|u| u.row().name == name).map(|u| Ok(*u))
    }
}

impl Samples for Unary {
    fn samples() -> Vec<Sample> {
        let mut out = Vec::new();
        for u in Unary::ALL {
            let start = out.len();
            let row = u.row();
            let (lo, hi) = row.interval;
            let usual = |d| Array::from_f64_fn(&Aval::new(d, [2, 3]), |i| lo + (hi - lo) * (0.1 + 0.137 * i as f64));
            let main = row.domain.main();
            // No derivative passes through the detached identity, though differences would show one.
            let smooth = if *u == Unary::Detach { Sample::kink } else { Sample::new };
            out.push(smooth("usual", *u, [usual(main)]));
            for k in row.kinks {
                out.push(Sample::kink("kink", *u, [Array::from_f64_fn(&Aval::new(main, [1]), |_| *k)]));
            }
            out.push(Sample::new("empty", *u, [Array::full(&Aval::new(main, [0, 2]), 1.0.into())]));
            out.push(smooth("scalar", *u, [usual(main).pick((), |_| 1)]));
            if matches!(row.derivative, D::Missing) {
                out[start..].iter_mut().for_each(|s| s.no_derivative = &[0]);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_and_double_rows_agree() {
        for u in Unary::ALL.iter().filter(|u| u.domain().has(DType::F32)) {
            let (lo, hi) = u.row().interval;
            let Fns::Same { f64, f32, .. } = u.row().f else { continue };
            for i in 0..100 {
                let x = (lo + (hi - lo) * std::convert::Into::<f64>::into(i) / 100.0) as f32;
                let wide: f64 = x.into();
                let (a, b): (f64, f64) = (f32(x).into(), f64(wide));
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{} at {x}: {a} {b}", u.name());
            }
        }
    }
}
