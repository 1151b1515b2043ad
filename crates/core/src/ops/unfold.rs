//! Sliding windows of one dim, and the sum of windows that is their transpose.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::axis::strided;
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, ViewForm, arity, from_text, one,
    transpose_unary,
};

attr_struct! {
    /// Windows of `size` elements, `step` apart, of one dim; places in a window are the new last dim.
    ///
    /// *Shape*: the dim gets `(n - size) / step + 1` windows.
    /// *Errors*: `unfold_c1` no such dim; `unfold_c2` a window larger than the dim; `unfold_c3` step 0.
    /// *Derivative*: linear; the transpose adds the windows up.
    /// *Source*: `torch.Tensor.unfold`.
    pub struct Unfold {
        /// The dim.
        pub dimension: usize,
        /// Window size.
        pub size: usize,
        /// Distance of windows.
        pub step: usize,
    }
}
from_text!(Unfold, "unfold");

attr_struct! {
    /// The tensor of `input_sizes` into which the windows of [`Unfold`] are added, zero where there is none.
    ///
    /// *Shape*: the operand has the shape of such windows.
    /// *Numerics*: halves accumulate wider and round once; integers wrap.
    /// *Errors*: `unfold_backward_c1` to `_c3` as [`Unfold`]; `unfold_backward_c4` an operand unlike the windows;
    /// `unfold_backward_c5` `bool`.
    /// *Derivative*: linear; the transpose takes windows.
    /// *Source*: `torch.ops.aten.unfold_backward`.
    pub struct UnfoldBackward {
        /// The shape of the result.
        pub input_sizes: Shape,
        /// The dim.
        pub dim: usize,
        /// Window size.
        pub size: usize,
        /// Distance of windows.
        pub step: usize,
    }
}
from_text!(UnfoldBackward, "unfold_backward");

impl Unfold {
    /// The windows of `x`; `labels` name the constraints on dim, size and step.
    fn windows(&self, x: &Shape, labels: [&'static str; 3]) -> Result<Shape, InferError> {
        let Some(n) = x.dims().get(self.dimension).map(|d| d.get()) else {
            return Err(InferError::Dim { label: labels[0], dim: self.dimension as i64, rank: x.rank() });
        };
        let attribute = |label, attr, expected, found: usize| InferError::Attribute {
            label,
            attr,
            expected,
            found: found.to_string(),
        };
        if self.size > n {
            return Err(attribute(labels[1], "size", format!("at most {n}"), self.size));
        }
        if self.step == 0 {
            return Err(attribute(labels[2], "step", "at least 1".to_owned(), 0));
        }
        Ok(self.result(x))
    }

    /// The sum of windows in `x`; where each begins when the last one ends, it is only another arrangement.
    fn add_up(&self, windows: &Tensor, x: &Shape) -> Tensor {
        let (dim, last) = (self.dimension, x.rank());
        if self.size != self.step {
            return windows.fold_dim(x, dim, self.size, self.step);
        }
        let reached = x[dim].get() / self.size * self.size;
        let dims: Vec<usize> = (0..=dim).chain([last]).chain(dim + 1..last).collect();
        let mut rest = vec![(0, 0); last];
        rest[dim].1 = (x[dim].get() - reached) as i64;
        windows.permute_to(&dims).view_to(&x.with(dim, reached)).pad_dims(&rest, 0.0)
    }

    fn result(&self, x: &Shape) -> Shape {
        let count = (x[self.dimension].get() - self.size) / self.step + 1;
        x.with(self.dimension, count).inserted(x.rank(), self.size)
    }

    /// From the flat index in the windows to that in the whole of shape `x`.
    fn place(&self, x: &Shape) -> impl Fn(usize) -> usize + use<> {
        let mut strides = x.strides().to_vec();
        let along = strides[self.dimension];
        strides[self.dimension] = along.saturating_mul(self.step);
        strides.push(along);
        strided(&self.result(x), 0, strides)
    }
}

impl UnfoldBackward {
    /// The windows that are added up.
    fn unfold(&self) -> Unfold {
        Unfold { dimension: self.dim, size: self.size, step: self.step }
    }
}

impl Primitive for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn schema(&self) -> &'static str {
        "aten::unfold(Tensor self, int dimension, int size, int step) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        one(x.with_shape(self.windows(&x.shape, ["unfold_c1", "unfold_c2", "unfold_c3"])?))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let shape = args[0].shape();
        Ok(vec![args[0].pick(self.result(shape), self.place(shape))])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.unfold_dim(self.dimension, self.size, self.step))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| self.add_up(y_bar, &x.shape))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.unfold_dim(self.dimension + 1, self.size, self.step))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Unfold { dim: self.dimension, size: self.size, step: self.step })
    }
}

impl Primitive for UnfoldBackward {
    fn name(&self) -> &'static str {
        "unfold_backward"
    }

    fn schema(&self) -> &'static str {
        "aten::unfold_backward(Tensor grad_in, SymInt[] input_sizes, int dim, int size, int step) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let labels = ["unfold_backward_c1", "unfold_backward_c2", "unfold_backward_c3"];
        let windows = self.unfold().windows(&self.input_sizes, labels)?;
        let operand = |label, expected: String| Err(InferError::Operand { label, expected, found: x.clone() });
        if x.shape != windows {
            return operand("unfold_backward_c4", format!("the windows of {}, {windows}", self.input_sizes));
        }
        if x.dtype == DType::Bool {
            return operand("unfold_backward_c5", "numbers".to_owned());
        }
        one(x.with_shape(&self.input_sizes))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let out = x.aval().with_shape(&self.input_sizes);
        let place = self.unfold().place(&self.input_sizes);
        if x.dtype().is_float() {
            let mut acc = vec![0.0; out.shape.numel()];
            for (i, v) in x.to_f64_vec().into_iter().enumerate() {
                acc[place(i)] += v;
            }
            return Ok(vec![Array::from_f64_fn(&out, |i| acc[i])]);
        }
        let mut acc = vec![0i64; out.shape.numel()];
        for (i, v) in x.to_i64_vec().into_iter().enumerate() {
            let slot = &mut acc[place(i)];
            *slot = slot.wrapping_add(v);
        }
        Ok(vec![Array::new(&out.shape, acc).cast(out.dtype)])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.fold_dim(&self.input_sizes, self.dim, self.size, self.step))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, _| y_bar.unfold_dim(self.dim, self.size, self.step))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let shape = self.input_sizes.inserted(0, size);
        vec![Batched::mapped(args[0].x.fold_dim(&shape, self.dim + 1, self.size, self.step))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::WindowAdd { dim: self.dim, size: self.size, step: self.step, shape: self.input_sizes.clone() }
    }
}

fn counting(shape: &Shape) -> Array {
    Array::new(shape, (0..shape.numel()).map(|i| (i as f64 * 1.1).sin()).collect())
}

/// Shapes and windows that both ops are tested on.
fn cases() -> Vec<(&'static str, Shape, Unfold)> {
    let case = |note, shape: &[usize], dimension, size, step| (note, shape.into(), Unfold { dimension, size, step });
    vec![
        case("overlapping", &[2, 6], 1, 3, 2),
        case("first dim", &[5, 2], 0, 2, 1),
        case("gaps", &[7], 0, 2, 3),
        case("rest left out", &[5], 0, 2, 2),
        case("one window", &[3, 1], 0, 3, 5),
        case("empty windows", &[2], 0, 0, 1),
        case("empty", &[0, 3], 1, 2, 1),
    ]
}

impl Samples for Unfold {
    fn samples() -> Vec<Sample> {
        cases().into_iter().map(|(note, shape, op)| Sample::new(note, op, [counting(&shape)])).collect()
    }
}

impl Samples for UnfoldBackward {
    fn samples() -> Vec<Sample> {
        let of = |(note, shape, u): (_, Shape, Unfold)| {
            let windows = counting(&u.result(&shape));
            let op = UnfoldBackward { input_sizes: shape, dim: u.dimension, size: u.size, step: u.step };
            Sample::new(note, op, [windows])
        };
        let mut out: Vec<Sample> = cases().into_iter().map(of).collect();
        let op = UnfoldBackward { input_sizes: [3].into(), dim: 0, size: 2, step: 1 };
        out.push(Sample::new("wraps", op, [Array::new([2, 2], vec![1u8, 200, 100, 3])]));
        out
    }
}
