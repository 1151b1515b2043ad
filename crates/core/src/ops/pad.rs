//! Borders of a constant.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Scalar, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Piecewise, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one, transpose_unary,
};

attr_struct! {
    /// The operand with borders of `value`; a negative amount crops.
    ///
    /// *Shape*: `pad` holds `(low, high)` pairs from the last dim backwards and does not end in a pair `(0, 0)` (its
    /// normal form); a dim of size `n` gets `n + low + high` elements.
    /// *Errors*: `constant_pad_nd_c1` an odd number of amounts or more pairs than dims; `constant_pad_nd_c2` `pad` not
    /// in normal form; `constant_pad_nd_c3` more cropped than there is; `constant_pad_nd_c4` a value that is not
    /// one of the operand's dtype.
    /// *Derivative*: affine; the tangent is padded with zeros, whose transpose pads with the negated amounts.
    /// *Source*: `torch.constant_pad_nd`.
    pub struct Pad {
        /// `(low, high)` pairs, flat, from the last dim backwards.
        pub pad: Vec<i64>,
        /// The border's value, of the operand's dtype.
        pub value: Scalar,
    }
}
from_text!(Pad, "constant_pad_nd");

impl Pad {
    /// The padding by `(low, high)` for each dim, first dim first.
    pub fn of_dims(amounts: &[(i64, i64)], value: Scalar) -> Self {
        let untouched = amounts.iter().take_while(|a| **a == (0, 0)).count();
        let pad = amounts[untouched..].iter().rev().flat_map(|(low, high)| [*low, *high]).collect();
        Pad { pad, value }
    }

    /// `(low, high)` for each of `rank` dims, first dim first.
    pub fn amounts(&self, rank: usize) -> Vec<(i64, i64)> {
        let mut out = vec![(0, 0); rank];
        for (amount, pair) in out.iter_mut().rev().zip(self.pad.chunks_exact(2)) {
            *amount = (pair[0], pair[1]);
        }
        out
    }

    fn attribute(label: &'static str, attr: &'static str, expected: String, found: String) -> InferError {
        InferError::Attribute { label, attr, expected, found }
    }

    /// The size of a dim of `size` elements with these borders, if no more is cropped than there is.
    fn padded(size: usize, (low, high): (i64, i64)) -> Option<usize> {
        let size = i64::try_from(size).ok()?;
        size.checked_add(low.min(0))?.checked_add(high.min(0)).filter(|kept| *kept >= 0)?;
        usize::try_from(size.checked_add(low)?.checked_add(high)?).ok()
    }
}

impl Primitive for Pad {
    fn name(&self) -> &'static str {
        "constant_pad_nd"
    }

    fn schema(&self) -> &'static str {
        "aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        if !self.pad.len().is_multiple_of(2) || self.pad.len() / 2 > x.rank() {
            let expected = format!("pairs for at most {} dims", x.rank());
            return Err(Self::attribute("constant_pad_nd_c1", "pad", expected, format!("{:?}", self.pad)));
        }
        if self.pad.ends_with(&[0, 0]) {
            let expected = "without zeros at its end".to_owned();
            return Err(Self::attribute("constant_pad_nd_c2", "pad", expected, format!("{:?}", self.pad)));
        }
        if self.value != self.value.cast(x.dtype) {
            let expected = format!("a number of {}", x.dtype);
            return Err(Self::attribute("constant_pad_nd_c4", "value", expected, self.value.to_string()));
        }
        let padded = |(d, amount): (&Dim, (i64, i64))| {
            Self::padded(d.get(), amount).map(Dim::new).ok_or_else(|| {
                let expected = format!("amounts that leave something of a dim of size {d}");
                Self::attribute("constant_pad_nd_c3", "pad", expected, format!("{amount:?}"))
            })
        };
        let shape: Result<Shape, InferError> = x.shape.dims().iter().zip(self.amounts(x.rank())).map(padded).collect();
        one(x.with_shape(shape?))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let amounts = self.amounts(x.shape().rank());
        let grown = |(d, (low, high)): (&Dim, &(i64, i64))| (d.get() as i64 + low + high) as usize;
        let shape: Shape = x.shape().dims().iter().zip(&amounts).map(grown).collect();
        let (out, stride) = (shape.strides(), x.shape().strides());
        let sizes = shape.sizes();
        // The operand's element under an element of the result: on every dim shifted by the low border, if inside.
        let source = |i: usize| {
            (0..sizes.len()).try_fold(0, |flat, d| {
                let index = (i / out[d] % sizes[d]) as i64 - amounts[d].0;
                let index = usize::try_from(index).ok().filter(|index| *index < x.shape()[d].get())?;
                Some(flat + index * stride[d])
            })
        };
        Ok(vec![x.pick_or(&shape, self.value, source)])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.pad_dims(&self.amounts(t.rank()), 0.0))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        if self.value.to_f64() != 0.0 {
            return nonlinear("constant_pad_nd");
        }
        transpose_unary(y_bar, args, |y_bar, x| {
            let back: Vec<(i64, i64)> = self.amounts(x.rank()).into_iter().map(|(low, high)| (-low, -high)).collect();
            y_bar.pad_dims(&back, 0.0)
        })
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        // Amounts are counted from the last dim, so a new first dim changes nothing.
        vec![Batched::mapped(args[0].x.pad_dims(&self.amounts(args[0].x.rank()), self.value))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Piecewise(Piecewise::Pad { pad: self.pad.clone(), value: self.value })
    }
}

impl Samples for Pad {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], pad: &[i64], value: f64| {
            let n: usize = shape.iter().product();
            let x = Array::new(shape, (0..n).map(|i| i as f64 - 1.5).collect());
            Sample::new(note, Pad { pad: pad.to_vec(), value: Scalar::Float(value) }, [x])
        };
        let border = Array::new([2], vec![0.5, -1.0]);
        let ints = Array::new([2], vec![1i64, 2]);
        let int = |note, dtype: DType, value: Scalar| {
            Sample::new(note, Pad { pad: vec![1, 0], value: value.cast(dtype) }, [ints.cast(dtype)])
        };
        vec![
            of("usual", &[2, 3], &[1, 2, 0, 1], 0.5),
            of("last dim", &[2, 2, 2], &[0, 1], 0.0),
            of("first dim", &[2, 2], &[0, 0, 1, 0], 0.0),
            of("crops", &[3, 4], &[-1, -2, 1, -1], -2.0),
            of("crops everything", &[3], &[-2, -1], 1.0),
            of("crops and grows", &[3], &[-3, 2], 1.0),
            of("none", &[2], &[], 0.0),
            of("scalar", &[], &[], 0.0),
            of("empty operand", &[0, 2], &[1, 0, 1, 1], 3.0),
            // Differences of infinities are NaN.
            Sample::kink("infinite border", Pad { pad: vec![1, 1], value: Scalar::Float(f64::NEG_INFINITY) }, [border]),
            int("integer", DType::I32, Scalar::Int(-7)),
            int("bool", DType::Bool, Scalar::Bool(true)),
        ]
    }
}
