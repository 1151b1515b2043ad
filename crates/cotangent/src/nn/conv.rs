//! Convolutions.

use cotangent_aten::nn::conv::{Conv, ConvTranspose, PerDim};
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

/// `groups=2, bias=False` if they are not as usual.
fn rest(dilation: &[usize], groups: usize, bias: &Option<Tensor>) -> String {
    let mut out = String::new();
    if dilation.iter().any(|d| *d != 1) {
        out += &format!(", dilation={}", tuple(dilation));
    }
    if groups != 1 {
        out += &format!(", groups={groups}");
    }
    if bias.is_none() {
        out += &format!(", bias={}", truth(false));
    }
    out
}

macro_rules! convolution {
    ($name:ident, $dims:literal, $method:ident) => {
        #[doc = concat!("A convolution over the last ", $dims, " dims: `[n, in_channels, …] → [n, out_channels, …]`, or without `n`.")]
        ///
        /// Parameters start uniform in ±1/√fan_in.
        #[derive(Clone, Debug, Module)]
        #[module(extra_repr)]
        pub struct $name {
            /// `[out_channels, in_channels / groups, k…]`.
            pub weight: Tensor,
            /// `[out_channels]`.
            pub bias: Option<Tensor>,
            /// Stride, padding, dilation and groups.
            #[module(config)]
            pub options: Conv,
        }

        impl $name {
            /// A convolution of stride 1 without padding.
            #[track_caller]
            pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<PerDim>, keys: &mut Keys) -> Self {
                Self::with(in_channels, out_channels, kernel_size, Conv::default(), keys)
            }

            /// A convolution with these options.
            #[track_caller]
            pub fn with(
                in_channels: usize,
                out_channels: usize,
                kernel_size: impl Into<PerDim>,
                options: Conv,
                keys: &mut Keys,
            ) -> Self {
                let mut shape = vec![out_channels, in_channels / options.groups.max(1)];
                shape.extend(per_dim(&kernel_size.into(), $dims));
                let (weight, bias) = parameters(shape, out_channels, keys);
                $name { weight, bias, options }
            }

            /// The same layer without bias.
            pub fn without_bias(self) -> Self {
                $name { bias: None, ..self }
            }

            fn extra_repr(&self) -> String {
                let sizes = self.weight.shape().sizes();
                let (out, input) = (sizes[0], sizes[1] * self.options.groups);
                let (kernel, stride) = (tuple(&sizes[2..]), tuple(&per_dim(&self.options.stride, $dims)));
                let padded = padding(&self.options.padding, $dims).map_or(String::new(), |p| format!(", padding={p}"));
                let rest = rest(&per_dim(&self.options.dilation, $dims), self.options.groups, &self.bias);
                format!("{input}, {out}, kernel_size={kernel}, stride={stride}{padded}{rest}")
            }
        }

        impl Layer for $name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(&self.weight, self.bias.as_ref(), &self.options)
            }
        }
    };
}
convolution!(Conv1d, 1, conv1d);
convolution!(Conv2d, 2, conv2d);
convolution!(Conv3d, 3, conv3d);

macro_rules! transposed {
    ($name:ident, $dims:literal, $method:ident) => {
        #[doc = concat!("A transposed convolution over the last ", $dims, " dims: `[n, in_channels, …] → [n, out_channels, …]`, or without `n`.")]
        ///
        /// Parameters start uniform in ±1/√fan_in, where the fan is that of the weight as it stands.
        #[derive(Clone, Debug, Module)]
        #[module(extra_repr)]
        pub struct $name {
            /// `[in_channels, out_channels / groups, k…]`.
            pub weight: Tensor,
            /// `[out_channels]`.
            pub bias: Option<Tensor>,
            /// Stride, paddings, dilation and groups.
            #[module(config)]
            pub options: ConvTranspose,
        }

        impl $name {
            /// A transposed convolution of stride 1 without padding.
            #[track_caller]
            pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl Into<PerDim>, keys: &mut Keys) -> Self {
                Self::with(in_channels, out_channels, kernel_size, ConvTranspose::default(), keys)
            }

            /// A transposed convolution with these options.
            #[track_caller]
            pub fn with(
                in_channels: usize,
                out_channels: usize,
                kernel_size: impl Into<PerDim>,
                options: ConvTranspose,
                keys: &mut Keys,
            ) -> Self {
                let mut shape = vec![in_channels, out_channels / options.groups.max(1)];
                shape.extend(per_dim(&kernel_size.into(), $dims));
                let (weight, bias) = parameters(shape, out_channels, keys);
                $name { weight, bias, options }
            }

            /// The same layer without bias.
            pub fn without_bias(self) -> Self {
                $name { bias: None, ..self }
            }

            fn extra_repr(&self) -> String {
                let sizes = self.weight.shape().sizes();
                let (input, out) = (sizes[0], sizes[1] * self.options.groups);
                let mut text = format!("{input}, {out}, kernel_size={}", tuple(&sizes[2..]));
                text += &format!(", stride={}", tuple(&per_dim(&self.options.stride, $dims)));
                for (name, given) in [("padding", &self.options.padding), ("output_padding", &self.options.output_padding)] {
                    let each = per_dim(given, $dims);
                    if each.iter().any(|p| *p > 0) {
                        text += &format!(", {name}={}", tuple(&each));
                    }
                }
                text + &rest(&per_dim(&self.options.dilation, $dims), self.options.groups, &self.bias)
            }
        }

        impl Layer for $name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$method(&self.weight, self.bias.as_ref(), &self.options)
            }
        }
    };
}
transposed!(ConvTranspose1d, 1, conv_transpose1d);
transposed!(ConvTranspose2d, 2, conv_transpose2d);
transposed!(ConvTranspose3d, 3, conv_transpose3d);
