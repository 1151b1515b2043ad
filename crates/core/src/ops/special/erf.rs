//! Relatives of the error function.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, PI, SQRT_2};

use super::chebyshev;
use super::tables::ERFCX;

/// `e^(x²) erfc(x)`.
///
/// *Source*: the variable is that of Shepherd and Laframboise, Math. Comp. 36 (1981), 249.
pub(crate) fn erfcx(x: f64) -> f64 {
    if x < -27.0 {
        f64::INFINITY
    } else if x < 0.0 {
        // The square's rounding error is multiplied by the exponential, so it is put back.
        let square = x * x;
        let rest = x.mul_add(x, -square);
        2.0 * square.exp() * (1.0 + rest) - erfcx(-x)
    } else if x.is_infinite() {
        0.0
    } else {
        chebyshev(&ERFCX, (x - 3.75) / (x + 3.75)) / (1.0 + 2.0 * x)
    }
}

/// The inverse of `erf`: ±inf at ±1, NaN outside.
pub(crate) fn erfinv(x: f64) -> f64 {
    let a = x.abs();
    if a > 0.5 {
        // 1 - a is exact here.
        return erfcinv(1.0 - a).copysign(x);
    }
    if a < 1e-8 {
        return x / FRAC_2_SQRT_PI;
    }
    let mut z = winitzki((-a * a).ln_1p());
    for _ in 0..2 {
        // Halley's step; the second derivative is -2z times the first.
        let u = (libm::erf(z) - a) / (FRAC_2_SQRT_PI * (-z * z).exp());
        z -= u / (1.0 + z * u);
    }
    z.copysign(x)
}

/// The inverse of `erfc` on [0, ½]; NaN below, and for NaN.
fn erfcinv(q: f64) -> f64 {
    if q == 0.0 {
        return f64::INFINITY;
    }
    let log_q = q.ln();
    let mut z = winitzki(log_q + LN_2 + (-0.5 * q).ln_1p());
    for _ in 0..4 {
        // Newton's step on the logarithm, which is nearly a parabola in the tail.
        let e = erfcx(z);
        z += (e.ln() - z * z - log_q) * e / FRAC_2_SQRT_PI;
    }
    z
}

/// `|erfinv|` to two parts in a thousand, from `log(1 - x²)`.
///
/// *Source*: S. Winitzki, "A handy approximation for the error function and its inverse" (2008).
fn winitzki(log: f64) -> f64 {
    const A: f64 = 0.147;
    let t = 2.0 / (PI * A) + 0.5 * log;
    let root = (t * t - log / A).sqrt();
    // Of the two forms of `root - t`, the one without cancellation.
    if t > 0.0 { (-log / A / (root + t)).sqrt() } else { (root - t).sqrt() }
}

/// The inverse of the normal distribution function: ±inf at 1 and 0, NaN outside.
pub(crate) fn ndtri(p: f64) -> f64 {
    if p < 0.25 {
        -SQRT_2 * erfcinv(2.0 * p)
    } else if p > 0.75 {
        SQRT_2 * erfcinv(2.0 * (1.0 - p))
    } else {
        SQRT_2 * erfinv(2.0 * p - 1.0)
    }
}

/// The logarithm of the normal distribution function.
pub(crate) fn log_ndtr(x: f64) -> f64 {
    let t = x / SQRT_2;
    if x < -1.0 { (0.5 * erfcx(-t)).ln() - 0.5 * x * x } else { (-0.5 * libm::erfc(t)).ln_1p() }
}
