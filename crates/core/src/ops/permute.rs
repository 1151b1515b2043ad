//! Reordering of dims.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, ViewForm, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// Dim `i` of the result is dim `dims[i]` of the operand.
    ///
    /// *Shape*: `dims` is a permutation (`permute_c1`).
    /// *Derivative*: linear; the transpose is the inverse permutation.
    /// *Source*: `torch.permute`.
    pub struct Permute {
        /// The permutation.
        pub dims: Vec<usize>,
    }
}
from_text!(Permute, "permute");

impl Permute {
    /// The inverse permutation.
    pub fn inverse(&self) -> Vec<usize> {
        let mut out = vec![0; self.dims.len()];
        for (i, d) in self.dims.iter().enumerate() {
            out[*d] = i;
        }
        out
    }
}

impl Primitive for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn schema(&self) -> &'static str {
        "aten::permute(Tensor self, int[] dims) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let mut sorted = self.dims.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.rank()) {
            return Err(InferError::Attribute {
                label: "permute_c1",
                attr: "dims",
                expected: format!("a permutation of {} dims", x.rank()),
                found: format!("{:?}", self.dims),
            });
        }
        one(x.with_shape(self.dims.iter().map(|d| x.shape[*d]).collect::<Shape>()))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let shape: Shape = self.dims.iter().map(|d| x.shape()[*d]).collect();
        let (out, stride) = (shape.strides(), x.shape().strides());
        let index = |i: usize| (0..self.dims.len()).map(|d| (i / out[d]) % shape[d].get() * stride[self.dims[d]]).sum();
        Ok(vec![x.pick(&shape, index)])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.permute_to(&self.dims))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, _| y_bar.permute_to(&self.inverse()))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        let dims: Vec<usize> = std::iter::once(0).chain(self.dims.iter().map(|d| d + 1)).collect();
        vec![Batched::mapped(args[0].x.permute_to(&dims))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Permute(self.dims.clone()))
    }
}

impl Samples for Permute {
    fn samples() -> Vec<Sample> {
        let of = |note, from: &[usize], dims: &[usize]| {
            let n: usize = from.iter().product();
            let x = Array::new(from, (0..n).map(|i| (i as f64).sqrt()).collect());
            Sample::new(note, Permute { dims: dims.to_vec() }, [x])
        };
        vec![
            of("usual", &[2, 3, 4], &[2, 0, 1]),
            of("transpose", &[2, 3], &[1, 0]),
            of("scalar", &[], &[]),
            of("empty", &[0, 3], &[1, 0]),
        ]
    }
}
