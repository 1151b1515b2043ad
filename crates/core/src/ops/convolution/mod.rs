//! Convolution and transposed convolution of any number of spatial dims.

mod batch;
mod direct;
mod samples;

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attr, AttrError, AttrField, AttrReader, Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::{
    Avals, Batched, Cotangent, FromText, LinArg, LoopForm, Primitive, Tangent, Windows, arity, nonlinear, one,
};

attr_struct! {
    /// The cross-correlation of `input` with `weight` over spatial dims, or, where `transposed`, its adjoint in `input`.
    ///
    /// *Shape*: `input: [n, groups * ci, x…]`; `weight: [groups * co, ci, k…]`, transposed `[groups * ci, co, k…]`;
    /// result `[n, groups * co, y…]` with `y = (x + 2 padding - dilation (k - 1) - 1) / stride + 1`, transposed
    /// `y = (x - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1`.
    /// *Numerics*: floats accumulate in `f64` and round once; integers wrap; padding takes no part, so that an
    /// infinite weight over it gives no NaN.
    /// *Errors*: `convolution_c1` to `_c9`, see the spec section.
    /// *Derivative*: linear in each operand; both transposes are convolutions.
    /// *Source*: `torch.convolution` without a bias.
    pub struct Convolution {
        /// Distance of windows, for each spatial dim.
        pub stride: Vec<usize>,
        /// Zeros on both sides, for each spatial dim; taken away from the result where `transposed`.
        pub padding: Vec<usize>,
        /// Distance of a window's elements, for each spatial dim.
        pub dilation: Vec<usize>,
        /// Whether this is the adjoint.
        pub transposed: bool,
        /// Elements added at the end of the result, for each spatial dim; zeros unless `transposed`.
        pub output_padding: Vec<usize>,
        /// The number of independent convolutions into which channels are divided.
        pub groups: usize,
    }
}

/// The argument `bias`, which has no default in the schema and is never given.
struct NoBias;

impl AttrField for NoBias {
    const KIND: &'static str = "none";
    fn to_attr(&self) -> Attr {
        Attr::None
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        matches!(attr, Attr::None).then_some(NoBias)
    }
}

impl FromText for Convolution {
    fn from_text(name: &str, attrs: &mut AttrReader) -> Option<Result<Self, AttrError>> {
        (name == "convolution").then(|| {
            let NoBias = attrs.take("bias")?;
            Convolution::from_generic(attrs)
        })
    }
}

impl Convolution {
    /// The convolution of `n` spatial dims with stride 1 and nothing else.
    pub fn plain(n: usize) -> Self {
        Convolution {
            stride: vec![1; n],
            padding: vec![0; n],
            dilation: vec![1; n],
            transposed: false,
            output_padding: vec![0; n],
            groups: 1,
        }
    }

    /// The number of spatial dims.
    fn spatial(&self) -> usize {
        self.stride.len()
    }

    /// The distance from the first to the last element of a window of `k` elements on spatial dim `d`.
    fn reach(&self, d: usize, k: usize) -> Option<usize> {
        self.dilation[d].checked_mul(k - 1)
    }

    /// The size of the result on spatial dim `d`, if it has any element and the machine can count it.
    fn output(&self, d: usize, x: usize, k: usize) -> Option<usize> {
        let (reach, borders) = (self.reach(d, k)?, self.padding[d].checked_mul(2)?);
        if self.transposed {
            let full = (x - 1).checked_mul(self.stride[d])?.checked_add(reach)?;
            full.checked_add(self.output_padding[d])?.checked_add(1)?.checked_sub(borders).filter(|y| *y > 0)
        } else {
            Some(x.checked_add(borders)?.checked_sub(reach.checked_add(1)?)? / self.stride[d] + 1)
        }
    }

    /// `[groups * ci, groups * co]` of a weight.
    fn channels(&self, weight: &Shape) -> Option<[Dim; 2]> {
        let of_all_groups = weight[1].checked_mul(Dim::new(self.groups))?;
        Some(if self.transposed { [weight[0], of_all_groups] } else { [of_all_groups, weight[0]] })
    }

    /// The shape of the result on operands that have been inferred.
    fn result(&self, x: &Shape, w: &Shape) -> Shape {
        let [_, out] = self.channels(w).expect("I3: sizes checked by infer");
        let spatial = (0..self.spatial()).map(|d| {
            let y = self.output(d, x[d + 2].get(), w[d + 2].get());
            Dim::new(y.expect("I3: sizes checked by infer"))
        });
        [x[0], out].into_iter().chain(spatial).collect()
    }

    fn check_attributes(&self, rank: usize) -> Result<(), InferError> {
        let attribute = |label, attr, expected: String, found: &dyn std::fmt::Debug| {
            Err(InferError::Attribute { label, attr, expected, found: format!("{found:?}") })
        };
        let n = rank - 2;
        let lists = [
            ("stride", &self.stride),
            ("padding", &self.padding),
            ("dilation", &self.dilation),
            ("output_padding", &self.output_padding),
        ];
        if let Some((attr, list)) = lists.into_iter().find(|(_, list)| list.len() != n) {
            return attribute("convolution_c3", attr, format!("of {n} spatial dims"), list);
        }
        for (attr, list) in [lists[0], lists[2]] {
            if list.contains(&0) {
                return attribute("convolution_c4", attr, "at least 1".to_owned(), list);
            }
        }
        if self.groups == 0 {
            return attribute("convolution_c5", "groups", "at least 1".to_owned(), &0);
        }
        for d in 0..n {
            let limit = if self.transposed { self.stride[d].max(self.dilation[d]) } else { 1 };
            if self.output_padding[d] >= limit {
                let expected = format!("below {limit} on spatial dim {d}");
                return attribute("convolution_c8", "output_padding", expected, &self.output_padding);
            }
        }
        Ok(())
    }

    fn check_operands(&self, x: &Aval, w: &Aval) -> Result<(), InferError> {
        let operand = |label, expected: &str, found: &Aval| {
            Err(InferError::Operand { label, expected: expected.to_owned(), found: found.clone() })
        };
        if x.dtype == DType::Bool {
            return operand("convolution_c2", "numbers", x);
        }
        if w.shape.dims()[2..].contains(&Dim::new(0)) {
            return operand("convolution_c7", "a kernel of at least one element", w);
        }
        if x.shape.dims()[2..].contains(&Dim::new(0)) {
            return operand("convolution_c7", "spatial sizes of at least 1", x);
        }
        let mismatch = |expected: String| {
            Err(InferError::Mismatch { label: "convolution_c6", expected, lhs: x.clone(), rhs: w.clone() })
        };
        match self.channels(&w.shape) {
            Some([from, to])
                if from == x.shape[1] && from != 0 && to != 0 && w.shape[0].get().is_multiple_of(self.groups) =>
            {
                Ok(())
            }
            Some(_) | None => {
                let layout = if self.transposed { "[in, out / groups, ..]" } else { "[out, in / groups, ..]" };
                mismatch(format!("[n, in, ..] and {layout} with channels in {} groups", self.groups))
            }
        }
    }

    /// The transpose in the input, whose aval is `x`.
    fn transpose_input(&self, y_bar: &Tensor, w: &Tensor, x: &Aval) -> Tensor {
        let none = vec![0; self.spatial()];
        if self.transposed {
            let op = Convolution { transposed: false, output_padding: none, ..self.clone() };
            return crop(&y_bar.conv(w, op), &x.shape);
        }
        // What the windows of the forward direction leave unread at the end of the padded input.
        let rest = |d: usize| {
            let [x, k, y] = [x, &w.aval(), &y_bar.aval()].map(|a| a.shape[d + 2].get());
            let reach = self.dilation[d] * (k - 1);
            x + 2 * self.padding[d] - reach - 1 - (y - 1) * self.stride[d]
        };
        let output_padding = (0..self.spatial()).map(rest).collect();
        y_bar.conv(w, Convolution { transposed: true, output_padding, ..self.clone() })
    }

    /// The transpose in the weight, whose aval is `w`.
    ///
    /// An element of the weight's cotangent is the product, summed over the batch and all windows, of the strided operand
    /// (`y_bar`; transposed: the input) with the other one. So it is a convolution whose kernel is the strided operand,
    /// where stride and dilation have changed places, and channels and batch too.
    fn transpose_weight(&self, y_bar: &Tensor, x: &Tensor, w: &Aval) -> Tensor {
        let (strided, dense) = if self.transposed { (x, y_bar) } else { (y_bar, x) };
        if x.shape()[0] == 0 {
            return y_bar.full_of(w, 0.0);
        }
        let op = Convolution {
            stride: self.dilation.clone(),
            dilation: self.stride.clone(),
            transposed: false,
            output_padding: vec![0; self.spatial()],
            ..self.clone()
        };
        let w_bar = batch_to_channels(dense, self.groups).conv(&exchanged(strided), op);
        crop(&exchanged(&w_bar), &w.shape)
    }
}

/// The tensor with its first two dims exchanged.
fn exchanged(x: &Tensor) -> Tensor {
    let dims: Vec<usize> = [1, 0].into_iter().chain(2..x.rank()).collect();
    x.permute_to(&dims)
}

/// `[n, groups * c, ..] → [c, groups * n, ..]`.
fn batch_to_channels(x: &Tensor, groups: usize) -> Tensor {
    if groups == 1 {
        return exchanged(x);
    }
    let [n, channels] = [x.shape()[0], x.shape()[1]];
    let c = Dim::new(channels.get() / groups);
    let spatial = x.shape().slice(2, x.rank());
    let split = Shape::from_iter([n, Dim::new(groups), c]).concat(&spatial);
    let dims: Vec<usize> = [2, 1, 0].into_iter().chain(3..x.rank() + 1).collect();
    let merged = Dim::new(groups).checked_mul(n).expect("I3: bounded sizes");
    x.view_to(&split).permute_to(&dims).view_to(&Shape::from_iter([c, merged]).concat(&spatial))
}

/// The first elements of each spatial dim, as many as `shape` has.
fn crop(x: &Tensor, shape: &Shape) -> Tensor {
    (2..shape.rank()).fold(x.clone(), |x, d| x.slice_dim(d, 0, shape[d].get(), 1))
}

impl Primitive for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn schema(&self) -> &'static str {
        "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        let mut attrs = vec![("bias", NoBias.to_attr())];
        attrs.extend(self.generic_attrs());
        attrs
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, w] = arity(args)?;
        let mismatch = |label, expected: &str| {
            Err(InferError::Mismatch { label, expected: expected.to_owned(), lhs: x.clone(), rhs: w.clone() })
        };
        if x.rank() < 3 || x.rank() != w.rank() {
            return mismatch("convolution_c1", "[n, c, ..] and [c, c, ..] of one number of spatial dims");
        }
        if x.dtype != w.dtype {
            return mismatch("convolution_c2", "operands of one dtype");
        }
        self.check_attributes(x.rank())?;
        self.check_operands(x, w)?;
        if (0..self.spatial()).any(|d| self.output(d, x.shape[d + 2].get(), w.shape[d + 2].get()).is_none()) {
            let expected = if self.transposed {
                "a result of which the padding leaves something"
            } else {
                "a kernel no larger than the padded input"
            };
            return mismatch("convolution_c9", expected);
        }
        one(x.with_shape(self.result(&x.shape, &w.shape)))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![direct::convolution(self, args[0], args[1])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let by_input = x_dot[0].map(|t| t.conv(&x[1], self.clone()));
        vec![by_input.plus(x_dot[1].map(|t| x[0].conv(t, self.clone())))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        match (&args[0], &args[1]) {
            (LinArg::Residual(_), LinArg::Residual(_)) => vec![Cotangent::Zero, Cotangent::Zero],
            (LinArg::Linear(x), LinArg::Residual(w)) => {
                vec![y_bar[0].map(|y_bar| self.transpose_input(y_bar, w, x)), Cotangent::Zero]
            }
            (LinArg::Residual(x), LinArg::Linear(w)) => {
                vec![Cotangent::Zero, y_bar[0].map(|y_bar| self.transpose_weight(y_bar, x, w))]
            }
            (LinArg::Linear(_), LinArg::Linear(_)) => nonlinear("convolution"),
        }
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        vec![Batched::mapped(batch::convolution(self, &args[0], &args[1], size))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Convolution(Windows {
            stride: self.stride.clone(),
            padding: self.padding.clone(),
            dilation: self.dilation.clone(),
            transposed: self.transposed,
            groups: self.groups,
        })
    }
}
