//! Elementwise arithmetic beyond the core's own methods.

use std::f64::consts::{LN_2, PI};

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Scalar};
use cotangent_core::tensor::{IntoOperand, Operand, broadcast_shapes, float_of, result_type};

use crate::arg::{AsTensor, At, at, attempt, attempt_pair, bad_pair, float, live};
use crate::call::{by_result, many, num, one, opt};
use crate::log_factor::{LogFactor, times_log};
use crate::schema;

/// Both operands as tensors that broadcast; a number becomes a tensor of rank 0 that promotes as it would.
#[track_caller]
pub(crate) fn pair(at: At, x: &Tensor, other: impl IntoOperand) -> Result<(Tensor, Tensor), Tensor> {
    live(&[x])?;
    match other.into_operand() {
        Operand::Scalar(s) => {
            let dtype = result_type(&[&Operand::Tensor(x.clone()), &Operand::Scalar(s)]);
            Ok((x.clone(), x.full_of(&cotangent_core::ir::Aval::new(dtype, ()), s.cast(dtype))))
        }
        Operand::Tensor(y) => {
            live(&[&y])?;
            match broadcast_shapes(x.shape(), y.shape()) {
                Some(_) => Ok((x.clone(), y)),
                None => Err(bad_pair(at, x, &y, "shapes that broadcast: trailing dims equal or 1")),
            }
        }
    }
}

/// Both tensors in the float dtype in which they meet.
#[track_caller]
pub(crate) fn floats(a: &Tensor, b: &Tensor) -> (Tensor, Tensor) {
    let d = float_of(meeting(a, b));
    (a.convert(d), b.convert(d))
}

/// The dtype in which two tensors meet.
pub(crate) fn meeting(a: &Tensor, b: &Tensor) -> DType {
    result_type(&[&Operand::Tensor(a.clone()), &Operand::Tensor(b.clone())])
}

/// The square root whose derivative at 0 is 0, as that of norms.
#[track_caller]
pub(crate) fn sqrt_flat_at_zero(x: &Tensor) -> Tensor {
    let zero = x.eq(0.0);
    let inside = x.ones_like().where_(&zero, x);
    x.zeros_like().where_(&zero, inside.sqrt())
}

/// Elementwise arithmetic under PyTorch's names.
///
/// *Errors*: `rsub_c1`, `hypot_c1`, `logaddexp_c1`, `logaddexp2_c1`, `xlogy_c1`, `fmax_c1`, `fmin_c1`, `heaviside_c1`
/// shapes that do not broadcast.
pub trait Pointwise: AsTensor {
    /// `x²`.
    #[track_caller]
    fn square(&self) -> Tensor {
        let x = self.tensor();
        one(schema::POW_TENSOR_SCALAR, &[("exponent", num(2i64))], &[x], |a| {
            let x = if a[0].dtype() == DType::Bool { a[0].convert(DType::I64) } else { a[0].clone() };
            &x * &x
        })
    }

    /// `other - x`.
    #[track_caller]
    fn rsub(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("rsub", 1), self.tensor(), other));
        y.sub(&x)
    }

    /// `x + value · a · b`.
    ///
    /// *Errors*: `addcmul_c1` shapes that do not broadcast.
    #[track_caller]
    fn addcmul(&self, tensor1: &Tensor, tensor2: &Tensor, value: impl Into<Scalar>) -> Tensor {
        let (x, value) = (self.tensor(), value.into());
        attempt!(pair(at!("addcmul", 1), tensor1, tensor2));
        one(schema::ADDCMUL, &[("value", num(value))], &[x, tensor1, tensor2], |a| {
            let product = &a[1] * &a[2];
            &a[0] + scaled(&product, value)
        })
    }

    /// `x + value · a / b`.
    ///
    /// *Errors*: `addcdiv_c1` shapes that do not broadcast.
    #[track_caller]
    fn addcdiv(&self, tensor1: &Tensor, tensor2: &Tensor, value: impl Into<Scalar>) -> Tensor {
        let (x, value) = (self.tensor(), value.into());
        attempt!(pair(at!("addcdiv", 1), tensor1, tensor2));
        one(schema::ADDCDIV, &[("value", num(value))], &[x, tensor1, tensor2], |a| &a[0] + scaled(&a[1], value) / &a[2])
    }

    /// The point between `x` and `end` at `weight`: exact at 0 and 1.
    ///
    /// *Derivative*: of `(1 - weight) x + weight end`, on both sides of the weight at which the formula changes.
    /// *Errors*: `lerp_c1` shapes that do not broadcast.
    #[track_caller]
    fn lerp(&self, end: &Tensor, weight: impl IntoOperand) -> Tensor {
        let x = self.tensor();
        attempt!(pair(at!("lerp", 1), x, end));
        match weight.into_operand() {
            Operand::Scalar(w) => one(schema::LERP_SCALAR, &[("weight", num(w))], &[x, end], |a| {
                let (way, w) = (&a[1] - &a[0], w.to_f64());
                if w.abs() < 0.5 { &a[0] + way * w } else { &a[1] - way * (1.0 - w) }
            }),
            Operand::Tensor(w) => {
                attempt!(pair(at!("lerp", 1), &w, &(x + end)));
                let value = |a: &[Tensor]| {
                    let (way, w) = (&a[1] - &a[0], &a[2]);
                    let near = &a[0] + &way * w;
                    [near.where_(&w.abs().lt(0.5), &a[1] - &way * (1.0 - w))]
                };
                let [y] = by_result(schema::LERP_TENSOR, &[], &[x, end, &w], value, |a, _, a_dot| {
                    vec![&a_dot[0] * (1.0 - &a[2]) + &a_dot[1] * &a[2] + &a_dot[2] * (&a[1] - &a[0])]
                });
                y
            }
        }
    }

    /// `x - trunc(x)`; derivative 1 everywhere.
    #[track_caller]
    fn frac(&self) -> Tensor {
        one(schema::FRAC, &[], &[self.tensor()], |a| &a[0] - a[0].trunc())
    }

    /// Degrees to radians.
    #[track_caller]
    fn deg2rad(&self) -> Tensor {
        one(schema::DEG2RAD, &[], &[self.tensor()], |a| &a[0] * (PI / 180.0))
    }

    /// Radians to degrees.
    #[track_caller]
    fn rad2deg(&self) -> Tensor {
        one(schema::RAD2DEG, &[], &[self.tensor()], |a| &a[0] * (180.0 / PI))
    }

    /// Rounded to `decimals` digits after the point, halves to even.
    #[track_caller]
    fn round_decimals(&self, decimals: i32) -> Tensor {
        let x = self.tensor();
        one(schema::ROUND_DECIMALS, &[("decimals", num(decimals))], &[x], |a| {
            let scale = 10f64.powi(decimals.abs());
            if !a[0].dtype().is_float() {
                a[0].clone()
            } else if decimals >= 0 {
                (&a[0] * scale).round() / scale
            } else {
                (&a[0] / scale).round() * scale
            }
        })
    }

    /// `log(x / (1 - x))`; NaN outside [0, 1], or with `eps` computed at the nearest point of [eps, 1 - eps].
    ///
    /// *Derivative*: 0 outside [eps, 1 - eps]; NaN outside [0, 1].
    #[track_caller]
    fn logit(&self, eps: impl Into<Option<f64>>) -> Tensor {
        let (x, eps) = (self.tensor(), eps.into());
        one(schema::LOGIT, &[("eps", opt(eps))], &[x], |a| {
            let x = a[0].convert(float_of(a[0].dtype()));
            let x = match eps {
                Some(eps) => {
                    // The lower bound decides where the bounds cross.
                    let high = x.full_like(1.0 - eps).where_(&x.gt(1.0 - eps), &x);
                    x.full_like(eps).where_(&x.lt(eps), high)
                }
                None => {
                    let outside = x.lt(0.0).bitwise_or(x.gt(1.0));
                    &x * x.full_like(f64::NAN).where_(&outside, x.ones_like())
                }
            };
            x.log() - (-&x).log1p()
        })
    }

    /// `√(x² + y²)` without overflow in between; the derivative at (0, 0) is NaN.
    #[track_caller]
    fn hypot(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("hypot", 1), self.tensor(), other));
        let value = |a: &[Tensor]| {
            let (x, y) = floats(&a[0], &a[1]);
            let largest = x.abs().maximum(y.abs()).detach();
            let ordinary = largest.gt(0.0).bitwise_and(largest.lt(f64::INFINITY));
            let scale = largest.where_(&ordinary, largest.ones_like());
            let infinite = x.abs().eq(f64::INFINITY).bitwise_or(y.abs().eq(f64::INFINITY));
            let (x, y) = (&x / &scale, &y / &scale);
            let length = (&x * &x + &y * &y).sqrt() * scale;
            // Infinite whatever the other one is, also beside NaN.
            [length.full_like(f64::INFINITY).where_(&infinite, length)]
        };
        let [z] = by_result(schema::HYPOT, &[], &[&x, &y], value, |a, z, t| {
            let (x, y) = floats(&a[0], &a[1]);
            let [x_dot, y_dot] = [&t[0], &t[1]].map(|t| t.convert(z[0].dtype()));
            // In reverse, PyTorch's order: large products overflow before they are divided.
            vec![x_dot / &z[0] * x + y_dot / &z[0] * y]
        });
        z
    }

    /// `log(eˣ + eʸ)` without overflow in between.
    ///
    /// *Derivative*: `1 / (1 + e^(y - x))` in `x`, whose own derivative is NaN where the exponential overflows; NaN where both are -inf.
    #[track_caller]
    fn logaddexp(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("logaddexp", 1), self.tensor(), other));
        let value = |a: &[Tensor]| [log_of_sum(&a[0], &a[1])];
        let [z] = by_result(schema::LOGADDEXP, &[], &[&x, &y], value, |a, z, t| {
            let (x, y) = floats(&a[0], &a[1]);
            let [x_dot, y_dot] = [&t[0], &t[1]].map(|t| t.convert(z[0].dtype()));
            vec![x_dot / ((&y - &x).exp() + 1.0) + y_dot / ((&x - &y).exp() + 1.0)]
        });
        z
    }

    /// `log₂(2ˣ + 2ʸ)` without overflow in between.
    #[track_caller]
    fn logaddexp2(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("logaddexp2", 1), self.tensor(), other));
        let value = |a: &[Tensor]| [log_of_sum(&(&a[0] * LN_2), &(&a[1] * LN_2)) / LN_2];
        let [z] = by_result(schema::LOGADDEXP2, &[], &[&x, &y], value, |a, z, t| {
            let (x, y) = floats(&a[0], &a[1]);
            let [x_dot, y_dot] = [&t[0], &t[1]].map(|t| t.convert(z[0].dtype()));
            vec![x_dot / ((&y - &x).exp2() + 1.0) + y_dot / ((&x - &y).exp2() + 1.0)]
        });
        z
    }

    /// `x log y`, and 0 where `x` is 0 and `y` is no NaN.
    ///
    /// *Derivative*: `log y` in `x`, but 0 where `x` is 0 and `y` is not positive; `x / y` in `y`, which is NaN at (0, 0).
    #[track_caller]
    fn xlogy(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("xlogy", 1), self.tensor(), other));
        times_log(schema::XLOGY_TENSOR, &x, &y, LogFactor { log: Tensor::log, pole: 0.0, from_pole: Clone::clone })
    }

    /// `sin(πx) / (πx)`, and 1 with derivative 0 at 0.
    ///
    /// *Derivative*: `(πx cos πx - sin πx) / (πx²)`, where not at 0: in reverse its own is NaN there.
    #[track_caller]
    fn sinc(&self) -> Tensor {
        let value = |a: &[Tensor]| {
            let x = a[0].convert(float_of(a[0].dtype())) * PI;
            let zero = x.eq(0.0);
            let inside = x.ones_like().where_(&zero, &x);
            [x.ones_like().where_(&zero, inside.sin() / &inside)]
        };
        let [y] = by_result(schema::SINC, &[], &[self.tensor()], value, |a, y, x_dot| {
            let x = a[0].convert(y[0].dtype());
            let turns = &x * PI;
            let slope = (&turns * turns.cos() - turns.sin()) / (&turns * &x);
            vec![x_dot[0].convert(y[0].dtype()) * slope.zeros_like().where_(&x.eq(0.0), slope)]
        });
        y
    }

    /// The larger; the other one where one is NaN. Ties share the derivative.
    #[track_caller]
    fn fmax(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("fmax", 1), self.tensor(), other));
        one(schema::FMAX, &[], &[&x, &y], |a| known(&a[0], &a[1], &a[0].maximum(&a[1])))
    }

    /// The smaller; the other one where one is NaN. Ties share the derivative.
    #[track_caller]
    fn fmin(&self, other: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("fmin", 1), self.tensor(), other));
        one(schema::FMIN, &[], &[&x, &y], |a| known(&a[0], &a[1], &a[0].minimum(&a[1])))
    }

    /// 0 below zero, `values` at zero, 1 above; 0 at NaN. Derivative 0, but that of `values` at zero is 1.
    #[track_caller]
    fn heaviside(&self, values: impl IntoOperand) -> Tensor {
        let (x, y) = attempt!(pair(at!("heaviside", 1), self.tensor(), values));
        one(schema::HEAVISIDE, &[], &[&x, &y], |a| {
            let step = a[0].gt(0.0).convert(meeting(&a[0], &a[1]));
            a[1].where_(&a[0].eq(0.0), step)
        })
    }

    /// NaN becomes `nan`; the infinities become the given numbers, or the largest and smallest of the dtype.
    ///
    /// *Derivative*: 0 where replaced.
    #[track_caller]
    fn nan_to_num(&self, nan: f64, posinf: impl Into<Option<f64>>, neginf: impl Into<Option<f64>>) -> Tensor {
        let (x, posinf, neginf) = (self.tensor(), posinf.into(), neginf.into());
        if !x.dtype().is_float() {
            return x.clone();
        }
        let params = [("nan", num(nan)), ("posinf", opt(posinf)), ("neginf", opt(neginf))];
        one(schema::NAN_TO_NUM, &params, &[x], |a| {
            let x = &a[0];
            let largest = x.dtype().largest_finite();
            let high = x.full_like(posinf.unwrap_or(largest)).where_(&x.eq(f64::INFINITY), x);
            let low = x.full_like(neginf.unwrap_or(-largest)).where_(&x.eq(f64::NEG_INFINITY), high);
            x.full_like(nan).where_(&x.ne(x), low)
        })
    }

    /// The power computed in `f64`.
    #[track_caller]
    fn float_power(&self, exponent: impl IntoOperand) -> Tensor {
        self.tensor().convert(DType::F64).pow(exponent)
    }

    /// `-x log x`, 0 at 0 and -inf below.
    ///
    /// *Derivative*: `-(1 + log x)`, NaN below 0.
    #[track_caller]
    fn entr(&self) -> Tensor {
        let x = attempt!(float(at!("special_entr", 1), self.tensor()).map(|()| self.tensor()));
        // No call of another composite: over a batch the rule stays only if the body is elementwise.
        let value = |t: &[Tensor]| {
            let x = &t[0];
            let y = x.zeros_like().where_(&x.eq(0.0), -(x * x.log()));
            [y.full_like(f64::NEG_INFINITY).where_(&x.lt(0.0), &y)]
        };
        let [y] =
            by_result(schema::SPECIAL_ENTR, &[], &[x], value, |x, _, x_dot| vec![-(&x_dot[0] * (x[0].log() + 1.0))]);
        y
    }

    /// The distribution function of the standard normal distribution.
    #[track_caller]
    fn ndtr(&self) -> Tensor {
        let x = self.tensor();
        ((-x * std::f64::consts::FRAC_1_SQRT_2).erfc()) * 0.5
    }

    /// The angle of a real number: 0, π below zero, NaN at NaN. Derivative 0.
    #[track_caller]
    fn angle(&self) -> Tensor {
        let x = self.tensor();
        let x = x.convert(float_of(x.dtype())).detach();
        let angle = x.full_like(PI).where_(&x.lt(0.0), 0.0);
        x.where_(&x.ne(&x), angle)
    }

    /// The mantissa, of size in [½, 1), and the exponent of 2 as `i32`; 0, infinities and NaN have the exponent 0.
    ///
    /// *Derivative*: of the mantissa, that of the division by the power of 2.
    /// *Errors*: `frexp_c1` integers.
    #[track_caller]
    fn frexp(&self) -> (Tensor, Tensor) {
        let x = self.tensor();
        attempt_pair!(float(at!("frexp", 1), x));
        let [mantissa, exponent] = many(schema::FREXP_TENSOR, &[], &[x], |a| {
            let d = a[0].dtype();
            let x = a[0].convert(d.compute());
            let size = x.detach().abs();
            let ordinary = size.gt(0.0).bitwise_and(size.lt(f64::INFINITY));
            let size = size.where_(&ordinary, 1.0);
            // Below the normal numbers, logarithms and powers lose digits: these are raised first.
            let small = size.lt(1e-30);
            let raised = &size * size.full_like(2f64.powi(100)).where_(&small, 1.0);
            let guess = raised.log2().floor() + 1.0;
            let scaled = |e: &Tensor| {
                let half = (e * 0.5).floor();
                &raised * (-&half).exp2() * (&half - e).exp2()
            };
            let m = scaled(&guess);
            let e = &guess + m.ge(1.0).convert(m.dtype()) - m.lt(0.5).convert(m.dtype());
            let e = (&e - e.full_like(100.0).where_(&small, 0.0)).where_(&ordinary, 0.0);
            let half = (&e * 0.5).floor();
            let mantissa = &x * (-&half).exp2() * (&half - &e).exp2();
            [mantissa.convert(d), e.convert(DType::I32)]
        });
        (mantissa, exponent)
    }

    /// The number itself; an error on `bool`, as in PyTorch.
    ///
    /// *Errors*: `positive_c1` operand of `bool`.
    #[track_caller]
    fn positive(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.dtype() == DType::Bool {
            return crate::arg::bad_operand(at!("positive", 1), x, "a tensor of numbers");
        }
        x.clone()
    }

    /// The logarithm of the multivariate gamma function of dimension `p`.
    ///
    /// *Errors*: `mvlgamma_c1` operand that is not of floats.
    #[track_caller]
    fn mvlgamma(&self, p: usize) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("mvlgamma", 1), x));
        let start = x.full_like(0.25 * (p * (p.saturating_sub(1))) as f64 * PI.ln());
        (0..p).fold(start, |sum, j| sum + (x - 0.5 * j as f64).lgamma())
    }
}

impl Pointwise for Tensor {}

/// The product with a number; the tensor itself for 1.
#[track_caller]
pub(crate) fn scaled(x: &Tensor, value: Scalar) -> Tensor {
    if value.to_f64() == 1.0 { x.clone() } else { x * Operand::Scalar(value) }
}

/// `both`, or the other one where one of the operands is NaN.
#[track_caller]
fn known(x: &Tensor, y: &Tensor, both: &Tensor) -> Tensor {
    let second = y.where_(&x.ne(x), both);
    x.where_(&y.ne(y), &second)
}

/// `log(eˣ + eʸ)`; where either is +inf it is the larger, so that no inf - inf is met on the way.
#[track_caller]
fn log_of_sum(x: &Tensor, y: &Tensor) -> Tensor {
    let (x, y) = floats(x, y);
    let larger = x.maximum(&y);
    let infinite = larger.eq(f64::INFINITY);
    let zero = larger.zeros_like();
    let shift = zero.where_(&larger.abs().eq(f64::INFINITY), &larger).detach();
    let term = |x: &Tensor| (zero.where_(&infinite, x) - &shift).exp();
    let sum = (term(&x) + term(&y)).log() + &shift;
    larger.where_(&infinite, sum)
}
