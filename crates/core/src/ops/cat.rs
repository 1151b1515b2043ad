//! Concatenation.

use crate::array::{Array, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, attr_struct};
use crate::tensor::Tensor;

use super::axis::Axis;
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Piecewise, Primitive, Sample, Samples, Tangent, from_text, one,
};

attr_struct! {
    /// The operands one after the other on a dim.
    ///
    /// *Shape*: at least one operand; all have one dtype and, except on the dim, one shape.
    /// *Errors*: `cat_c1` no operand; `cat_c2` no such dim; `cat_c3` operands that do not fit.
    /// *Derivative*: linear; the transpose slices.
    /// *Source*: `torch.cat` without its promotion and without its legacy empty operands.
    pub struct Cat {
        /// The dim.
        pub dim: usize,
    }
}
from_text!(Cat, "cat");

impl Primitive for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn schema(&self) -> &'static str {
        "aten::cat(Tensor[] tensors, int dim=0) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let Some(first) = args.first() else {
            return Err(InferError::Attribute {
                label: "cat_c1",
                attr: "tensors",
                expected: "one or more tensors".to_owned(),
                found: "none".to_owned(),
            });
        };
        if self.dim >= first.rank() {
            return Err(InferError::Dim { label: "cat_c2", dim: self.dim as i64, rank: first.rank() });
        }
        let mut size = Dim::new(0);
        for x in args {
            let fits =
                x.rank() == first.rank() && x.with_shape(x.shape.with(self.dim, first.shape[self.dim])) == **first;
            if !fits {
                return Err(InferError::Mismatch {
                    label: "cat_c3",
                    expected: format!("operands of one dtype and, except on dim {}, one shape", self.dim),
                    lhs: (*first).clone(),
                    rhs: (*x).clone(),
                });
            }
            let total = size.checked_add(x.shape[self.dim]);
            size = total.ok_or_else(|| InferError::TooLarge { shape: x.shape.clone() })?;
        }
        one(first.with_shape(first.shape.with(self.dim, size)))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let first = args[0].shape();
        let size: usize = args.iter().map(|x| x.shape()[self.dim].get()).sum();
        let shape = first.with(self.dim, size);
        let blocks: usize = first.dims()[..self.dim].iter().map(|d| d.get()).product();
        Ok(vec![dispatch!(args[0].dtype(), T => {
            let mut y: Vec<T> = Vec::with_capacity(shape.numel());
            for block in 0..blocks {
                for x in args {
                    let n = Axis::of(x.shape(), self.dim).block();
                    y.extend(&x.elems::<T>()[block * n..(block + 1) * n]);
                }
            }
            Array::new(shape, y)
        })])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let moving = x_dot.iter().find_map(|t| match t {
            Tangent::Zero => None,
            Tangent::Is(t) => Some(t.clone()),
        });
        let Some(like) = moving else { return vec![Tangent::Zero] };
        let parts: Vec<Tensor> = x
            .iter()
            .zip(x_dot)
            .map(|(x, t)| match t {
                // Beside a tangent, whose trace may be deeper than the primal's.
                Tangent::Zero => like.full_of(&x.aval(), 0.0),
                Tangent::Is(t) => t.clone(),
            })
            .collect();
        vec![Tangent::Is(Tensor::cat_dim(&parts, self.dim))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let mut end = 0;
        args.iter()
            .map(|a| {
                let start = end;
                match a {
                    LinArg::Residual(t) => {
                        end += t.shape()[self.dim].get();
                        Cotangent::Zero
                    }
                    LinArg::Linear(aval) => {
                        end += aval.shape[self.dim].get();
                        y_bar[0].map(|y_bar| y_bar.slice_dim(self.dim, start, end, 1))
                    }
                }
            })
            .collect()
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let parts: Vec<Tensor> = args.iter().map(|a| a.materialised(size)).collect();
        vec![Batched::mapped(Tensor::cat_dim(&parts, self.dim + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Piecewise(Piecewise::Concat { dim: self.dim })
    }
}

impl Samples for Cat {
    fn samples() -> Vec<Sample> {
        let of = |note, dim, shapes: &[&[usize]]| {
            let part = |(k, shape): (usize, &&[usize])| {
                let n: usize = shape.iter().product();
                Array::new(*shape, (0..n).map(|i| ((i + 3 * k) as f64).cos()).collect())
            };
            Sample::new(note, Cat { dim }, shapes.iter().enumerate().map(part))
        };
        let bools = [Array::new([1], vec![true]), Array::new([2], vec![false, true])];
        vec![
            of("usual", 1, &[&[2, 1, 2], &[2, 3, 2], &[2, 2, 2]]),
            of("first dim", 0, &[&[1, 2], &[2, 2]]),
            of("one operand", 0, &[&[2]]),
            of("empty operand", 1, &[&[2, 0], &[2, 3], &[2, 0]]),
            of("empty", 1, &[&[0, 2], &[0, 1]]),
            Sample::new("bool", Cat { dim: 0 }, bools),
        ]
    }
}
