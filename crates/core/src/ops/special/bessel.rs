//! Modified Bessel functions of orders 0 and 1, and the spherical one of order 0.

use super::chebyshev;
use super::tables::{I0_LARGE, I0_SMALL, I1_LARGE, I1_SMALL, K0_LARGE, K0_SMALL, K1_LARGE, K1_SMALL};

/// The modified Bessel function of the first kind of order 0.
pub(crate) fn i0(x: f64) -> f64 {
    unscale(i0e(x), x.abs())
}

/// `e^-|x| I0(x)`.
pub(crate) fn i0e(x: f64) -> f64 {
    let a = x.abs();
    if a <= 8.0 { chebyshev(&I0_SMALL, a / 4.0 - 1.0) } else { chebyshev(&I0_LARGE, 16.0 / a - 1.0) / a.sqrt() }
}

/// The modified Bessel function of the first kind of order 1.
pub(crate) fn i1(x: f64) -> f64 {
    unscale(i1e(x), x.abs())
}

/// `e^-|x| I1(x)`.
pub(crate) fn i1e(x: f64) -> f64 {
    let a = x.abs();
    if a <= 8.0 {
        x * chebyshev(&I1_SMALL, a / 4.0 - 1.0)
    } else {
        (chebyshev(&I1_LARGE, 16.0 / a - 1.0) / a.sqrt()).copysign(x)
    }
}

/// `y e^a` in two steps, because the product may exist where the power does not. At infinity it is NaN, as PyTorch's quotient of the power by a root is.
fn unscale(y: f64, a: f64) -> f64 {
    if a == f64::INFINITY {
        return f64::NAN;
    }
    let half = (0.5 * a).exp();
    if half.is_infinite() { y.signum() * half } else { y * half * half }
}

/// The modified Bessel function of the second kind of order 0: +inf at 0, NaN below.
pub(crate) fn k0(x: f64) -> f64 {
    if x > 2.0 { (-x).exp() * k0e(x) } else { second_kind(x, k0_small) }
}

/// `e^x K0(x)`.
pub(crate) fn k0e(x: f64) -> f64 {
    if x > 2.0 { chebyshev(&K0_LARGE, 4.0 / x - 1.0) / x.sqrt() } else { second_kind(x, |x| k0_small(x) * x.exp()) }
}

/// The modified Bessel function of the second kind of order 1: +inf at 0, NaN below.
pub(crate) fn k1(x: f64) -> f64 {
    if x > 2.0 { (-x).exp() * k1e(x) } else { second_kind(x, k1_small) }
}

/// `e^x K1(x)`.
pub(crate) fn k1e(x: f64) -> f64 {
    if x > 2.0 { chebyshev(&K1_LARGE, 4.0 / x - 1.0) / x.sqrt() } else { second_kind(x, |x| k1_small(x) * x.exp()) }
}

fn k0_small(x: f64) -> f64 {
    chebyshev(&K0_SMALL, x * x / 2.0 - 1.0) - (x / 2.0).ln() * i0(x)
}

fn k1_small(x: f64) -> f64 {
    chebyshev(&K1_SMALL, x * x / 2.0 - 1.0) / x + (x / 2.0).ln() * i1(x)
}

fn second_kind(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    if x == 0.0 {
        f64::INFINITY
    } else if x > 0.0 {
        f(x)
    } else {
        f64::NAN
    }
}

/// `sin(x) / x`, 1 at 0 and 0 at infinity.
pub(crate) fn spherical_j0(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x.is_infinite() {
        0.0
    } else {
        x.sin() / x
    }
}
