//! Reversal of dims.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, ViewForm, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// The operand with the order of elements reversed on some dims.
    ///
    /// *Errors*: `flip_c1` dims unsorted, repeated or out of range.
    /// *Derivative*: linear; its own transpose.
    /// *Source*: `torch.flip`.
    pub struct Flip {
        /// The reversed dims, sorted.
        pub dims: Vec<usize>,
    }
}
from_text!(Flip, "flip");

impl Primitive for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn schema(&self) -> &'static str {
        "aten::flip(Tensor self, int[] dims) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let sorted = self.dims.is_sorted_by(|a, b| a < b);
        if !sorted || self.dims.iter().any(|d| *d >= x.rank()) {
            return Err(InferError::Attribute {
                label: "flip_c1",
                attr: "dims",
                expected: format!("sorted different dims below {}", x.rank()),
                found: format!("{:?}", self.dims),
            });
        }
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (shape, stride) = (args[0].shape(), args[0].shape().strides());
        let reversed = |i: usize| {
            let shift = |d: &usize| {
                let (n, index) = (shape[*d].get(), i / stride[*d] % shape[*d].get());
                (n - 1 - index) * stride[*d]
            };
            let kept: usize = (0..shape.rank())
                .filter(|d| !self.dims.contains(d))
                .map(|d| i / stride[d] % shape[d].get() * stride[d])
                .sum();
            kept + self.dims.iter().map(shift).sum::<usize>()
        };
        Ok(vec![args[0].pick(shape, reversed)])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.flip_dims(&self.dims))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, _| y_bar.flip_dims(&self.dims))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        let dims: Vec<usize> = self.dims.iter().map(|d| d + 1).collect();
        vec![Batched::mapped(args[0].x.flip_dims(&dims))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Flip(self.dims.clone()))
    }
}

impl Samples for Flip {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dims: &[usize]| {
            let n: usize = shape.iter().product();
            let x = Array::new(shape, (0..n).map(|i| (i as f64).sqrt()).collect());
            Sample::new(note, Flip { dims: dims.to_vec() }, [x])
        };
        let bools = Array::new([3], vec![true, true, false]);
        vec![
            of("usual", &[2, 3, 2], &[1]),
            of("two dims", &[2, 3, 2], &[0, 2]),
            of("none", &[2], &[]),
            of("scalar", &[], &[]),
            of("one", &[1, 1], &[0, 1]),
            of("empty", &[0, 2], &[0, 1]),
            Sample::new("bool", Flip { dims: vec![0] }, [bools]),
        ]
    }
}
