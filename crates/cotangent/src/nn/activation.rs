//! Activations.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::pass::Layer;
use super::python::float;

macro_rules! activations { ($($(#[$doc:meta])* $name:ident => $method:ident $python:literal;)*) => { $(
    $(#[$doc])*
    #[derive(Clone, Copy, Debug, Default, Module)]
    #[module(class_name)]
    pub struct $name;

    impl $name {
        fn class_name(&self) -> &'static str {
            $python
        }
    }

    impl Layer for $name {
        #[track_caller]
        fn forward(&self, x: &Tensor) -> Tensor {
            x.$method()
        }
    }
)* } }
activations! {
    /// `max(x, 0)`.
    Relu => relu "ReLU";
    /// `min(max(x, 0), 6)`.
    Relu6 => relu6 "ReLU6";
    /// Scaled `elu` with the constants of self-normalising networks.
    Selu => selu "SELU";
    /// `x · σ(x)`.
    Silu => silu "SiLU";
    /// `x · tanh(softplus(x))`.
    Mish => mish "Mish";
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid => sigmoid "Sigmoid";
    /// The hyperbolic tangent.
    Tanh => tanh "Tanh";
    /// `x / (1 + |x|)`.
    Softsign => softsign "Softsign";
    /// `x - tanh(x)`.
    Tanhshrink => tanhshrink "Tanhshrink";
    /// The sigmoid in three straight pieces.
    Hardsigmoid => hardsigmoid "Hardsigmoid";
    /// `x` times [`Hardsigmoid`].
    Hardswish => hardswish "Hardswish";
    /// The logarithm of the sigmoid.
    LogSigmoid => logsigmoid "LogSigmoid";
}

macro_rules! configured { ($(
    $(#[$doc:meta])* $name:ident $python:literal {
        $($(#[$field_doc:meta])* $field:ident: $t:ty = $default:expr),*
    } |$s:ident, $x:ident| $forward:expr, $repr:expr;
)*) => { $(
    $(#[$doc])*
    #[derive(Clone, Copy, Debug, Module)]
    #[module(class_name, extra_repr)]
    pub struct $name {
        $($(#[$field_doc])* #[module(config)] pub $field: $t),*
    }

    impl Default for $name {
        fn default() -> Self {
            $name { $($field: $default),* }
        }
    }

    impl $name {
        fn class_name(&self) -> &'static str {
            $python
        }

        fn extra_repr(&self) -> String {
            let $s = self;
            $repr
        }
    }

    impl Layer for $name {
        #[track_caller]
        fn forward(&self, $x: &Tensor) -> Tensor {
            let $s = self;
            $forward
        }
    }
)* } }
configured! {
    /// `x` above 0, `negative_slope · x` below.
    LeakyRelu "LeakyReLU" {
        /// The slope below 0.
        negative_slope: f64 = 0.01
    } |s, x| x.leaky_relu(s.negative_slope), format!("negative_slope={}", float(s.negative_slope));
    /// `x` above 0, `alpha · (eˣ - 1)` below.
    Elu "ELU" {
        /// The limit below 0.
        alpha: f64 = 1.0
    } |s, x| x.elu(s.alpha), format!("alpha={}", float(s.alpha));
    /// `x` above 0, `alpha · (exp(x / alpha) - 1)` below.
    Celu "CELU" {
        /// The limit below 0.
        alpha: f64 = 1.0
    } |s, x| x.celu(s.alpha), format!("alpha={}", float(s.alpha));
    /// `log(1 + exp(beta · x)) / beta`, linear above the threshold.
    Softplus "Softplus" {
        /// The steepness.
        beta: f64 = 1.0,
        /// Where `beta · x` counts as large.
        threshold: f64 = 20.0
    } |s, x| x.softplus(s.beta, s.threshold), format!("beta={}, threshold={}", float(s.beta), float(s.threshold));
    /// `x` between two bounds.
    Hardtanh "Hardtanh" {
        /// The lower bound.
        min_val: f64 = -1.0,
        /// The upper bound.
        max_val: f64 = 1.0
    } |s, x| x.hardtanh(s.min_val, s.max_val), format!("min_val={}, max_val={}", float(s.min_val), float(s.max_val));
    /// `x` outside ±`lambd`, 0 inside.
    Hardshrink "Hardshrink" {
        /// The bound.
        lambd: f64 = 0.5
    } |s, x| x.hardshrink(s.lambd), float(s.lambd);
    /// `x` moved towards 0 by `lambd`, 0 within ±`lambd`.
    Softshrink "Softshrink" {
        /// The bound.
        lambd: f64 = 0.5
    } |s, x| x.softshrink(s.lambd), float(s.lambd);
    /// `x` above the threshold, `value` elsewhere.
    Threshold "Threshold" {
        /// The threshold.
        threshold: f64 = 0.0,
        /// The value elsewhere.
        value: f64 = 0.0
    } |s, x| x.threshold(s.threshold, s.value), format!("threshold={}, value={}", float(s.threshold), float(s.value));
    /// `e^x / Σ e^x` over a dim.
    Softmax "Softmax" {
        /// The dim.
        dim: i64 = -1
    } |s, x| x.softmax(s.dim), format!("dim={}", s.dim);
    /// The softmax of `-x`.
    Softmin "Softmin" {
        /// The dim.
        dim: i64 = -1
    } |s, x| x.softmin(s.dim), format!("dim={}", s.dim);
    /// The logarithm of the softmax.
    LogSoftmax "LogSoftmax" {
        /// The dim.
        dim: i64 = -1
    } |s, x| x.log_softmax(s.dim), format!("dim={}", s.dim);
    /// One half of a dim times the sigmoid of the other.
    Glu "GLU" {
        /// The dim.
        dim: i64 = -1
    } |s, x| x.glu(s.dim), format!("dim={}", s.dim);
    /// `x · Φ(x)`, exactly or by its approximation with tanh.
    Gelu "GELU" {
        /// How Φ is computed.
        approximate: GeluForm = GeluForm::Exact
    } |s, x| match s.approximate {
        GeluForm::Exact => x.gelu(),
        GeluForm::Tanh => x.gelu_tanh(),
    }, format!("approximate='{}'", match s.approximate {
        GeluForm::Exact => "none",
        GeluForm::Tanh => "tanh",
    });
}

/// How [`Gelu`] computes the normal distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GeluForm {
    /// By the error function.
    #[default]
    Exact,
    /// By a hyperbolic tangent.
    Tanh,
}

/// `x` above 0, `weight · x` below, where the weight is trained.
#[derive(Clone, Debug, Module)]
#[module(extra_repr, class_name)]
pub struct Prelu {
    /// `[1]`, or one number for each channel (dim 1).
    pub weight: Tensor,
}

impl Prelu {
    /// Slopes for this many channels, or one for all; they start at 1/4.
    #[track_caller]
    pub fn new(num_parameters: usize) -> Self {
        Prelu { weight: full(num_parameters, 0.25f32) }
    }

    fn class_name(&self) -> &'static str {
        "PReLU"
    }

    fn extra_repr(&self) -> String {
        format!("num_parameters={}", self.weight.numel())
    }
}

impl Layer for Prelu {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.prelu(&self.weight)
    }
}
