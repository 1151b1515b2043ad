//! The digamma and polygamma functions and Hurwitz's zeta function.

use std::f64::consts::PI;

use super::polynomial;
use super::tables::DIGAMMA;

/// The positive root of the digamma function, in two parts.
const ROOT: (f64, f64) = (1.461_632_144_968_362_3, 9.549_995_429_965_697e-17);

/// `B_2k / 2k` for k = 1, 2, …: the asymptotic series of the digamma function.
const DIGAMMA_TAIL: [f64; 7] =
    [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0, 1.0 / 12.0];

/// `(2k)! / B_2k` for k = 1, 2, …: the Euler-Maclaurin series.
const EULER_MACLAURIN: [f64; 12] = [
    12.0,
    -720.0,
    30240.0,
    -1209600.0,
    47900160.0,
    -1892437580.3183792,
    74724249600.0,
    -2950130727918.164,
    116467828143500.67,
    -4597978722407473.0,
    1.8152105401943546e17,
    -7.166165256175667e18,
];

/// The logarithmic derivative of the gamma function: ∓inf at ±0, NaN at the negative integers.
pub(crate) fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 {
        // Reflection; the tangent's period makes the fraction enough. Poles are NaN.
        let fraction = x - x.trunc();
        return if fraction == 0.0 { f64::NAN } else { digamma(1.0 - x) - PI / (PI * fraction).tan() };
    }
    if x == f64::INFINITY {
        return x;
    }
    let from_root = (x - ROOT.0) - ROOT.1;
    if from_root.abs() < 0.3 {
        return from_root * polynomial(&DIGAMMA, from_root);
    }
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift += 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    x.ln() - 0.5 / x - square * polynomial(&DIGAMMA_TAIL, square) - shift
}

/// The derivative of order `n` of the digamma function; infinite at its poles, but for those of order 1 below zero.
pub(crate) fn polygamma(n: i64, x: f64) -> f64 {
    if n == 0 {
        return digamma(x);
    }
    if n == 1 && x > 0.0 {
        return trigamma_of_positive(x);
    }
    if n == 1 && x < 0.0 && x == x.floor() {
        return trigamma_at_pole(x, (PI * x).sin());
    }
    let sign = if n % 2 == 0 { -1.0 } else { 1.0 };
    // n! is infinite from 171 on, where the order is beyond any use.
    let factorial: f64 = (2..=n.min(171)).map(|k| k as f64).product();
    sign * factorial * zeta(n as f64 + 1.0, x)
}

/// [`polygamma`] of order 1 where PyTorch computes in `f32`: other numbers at the poles.
pub(crate) fn trigamma_of_single(x: f64) -> f64 {
    let is_pole = x < 0.0 && x == x.floor();
    if is_pole { trigamma_at_pole(x, f64::from(std::f32::consts::PI * x as f32).sin()) } else { polygamma(1, x) }
}

/// `ψ′` at a negative integer, where PyTorch reflects at `1 / 2` and divides by the sine of a rounded multiple of π, which is not zero; NaN at −∞.
fn trigamma_at_pole(x: f64, sine: f64) -> f64 {
    (PI / sine).powi(2) - trigamma_of_positive(1.0 - x)
}

/// `ψ′(x + 8)` by its asymptotic series, and eight steps of `ψ′(x) = ψ′(x + 1) + 1 / x²`.
fn trigamma_of_positive(x: f64) -> f64 {
    /// The Bernoulli numbers `B₂` to `B₁₆`, the last first.
    const BERNOULLI: [f64; 8] =
        [-3617.0 / 510.0, 7.0 / 6.0, -691.0 / 2730.0, 5.0 / 66.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 1.0 / 6.0];
    let mut steps = 0.0;
    for k in (0..8).rev() {
        let a = x + f64::from(k);
        steps += 1.0 / (a * a);
    }
    let inverse = 1.0 / (x + 8.0);
    let square = inverse * inverse;
    let mut series = 0.0;
    for b in BERNOULLI {
        series = series * square + b;
    }
    steps + (inverse + square * (0.5 + inverse * series))
}

/// Hurwitz's zeta function, the sum of `(q + k)^-x`: +inf at `x = 1`, NaN below; +inf at the poles `q = 0, -1, …` (of which an infinite one is the last,
/// whatever `x`), and NaN at other negative `q` unless `x` is an integer. PyTorch's series ends as NaN where `q` is infinite, or an infinite `x` leaves no term.
pub(crate) fn zeta(x: f64, q: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    if x < 1.0 {
        return f64::NAN;
    }
    if q > 0.0 || q.is_nan() {
        return zeta_of_positive(x, q);
    }
    if q == q.floor() {
        return f64::INFINITY;
    }
    if x != x.floor() {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        // One of the terms has a base between −1 and 1.
        return f64::INFINITY;
    }
    // The terms below zero are, up to sign, the first ones of the series that starts at `1 - fraction`.
    let fraction = q - q.floor();
    let below = zeta_of_positive(x, 1.0 - fraction) - zeta_of_positive(x, 1.0 - q);
    zeta_of_positive(x, fraction) + if x % 2.0 == 0.0 { below } else { -below }
}

/// Some terms, then the Euler-Maclaurin formula.
fn zeta_of_positive(x: f64, q: f64) -> f64 {
    let mut sum = q.powf(-x);
    let (mut a, mut term) = (q, sum);
    let mut terms = 0;
    while terms < 9 || a <= 9.0 {
        terms += 1;
        a += 1.0;
        term = a.powf(-x);
        sum += term;
        if term < f64::EPSILON / 2.0 * sum {
            return sum;
        }
    }
    sum += term * a / (x - 1.0) - 0.5 * term;
    let (mut factor, mut k) = (1.0, 0.0);
    for c in EULER_MACLAURIN {
        factor *= x + k;
        term /= a;
        let t = factor * term / c;
        sum += t;
        if (t / sum).abs() < f64::EPSILON / 2.0 {
            return sum;
        }
        factor *= x + k + 1.0;
        term /= a;
        k += 2.0;
    }
    sum
}
