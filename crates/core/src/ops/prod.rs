//! Products over a dim.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::Tensor;

use super::indexing::{check_dim, check_wide, lines};
use super::products::Dual;
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one,
};

attr_struct! {
    /// The product over `dim`.
    ///
    /// *Shape*: the dim disappears.
    /// *Numerics*: floats multiply in `f64` in order and round once; integers wrap; the empty product is 1.
    /// *Errors*: `prod_c1` `dim`; `prod_c2` neither floats nor `i64` (PyTorch widens the others; so does the front end).
    /// *Derivative*: by the product rule alone, hence exact with zeros, at every order.
    /// *Source*: `torch.prod`.
    pub struct Prod {
        /// The reduced dim.
        pub dim: usize,
    }
}
from_text!(Prod, "prod");

impl Primitive for Prod {
    fn name(&self) -> &'static str {
        "prod"
    }

    fn schema(&self) -> &'static str {
        "aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_dim("prod_c1", self.dim, x.rank())?;
        check_wide("prod_c2", x)?;
        one(x.with_shape(x.shape.removed(self.dim)))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let shape = x.shape().removed(self.dim);
        Ok(vec![match x.as_slice::<i64>() {
            Some(xs) => {
                let of = |line: super::indexing::Line| line.positions().fold(1i64, |p, i| p.wrapping_mul(xs[i]));
                Array::new(shape, lines(x.shape(), self.dim).map(of).collect())
            }
            None => dispatch!(x.dtype(), T => {
                let xs = x.elems::<T>();
                let of = |line: super::indexing::Line| T::from_f64(line.positions().map(|i| xs[i].to_f64()).product());
                Array::new(shape, lines(x.shape(), self.dim).map(of).collect::<Vec<T>>())
            }),
        }])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![match &x_dot[0] {
            Tangent::Is(_) if x[0].shape()[self.dim] == 0 => Tangent::Zero,
            x_dot => x_dot.map(|t| {
                let dual = Dual { x: x[0].clone(), x_dot: t.clone() };
                dual.product_dot(self.dim).view_to(y[0].shape())
            }),
        }]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("prod")
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.prod_over(self.dim + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Reduce { dims: vec![self.dim], monoid: Monoid::Prod }
    }
}

/// Operands of products: rows without, with one, and with two zeros.
pub(crate) fn rows_with_zeros() -> Array {
    Array::new([3, 5], vec![1.5, -0.5, 2.0, 0.75, -1.25, 2.0, 0.0, 3.0, 0.5, 1.0, 0.0, 2.0, 0.5, 0.0, -1.0])
}

impl Samples for Prod {
    fn samples() -> Vec<Sample> {
        let x = Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 1.7).cos()).collect());
        let empty = |shape: [usize; 2]| Array::new(shape, Vec::<f64>::new());
        vec![
            Sample::new("usual", Prod { dim: 1 }, [x.clone()]),
            Sample::new("zeros", Prod { dim: 1 }, [rows_with_zeros()]),
            Sample::new("first dim", Prod { dim: 0 }, [rows_with_zeros()]),
            Sample::new(
                "seven",
                Prod { dim: 0 },
                [Array::new([7], (0..7).map(|i| f64::from(i) * 0.4 - 1.2).collect())],
            ),
            Sample::new(
                "twelve",
                Prod { dim: 1 },
                [Array::new([2, 12], (0..24).map(|i| f64::from(i % 7) * 0.3 - 0.6).collect())],
            ),
            Sample::new("one", Prod { dim: 0 }, [Array::new([1], vec![0.5])]),
            Sample::new("empty dim", Prod { dim: 0 }, [empty([0, 2])]),
            Sample::new("empty result", Prod { dim: 1 }, [empty([0, 2])]),
            Sample::new("f16", Prod { dim: 2 }, [x.cast(DType::F16)]),
            Sample::new("i64", Prod { dim: 0 }, [Array::new([3], vec![i64::MAX, 2, -3])]),
        ]
    }
}
