//! Slices of one dim: reading and writing them.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::axis::Axis;
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Piecewise, Primitive, Sample, Samples, Tangent, ViewForm, arity,
    from_text, one, transpose_unary,
};

attr_struct! {
    /// The elements `start`, `start + step`, … below `end` of one dim.
    ///
    /// *Shape*: the dim gets `ceil((end - start) / step)` elements.
    /// *Errors*: `slice_c1` no such dim; `slice_c2` not `start <= end <= size`; `slice_c3` step 0.
    /// *Derivative*: linear; the transpose pads with zeros (step 1) or writes the slice into zeros.
    /// *Source*: `torch.ops.aten.slice.Tensor` with indices in range.
    pub struct Slice {
        /// The dim.
        pub dim: usize,
        /// First index.
        pub start: usize,
        /// Index past the last.
        pub end: usize,
        /// Distance.
        pub step: usize,
    }
}
from_text!(Slice, "slice");

attr_struct! {
    /// `self` with `src` written over a slice of one dim.
    ///
    /// *Shape*: `src` has the shape of the slice.
    /// *Errors*: `slice_scatter_c1` to `_c3` as [`Slice`]; `slice_scatter_c4` `src` is not like the slice.
    /// *Derivative*: linear; the transpose gives `src` the slice of the cotangent, and `self` the cotangent with zeros
    /// there.
    /// *Source*: `torch.slice_scatter` with indices in range.
    pub struct SliceScatter {
        /// The dim.
        pub dim: usize,
        /// First index.
        pub start: usize,
        /// Index past the last.
        pub end: usize,
        /// Distance.
        pub step: usize,
    }
}
from_text!(SliceScatter, "slice_scatter");

impl Slice {
    /// The number of elements on the dim.
    fn len(&self) -> usize {
        (self.end - self.start).div_ceil(self.step)
    }

    /// The shape of the slice of `x`; `labels` name the constraints on dim, range and step.
    fn slice_shape(&self, x: &Aval, labels: [&'static str; 3]) -> Result<Shape, InferError> {
        let Some(size) = x.shape.dims().get(self.dim).map(|d| d.get()) else {
            return Err(InferError::Dim { label: labels[0], dim: self.dim as i64, rank: x.rank() });
        };
        if self.end > size {
            return Err(InferError::Attribute {
                label: labels[1],
                attr: "end",
                expected: format!("at most {size}"),
                found: self.end.to_string(),
            });
        }
        if self.start > self.end {
            return Err(InferError::Attribute {
                label: labels[1],
                attr: "start",
                expected: format!("at most `end` = {}", self.end),
                found: self.start.to_string(),
            });
        }
        if self.step == 0 {
            return Err(InferError::Attribute {
                label: labels[2],
                attr: "step",
                expected: "at least 1".to_owned(),
                found: "0".to_owned(),
            });
        }
        Ok(x.shape.with(self.dim, self.len()))
    }

    /// From the flat index in the slice to that in the whole of shape `whole`.
    fn source(&self, whole: &Shape) -> impl Fn(usize) -> usize + use<> {
        let (whole, part) = (Axis::of(whole, self.dim), Axis::of(&whole.with(self.dim, self.len()), self.dim));
        let (start, step) = (self.start, self.step);
        move |i| {
            let (block, index, place) = part.split(i);
            whole.join(block, start + index * step, place)
        }
    }

    /// The same slice of a batch.
    fn batched(&self) -> Slice {
        Slice { dim: self.dim + 1, ..self.clone() }
    }

    fn read(&self, x: &Tensor) -> Tensor {
        x.slice_dim(self.dim, self.start, self.end, self.step)
    }

    fn write(&self, x: &Tensor, src: &Tensor) -> Tensor {
        x.slice_scatter_dim(src, self.dim, self.start, self.end, self.step)
    }
}

impl SliceScatter {
    /// The slice that is written.
    fn slice(&self) -> Slice {
        Slice { dim: self.dim, start: self.start, end: self.end, step: self.step }
    }
}

impl Primitive for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn schema(&self) -> &'static str {
        "aten::slice.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        one(x.with_shape(self.slice_shape(x, ["slice_c1", "slice_c2", "slice_c3"])?))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let whole = args[0].shape();
        Ok(vec![args[0].pick(whole.with(self.dim, self.len()), self.source(whole))])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| self.read(t))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| {
            if self.step == 1 {
                let mut pad = vec![(0, 0); x.rank()];
                pad[self.dim] = (self.start as i64, (x.shape[self.dim].get() - self.end) as i64);
                y_bar.pad_dims(&pad, 0.0)
            } else {
                self.write(&y_bar.full_of(x, 0.0), y_bar)
            }
        })
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(self.batched().read(&args[0].x))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Slice { dim: self.dim, start: self.start, step: self.step })
    }
}

impl Primitive for SliceScatter {
    fn name(&self) -> &'static str {
        "slice_scatter"
    }

    fn schema(&self) -> &'static str {
        "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, src] = arity(args)?;
        let labels = ["slice_scatter_c1", "slice_scatter_c2", "slice_scatter_c3"];
        let part = x.with_shape(self.slice().slice_shape(x, labels)?);
        if *src != part {
            return Err(InferError::Mismatch {
                label: "slice_scatter_c4",
                expected: format!("a source like the slice, {part}"),
                lhs: x.clone(),
                rhs: src.clone(),
            });
        }
        one(x.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (x, src) = (args[0], args[1]);
        Ok(vec![x.put(src, self.slice().source(x.shape()))])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![match (&x_dot[0], &x_dot[1]) {
            (Tangent::Zero, Tangent::Zero) => Tangent::Zero,
            // Zeros are made beside the other tangent, whose trace may be deeper than the primal's.
            (Tangent::Zero, Tangent::Is(src)) => Tangent::Is(self.slice().write(&src.full_of(&x[0].aval(), 0.0), src)),
            (Tangent::Is(t), Tangent::Zero) => Tangent::Is(self.slice().write(t, &t.full_of(&x[1].aval(), 0.0))),
            (Tangent::Is(t), Tangent::Is(src)) => Tangent::Is(self.slice().write(t, src)),
        }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let src = match &args[1] {
            LinArg::Residual(t) => t.aval(),
            LinArg::Linear(aval) => aval.clone(),
        };
        let x_bar = match &args[0] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|y_bar| self.slice().write(y_bar, &y_bar.full_of(&src, 0.0))),
        };
        let src_bar = match &args[1] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|y_bar| self.slice().read(y_bar)),
        };
        vec![x_bar, src_bar]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [x, src] = [0, 1].map(|i| args[i].materialised(size));
        vec![Batched::mapped(self.slice().batched().write(&x, &src))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Piecewise(Piecewise::SliceUpdate { dim: self.dim, start: self.start, step: self.step })
    }
}

fn counting(shape: impl Into<Shape>) -> Array {
    let shape = shape.into();
    let n = shape.numel();
    Array::new(shape, (0..n).map(|i| (i as f64 * 0.9).sin()).collect())
}

/// Shapes and slices that both ops are tested on.
fn cases() -> Vec<(&'static str, Shape, Slice)> {
    let case = |note, shape: &[usize], dim, start, end, step| (note, shape.into(), Slice { dim, start, end, step });
    vec![
        case("usual", &[2, 5, 2], 1, 1, 4, 1),
        case("step", &[2, 7], 1, 1, 6, 2),
        case("step past the end", &[5, 2], 0, 2, 5, 4),
        case("whole", &[3], 0, 0, 3, 1),
        case("empty slice", &[3, 2], 0, 2, 2, 3),
        case("empty", &[0, 4], 1, 1, 3, 1),
    ]
}

impl Samples for Slice {
    fn samples() -> Vec<Sample> {
        let mut out: Vec<Sample> =
            cases().into_iter().map(|(note, shape, op)| Sample::new(note, op, [counting(shape)])).collect();
        let bools = Array::new([4], vec![true, false, false, true]);
        out.push(Sample::new("bool", Slice { dim: 0, start: 0, end: 4, step: 3 }, [bools]));
        out
    }
}

impl Samples for SliceScatter {
    fn samples() -> Vec<Sample> {
        let of = |(note, shape, s): (_, Shape, Slice)| {
            let part = shape.with(s.dim, s.len());
            let op = SliceScatter { dim: s.dim, start: s.start, end: s.end, step: s.step };
            Sample::new(note, op, [counting(shape), counting(part)])
        };
        let mut out: Vec<Sample> = cases().into_iter().map(of).collect();
        let (x, src) = (Array::new([3], vec![1i64, 2, 3]), Array::new([2], vec![8i64, 9]));
        out.push(Sample::new("integer", SliceScatter { dim: 0, start: 0, end: 3, step: 2 }, [x, src]));
        out
    }
}
