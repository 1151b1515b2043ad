//! Overwriting through an index of the operand's rank.

use crate::array::{Array, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::Tensor;

use super::gather::sample_operands;
use super::indexing::{Labels, check_source, positions};
use super::{
    Access, Avals, Batched, Cotangent, Indexing, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity,
    from_text, nonlinear, one,
};

attr_struct! {
    /// The operand with the elements of a source written at the positions that an index gives along `dim`.
    ///
    /// *Shape*: index and source have one shape, of the operand's rank and no larger than it on the other dims.
    /// *Numerics*: of several writes to one place the last in row-major order stays.
    /// *Errors*: `scatter_c1` `dim`; `scatter_c2` index; `scatter_c3` sizes; `scatter_c4` source; an index below zero
    /// or beyond the dim when evaluated.
    /// *Derivative*: tangents are written like elements. The cotangent of the operand is zero at written places; every
    /// source element gets the whole cotangent of the place it was written to, also where another one overwrote it.
    /// *Source*: `torch.scatter`.
    pub struct Scatter {
        /// The indexed dim.
        pub dim: usize,
    }
}
from_text!(Scatter, "scatter");

impl Primitive for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }

    fn schema(&self) -> &'static str {
        "aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, index, src] = arity(args)?;
        let labels = Labels { dim: "scatter_c1", index: "scatter_c2", sizes: "scatter_c3" };
        labels.check(x, self.dim, index)?;
        check_source("scatter_c4", x, index, src)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (x, src) = (args[0], args[2]);
        let to = positions(x.shape(), self.dim, args[1])?;
        Ok(vec![dispatch!(x.dtype(), T => {
            let mut y = x.elems::<T>().to_vec();
            for (at, s) in to.into_iter().zip(src.elems::<T>()) {
                y[at] = *s;
            }
            Array::new(x.shape(), y)
        })])
    }

    /// Tangents are written like their elements.
    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let (x, index, src) = (&x[0], &x[1], &x[2]);
        let zeros = |t: &Tensor, beside: &Tensor| Tensor::zeros_of(&t.aval(), Some(beside));
        vec![match (&x_dot[0], &x_dot[2]) {
            (Tangent::Zero, Tangent::Zero) => Tangent::Zero,
            (Tangent::Is(t), Tangent::Zero) => Tangent::Is(t.scatter_along(self.dim, index, &zeros(src, t))),
            (Tangent::Zero, Tangent::Is(s)) => Tangent::Is(zeros(x, s).scatter_along(self.dim, index, s)),
            (Tangent::Is(t), Tangent::Is(s)) => Tangent::Is(t.scatter_along(self.dim, index, s)),
        }]
    }

    /// Where places repeat, this is PyTorch's reverse mode, with which its own forward mode disagrees.
    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let LinArg::Residual(index) = &args[1] else { return nonlinear("scatter") };
        let x_bar = match &args[0] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|t| {
                let zeros = Tensor::zeros_of(&index.aval().with_dtype(t.dtype()), Some(t));
                t.scatter_along(self.dim, index, &zeros)
            }),
        };
        let src_bar = match &args[2] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|t| t.gather_along(self.dim, index)),
        };
        vec![x_bar, Cotangent::Zero, src_bar]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [x, index, src] = [0, 1, 2].map(|i| args[i].materialised(size));
        vec![Batched::mapped(x.scatter_along(self.dim + 1, &index, &src))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Access(Access::Scatter { dim: self.dim, index: Indexing::Elementwise, combine: None })
    }
}

impl Samples for Scatter {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dim, index_shape: &[usize], index: Vec<i64>| {
            let [x, _, src] = sample_operands(shape, dim, index_shape);
            (note, Scatter { dim }, [x, Array::new(index_shape, index), src])
        };
        let smooth = |(note, op, args): (&'static str, Scatter, [Array; 3])| Sample::new(note, op, args);
        let (_, _, [x, index, src]) = of("", &[4], 0, &[2], vec![3, 1]);
        let repeated = of("repeated places", &[2, 3], 1, &[2, 4], vec![0, 0, 1, 0, 2, 1, 2, 2]);
        vec![
            smooth(of("usual", &[2, 4], 1, &[2, 2], vec![3, 0, 1, 2])),
            smooth(of("smaller index", &[3, 4], 0, &[2, 2], vec![2, 0, 1, 2])),
            smooth(of("one", &[1], 0, &[1], vec![0])),
            smooth(of("empty index", &[2, 3], 1, &[2, 0], vec![])),
            smooth(of("empty operand", &[2, 0], 1, &[2, 0], vec![])),
            Sample::kink(repeated.0, repeated.1, repeated.2).one_mode_each(),
            Sample::new("bool", Scatter { dim: 0 }, [x.cast(DType::Bool), index.clone(), src.cast(DType::Bool)]),
            Sample::new("f32", Scatter { dim: 0 }, [x.cast(DType::F32), index, src.cast(DType::F32)]),
        ]
    }
}
