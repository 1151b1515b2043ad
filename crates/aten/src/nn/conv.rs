//! Convolutions.

use cotangent_core::Tensor;
use cotangent_core::ir::Shape;
use cotangent_core::ops::Convolution;

use crate::arg::{AsTensor, at, attempt, bad, bad_operand, bad_pair, live};
use crate::call::{ints, num, one};
use crate::schema;

/// A number for each spatial dim, or one for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerDim(pub Vec<usize>);

impl From<usize> for PerDim {
    fn from(n: usize) -> Self {
        PerDim(vec![n])
    }
}

impl<const N: usize> From<[usize; N]> for PerDim {
    fn from(n: [usize; N]) -> Self {
        PerDim(n.to_vec())
    }
}

impl From<Vec<usize>> for PerDim {
    fn from(n: Vec<usize>) -> Self {
        PerDim(n)
    }
}

impl PerDim {
    /// A number for each of `n` dims, or `None` if there are others.
    pub(crate) fn of(&self, n: usize) -> Option<Vec<usize>> {
        match self.0.as_slice() {
            [all] => Some(vec![*all; n]),
            each if each.len() == n => Some(each.to_vec()),
            _ => None,
        }
    }
}

/// Zeros around the input of a convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None: PyTorch's `"valid"`.
    Valid,
    /// So many that the result has the input's size, the odd one at the end: PyTorch's `"same"`, for stride 1.
    Same,
    /// These, on both sides of each dim.
    Explicit(PerDim),
}

impl<T: Into<PerDim>> From<T> for Padding {
    fn from(n: T) -> Self {
        Padding::Explicit(n.into())
    }
}

/// The options of a convolution.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Distance of windows.
    pub stride: PerDim,
    /// Zeros around the input.
    pub padding: Padding,
    /// Distance of a window's elements.
    pub dilation: PerDim,
    /// The number of independent convolutions into which channels are divided.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Conv { stride: 1.into(), padding: Padding::Valid, dilation: 1.into(), groups: 1 }
    }
}

/// The options of a transposed convolution.
#[derive(Clone, Debug)]
pub struct ConvTranspose {
    /// Distance of windows in the result.
    pub stride: PerDim,
    /// What is taken away on both sides of the result.
    pub padding: PerDim,
    /// What is added at the end of the result; below stride or dilation.
    pub output_padding: PerDim,
    /// Distance of a window's elements.
    pub dilation: PerDim,
    /// The number of independent convolutions into which channels are divided.
    pub groups: usize,
}

impl Default for ConvTranspose {
    fn default() -> Self {
        ConvTranspose { stride: 1.into(), padding: 0.into(), output_padding: 0.into(), dilation: 1.into(), groups: 1 }
    }
}

/// Convolutions under PyTorch's names. Inputs are `[n, c, …]` or `[c, …]`, weights `[out, c / groups, k…]`,
/// transposed
/// `[c, out / groups, k…]`; further constraints are those of the primitive (`convolution_c1` to `_c9`).
///
/// *Errors*: `conv_c1` another number of strides, paddings or dilations than spatial dims; `conv_c2` an input or
/// weight of another rank; `conv_c3` a bias of another shape or dtype; `conv_c4` padding "same" with another stride
/// than 1.
pub trait Convolutions: AsTensor {
    /// The cross-correlation over one spatial dim, plus a bias for each channel.
    #[track_caller]
    fn conv1d<'a>(&self, weight: &Tensor, bias: impl Into<Option<&'a Tensor>>, options: &Conv) -> Tensor {
        forward(self.tensor(), weight, bias.into(), options, 1)
    }

    /// The cross-correlation over two spatial dims, plus a bias for each channel.
    #[track_caller]
    fn conv2d<'a>(&self, weight: &Tensor, bias: impl Into<Option<&'a Tensor>>, options: &Conv) -> Tensor {
        forward(self.tensor(), weight, bias.into(), options, 2)
    }

    /// The cross-correlation over three spatial dims, plus a bias for each channel.
    #[track_caller]
    fn conv3d<'a>(&self, weight: &Tensor, bias: impl Into<Option<&'a Tensor>>, options: &Conv) -> Tensor {
        forward(self.tensor(), weight, bias.into(), options, 3)
    }

    /// The transpose of a convolution over one spatial dim, plus a bias.
    #[track_caller]
    fn conv_transpose1d<'a>(
        &self,
        weight: &Tensor,
        bias: impl Into<Option<&'a Tensor>>,
        options: &ConvTranspose,
    ) -> Tensor {
        transposed(self.tensor(), weight, bias.into(), options, 1)
    }

    /// The transpose of a convolution over two spatial dims, plus a bias.
    #[track_caller]
    fn conv_transpose2d<'a>(
        &self,
        weight: &Tensor,
        bias: impl Into<Option<&'a Tensor>>,
        options: &ConvTranspose,
    ) -> Tensor {
        transposed(self.tensor(), weight, bias.into(), options, 2)
    }

    /// The transpose of a convolution over three spatial dims, plus a bias.
    #[track_caller]
    fn conv_transpose3d<'a>(
        &self,
        weight: &Tensor,
        bias: impl Into<Option<&'a Tensor>>,
        options: &ConvTranspose,
    ) -> Tensor {
        transposed(self.tensor(), weight, bias.into(), options, 3)
    }
}

impl Convolutions for Tensor {}

#[track_caller]
fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv, n: usize) -> Tensor {
    let stride = attempt!(numbers(x, "stride", &options.stride, n));
    let dilation = attempt!(numbers(x, "dilation", &options.dilation, n));
    let batched = attempt!(batch(x, weight, bias, n));
    let plain = |padding| Convolution { stride, padding, dilation, groups: options.groups, ..Convolution::plain(n) };
    let (input, op) = match &options.padding {
        Padding::Valid => (batched, plain(vec![0; n])),
        Padding::Explicit(p) => (batched, plain(attempt!(numbers(x, "padding", p, n)))),
        Padding::Same => {
            let op = plain(vec![0; n]);
            if op.stride.iter().any(|s| *s != 1) {
                return bad(at!("conv", 4), &[x], "stride", "1 for padding \"same\"", &format!("{:?}", op.stride));
            }
            let total = |i: usize| op.dilation[i] * weight.shape()[i + 2].get().saturating_sub(1);
            let both: Vec<usize> = (0..n).map(|i| total(i) / 2).collect();
            let mut odd = vec![(0, 0); n + 2];
            for i in 0..n {
                odd[i + 2].1 = (total(i) % 2) as i64;
            }
            (batched.pad_dims(&odd, 0.0), Convolution { padding: both, ..op })
        }
    };
    unbatch(x, &apply(&input, weight, bias, op, 0), n)
}

#[track_caller]
fn transposed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &ConvTranspose, n: usize) -> Tensor {
    let op = Convolution {
        stride: attempt!(numbers(x, "stride", &options.stride, n)),
        padding: attempt!(numbers(x, "padding", &options.padding, n)),
        dilation: attempt!(numbers(x, "dilation", &options.dilation, n)),
        transposed: true,
        output_padding: attempt!(numbers(x, "output_padding", &options.output_padding, n)),
        groups: options.groups,
    };
    let input = attempt!(batch(x, weight, bias, n));
    unbatch(x, &apply(&input, weight, bias, op, 1), n)
}

/// The primitive; with a bias a composite, because ATen's convolution has one. `out` is the weight's dim of outputs.
#[track_caller]
fn apply(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, op: Convolution, out: usize) -> Tensor {
    let Some(bias) = bias else { return x.conv(weight, op) };
    let channels = weight.shape()[out].get() * if op.transposed { op.groups } else { 1 };
    if bias.rank() != 1 || bias.shape()[0] != channels || bias.dtype() != x.dtype() {
        return bad_pair(at!("conv", 3), x, bias, &format!("a bias of shape [{channels}] and the input's dtype"));
    }
    let params = [
        ("stride", ints(&op.stride)),
        ("padding", ints(&op.padding)),
        ("dilation", ints(&op.dilation)),
        ("transposed", num(op.transposed)),
        ("output_padding", ints(&op.output_padding)),
        ("groups", crate::call::int(op.groups)),
    ];
    one(schema::CONVOLUTION, &params, &[x, weight, bias], |a| {
        let shape: Shape = (1..a[0].rank()).map(|d| if d == 1 { channels } else { 1 }).collect();
        a[0].conv(&a[1], op) + a[2].view_to(&shape)
    })
}

#[track_caller]
fn numbers(x: &Tensor, attr: &'static str, given: &PerDim, n: usize) -> Result<Vec<usize>, Tensor> {
    given
        .of(n)
        .ok_or_else(|| bad(at!("conv", 1), &[x], attr, &format!("one number, or {n}"), &format!("{:?}", given.0)))
}

/// The input with a batch dim, after a look at the ranks.
#[track_caller]
fn batch(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, n: usize) -> Result<Tensor, Tensor> {
    live(&[x, weight])?;
    if let Some(b) = bias {
        live(&[b])?;
    }
    if weight.rank() != n + 2 {
        return Err(bad_operand(at!("conv", 2), weight, &format!("a weight of {} dims", n + 2)));
    }
    match x.rank() {
        r if r == n + 2 => Ok(x.clone()),
        r if r == n + 1 => Ok(x.view_to(&x.shape().inserted(0, 1))),
        _ => Err(bad_operand(at!("conv", 2), x, &format!("an input of {} dims, or {} without batch", n + 2, n + 1))),
    }
}

#[track_caller]
fn unbatch(x: &Tensor, y: &Tensor, n: usize) -> Tensor {
    if x.rank() == n + 1 && y.error().is_none() { y.view_to(&y.shape().removed(0)) } else { y.clone() }
}
