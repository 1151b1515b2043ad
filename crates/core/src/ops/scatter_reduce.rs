//! Combining old and new elements through an index of the operand's rank.

use crate::array::{Array, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attr, AttrField, Attrs, Aval, DType, Dim, Scalar, attr_struct};
use crate::tensor::Tensor;

use super::extreme::Extreme;
use super::gather::{add_tangents, sample_operands};
use super::indexing::{Labels, check_source, positions};
use super::products::Dual;
use super::{
    Access, Avals, Batched, Cotangent, Indexing, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity,
    from_text, nonlinear, one,
};

/// How [`ScatterReduce`] combines the elements that meet at one place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScatterReduction {
    /// Their product.
    Prod,
    /// The largest; NaN if there is one.
    Amax,
    /// The smallest; NaN if there is one.
    Amin,
}

impl ScatterReduction {
    /// All cases.
    pub const ALL: [ScatterReduction; 3] = [ScatterReduction::Prod, ScatterReduction::Amax, ScatterReduction::Amin];

    /// PyTorch's name.
    pub const fn name(self) -> &'static str {
        match self {
            ScatterReduction::Prod => "prod",
            ScatterReduction::Amax => "amax",
            ScatterReduction::Amin => "amin",
        }
    }
}

impl AttrField for ScatterReduction {
    const KIND: &'static str = "\"prod\", \"amax\" or \"amin\"";

    fn to_attr(&self) -> Attr {
        Attr::Str(self.name().to_owned())
    }

    fn from_attr(attr: &Attr) -> Option<Self> {
        let name = String::from_attr(attr)?;
        ScatterReduction::ALL.into_iter().find(|r| r.name() == name)
    }
}

attr_struct! {
    /// The operand with each element combined with the source elements whose place, given by an index along `dim`, it is.
    ///
    /// *Shape*: index and source have one shape, of the operand's rank and no larger than it on the other dims.
    /// *Numerics*: floats multiply in `f64` in the order of the source and round once; integers wrap; NaN if there is one.
    /// *Errors*: `scatter_reduce_c1` `dim`; `scatter_reduce_c2` index; `scatter_reduce_c3` sizes; `scatter_reduce_c4`
    /// source; an index below zero or beyond the dim when evaluated.
    /// *Derivative*: of extremes, shared evenly by the ties among operand and sources; of products, by the product rule
    /// alone, hence exact with zeros, at every order.
    /// *Source*: `torch.scatter_reduce` with `include_self=True`.
    pub struct ScatterReduce {
        /// The indexed dim.
        pub dim: usize,
        /// The combination.
        pub reduce: ScatterReduction,
    }
}
from_text!(ScatterReduce, "scatter_reduce");

impl ScatterReduce {
    /// The mean of the tangents of the ties. The weights are 0/0 where the result is NaN.
    fn jvp_extreme(&self, x: &[Tensor], y: &Tensor, x_dot: &[Tangent]) -> Tangent {
        let ([x, index, src], dim) = ([&x[0], &x[1], &x[2]], self.dim);
        let x_tie = x.eq(y).convert(x.dtype());
        let src_tie = src.eq(y.gather_along(dim, index)).convert(x.dtype());
        let ties = x_tie.scatter_add_along(dim, index, &src_tie);
        let src_weight = src_tie / ties.gather_along(dim, index);
        let x_weight = x_tie / ties;
        let x_part = x_dot[0].map(|t| t * x_weight);
        let src_part = x_dot[2].map(|t| t * src_weight);
        add_tangents(&x_part, &src_part, x, |s, t| s.scatter_add_along(dim, index, t))
    }

    /// `x_dot * p + x * p_dot`, where `p` is the product of the sources of a place.
    fn jvp_product(&self, x: &[Tensor], x_dot: &[Tangent]) -> Tangent {
        let ([x, index, src], dim) = ([&x[0], &x[1], &x[2]], self.dim);
        let product = || x.ones_like().scatter_reduce_along(dim, index, src, ScatterReduction::Prod);
        let x_part = x_dot[0].map(|t| t * product());
        let src_part = x_dot[2].map(|t| x * product_of_places_dot(x, dim, index, src, t));
        x_part.plus(src_part)
    }
}

/// The tangent of the product of the sources at each place of `x`: sorted by their places, sources of one place
/// stand together, and their products are prefix products up to the last one.
fn product_of_places_dot(x: &Tensor, dim: usize, index: &Tensor, src: &Tensor, src_dot: &Tensor) -> Tensor {
    let zeros = Tensor::zeros_of(&x.aval(), Some(src_dot));
    let n = index.shape()[dim].get();
    if n == 0 {
        return zeros;
    }
    let (places, order) = index.sort_along(dim, false);
    let sorted = |t: &Tensor| t.gather_along(dim, &order);
    let products_dot = Dual { x: sorted(src), x_dot: sorted(src_dot) }.prefix_products_dot(dim, Some(&places));
    let changes = places.slice_dim(dim, 0, n - 1, 1).ne(places.slice_dim(dim, 1, n, 1));
    let end =
        index.full_of(&index.aval().with_dtype(DType::Bool).with_shape(index.shape().with(dim, 1)), Scalar::Bool(true));
    let last = Tensor::cat_dim(&[changes, end], dim);
    zeros.scatter_add_along(dim, &places, &products_dot.where_exact(&last, &products_dot.zeros_like()))
}

impl Primitive for ScatterReduce {
    fn name(&self) -> &'static str {
        "scatter_reduce"
    }

    fn schema(&self) -> &'static str {
        "aten::scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, index, src] = arity(args)?;
        let labels = Labels { dim: "scatter_reduce_c1", index: "scatter_reduce_c2", sizes: "scatter_reduce_c3" };
        labels.check(x, self.dim, index)?;
        check_source("scatter_reduce_c4", x, index, src)?;
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (x, src) = (args[0], args[2]);
        let to = positions(x.shape(), self.dim, args[1])?;
        Ok(vec![match self.reduce {
            ScatterReduction::Prod => multiply_at(x, &to, src),
            ScatterReduction::Amax => extreme_at(Extreme::Max, x, &to, src),
            ScatterReduction::Amin => extreme_at(Extreme::Min, x, &to, src),
        }])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![match self.reduce {
            ScatterReduction::Prod => self.jvp_product(x, x_dot),
            ScatterReduction::Amax | ScatterReduction::Amin => self.jvp_extreme(x, &y[0], x_dot),
        }]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("scatter_reduce")
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [x, index, src] = [0, 1, 2].map(|i| args[i].materialised(size));
        vec![Batched::mapped(x.scatter_reduce_along(self.dim + 1, &index, &src, self.reduce))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        let combine = Some(match self.reduce {
            ScatterReduction::Prod => Monoid::Prod,
            ScatterReduction::Amax => Monoid::Max,
            ScatterReduction::Amin => Monoid::Min,
        });
        LoopForm::Access(Access::Scatter { dim: self.dim, index: Indexing::Elementwise, combine })
    }
}

fn multiply_at(x: &Array, to: &[usize], src: &Array) -> Array {
    if x.dtype().is_float() {
        let mut product = x.to_f64_vec();
        for (at, s) in to.iter().zip(src.to_f64_vec()) {
            product[*at] *= s;
        }
        return Array::from_f64_fn(&x.aval(), |i| product[i]);
    }
    let mut product = x.to_i64_vec();
    for (at, s) in to.iter().zip(src.to_i64_vec()) {
        product[*at] = product[*at].wrapping_mul(s);
    }
    Array::new(x.shape(), product).cast(x.dtype())
}

fn extreme_at(which: Extreme, x: &Array, to: &[usize], src: &Array) -> Array {
    dispatch!(x.dtype(), T => {
        let mut best = x.elems::<T>().to_vec();
        for (at, s) in to.iter().zip(src.elems::<T>()) {
            if which.beats(*s, best[*at]) {
                best[*at] = *s;
            }
        }
        Array::new(x.shape(), best)
    })
}

impl Samples for ScatterReduce {
    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for reduce in ScatterReduction::ALL {
            let of = |note, shape: &[usize], dim, index: &[usize]| {
                Sample::new(note, ScatterReduce { dim, reduce }, sample_operands(shape, dim, index))
            };
            let [x, index, src] = sample_operands(&[4], 0, &[6]);
            let op = ScatterReduce { dim: 0, reduce };
            let cast = |note, dtype| Sample::new(note, op.clone(), [x.cast(dtype), index.clone(), src.cast(dtype)]);
            let ties = [
                Array::new([3], vec![1.0, 2.0, 1.0]),
                Array::new([5], vec![0i64, 1, 2, 1, 0]),
                Array::new([5], vec![1.0, 0.0, 3.0, 4.0, 1.0]),
            ];
            // Of one place and not of products: 0 · NaN would otherwise pass between elements in one of the modes only.
            let nan =
                [Array::new([1], vec![1.0]), Array::new([2], vec![0i64, 0]), Array::new([2], vec![f64::NAN, 2.0])];
            samples.extend([
                of("usual", &[2, 3, 2], 1, &[2, 4, 2]),
                of("smaller index", &[3, 4], 0, &[5, 2]),
                of("one", &[1], 0, &[1]),
                of("empty index", &[2, 3], 1, &[2, 0]),
                of("empty operand", &[2, 0], 1, &[2, 0]),
                Sample::kink("ties", op.clone(), ties),
                cast("f32", DType::F32),
                cast("i32", DType::I32),
            ]);
            if reduce != ScatterReduction::Prod {
                samples.push(Sample::kink("nan", op, nan));
            }
        }
        let zeros = [
            Array::new([4], vec![2.0, 0.0, 1.5, 3.0]),
            Array::new([8], vec![0i64, 1, 2, 3, 3, 3, 2, 0]),
            Array::new([8], vec![0.5, 2.0, 0.0, 2.0, 0.0, 0.0, -1.0, 3.0]),
        ];
        samples.push(Sample::new("zeros", ScatterReduce { dim: 0, reduce: ScatterReduction::Prod }, zeros));
        samples
    }
}
