//! Activations. Derivatives at kinks are PyTorch's and stand with each.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, Scalar};

use crate::arg::{AsTensor, At, at, attempt, bad_pair, float, live, widen};
use crate::call::{by_result, num, one, text};
use crate::schema;

/// A composite of one float operand, computed in the machine's dtype.
#[track_caller]
fn of_float(at: At, schema: &str, params: &[(&str, Attr)], x: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    attempt!(float(at, x));
    one(schema, params, &[x], |a| f(&widen(&a[0])).convert(a[0].dtype()))
}

/// As [`of_float`] for an elementwise function with the derivative `slope`.
#[track_caller]
fn sloped(
    at: At,
    schema: &str,
    params: &[(&str, Attr)],
    x: &Tensor,
    f: impl FnOnce(&Tensor) -> Tensor,
    slope: impl FnOnce(&Tensor) -> Tensor,
) -> Tensor {
    attempt!(float(at, x));
    let value = |a: &[Tensor]| [f(&widen(&a[0])).convert(a[0].dtype())];
    let [y] = by_result(schema, params, &[x], value, |x, _, x_dot| {
        vec![(widen(&x_dot[0]) * slope(&widen(&x[0]))).convert(x[0].dtype())]
    });
    y
}

/// Activations under PyTorch's names.
///
/// *Errors*: `leaky_relu_c1`, `elu_c1`, `selu_c1`, `celu_c1`, `gelu_c1`, `silu_c1`, `mish_c1`, `softplus_c1`,
/// `hardsigmoid_c1`, `hardswish_c1`, `hardshrink_c1`, `softshrink_c1`, `logsigmoid_c1` integers.
pub trait Activations: AsTensor {
    /// `max(x, 0)`; derivative 0 at 0 and 1 at NaN.
    #[track_caller]
    fn relu(&self) -> Tensor {
        one(schema::RELU, &[], &[self.tensor()], |a| {
            let x = &a[0];
            x.zeros_like().where_(&x.le(x.zeros_like()), x)
        })
    }

    /// `min(max(x, 0), 6)`; derivative 0 at 0 and 6.
    #[track_caller]
    fn relu6(&self) -> Tensor {
        self.hardtanh(0i64, 6i64)
    }

    /// The nearest number in [min, max]; derivative 0 at both and 1 at NaN.
    #[track_caller]
    fn hardtanh(&self, min_val: impl Into<Scalar>, max_val: impl Into<Scalar>) -> Tensor {
        let (x, low, high) = (self.tensor(), min_val.into(), max_val.into());
        one(schema::HARDTANH, &[("min_val", num(low)), ("max_val", num(high))], &[x], |a| {
            let x = &a[0];
            let (low, high) = (low.cast(x.dtype()), high.cast(x.dtype()));
            // A negative bound of bytes wraps above the other one, which then holds.
            let low = if low.to_f64() > high.to_f64() { high } else { low };
            let above = x.full_like(high).where_(&x.ge(x.full_like(high)), x);
            x.full_like(low).where_(&x.le(x.full_like(low)), above)
        })
    }

    /// `x` above 0, `slope · x` below; derivative `slope` at 0.
    #[track_caller]
    fn leaky_relu(&self, negative_slope: f64) -> Tensor {
        let params = [("negative_slope", num(negative_slope))];
        let value = |x: &Tensor| x.where_(&x.gt(0.0), x * negative_slope);
        sloped(at!("leaky_relu", 1), schema::LEAKY_RELU, &params, self.tensor(), value, |x| {
            x.ones_like().where_(&x.gt(0.0), x.full_like(negative_slope))
        })
    }

    /// `x` above 0, `weight · x` below, with one weight or one for each channel (dim 1); derivative `weight` at 0.
    ///
    /// *Errors*: `prelu_c1` a weight that fits neither.
    #[track_caller]
    fn prelu(&self, weight: &Tensor) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x, weight]));
        let channels = if x.rank() < 2 { 1 } else { x.shape()[1].get() };
        if weight.rank() > 1 || (weight.numel() != 1 && weight.numel() != channels) || weight.dtype() != x.dtype() {
            return bad_pair(at!("prelu", 1), x, weight, "one weight, or one for each channel, of the same dtype");
        }
        let shape = (0..x.rank()).map(|d| if d == 1 { weight.numel() } else { 1 }).collect();
        let w = weight.view_to(&shape);
        one(schema::_PRELU_KERNEL, &[], &[x, &w], |a| a[0].where_(&a[0].gt(0.0), &a[0] * &a[1]))
    }

    /// The leaky rectifier with the mean slope of the random one, as outside of training.
    #[track_caller]
    fn rrelu(&self, lower: f64, upper: f64) -> Tensor {
        self.leaky_relu((lower + upper) / 2.0)
    }

    /// `x` above 0, `alpha (eˣ - 1)` below; derivative 1 at 0 for `alpha` 1.
    #[track_caller]
    fn elu(&self, alpha: f64) -> Tensor {
        exponential(self.tensor(), at!("elu", 1), alpha, 1.0, 1.0)
    }

    /// `scale · x` above 0, `scale · alpha (e^(input_scale · x) - 1)` below; derivative of the latter at 0.
    #[track_caller]
    fn elu_scaled(&self, alpha: f64, scale: f64, input_scale: f64) -> Tensor {
        exponential(self.tensor(), at!("elu", 1), alpha, scale, input_scale)
    }

    /// The self-normalising [`elu`](Activations::elu).
    #[track_caller]
    fn selu(&self) -> Tensor {
        exponential(self.tensor(), at!("selu", 1), 1.673_263_242_354_377_2, 1.050_700_987_355_480_5, 1.0)
    }

    /// `x` above 0, `alpha (e^(x / alpha) - 1)` below; derivative 1 at 0.
    #[track_caller]
    fn celu(&self, alpha: f64) -> Tensor {
        let value = |x: &Tensor| below(x, |x| (x / alpha).expm1() * alpha);
        sloped(at!("celu", 1), schema::CELU, &[("alpha", num(alpha))], self.tensor(), value, |x| {
            let inside = strictly_below(x);
            (inside / alpha).exp().where_(&x.le(0.0), x.ones_like())
        })
    }

    /// `x Φ(x)` with the distribution function Φ of the standard normal distribution.
    #[track_caller]
    fn gelu(&self) -> Tensor {
        let cumulative = |x: &Tensor| (x * FRAC_1_SQRT_2).erf() + 1.0;
        let value = |x: &Tensor| x * 0.5 * cumulative(x);
        sloped(at!("gelu", 1), schema::GELU, &[("approximate", text("none"))], self.tensor(), value, |x| {
            let density = (x * x * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
            cumulative(x) * 0.5 + x * density
        })
    }

    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    #[track_caller]
    fn gelu_tanh(&self) -> Tensor {
        const SCALE: f64 = SQRT_2 * FRAC_2_SQRT_PI * 0.5;
        let gate = |x: &Tensor| ((x + x * x * x * 0.044715) * SCALE).tanh();
        let value = |x: &Tensor| x * 0.5 * (gate(x) + 1.0);
        sloped(at!("gelu", 1), schema::GELU, &[("approximate", text("tanh"))], self.tensor(), value, |x| {
            let t = gate(x);
            let inner = x * x * (0.5 * 3.0 * 0.044715 * SCALE) + 0.5 * SCALE;
            (&t + 1.0) * 0.5 + (1.0 - &t * &t) * (inner * x)
        })
    }

    /// `x σ(x)` with the logistic function σ.
    #[track_caller]
    fn silu(&self) -> Tensor {
        of_float(at!("silu", 1), schema::SILU, &[], self.tensor(), |x| x * x.sigmoid())
    }

    /// `x tanh(softplus(x))`.
    #[track_caller]
    fn mish(&self) -> Tensor {
        let gate = |x: &Tensor| softplus_of(x, 1.0, 20.0).tanh();
        sloped(
            at!("mish", 1),
            schema::MISH,
            &[],
            self.tensor(),
            |x| x * gate(x),
            |x| {
                let y = gate(x);
                &y + x * x.sigmoid() * (1.0 - &y * &y)
            },
        )
    }

    /// `log(1 + e^(βx)) / β`, and `x` itself with derivative 1 where `βx` is above `threshold`.
    #[track_caller]
    fn softplus(&self, beta: f64, threshold: f64) -> Tensor {
        let params = [("beta", num(beta)), ("threshold", num(threshold))];
        let value = |x: &Tensor| softplus_of(x, beta, threshold);
        sloped(at!("softplus", 1), schema::SOFTPLUS, &params, self.tensor(), value, |x| {
            let steep = scaled(x.clone(), beta);
            x.ones_like().where_(&steep.gt(threshold), steep.sigmoid())
        })
    }

    /// `x / (1 + |x|)`.
    #[track_caller]
    fn softsign(&self) -> Tensor {
        let x = self.tensor();
        x / (x.abs() + 1.0)
    }

    /// `x - tanh(x)`.
    #[track_caller]
    fn tanhshrink(&self) -> Tensor {
        let x = self.tensor();
        x - x.tanh()
    }

    /// `min(max(x / 6 + ½, 0), 1)`; derivative 0 at ±3 and at NaN.
    #[track_caller]
    fn hardsigmoid(&self) -> Tensor {
        let inside = |x: &Tensor| x.gt(-3.0).bitwise_and(x.lt(3.0));
        let value = |x: &Tensor| {
            let bounded = ((x.detach() + 3.0) / 6.0).maximum(0.0).minimum(1.0);
            ((x + 3.0) / 6.0).where_(&inside(x), bounded)
        };
        sloped(at!("hardsigmoid", 1), schema::HARDSIGMOID, &[], self.tensor(), value, |x| {
            x.full_like(1.0 / 6.0).where_(&inside(x), x.zeros_like())
        })
    }

    /// `x` times [`hardsigmoid`](Activations::hardsigmoid), NaN at -inf; derivative 0 at -3, 1 at 3.
    #[track_caller]
    fn hardswish(&self) -> Tensor {
        let value = |x: &Tensor| {
            let middle = x.lt(3.0);
            let inside = x.where_(&middle, x.zeros_like());
            let high = (&inside * ((&inside + 3.0) / 6.0)).where_(&middle, x);
            // A product with zero, which is NaN at −∞.
            (x.detach() * 0.0).where_(&x.le(-3.0), high)
        };
        sloped(at!("hardswish", 1), schema::HARDSWISH, &[], self.tensor(), value, |x| {
            let rising = (x / 3.0 + 0.5).where_(&x.lt(3.0), x.ones_like());
            x.zeros_like().where_(&x.le(-3.0), rising)
        })
    }

    /// `x` outside [-λ, λ], 0 inside; derivative 0 at ±λ.
    #[track_caller]
    fn hardshrink(&self, lambd: f64) -> Tensor {
        of_float(at!("hardshrink", 1), schema::HARDSHRINK, &[("lambd", num(lambd))], self.tensor(), |x| {
            let inside = x.ge(-lambd).bitwise_and(x.le(lambd));
            x.zeros_like().where_(&inside, x)
        })
    }

    /// `x` moved by λ towards 0, and 0 in [-λ, λ]; derivative 0 at ±λ.
    #[track_caller]
    fn softshrink(&self, lambd: f64) -> Tensor {
        of_float(at!("softshrink", 1), schema::SOFTSHRINK, &[("lambd", num(lambd))], self.tensor(), |x| {
            let moved = (x - lambd).where_(&x.gt(0.0), x + lambd);
            x.zeros_like().where_(&x.ge(-lambd).bitwise_and(x.le(lambd)), moved)
        })
    }

    /// `x` above `threshold`, `value` elsewhere; derivative 0 at the threshold.
    #[track_caller]
    fn threshold(&self, threshold: impl Into<Scalar>, value: impl Into<Scalar>) -> Tensor {
        let (threshold, value) = (threshold.into(), value.into());
        let params = [("threshold", num(threshold)), ("value", num(value))];
        one(schema::THRESHOLD, &params, &[self.tensor()], |a| {
            let x = &a[0];
            x.full_like(value).where_(&x.le(x.full_like(threshold)), x)
        })
    }

    /// `log σ(x)`, exact for large `|x|`.
    #[track_caller]
    fn logsigmoid(&self) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("logsigmoid", 1), x));
        let value = |a: &[Tensor]| {
            let y = log_sigmoid(&widen(&a[0])).convert(a[0].dtype());
            // The second result is scratch space, which is empty on a CPU.
            let buffer = a[0].full_of(&cotangent_core::ir::Aval::new(a[0].dtype(), [0]), 0.0);
            [y, buffer]
        };
        let [y, _] = by_result(schema::LOG_SIGMOID_FORWARD, &[], &[x], value, |x, y, x_dot| {
            let slope = (-widen(&x[0])).sigmoid();
            vec![(widen(&x_dot[0]) * slope).convert(x[0].dtype()), y[1].zeros_like()]
        });
        y
    }
}

impl Activations for Tensor {}

/// `f(x)` where `x` is at most 0, without its overflow elsewhere; NaN stays with derivative 1.
#[track_caller]
fn below(x: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let negative = x.le(0.0);
    let inside = x.where_(&negative, x.zeros_like());
    f(&inside).where_(&negative, x)
}

#[track_caller]
fn exponential(x: &Tensor, at: At, alpha: f64, scale: f64, input_scale: f64) -> Tensor {
    let inner = if input_scale == 1.0 { num(1i64) } else { num(input_scale) };
    let params = [("alpha", num(alpha)), ("scale", num(scale)), ("input_scale", inner)];
    let value = |x: &Tensor| scaled(below(x, |x| scaled(x.clone(), input_scale).expm1() * alpha), scale);
    sloped(at, schema::ELU, &params, x, value, |x| {
        let inside = scaled(strictly_below(x), input_scale);
        scaled(inside.exp(), alpha * scale * input_scale).where_(&x.le(0.0), x.full_like(scale))
    })
}

/// `x` below 0 and 0 elsewhere. Its own derivative at 0 is 0, by which second derivatives of the exponential units vanish
/// there, as those of PyTorch's `elu_double_backward` do.
#[track_caller]
fn strictly_below(x: &Tensor) -> Tensor {
    x.where_(&x.lt(0.0), x.zeros_like())
}

#[track_caller]
fn scaled(y: Tensor, c: f64) -> Tensor {
    if c == 1.0 { y } else { y * c }
}

#[track_caller]
fn softplus_of(x: &Tensor, beta: f64, threshold: f64) -> Tensor {
    let steep = scaled(x.clone(), beta);
    let linear = steep.gt(threshold);
    let inside = x.zeros_like().where_(&linear, &steep);
    let curved = inside.exp().log1p();
    x.where_(&linear, if beta == 1.0 { curved } else { curved / beta })
}

/// `min(x, 0) - log(1 + e^(-|x|))`; the derivative at 0 is ½ because each part has half of it.
#[track_caller]
pub(crate) fn log_sigmoid(x: &Tensor) -> Tensor {
    x.minimum(x.zeros_like()) - (-x.abs()).exp().log1p()
}
