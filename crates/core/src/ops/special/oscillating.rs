//! Bessel functions of orders 0 and 1, as PyTorch computes them.
//!
//! PyTorch's rational functions lack leading coefficients (`rational`): between 5 and 20 they are off from the true functions by
//! up to 2.5e-6 of the amplitude, below 5 by up to 3e-8. A program from PyTorch has to give PyTorch's values, and what
//! is printed here gives these there; so they are followed. At infinity, where the functions are 0, both give NaN.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_4};

use super::polynomial;
use super::rational::*;

/// Squares of the first two zeros of `J0`.
const J0_ZEROS: [f64; 2] = [5.783_185_962_946_785, 30.471_262_343_662_087];
/// Squares of the first two zeros of `J1` beside 0.
const J1_ZEROS: [f64; 2] = [14.681_970_642_123_893, 49.218_456_321_694_6];
/// Where the asymptotic forms begin.
const FAR: f64 = 5.0;

/// The Bessel function of the first kind of order 0.
pub(crate) fn j0(x: f64) -> f64 {
    let x = x.abs();
    let square = x * x;
    if x < 1e-5 {
        1.0 - square / 4.0
    } else if x <= FAR {
        (square - J0_ZEROS[0]) * (square - J0_ZEROS[1]) * ratio(&J0_SMALL, &J0_SMALL_OVER, square)
    } else {
        let (sin, cos, p, q) = wave0(x);
        (p * cos - q * sin) * amplitude(x)
    }
}

/// The Bessel function of the first kind of order 1.
pub(crate) fn j1(x: f64) -> f64 {
    let a = x.abs();
    let square = a * a;
    let y = if a <= FAR {
        ratio(&J1_SMALL, &J1_SMALL_OVER, square) * a * (square - J1_ZEROS[0]) * (square - J1_ZEROS[1])
    } else {
        let (sin, cos, p, q) = wave1(a);
        (p * cos - q * sin) * amplitude(a)
    };
    if x.is_sign_negative() { -y } else { y }
}

/// The Bessel function of the second kind of order 0: -inf at 0, NaN below.
pub(crate) fn y0(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x < 0.0 {
        f64::NAN
    } else if x <= FAR {
        ratio(&Y0_SMALL, &Y0_SMALL_OVER, x * x) + FRAC_2_PI * x.ln() * j0(x)
    } else {
        let (sin, cos, p, q) = wave0(x);
        (p * sin + q * cos) * amplitude(x)
    }
}

/// The Bessel function of the second kind of order 1: -inf at 0, NaN below.
pub(crate) fn y1(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x < 0.0 {
        f64::NAN
    } else if x <= FAR {
        x * ratio(&Y1_SMALL, &Y1_SMALL_OVER, x * x) + FRAC_2_PI * (j1(x) * x.ln() - 1.0 / x)
    } else {
        let (sin, cos, p, q) = wave1(x);
        (p * sin + q * cos) * amplitude(x)
    }
}

/// `√(2 / (π x))`.
fn amplitude(x: f64) -> f64 {
    (FRAC_2_PI / x).sqrt()
}

/// Sine and cosine of the phase of order 0 at `x`, and the factors that they have there.
fn wave0(x: f64) -> (f64, f64, f64, f64) {
    let ((sin, cos), t) = ((x - FRAC_PI_4).sin_cos(), 25.0 / (x * x));
    (sin, cos, ratio(&PHASE0_P, &PHASE0_P_OVER, t), 5.0 / x * ratio(&PHASE0_Q, &PHASE0_Q_OVER, t))
}

/// As [`wave0`], of order 1.
fn wave1(x: f64) -> (f64, f64, f64, f64) {
    let ((sin, cos), t) = ((x - 3.0 * FRAC_PI_4).sin_cos(), 25.0 / (x * x));
    (sin, cos, ratio(&PHASE1_P, &PHASE1_P_OVER, t), 5.0 / x * ratio(&PHASE1_Q, &PHASE1_Q_OVER, t))
}

/// The rational function of `t` with these coefficients.
fn ratio(over: &[f64], under: &[f64], t: f64) -> f64 {
    polynomial(over, t) / polynomial(under, t)
}
