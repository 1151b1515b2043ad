//! The Airy function.

use std::f64::consts::{FRAC_PI_4, PI};

use super::polynomial;
use super::rational::{AI_COS, AI_COS_OVER, AI_LARGE, AI_LARGE_OVER, AI_SIN, AI_SIN_OVER};

/// `Ai(0)`.
const AT_ZERO: f64 = 0.355_028_053_887_817_2;
/// `-Ai'(0)`.
const SLOPE: f64 = 0.258_819_403_792_806_8;
/// Where the power series ends on both sides.
const NEAR: f64 = 2.09;
/// Beyond it the value is below all numbers.
const GONE: f64 = 103.892;

/// The Airy function of the first kind as PyTorch computes it: NaN at both infinities, and off by up to 3.4e-6 of the amplitude below -2.09.
pub(crate) fn airy_ai(x: f64) -> f64 {
    if x.is_infinite() {
        return f64::NAN;
    }
    let a = x.abs();
    let zeta = 2.0 / 3.0 * a * a.sqrt();
    let (z, quarter) = (1.0 / zeta, a.sqrt().sqrt());
    if x > GONE {
        0.0
    } else if x >= NEAR {
        polynomial(&AI_LARGE, z) / polynomial(&AI_LARGE_OVER, z) / (2.0 * PI.sqrt() * quarter * zeta.exp())
    } else if x < -NEAR {
        let (square, angle) = (z * z, zeta + FRAC_PI_4);
        let sin = 1.0 + square * polynomial(&AI_SIN, square) / polynomial(&AI_SIN_OVER, square);
        let cos = z * polynomial(&AI_COS, square) / polynomial(&AI_COS_OVER, square);
        (angle.sin() * sin - angle.cos() * cos) / (PI.sqrt() * quarter)
    } else {
        maclaurin(x)
    }
}

/// The power series about 0: `Ai(0) f(x) + Ai'(0) g(x)`.
fn maclaurin(x: f64) -> f64 {
    let cube = x * x * x;
    let (mut f, mut g, mut sum_f, mut sum_g) = (1.0, x, 1.0, x);
    for k in 1..30 {
        let k = 3.0 * f64::from(k);
        f *= cube / ((k - 1.0) * k);
        g *= cube / (k * (k + 1.0));
        sum_f += f;
        sum_g += g;
    }
    AT_ZERO * sum_f - SLOPE * sum_g
}
