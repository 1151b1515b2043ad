//! Sums over dims.

use crate::array::{Array, Element, dispatch_float};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Scalar, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// The sum over `dim`, or over everything.
    ///
    /// *Shape*: the summed dims disappear; `none` stands for all dims and is the only way to say so (`sum_c1`).
    /// *Numerics*: same dtype in and out (the front end widens integers, as PyTorch does); halves accumulate in
    /// `f32`; integers wrap; the empty sum is 0; the order depends on the shape only.
    /// *Errors*: `sum_c1` dims unsorted, repeated, out of range, none or all; `sum_c2` neither floats nor `i64` (PyTorch widens the
    /// others to `i64`; so does the front end).
    /// *Derivative*: linear; the transpose expands.
    /// *Source*: `torch.sum`.
    pub struct Sum {
        /// The summed dims, sorted; `none` for all.
        pub dim: Option<Vec<usize>>,
    }
}
from_text!(Sum, "sum");

impl Sum {
    /// The sum of a rank-`rank` operand over `dims`, in normal form.
    pub fn over(dims: &[usize], rank: usize) -> Self {
        Sum { dim: (dims.len() != rank).then(|| dims.to_vec()) }
    }

    /// The summed dims of a rank-`rank` operand.
    pub fn dims(&self, rank: usize) -> Vec<usize> {
        self.dim.clone().unwrap_or_else(|| (0..rank).collect())
    }
}

/// Checks that `dims` are sorted, unique and below `rank` (I6).
pub(crate) fn check_dims(label: &'static str, dims: &[usize], rank: usize) -> Result<(), InferError> {
    if dims.is_sorted_by(|a, b| a < b) && dims.iter().all(|d| *d < rank) {
        return Ok(());
    }
    Err(InferError::Attribute {
        label,
        attr: "dim",
        expected: format!("sorted different dims below {rank}"),
        found: format!("{dims:?}"),
    })
}

/// The shape without `dims`.
pub(crate) fn without(shape: &Shape, dims: &[usize]) -> Shape {
    let kept = shape.dims().iter().enumerate().filter(|(i, _)| !dims.contains(i));
    kept.map(|(_, d)| *d).collect()
}

/// The shape with `dims` of size 1.
pub(crate) fn with_ones(shape: &Shape, dims: &[usize]) -> Shape {
    let size = |(i, d): (usize, &Dim)| if dims.contains(&i) { Dim::new(1) } else { *d };
    shape.dims().iter().enumerate().map(size).collect()
}

impl Primitive for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn schema(&self) -> &'static str {
        match self.dim {
            None => "aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor",
            Some(_) => {
                "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
            }
        }
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        if let Some(dims) = &self.dim {
            check_dims("sum_c1", dims, x.rank())?;
            if dims.is_empty() || dims.len() == x.rank() {
                return Err(InferError::Attribute {
                    label: "sum_c1",
                    attr: "dim",
                    expected: "some dims but not all (none stands for all)".to_owned(),
                    found: format!("{dims:?}"),
                });
            }
        }
        if !(x.dtype.is_float() || x.dtype == DType::I64) {
            let expected = "floats or i64 (convert narrower integers first)".to_owned();
            return Err(InferError::Operand { label: "sum_c2", expected, found: x.clone() });
        }
        one(x.with_shape(without(&x.shape, &self.dims(x.rank()))))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        if matches!(x.dtype(), DType::BF16 | DType::F16) {
            return Ok(vec![self.eval(&[&x.cast(DType::F32)])?[0].cast(x.dtype())]);
        }
        let dims = self.dims(x.shape().rank());
        let out = Aval::new(x.dtype(), without(x.shape(), &dims));
        let groups = group_index(x.shape(), &dims);
        Ok(vec![dispatch_float!(x.dtype(), T => {
            let mut acc = vec![0.0; out.shape.numel()];
            for (i, v) in x.elems::<T>().iter().enumerate() {
                acc[groups(i)] += Element::to_f64(*v);
            }
            Array::from_f64_fn(&out, |i| acc[i])
        }, else => {
            let mut acc = vec![0i64; out.shape.numel()];
            for (i, v) in x.to_i64_vec().into_iter().enumerate() {
                let slot = &mut acc[groups(i)];
                *slot = slot.wrapping_add(v);
            }
            let total = Array::new(&out.shape, acc);
            total.cast(out.dtype)
        })])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| crate::tensor::emit(self.clone(), &[t]))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| {
            let dims = self.dims(x.rank());
            // Leading dims are what an expansion adds by itself.
            if dims.iter().copied().eq(0..dims.len()) && dims.len() + y_bar.rank() == x.rank() {
                return y_bar.expand_to(&x.shape);
            }
            y_bar.view_to(&with_ones(&x.shape, &dims)).expand_to(&x.shape)
        })
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        let x = &args[0].x;
        let dims: Vec<usize> = self.dims(x.rank() - 1).iter().map(|d| d + 1).collect();
        vec![Batched::mapped(x.sum_over(&dims))]
    }

    fn loop_form(&self, args: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Reduce { dims: self.dims(args[0].rank()), monoid: Monoid::Sum }
    }
}

/// From the flat index of an element to that of the result it is reduced into.
pub(crate) fn group_index(shape: &Shape, dims: &[usize]) -> impl Fn(usize) -> usize + use<> {
    let (strides, out) = (shape.strides(), without(shape, dims).strides());
    let kept: Vec<(usize, usize, usize)> = (0..shape.rank())
        .filter(|d| !dims.contains(d))
        .zip(out)
        .map(|(d, o)| (strides[d], shape[d].get(), o))
        .collect();
    move |i| kept.iter().map(|(s, n, o)| i / s % n * o).sum()
}

impl Samples for Sum {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], dims: &[usize]| {
            let n: usize = shape.iter().product();
            let x = Array::new(shape, (0..n).map(|i| (i as f64 * 0.7).sin()).collect());
            Sample::new(note, Sum::over(dims, shape.len()), [x])
        };
        let wide = Array::full(&Aval::new(DType::I64, [3]), Scalar::Int(i64::MAX));
        vec![
            of("usual", &[2, 3, 4], &[0, 2]),
            of("all", &[2, 3], &[0, 1]),
            of("scalar", &[], &[]),
            of("empty", &[0, 3], &[0]),
            Sample::new("wraps", Sum::over(&[0], 1), [wide]),
        ]
    }
}
