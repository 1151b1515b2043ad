//! Values from nothing: stored arrays, fills, ranges and identities.

use std::sync::Arc;

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Scalar, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, Generate, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text, one,
};

attr_struct! {
    /// A stored array; printed as an attribute of the module, `_tensor_constant0`.
    pub struct Constant {
        /// The elements.
        pub value: Arc<Array>,
    }
}
from_text!(Constant, "constant");

attr_struct! {
    /// An array in which every element is one number.
    ///
    /// *Source*: `torch.full`.
    pub struct Full {
        /// The shape.
        pub size: Shape,
        /// The element, as `dtype` holds it (`full_c1`).
        pub fill_value: Scalar,
        /// The dtype.
        pub dtype: DType,
    }
}
from_text!(Full, "full");

attr_struct! {
    /// The vector 0, 1, …, `end` - 1.
    ///
    /// *Source*: `torch.arange`.
    pub struct Arange {
        /// The number of elements.
        pub end: Dim,
        /// The dtype; not `bool` (`arange_c1`).
        pub dtype: DType,
    }
}
from_text!(Arange, "arange");

attr_struct! {
    /// The `n` × `m` matrix with one on its main diagonal: what batched jacobians start from.
    ///
    /// *Source*: `torch.eye`.
    pub struct Eye {
        /// Rows.
        pub n: Dim,
        /// Columns.
        pub m: Dim,
        /// The dtype.
        pub dtype: DType,
    }
}
from_text!(Eye, "eye");

/// The rules that all ops without operands share: no tangent, no cotangent, never batched.
macro_rules! nullary_rules {
    () => {
        fn jvp(&self, _: &[Tensor], _: &[Tensor], _: &[Tangent]) -> Vec<Tangent> {
            vec![Tangent::Zero]
        }

        fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
            Vec::new()
        }

        fn batch(&self, _: &[Batched], _: Dim) -> Vec<Batched> {
            vec![Batched { x: crate::tensor::emit(self.clone(), &[]), mapped: false }]
        }
    };
}

impl Primitive for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn schema(&self) -> &'static str {
        "cotangent::constant(Tensor value) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [] = arity(args)?;
        one(self.value.aval())
    }

    fn eval(&self, _: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![self.value.as_ref().clone()])
    }

    nullary_rules!();

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Generate(Generate::Stored)
    }
}

impl Primitive for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn schema(&self) -> &'static str {
        "aten::full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [] = arity(args)?;
        if self.fill_value.cast(self.dtype) != self.fill_value {
            return Err(InferError::Attribute {
                label: "full_c1",
                attr: "fill_value",
                expected: format!("a value of {} as it holds it", self.dtype),
                found: self.fill_value.to_string(),
            });
        }
        one(Aval::new(self.dtype, &self.size))
    }

    fn eval(&self, _: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![Array::full(&Aval::new(self.dtype, &self.size), self.fill_value)])
    }

    nullary_rules!();

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Generate(Generate::Fill(self.fill_value))
    }
}

impl Primitive for Arange {
    fn name(&self) -> &'static str {
        "arange"
    }

    fn schema(&self) -> &'static str {
        "aten::arange(Scalar end, *, ScalarType? dtype=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [] = arity(args)?;
        if self.dtype == DType::Bool {
            return Err(InferError::Attribute {
                label: "arange_c1",
                attr: "dtype",
                expected: "a dtype of numbers".to_owned(),
                found: self.dtype.to_string(),
            });
        }
        one(Aval::new(self.dtype, [self.end.get()]))
    }

    fn eval(&self, _: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let range = Array::new([self.end.get()], (0..self.end.get() as i64).collect());
        Ok(vec![range.cast(self.dtype)])
    }

    nullary_rules!();

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Generate(Generate::Iota)
    }
}

impl Primitive for Eye {
    fn name(&self) -> &'static str {
        "eye"
    }

    fn schema(&self) -> &'static str {
        "aten::eye.m(SymInt n, SymInt m, *, ScalarType? dtype=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [] = arity(args)?;
        one(Aval::new(self.dtype, [self.n.get(), self.m.get()]))
    }

    fn eval(&self, _: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let aval = Aval::new(self.dtype, [self.n.get(), self.m.get()]);
        let m = self.m.get().max(1);
        Ok(vec![Array::from_f64_fn(&aval, |i| f64::from(u8::from(i / m == i % m)))])
    }

    nullary_rules!();

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Generate(Generate::Eye)
    }
}

impl Samples for Constant {
    fn samples() -> Vec<Sample> {
        let of = |note, a: Array| Sample::new(note, Constant { value: Arc::new(a) }, []);
        vec![
            of("usual", Array::new([2, 2], vec![1.5f32, -0.0, f32::NAN, f32::INFINITY])),
            of("scalar", Array::scalar(7i64)),
            of("empty", Array::new([0], Vec::<bool>::new())),
        ]
    }
}

impl Samples for Full {
    fn samples() -> Vec<Sample> {
        let of = |note, size: &[usize], fill_value: Scalar, dtype| {
            Sample::new(note, Full { size: size.into(), fill_value, dtype }, [])
        };
        vec![
            of("usual", &[2, 3], 1.5.into(), DType::F64),
            of("integer", &[2], 7i64.into(), DType::I64),
            of("nan", &[], f64::NAN.into(), DType::F32),
            of("empty", &[0, 3], true.into(), DType::Bool),
        ]
    }
}

impl Samples for Arange {
    fn samples() -> Vec<Sample> {
        let of = |note, end: usize, dtype| Sample::new(note, Arange { end: end.into(), dtype }, []);
        vec![of("usual", 5, DType::I64), of("float", 3, DType::F32), of("empty", 0, DType::I32)]
    }
}

impl Samples for Eye {
    fn samples() -> Vec<Sample> {
        let of = |note, n: usize, m: usize, dtype| Sample::new(note, Eye { n: n.into(), m: m.into(), dtype }, []);
        vec![of("usual", 3, 3, DType::F64), of("wide", 2, 4, DType::Bool), of("empty", 0, 2, DType::F32)]
    }
}
