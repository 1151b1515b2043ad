//! Pooling.

use cotangent_aten::nn::conv::PerDim;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::pass::Layer;
use super::python::{as_given, per_dim, truth, tuple};

macro_rules! max_pool { ($($name:ident $dims:literal $method:ident;)*) => { $(
    #[doc = concat!("The largest element of each window over the last ", $dims, " dims.")]
    #[derive(Clone, Debug, Module)]
    #[module(extra_repr)]
    pub struct $name {
        /// The size of windows.
        #[module(config)]
        pub kernel_size: PerDim,
        /// Stride (the kernel's size by default), padding, dilation and rounding.
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

        fn extra_repr(&self) -> String {
            format!(
                "kernel_size={}, stride={}, padding={}, dilation={}, ceil_mode={}",
                as_given(&self.kernel_size),
                as_given(self.options.stride.as_ref().unwrap_or(&self.kernel_size)),
                as_given(&self.options.padding),
                as_given(&self.options.dilation),
                truth(self.options.ceil_mode),
            )
        }
    }

    impl Layer for $name {
        #[track_caller]
        fn forward(&self, x: &Tensor) -> Tensor {
            x.$method(self.kernel_size.clone(), &self.options)
        }
    }
)* } }
max_pool! {
    MaxPool1d 1 max_pool1d;
    MaxPool2d 2 max_pool2d;
    MaxPool3d 3 max_pool3d;
}

macro_rules! avg_pool { ($($name:ident $dims:literal $method:ident;)*) => { $(
    #[doc = concat!("The mean of each window over the last ", $dims, " dims.")]
    #[derive(Clone, Debug, Module)]
    #[module(extra_repr)]
    pub struct $name {
        /// The size of windows.
        #[module(config)]
        pub kernel_size: PerDim,
        /// Stride (the kernel's size by default), padding, rounding, and what the sum is divided by.
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

        fn extra_repr(&self) -> String {
            // PyTorch's one-dimensional layer makes tuples of its numbers.
            let shown = |n: &PerDim| if $dims == 1 { tuple(&per_dim(n, 1)) } else { as_given(n) };
            format!(
                "kernel_size={}, stride={}, padding={}",
                shown(&self.kernel_size),
                shown(self.options.stride.as_ref().unwrap_or(&self.kernel_size)),
                shown(&self.options.padding),
            )
        }
    }

    impl Layer for $name {
        #[track_caller]
        fn forward(&self, x: &Tensor) -> Tensor {
            x.$method(self.kernel_size.clone(), &self.options)
        }
    }
)* } }
avg_pool! {
    AvgPool1d 1 avg_pool1d;
    AvgPool2d 2 avg_pool2d;
    AvgPool3d 3 avg_pool3d;
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
