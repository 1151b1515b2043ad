//! Pooling.

use cotangent_aten::nn::conv::PerDim;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::pass::Layer;
use super::python::{as_given, per_dim, truth, tuple};

macro_rules! pool { ($($(#[$doc:meta])* $name:ident $method:ident, |$layer:ident, $stride:ident| $repr:expr;)*) => { $(
    $(#[$doc])*
    #[derive(Clone, Debug, Module)]
    #[module(extra_repr)]
    pub struct $name {
        /// The size of windows.
        #[module(config)]
        pub kernel_size: PerDim,
        /// Stride (the kernel's size by default), padding and rounding; dilation of the largest, and the divisor of the mean.
        #[module(config)]
        pub options: Pool,
    }

    impl $name {
        /// Windows side by side.
        pub fn new(kernel_size: impl Into<PerDim>) -> Self {
            Self::with(kernel_size, Pool::default())
        }

        /// Windows with these options.
        pub fn with(kernel_size: impl Into<PerDim>, options: Pool) -> Self {
            $name { kernel_size: kernel_size.into(), options }
        }

        /// The same layer with this distance of windows.
        pub fn with_stride(mut self, stride: impl Into<PerDim>) -> Self {
            self.options.stride = Some(stride.into());
            self
        }

        /// The same layer with this padding.
        pub fn with_padding(mut self, padding: impl Into<PerDim>) -> Self {
            self.options.padding = padding.into();
            self
        }

        fn extra_repr(&self) -> String {
            let ($layer, $stride) = (self, self.options.stride.as_ref().unwrap_or(&self.kernel_size));
            $repr
        }
    }

    impl Layer for $name {
        #[track_caller]
        fn forward(&self, x: &Tensor) -> Tensor {
            x.$method(self.kernel_size.clone(), &self.options)
        }
    }
)* } }
pool! {
    /// The largest element of each window over the last dim.
    MaxPool1d max_pool1d, |layer, stride| max_repr(&layer.kernel_size, stride, &layer.options);
    /// The largest element of each window over the last 2 dims.
    MaxPool2d max_pool2d, |layer, stride| max_repr(&layer.kernel_size, stride, &layer.options);
    /// The largest element of each window over the last 3 dims.
    MaxPool3d max_pool3d, |layer, stride| max_repr(&layer.kernel_size, stride, &layer.options);
    /// The mean of each window over the last dim.
    // PyTorch's one-dimensional layer makes tuples of its numbers.
    AvgPool1d avg_pool1d, |layer, stride| avg_repr(&layer.kernel_size, stride, &layer.options, |n| tuple(&per_dim(n, 1)));
    /// The mean of each window over the last 2 dims.
    AvgPool2d avg_pool2d, |layer, stride| avg_repr(&layer.kernel_size, stride, &layer.options, as_given);
    /// The mean of each window over the last 3 dims.
    AvgPool3d avg_pool3d, |layer, stride| avg_repr(&layer.kernel_size, stride, &layer.options, as_given);
}

fn max_repr(kernel_size: &PerDim, stride: &PerDim, options: &Pool) -> String {
    format!(
        "{}, dilation={}, ceil_mode={}",
        avg_repr(kernel_size, stride, options, as_given),
        as_given(&options.dilation),
        truth(options.ceil_mode),
    )
}

fn avg_repr(kernel_size: &PerDim, stride: &PerDim, options: &Pool, shown: impl Fn(&PerDim) -> String) -> String {
    format!("kernel_size={}, stride={}, padding={}", shown(kernel_size), shown(stride), shown(&options.padding))
}

macro_rules! adaptive { ($($(#[$doc:meta])* $name:ident $size:ty, |$x:ident, $n:ident| $forward:expr, $shown:expr;)*) => { $(
    $(#[$doc])*
    #[derive(Clone, Debug, Module)]
    #[module(extra_repr)]
    pub struct $name {
        /// The sizes of the result.
        #[module(config)]
        pub output_size: $size,
    }

    impl $name {
        /// A pooling to this size.
        pub fn new(output_size: $size) -> Self {
            $name { output_size }
        }

        fn extra_repr(&self) -> String {
            let $n = self.output_size;
            format!("output_size={}", $shown)
        }
    }

    impl Layer for $name {
        #[track_caller]
        fn forward(&self, $x: &Tensor) -> Tensor {
            let $n = self.output_size;
            $forward
        }
    }
)* } }
adaptive! {
    /// Means of windows that are chosen for the result to have `output_size` places.
    AdaptiveAvgPool1d usize, |x, n| x.adaptive_avg_pool1d(n), n;
    /// Means of windows that are chosen for the result to have `output_size`.
    AdaptiveAvgPool2d [usize; 2], |x, n| x.adaptive_avg_pool2d(n), tuple(&n);
    /// Means of windows that are chosen for the result to have `output_size`.
    AdaptiveAvgPool3d [usize; 3], |x, n| x.adaptive_avg_pool3d(n), tuple(&n);
    /// Largest elements of windows that are chosen for the result to have `output_size` places.
    AdaptiveMaxPool1d usize, |x, n| x.adaptive_max_pool1d(n).0, n;
    /// Largest elements of windows that are chosen for the result to have `output_size`.
    AdaptiveMaxPool2d [usize; 2], |x, n| x.adaptive_max_pool2d(n).0, tuple(&n);
    /// Largest elements of windows that are chosen for the result to have `output_size`.
    AdaptiveMaxPool3d [usize; 3], |x, n| x.adaptive_max_pool3d(n).0, tuple(&n);
}
