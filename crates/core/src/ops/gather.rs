//! Reading and adding through an index of the operand's rank: each other's transposes.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::Tensor;

use super::indexing::{Labels, check_numbers, check_source, fold_batch, positions, unfold_batch};
use super::{
    Access, Avals, Batched, Cotangent, Indexing, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity,
    from_text, nonlinear, one,
};

attr_struct! {
    /// The elements of the operand at the positions that an index gives along `dim`.
    ///
    /// *Shape*: that of the index, which has the operand's rank and is no larger than it on the other dims.
    /// *Errors*: `gather_c1` `dim`; `gather_c2` index not `i64` or of another rank; `gather_c3` sizes; an index below
    /// zero or beyond the dim when evaluated.
    /// *Derivative*: linear; the transpose adds up with [`ScatterAdd`].
    /// *Source*: `torch.gather`.
    pub struct Gather {
        /// The indexed dim.
        pub dim: usize,
    }
}
from_text!(Gather, "gather");

attr_struct! {
    /// The operand with the elements of a source added at the positions that an index gives along `dim`.
    ///
    /// *Shape*: index and source have one shape, of the operand's rank and no larger than it on the other dims.
    /// *Numerics*: floats add up in `f64` in the order of the source and round once; integers wrap.
    /// *Errors*: `scatter_add_c1` `dim`; `scatter_add_c2` index; `scatter_add_c3` sizes; `scatter_add_c4` source;
    /// `scatter_add_c5` `bool`; an index below zero or beyond the dim when evaluated.
    /// *Derivative*: linear in operand and source jointly; the transpose reads with [`Gather`].
    /// *Source*: `torch.scatter_add`.
    pub struct ScatterAdd {
        /// The indexed dim.
        pub dim: usize,
    }
}
from_text!(ScatterAdd, "scatter_add");

impl Primitive for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn schema(&self) -> &'static str {
        "aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, index] = arity(args)?;
        let labels = Labels { dim: "gather_c1", index: "gather_c2", sizes: "gather_c3" };
        labels.check(x, self.dim, index)?;
        one(x.with_shape(&index.shape))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (x, index) = (args[0], args[1]);
        let from = positions(x.shape(), self.dim, index)?;
        Ok(vec![x.pick(index.shape(), |i| from[i])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.gather_along(self.dim, &x[1]))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let LinArg::Residual(index) = &args[1] else { return nonlinear("gather") };
        let x_bar = match &args[0] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(x) => y_bar[0].map(|t| Tensor::zeros_of(x, Some(t)).scatter_add_along(self.dim, index, t)),
        };
        vec![x_bar, Cotangent::Zero]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [x, index] = [&args[0], &args[1]];
        if x.mapped {
            return vec![Batched::mapped(x.x.gather_along(self.dim + 1, &index.materialised(size)))];
        }
        // The operand has no batch dim and is not repeated: all examples index it at once.
        let y = x.x.gather_along(self.dim, &fold_batch(&index.x, self.dim));
        vec![Batched::mapped(unfold_batch(&y, self.dim, size, index.x.shape()[self.dim + 1]))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Access(Access::Gather { dim: self.dim, index: Indexing::Elementwise })
    }
}

impl Primitive for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn schema(&self) -> &'static str {
        "aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, index, src] = arity(args)?;
        let labels = Labels { dim: "scatter_add_c1", index: "scatter_add_c2", sizes: "scatter_add_c3" };
        labels.check(x, self.dim, index)?;
        check_source("scatter_add_c4", x, index, src)?;
        check_numbers("scatter_add_c5", x)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let to = positions(args[0].shape(), self.dim, args[1])?;
        Ok(vec![add_at(args[0], &to, args[2])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![add_tangents(&x_dot[0], &x_dot[2], &x[0], |s, t| s.scatter_add_along(self.dim, &x[1], t))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_add(y_bar, args, |t, index| t.gather_along(self.dim, index))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [x, index, src] = [0, 1, 2].map(|i| args[i].materialised(size));
        vec![Batched::mapped(x.scatter_add_along(self.dim + 1, &index, &src))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        let combine = Some(Monoid::Sum);
        LoopForm::Access(Access::Scatter { dim: self.dim, index: Indexing::Elementwise, combine })
    }
}

/// `x` with the elements of `src` added at the flat positions `to`.
pub(crate) fn add_at(x: &Array, to: &[usize], src: &Array) -> Array {
    if x.dtype().is_float() {
        let mut sum = x.to_f64_vec();
        for (at, s) in to.iter().zip(src.to_f64_vec()) {
            sum[*at] += s;
        }
        return Array::from_f64_fn(&x.aval(), |i| sum[i]);
    }
    let mut sum = x.to_i64_vec();
    for (at, s) in to.iter().zip(src.to_i64_vec()) {
        sum[*at] = sum[*at].wrapping_add(s);
    }
    Array::new(x.shape(), sum).cast(x.dtype())
}

/// The tangent of an addition into an operand `x` at places, where `add` adds into a tensor of its aval.
pub(crate) fn add_tangents(
    x_dot: &Tangent,
    src_dot: &Tangent,
    x: &Tensor,
    add: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Tangent {
    match (x_dot, src_dot) {
        (t, Tangent::Zero) => t.clone(),
        (Tangent::Zero, Tangent::Is(t)) => Tangent::Is(add(&Tensor::zeros_of(&x.aval(), Some(t)), t)),
        (Tangent::Is(s), Tangent::Is(t)) => Tangent::Is(add(s, t)),
    }
}

/// The cotangents of an addition at places, where `read` reads a tensor at the places of an index.
pub(crate) fn transpose_add(
    y_bar: &[Cotangent],
    args: &[LinArg],
    read: impl FnOnce(&Tensor, &Tensor) -> Tensor,
) -> Vec<Cotangent> {
    let LinArg::Residual(index) = &args[1] else { return nonlinear("scatter_add") };
    let x_bar = match &args[0] {
        LinArg::Residual(_) => Cotangent::Zero,
        LinArg::Linear(_) => y_bar[0].clone(),
    };
    let src_bar = match &args[2] {
        LinArg::Residual(_) => Cotangent::Zero,
        LinArg::Linear(_) => y_bar[0].map(|t| read(t, index)),
    };
    vec![x_bar, Cotangent::Zero, src_bar]
}

/// Operands of `shape` for samples, an index of `index_shape` along `dim`, and a source of its shape.
pub(crate) fn sample_operands(shape: &[usize], dim: usize, index_shape: &[usize]) -> [Array; 3] {
    let float = |shape: &[usize], phase: f64| {
        let n: usize = shape.iter().product();
        Array::new(shape, (0..n).map(|i| (i as f64 * 0.9 + phase).sin()).collect())
    };
    let n: usize = index_shape.iter().product();
    let index = (0..n).map(|i| (i * i + 1) as i64 % shape[dim].max(1) as i64).collect();
    [float(shape, 0.3), Array::new(index_shape, index), float(index_shape, 1.1)]
}

impl Samples for Gather {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dim, index: &[usize]| {
            let [x, index, _] = sample_operands(shape, dim, index);
            Sample::new(note, Gather { dim }, [x, index])
        };
        let [x, index, _] = sample_operands(&[4], 0, &[3]);
        vec![
            of("usual", &[2, 3, 2], 1, &[2, 4, 2]),
            of("smaller index", &[3, 4], 1, &[2, 2]),
            of("first dim", &[3, 2], 0, &[5, 2]),
            of("one", &[1], 0, &[1]),
            of("empty index", &[2, 3], 1, &[2, 0]),
            of("empty operand", &[2, 0], 1, &[2, 0]),
            Sample::new("bf16", Gather { dim: 0 }, [x.cast(DType::BF16), index.clone()]),
            Sample::new("bool", Gather { dim: 0 }, [x.cast(DType::Bool), index]),
        ]
    }
}

impl Samples for ScatterAdd {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dim, index: &[usize]| {
            Sample::new(note, ScatterAdd { dim }, sample_operands(shape, dim, index))
        };
        let [x, index, src] = sample_operands(&[4], 0, &[6]);
        let cast =
            |note, dtype| Sample::new(note, ScatterAdd { dim: 0 }, [x.cast(dtype), index.clone(), src.cast(dtype)]);
        vec![
            of("usual", &[2, 3, 2], 1, &[2, 4, 2]),
            of("smaller index", &[3, 4], 0, &[5, 2]),
            of("one", &[1], 0, &[1]),
            of("empty index", &[2, 3], 1, &[2, 0]),
            of("empty operand", &[2, 0], 1, &[2, 0]),
            cast("f32", DType::F32),
            cast("i32", DType::I32),
        ]
    }
}
