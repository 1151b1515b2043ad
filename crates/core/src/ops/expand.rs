//! Broadcasting.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, ViewForm, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// The operand repeated along new leading dims and along dims of size 1.
    ///
    /// *Shape*: trailing dims are equal or 1 in the operand (`expand_c1`).
    /// *Derivative*: linear; the transpose sums the repetitions.
    /// *Source*: `torch.Tensor.expand`.
    pub struct Expand {
        /// The shape of the result.
        pub size: Shape,
    }
}
from_text!(Expand, "expand");

impl Expand {
    /// Whether `from` can be expanded to `to`.
    pub fn fits(from: &Shape, to: &Shape) -> bool {
        let Some(lead) = to.rank().checked_sub(from.rank()) else { return false };
        from.dims().iter().zip(&to.dims()[lead..]).all(|(f, t)| f == t || *f == 1)
    }
}

impl Primitive for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn schema(&self) -> &'static str {
        "aten::expand(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        if !Expand::fits(&x.shape, &self.size) {
            return Err(InferError::Operand {
                label: "expand_c1",
                expected: format!("a shape that expands to {}", self.size),
                found: x.clone(),
            });
        }
        one(x.with_shape(&self.size))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let lead = self.size.rank() - x.shape().rank();
        let (out, stride) = (self.size.strides(), x.shape().strides());
        let index = |i: usize| {
            (0..x.shape().rank())
                .filter(|d| x.shape()[*d] != 1)
                .map(|d| (i / out[lead + d]) % self.size[lead + d].get() * stride[d])
                .sum()
        };
        Ok(vec![x.pick(&self.size, index)])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.expand_to(&self.size))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| y_bar.sum_to(&x.shape))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        // The batch dim comes first, so new leading dims of the result go between it and the operand's dims.
        let x = &args[0].x;
        let mut shape: Vec<Dim> = vec![size];
        shape.resize(1 + self.size.rank() - (x.rank() - 1), Dim::new(1));
        shape.extend(&x.shape().dims()[1..]);
        let x = x.view_to(&shape.into_iter().collect());
        vec![Batched::mapped(x.expand_to(&self.size.inserted(0, size)))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Broadcast)
    }
}

impl Samples for Expand {
    fn samples() -> Vec<Sample> {
        let of = |note, from: &[usize], to: &[usize]| {
            let n: usize = from.iter().product();
            let x = Array::new(from, (0..n).map(|i| i as f64 + 0.5).collect());
            Sample::new(note, Expand { size: to.into() }, [x])
        };
        vec![
            of("usual", &[3, 1], &[2, 3, 4]),
            of("scalar", &[], &[2, 2]),
            of("same", &[2, 3], &[2, 3]),
            of("empty", &[1], &[3, 0]),
            of("empty operand", &[0, 1], &[0, 2]),
        ]
    }
}
