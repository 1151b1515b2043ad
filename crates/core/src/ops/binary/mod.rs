//! Elementwise functions of two operands of one aval, and comparisons: a table of complete rows.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attr, AttrError, AttrReader, Attrs, Aval, DType, Dim, Scalar};
use crate::tensor::Tensor;

mod float;
mod integer;
mod philox;
mod rules;
mod table;

use super::{
    Avals, Batched, Cotangent, Domain, FromText, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent,
    arity, no_derivative, nonlinear, one,
};
pub use philox::philox_arithmetic;
pub use table::Binary;
use table::{D, Fns, Part};

impl Binary {
    /// The domain of the function.
    pub fn domain(self) -> Domain {
        self.row().domain
    }

    /// Whether the result is `bool` whatever the operands are.
    pub fn is_comparison(self) -> bool {
        matches!(self.row().f, Fns::Compare { .. })
    }

    /// The attribute of the rounded quotients, which share the name `div` with the exact one.
    fn rounding_mode(self) -> Option<&'static str> {
        match self {
            Binary::DivTrunc => Some("trunc"),
            Binary::DivFloor => Some("floor"),
            _ => None, // A matter of two rows, not of all.
        }
    }

    /// The function on `f64`, comparisons giving 0 and 1.
    pub fn eval_f64(self, a: f64, b: f64) -> f64 {
        match self.row().f {
            Fns::Same { f64, .. } => f64(a, b),
            Fns::Compare { f64, .. } => f64::from(u8::from(f64(&a, &b))),
        }
    }

    /// The function on `f32`, comparisons giving 0 and 1.
    pub fn eval_f32(self, a: f32, b: f32) -> f32 {
        match self.row().f {
            Fns::Same { f32, .. } => f32(a, b),
            Fns::Compare { .. } => self.eval_f64(f64::from(a), f64::from(b)) as f32,
        }
    }

    /// The function on integers, before the result wraps to the dtype; `None` is a division by zero.
    pub fn eval_i64(self, a: i64, b: i64) -> Option<i64> {
        match self.row().f {
            Fns::Same { i64, .. } => i64(a, b),
            Fns::Compare { i64, .. } => Some(i64::from(i64(&a, &b))),
        }
    }
}

impl Primitive for Binary {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn schema(&self) -> &'static str {
        self.row().schema
    }

    fn attrs(&self) -> Attrs {
        self.rounding_mode().map(|mode| ("rounding_mode", Attr::Str(mode.to_owned()))).into_iter().collect()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a, b] = arity(args)?;
        let row = self.row();
        if a != b {
            return Err(InferError::Mismatch {
                label: "binary_c1",
                expected: "operands of one dtype and shape".to_owned(),
                lhs: a.clone(),
                rhs: b.clone(),
            });
        }
        if !row.domain.has(a.dtype) {
            return Err(InferError::Operand {
                label: "binary_c2",
                expected: row.domain.words().to_owned(),
                found: a.clone(),
            });
        }
        one(if self.is_comparison() { a.with_dtype(DType::Bool) } else { a.clone() })
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (a, b) = (args[0], args[1]);
        if *self == Binary::Nextafter && a.dtype() == DType::BF16 {
            return Ok(vec![zip(a, b, float::nextafter_bf16)]);
        }
        if *self == Binary::Nextafter && a.dtype() == DType::F16 {
            return Ok(vec![zip(a, b, float::nextafter_f16)]);
        }
        if matches!(a.dtype(), DType::BF16 | DType::F16) {
            let y = self.eval(&[&a.cast(DType::F32), &b.cast(DType::F32)])?.remove(0);
            return Ok(vec![if self.is_comparison() { y } else { y.cast(a.dtype()) }]);
        }
        Ok(vec![match self.row().f {
            Fns::Compare { f64, i64 } => {
                let y = dispatch!(a.dtype(), T => a.elems::<T>().iter().zip(b.elems::<T>()).map(|(x, y)| {
                    match (x.to_scalar(), y.to_scalar()) {
                        (Scalar::Float(x), Scalar::Float(y)) => f64(&x, &y),
                        (x, y) => i64(&x.to_i64(), &y.to_i64()),
                    }
                }).collect::<Vec<bool>>());
                Array::new(a.shape(), y)
            }
            Fns::Same { f64, f32, i64 } => match a.dtype() {
                DType::F64 => zip(a, b, f64),
                DType::F32 => zip(a, b, f32),
                DType::BF16
                | DType::F16
                | DType::I64
                | DType::I32
                | DType::I16
                | DType::I8
                | DType::U8
                | DType::Bool => {
                    dispatch!(a.dtype(), T => {
                        let pairs = a.elems::<T>().iter().zip(b.elems::<T>()).enumerate();
                        let y: Result<Vec<T>, EvalError> = pairs.map(|(at, (x, y))| {
                            i64(x.to_scalar().to_i64(), y.to_scalar().to_i64())
                                .map(|v| T::from_scalar(Scalar::Int(v)))
                                .ok_or(EvalError::ZeroDivision { at })
                        }).collect();
                        Array::new(a.shape(), y?)
                    })
                }
            },
        }])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let (a, b, y) = (&x[0], &x[1], &y[0]);
        vec![match (self.row().derivative, &x_dot[0], &x_dot[1]) {
            (D::Zero, _, _) | (_, Tangent::Zero, Tangent::Zero) => Tangent::Zero,
            (D::Joint(_), Tangent::Is(s), Tangent::Is(t)) => Tangent::Is(s.binary(*self, t)),
            (D::Joint(_), Tangent::Is(s), Tangent::Zero) => Tangent::Is(s.clone()),
            (D::Joint(sign), Tangent::Zero, Tangent::Is(t)) => Tangent::Is(if sign < 0.0 { -t } else { t.clone() }),
            (D::Bilinear, s, t) => s.map(|s| s * b).plus(t.map(|t| a * t)),
            (D::LinearInFirst(second), s, t) => {
                let first = if *self == Binary::Div { s.map(|s| s / b) } else { s.clone() };
                first.plus(t.map(|t| second(a, b, y, t)))
            }
            (D::Parts(first, second), s, t) => {
                let part = |part: Part, operand, t: &Tangent| match part {
                    Part::Zero => Tangent::Zero,
                    Part::Is(f) => t.map(|t| f(a, b, y, t)),
                    Part::Missing => t.map(|t| no_derivative(self.name(), "binary_c3", operand, t)),
                };
                part(first, "self", s).plus(part(second, "other", t))
            }
        }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let y_bar = &y_bar[0];
        match (self, &args[0], &args[1]) {
            (_, LinArg::Residual(_), LinArg::Residual(_)) => vec![Cotangent::Zero, Cotangent::Zero],
            (Binary::Add, a, b) => {
                let part = |l: &LinArg| match l {
                    LinArg::Residual(_) => Cotangent::Zero,
                    LinArg::Linear(_) => y_bar.clone(),
                };
                vec![part(a), part(b)]
            }
            (Binary::Sub, a, b) => {
                let first = match a {
                    LinArg::Residual(_) => Cotangent::Zero,
                    LinArg::Linear(_) => y_bar.clone(),
                };
                let second = match b {
                    LinArg::Residual(_) => Cotangent::Zero,
                    LinArg::Linear(_) => y_bar.map(|t| -t),
                };
                vec![first, second]
            }
            (Binary::Mul, LinArg::Linear(_), LinArg::Residual(b)) => {
                vec![y_bar.map(|t| t * b), Cotangent::Zero]
            }
            (Binary::Mul, LinArg::Residual(a), LinArg::Linear(_)) => {
                vec![Cotangent::Zero, y_bar.map(|t| t * a)]
            }
            (Binary::Div, LinArg::Linear(_), LinArg::Residual(b)) => {
                vec![y_bar.map(|t| t / b), Cotangent::Zero]
            }
            (_, _, _) => nonlinear(self.name()),
        }
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (a, b) = (args[0].materialised(size), args[1].materialised(size));
        vec![Batched::mapped(a.binary(*self, &b))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Binary(*self))
    }
}

fn zip<T: Element>(a: &Array, b: &Array, f: fn(T, T) -> T) -> Array {
    let pairs = a.elems::<T>().iter().zip(b.elems::<T>());
    Array::new(a.shape(), pairs.map(|(x, y)| f(*x, *y)).collect())
}

impl FromText for Binary {
    fn from_text(name: &str, attrs: &mut AttrReader) -> Option<Result<Self, AttrError>> {
        if name == "div" && attrs.has("rounding_mode") {
            return Some(attrs.take::<String>("rounding_mode").and_then(|mode| {
                let found =
                    [Binary::DivTrunc, Binary::DivFloor].into_iter().find(|op| op.rounding_mode() == Some(&mode));
                let kind = AttrError::Kind {
                    name: "rounding_mode",
                    expected: "\"trunc\" or \"floor\"",
                    found: "another string",
                };
                found.ok_or(kind)
            }));
        }
        Binary::ALL.iter().find(|u| u.row().name == name && u.rounding_mode().is_none()).map(|u| Ok(*u))
    }
}

impl Samples for Binary {
    fn samples() -> Vec<Sample> {
        let mut out = Vec::new();
        for op in Binary::ALL {
            let row = op.row();
            let (main, start) = (row.domain.main(), out.len());
            let (lo, hi) = row.interval;
            let at = |k: f64, i: usize| lo + (hi - lo) * (k * (i as f64 + 1.0)).fract();
            let aval = Aval::new(main, [2, 3]);
            let a = Array::from_f64_fn(&aval, |i| at(0.317, i));
            let b = Array::from_f64_fn(&aval, |i| at(0.731, i));
            out.push(Sample::new("usual", *op, [a.clone(), b.clone()]));
            out.push(Sample::new("scalar", *op, [a.pick((), |_| 0), b.pick((), |_| 0)]));
            for (k, l) in row.kinks {
                let at = |x: f64| Array::from_f64_fn(&Aval::new(main, [1]), |_| x);
                out.push(Sample::kink("kink", *op, [at(*k), at(*l)]));
            }
            let empty = Array::full(&Aval::new(main, [2, 0]), 1.0.into());
            out.push(Sample::new("empty", *op, [empty.clone(), empty]));
            let missing: &'static [usize] = match row.derivative {
                D::Parts(Part::Missing, Part::Missing) => &[0, 1],
                D::Parts(Part::Missing, _) => &[0],
                _ => &[], // The others have both parts.
            };
            out[start..].iter_mut().for_each(|s| s.no_derivative = missing);
        }
        out
    }
}
