//! Reading and adding whole slices through a vector of indices: each other's transposes.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::gather::{add_at, add_tangents, transpose_add};
use super::indexing::{check_dim, check_numbers, positions_of_vector, unfold_batch};
use super::{
    Access, Avals, Batched, Cotangent, Indexing, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity,
    from_text, nonlinear, one,
};

attr_struct! {
    /// The slices of the operand that a vector of indices names along `dim`.
    ///
    /// *Shape*: that of the operand, with the length of the index on `dim`.
    /// *Errors*: `index_select_c1` `dim`; `index_select_c2` index not a vector of `i64`; an index below zero or beyond
    /// the dim when evaluated.
    /// *Derivative*: linear; the transpose adds up with [`IndexAdd`].
    /// *Source*: `torch.index_select`.
    pub struct IndexSelect {
        /// The indexed dim.
        pub dim: usize,
    }
}
from_text!(IndexSelect, "index_select");

attr_struct! {
    /// The operand with the slices of a source added at the places that a vector of indices names along `dim`.
    ///
    /// *Shape*: the source has the operand's shape, with the length of the index on `dim`.
    /// *Numerics*: as [`super::ScatterAdd`].
    /// *Errors*: `index_add_c1` `dim`; `index_add_c2` index not a vector of `i64`; `index_add_c3` source;
    /// `index_add_c4` `bool`; an index below zero or beyond the dim when evaluated.
    /// *Derivative*: linear in operand and source jointly; the transpose reads with [`IndexSelect`].
    /// *Source*: `torch.index_add`.
    pub struct IndexAdd {
        /// The indexed dim.
        pub dim: usize,
    }
}
from_text!(IndexAdd, "index_add");

fn check_vector(label: &'static str, index: &Aval) -> Result<(), InferError> {
    if index.dtype == DType::I64 && index.rank() == 1 {
        return Ok(());
    }
    Err(InferError::Operand { label, expected: "a vector of i64".to_owned(), found: index.clone() })
}

/// The index of `[b, k]` as one of `shape`, where the batch dim of `shape` is at 0 and `k` at `dim`.
fn elementwise(index: &Tensor, dim: usize, shape: &Shape) -> Tensor {
    let ones: Shape = (0..shape.rank()).map(|d| if d == 0 || d == dim { shape[d] } else { Dim::new(1) }).collect();
    index.view_to(&ones).expand_to(shape)
}

impl Primitive for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }

    fn schema(&self) -> &'static str {
        "aten::index_select(Tensor self, int dim, Tensor index) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, index] = arity(args)?;
        check_dim("index_select_c1", self.dim, x.rank())?;
        check_vector("index_select_c2", index)?;
        one(x.with_shape(x.shape.with(self.dim, index.shape[0])))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (x, index) = (args[0], args[1]);
        let from = positions_of_vector(x.shape(), self.dim, index)?;
        Ok(vec![x.pick(x.shape().with(self.dim, index.shape()[0]), |i| from[i])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.index_select_along(self.dim, &x[1]))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let LinArg::Residual(index) = &args[1] else { return nonlinear("index_select") };
        let x_bar = match &args[0] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(x) => y_bar[0].map(|t| Tensor::zeros_of(x, Some(t)).index_add_along(self.dim, index, t)),
        };
        vec![x_bar, Cotangent::Zero]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [x, index] = [&args[0], &args[1]];
        let y = match (x.mapped, index.mapped) {
            (_, false) => x.x.index_select_along(self.dim + 1, &index.x),
            (true, true) => {
                // Offsets into a merged dim would let an index out of bounds read another example.
                let shape = x.x.shape().with(self.dim + 1, index.x.shape()[1]);
                x.x.gather_along(self.dim + 1, &elementwise(&index.x, self.dim + 1, &shape))
            }
            (false, true) => {
                let len = index.x.shape()[1];
                let flat = index.x.view_to(&[size.get() * len.get()].into());
                unfold_batch(&x.x.index_select_along(self.dim, &flat), self.dim, size, len)
            }
        };
        vec![Batched::mapped(y)]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Access(Access::Gather { dim: self.dim, index: Indexing::Vector })
    }
}

impl Primitive for IndexAdd {
    fn name(&self) -> &'static str {
        "index_add"
    }

    fn schema(&self) -> &'static str {
        "aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, index, source] = arity(args)?;
        check_dim("index_add_c1", self.dim, x.rank())?;
        check_vector("index_add_c2", index)?;
        let expected = x.with_shape(x.shape.with(self.dim, index.shape[0]));
        if *source != expected {
            return Err(InferError::Mismatch {
                label: "index_add_c3",
                expected: format!("a source {expected}"),
                lhs: x.clone(),
                rhs: source.clone(),
            });
        }
        check_numbers("index_add_c4", x)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let to = positions_of_vector(args[0].shape(), self.dim, args[1])?;
        Ok(vec![add_at(args[0], &to, args[2])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![add_tangents(&x_dot[0], &x_dot[2], &x[0], |s, t| s.index_add_along(self.dim, &x[1], t))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_add(y_bar, args, |t, index| t.index_select_along(self.dim, index))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (x, index, source) = (args[0].materialised(size), &args[1], args[2].materialised(size));
        let y = if index.mapped {
            x.scatter_add_along(self.dim + 1, &elementwise(&index.x, self.dim + 1, source.shape()), &source)
        } else {
            x.index_add_along(self.dim + 1, &index.x, &source)
        };
        vec![Batched::mapped(y)]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        let combine = Some(Monoid::Sum);
        LoopForm::Access(Access::Scatter { dim: self.dim, index: Indexing::Vector, combine })
    }
}

fn sample_operands(shape: &[usize], dim: usize, index: &[i64]) -> [Array; 3] {
    let float = |shape: &Shape, phase: f64| {
        Array::new(shape, (0..shape.numel()).map(|i| (i as f64 * 0.8 + phase).sin()).collect())
    };
    let shape = Shape::from(shape);
    let source = shape.with(dim, index.len());
    [float(&shape, 0.2), Array::new([index.len()], index.to_vec()), float(&source, 1.3)]
}

impl Samples for IndexSelect {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dim, index: &[i64]| {
            let [x, index, _] = sample_operands(shape, dim, index);
            Sample::new(note, IndexSelect { dim }, [x, index])
        };
        let [x, index, _] = sample_operands(&[3, 2], 0, &[2, 0]);
        vec![
            of("usual", &[2, 3, 2], 1, &[2, 0, 2, 1]),
            of("first dim", &[3, 2], 0, &[1]),
            of("last dim", &[2, 3], 1, &[0, 0]),
            of("empty index", &[2, 3], 1, &[]),
            of("empty operand", &[2, 0], 1, &[]),
            of("empty slices", &[0, 3], 1, &[2, 1]),
            Sample::new("u8", IndexSelect { dim: 0 }, [x.cast(DType::U8), index]),
        ]
    }
}

impl Samples for IndexAdd {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dim, index: &[i64]| {
            Sample::new(note, IndexAdd { dim }, sample_operands(shape, dim, index))
        };
        let [x, index, source] = sample_operands(&[3, 2], 0, &[2, 0]);
        vec![
            of("usual", &[2, 3, 2], 1, &[2, 0, 2, 1]),
            of("first dim", &[3, 2], 0, &[1]),
            of("empty index", &[2, 3], 1, &[]),
            of("empty operand", &[2, 0], 1, &[]),
            Sample::new("f16", IndexAdd { dim: 0 }, [x.cast(DType::F16), index, source.cast(DType::F16)]),
        ]
    }
}
