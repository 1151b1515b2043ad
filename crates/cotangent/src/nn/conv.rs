//! Convolutions.

use cotangent_aten::nn::conv::{Conv, ConvTranspose, Padding, PerDim};
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::init;
use super::pass::Layer;
use super::python::{padding, per_dim, truth, tuple};
use crate::random::Keys;

/// Weight and bias, uniform in ±1/√fan_in.
#[track_caller]
fn parameters(shape: Vec<usize>, channels: usize, keys: &mut Keys) -> (Tensor, Option<Tensor>) {
    let shape = shape.into();
    let k = init::bound(init::fans(&shape).0);
    (init::uniform(shape, -k, k, keys), Some(init::uniform([channels], -k, k, keys)))
}

/// What a layer asks of the options of its convolution, over `n` dims.
trait Geometry {
    /// The first two sizes of a weight from `input` to `out` channels.
    fn lead(&self, input: usize, out: usize) -> [usize; 2];

    /// The channels of input and output, by the first two sizes of the weight.
    fn channels(&self, lead: [usize; 2]) -> [usize; 2];

    /// Stride and paddings as PyTorch prints them, paddings with their names.
    fn printed(&self, n: usize) -> Printed;
}

/// The options of a convolution as text.
struct Printed {
    stride: Vec<usize>,
    padding: Option<String>,
    dilation: Vec<usize>,
    output_padding: Vec<usize>,
    groups: usize,
}

impl Geometry for Conv {
    fn lead(&self, input: usize, out: usize) -> [usize; 2] {
        [out, input / self.groups.max(1)]
    }

    fn channels(&self, [out, input]: [usize; 2]) -> [usize; 2] {
        [input * self.groups, out]
    }

    fn printed(&self, n: usize) -> Printed {
        Printed {
            stride: per_dim(&self.stride, n),
            padding: padding(&self.padding, n),
            dilation: per_dim(&self.dilation, n),
            output_padding: Vec::new(),
            groups: self.groups,
        }
    }
}

impl Geometry for ConvTranspose {
    fn lead(&self, input: usize, out: usize) -> [usize; 2] {
        [input, out / self.groups.max(1)]
    }

    fn channels(&self, [input, out]: [usize; 2]) -> [usize; 2] {
        [input, out * self.groups]
    }

    fn printed(&self, n: usize) -> Printed {
        Printed {
            stride: per_dim(&self.stride, n),
            padding: padding(&Padding::Explicit(self.padding.clone()), n),
            dilation: per_dim(&self.dilation, n),
            output_padding: per_dim(&self.output_padding, n),
            groups: self.groups,
        }
    }
}

/// What PyTorch prints of a layer with this weight; `mode` is the name of its padding, if it is not of zeros.
fn describe(options: &impl Geometry, weight: &Tensor, bias: Option<&Tensor>, mode: Option<&str>) -> String {
    let sizes = weight.shape().sizes();
    let (lead, kernel) = sizes.split_at(sizes.len().min(2));
    let [input, out] = options.channels([0, 1].map(|i| lead.get(i).copied().unwrap_or(0)));
    let p = options.printed(kernel.len());
    let mut text = format!("{input}, {out}, kernel_size={}, stride={}", tuple(kernel), tuple(&p.stride));
    if let Some(padding) = p.padding {
        text += &format!(", padding={padding}");
    }
    if p.dilation.iter().any(|d| *d != 1) {
        text += &format!(", dilation={}", tuple(&p.dilation));
    }
    if p.output_padding.iter().any(|p| *p != 0) {
        text += &format!(", output_padding={}", tuple(&p.output_padding));
    }
    if p.groups != 1 {
        text += &format!(", groups={}", p.groups);
    }
    if bias.is_none() {
        text += &format!(", bias={}", truth(false));
    }
    mode.map_or(text.clone(), |mode| format!("{text}, padding_mode={mode}"))
}

/// What the padding of a convolution is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The input mirrored at its last element, which stands once.
    Reflect,
    /// The last element again and again.
    Replicate,
    /// The input from its other end.
    Circular,
}

impl PaddingMode {
    /// The mode of [`pad`](cotangent_aten::piece::Parts::pad), and what PyTorch calls it; `None` for zeros, which the convolution
    /// itself knows.
    fn border(self) -> Option<(PadMode, &'static str)> {
        match self {
            PaddingMode::Zeros => None,
            PaddingMode::Reflect => Some((PadMode::Reflect, "reflect")),
            PaddingMode::Replicate => Some((PadMode::Replicate, "replicate")),
            PaddingMode::Circular => Some((PadMode::Circular, "circular")),
        }
    }
}

/// The elements that a padding stands for at both ends of each dim of the kernel, last dim first.
fn amounts(options: &Conv, kernel: &[usize]) -> Vec<i64> {
    let n = kernel.len();
    let pairs: Vec<(usize, usize)> = match &options.padding {
        Padding::Valid => vec![(0, 0); n],
        Padding::Explicit(p) => per_dim(p, n).into_iter().map(|p| (p, p)).collect(),
        Padding::Same => {
            let total = |(k, d): (&usize, usize)| d * k.saturating_sub(1);
            let each = kernel.iter().zip(per_dim(&options.dilation, n)).map(total);
            each.map(|total| (total / 2, total - total / 2)).collect()
        }
    };
    pairs.iter().rev().flat_map(|(low, high)| [*low as i64, *high as i64]).collect()
}

macro_rules! convolution {
    (
        $(#[$doc:meta])*
        $name:ident, $dims:literal, $options:ident, $padding:ident, $method:ident, $weight:literal $(, $mode:ident)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        #[module(extra_repr)]
        pub struct $name {
            #[doc = concat!("`", $weight, "`.")]
            pub weight: Tensor,
            /// `[out_channels]`.
            pub bias: Option<Tensor>,
            /// Stride, paddings, dilation and groups.
            #[module(config)]
            pub options: $options,
            $(
                /// What the padding is made of.
                #[module(config)]
                pub $mode: PaddingMode,
            )?
        }

        impl $name {
            /// A layer of stride 1 without padding.
            #[track_caller]
            pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<PerDim>, keys: &mut Keys) -> Self {
                Self::with(in_channels, out_channels, kernel_size, $options::default(), keys)
            }

            /// A layer with these options.
            #[track_caller]
            pub fn with(
                in_channels: usize,
                out_channels: usize,
                kernel_size: impl Into<PerDim>,
                options: $options,
                keys: &mut Keys,
            ) -> Self {
                let mut shape = options.lead(in_channels, out_channels).to_vec();
                shape.extend(per_dim(&kernel_size.into(), $dims));
                let (weight, bias) = parameters(shape, out_channels, keys);
                $name { weight, bias, options $(, $mode: PaddingMode::Zeros)? }
            }

            /// The same layer without bias.
            pub fn without_bias(self) -> Self {
                $name { bias: None, ..self }
            }

            /// The same layer with this distance of windows.
            pub fn with_stride(mut self, stride: impl Into<PerDim>) -> Self {
                self.options.stride = stride.into();
                self
            }

            /// The same layer with this padding.
            pub fn with_padding(mut self, padding: impl Into<$padding>) -> Self {
                self.options.padding = padding.into();
                self
            }

            /// The same layer with this distance of a window's elements.
            pub fn with_dilation(mut self, dilation: impl Into<PerDim>) -> Self {
                self.options.dilation = dilation.into();
                self
            }

            $(
                /// The same layer with a padding of this kind.
                pub fn with_padding_mode(self, $mode: PaddingMode) -> Self {
                    $name { $mode, ..self }
                }
            )?

            fn extra_repr(&self) -> String {
                let mode = None $(.or(self.$mode.border().map(|(_, name)| name)))?;
                describe(&self.options, &self.weight, self.bias.as_ref(), mode)
            }
        }

        impl Layer for $name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                $(
                    if let Some((border, _)) = self.$mode.border() {
                        let kernel = self.weight.shape().sizes();
                        let x = x.pad(&amounts(&self.options, &kernel[2..]), border);
                        let inner = Conv { padding: Padding::Valid, ..self.options.clone() };
                        return x.$method(&self.weight, self.bias.as_ref(), &inner);
                    }
                )?
                x.$method(&self.weight, self.bias.as_ref(), &self.options)
            }
        }
    };
}

macro_rules! direct {
    ($name:ident, $dims:literal, $method:ident) => {
        convolution! {
            #[doc = concat!("A convolution over the last ", $dims, " dims: `[n, in_channels, …] → [n, out_channels, …]`, or without `n`.")]
            ///
            /// Parameters start uniform in ±1/√fan_in.
            $name, $dims, Conv, Padding, $method, "[out_channels, in_channels / groups, k…]", padding_mode
        }
    };
}
direct!(Conv1d, 1, conv1d);
direct!(Conv2d, 2, conv2d);
direct!(Conv3d, 3, conv3d);

macro_rules! transposed {
    ($name:ident, $dims:literal, $method:ident) => {
        convolution! {
            #[doc = concat!("A transposed convolution over the last ", $dims, " dims: `[n, in_channels, …] → [n, out_channels, …]`, or without `n`.")]
            ///
            /// Parameters start uniform in ±1/√fan_in, where the fan is that of the weight as it stands.
            $name, $dims, ConvTranspose, PerDim, $method, "[in_channels, out_channels / groups, k…]"
        }
    };
}
transposed!(ConvTranspose1d, 1, conv_transpose1d);
transposed!(ConvTranspose2d, 2, conv_transpose2d);
transposed!(ConvTranspose3d, 3, conv_transpose3d);
