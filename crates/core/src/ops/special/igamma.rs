//! The regularized incomplete gamma functions.

use std::f64::consts::PI;

use super::gamma::zeta;
use super::polynomial;
use super::tables::TEMME;

/// The lower function P(a, x): from 0 at `x = 0` to 1; NaN for negative operands.
pub(crate) fn igamma(a: f64, x: f64) -> f64 {
    at_the_ends(a, x).unwrap_or_else(|| inside(a, x)).0
}

/// The upper function Q(a, x) = 1 - P(a, x).
pub(crate) fn igammac(a: f64, x: f64) -> f64 {
    at_the_ends(a, x).unwrap_or_else(|| inside(a, x)).1
}

/// P and Q where one of the operands is zero, infinite, negative or NaN; in PyTorch's order, so that a limit of one operand comes before a NaN of the other.
fn at_the_ends(a: f64, x: f64) -> Option<(f64, f64)> {
    let undefined = Some((f64::NAN, f64::NAN));
    if a < 0.0 || x < 0.0 {
        undefined
    } else if a == 0.0 {
        if x > 0.0 { Some((1.0, 0.0)) } else { undefined }
    } else if x == 0.0 {
        Some((0.0, 1.0))
    } else if a.is_infinite() {
        if x.is_infinite() { undefined } else { Some((0.0, 1.0)) }
    } else if x.is_infinite() {
        Some((1.0, 0.0))
    } else if a.is_nan() || x.is_nan() {
        undefined
    } else {
        None
    }
}

/// P and Q for finite positive operands: the smaller one is computed where it would otherwise lose its digits.
fn inside(a: f64, x: f64) -> (f64, f64) {
    if a > 1e4 && (x - a).abs() < 0.1 * a {
        return uniform(a, x);
    }
    if x > 1.1 && x > a {
        let q = power(a, x) * a * continued_fraction(a, x);
        return (1.0 - q, q);
    }
    let p = power(a, x) * series(a, x);
    let q_is_small = if x <= 0.5 { a <= -0.4 / x.ln() } else { a <= 0.75 * x };
    (p, if q_is_small { upper_series(a, x) } else { 1.0 - p })
}

/// `x^a e^-x / Γ(a + 1)`.
fn power(a: f64, x: f64) -> f64 {
    if a < 10.0 {
        return (a * x.ln() - x - lgamma1p(a)).exp();
    }
    // Stirling's series takes the large terms out of the exponent before they round.
    let b = 1.0 / (a * a);
    let stirling = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    (a * log1p_minus(a, x) - polynomial(&stirling, b) / a).exp() / (2.0 * PI * a).sqrt()
}

/// `log(x / a) - (x / a - 1)`, exact near `x = a`.
fn log1p_minus(a: f64, x: f64) -> f64 {
    let mu = (x - a) / a;
    if mu.abs() > 0.4 {
        return (x / a).ln() - mu;
    }
    // log(1 + mu) = 2 artanh(v), and 2v - mu = -v mu.
    let v = mu / (2.0 + mu);
    let square = v * v;
    let (mut term, mut sum, mut k) = (2.0 * v * square, 0.0, 3.0);
    while term.abs() / k > f64::EPSILON * 1e-2 * (v * mu).abs() {
        sum += term / k;
        term *= square;
        k += 2.0;
    }
    sum - v * mu
}

/// `1 + x / (a + 1) + x² / ((a + 1)(a + 2)) + …`.
fn series(a: f64, x: f64) -> f64 {
    let (mut n, mut term, mut sum) = (a, 1.0, 1.0);
    while term > f64::EPSILON * 0.1 * sum {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    sum
}

/// `Γ(a, x) e^x x^-a`, by Lentz's method.
fn continued_fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    let mut i = 1.0;
    loop {
        let an = -i * (i - a);
        b += 2.0;
        d = an * d + b;
        c = b + an / c;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = if c.abs() < TINY { TINY } else { c };
        let step = c * d;
        h *= step;
        if (step - 1.0).abs() <= f64::EPSILON {
            return h;
        }
        i += 1.0;
        if i > 100_000.0 {
            return h;
        }
    }
}

/// Q for small operands, where P is near 1.
fn upper_series(a: f64, x: f64) -> f64 {
    let (mut factor, mut sum, mut n) = (1.0, 0.0, 1.0);
    loop {
        factor *= -x / n;
        let term = factor / (a + n);
        sum += term;
        if term.abs() <= f64::EPSILON * 0.1 * f64::abs(sum) {
            break;
        }
        n += 1.0;
    }
    let exponent = a * x.ln() - lgamma1p(a);
    // 1 / Γ(a) = a / Γ(a + 1).
    -exponent.exp_m1() - exponent.exp() * a * sum
}

/// `log Γ(1 + a)` for `a` that is not negative, exact near 0.
fn lgamma1p(a: f64) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    if a > 0.2 {
        return libm::lgamma(1.0 + a);
    }
    let (mut power, mut sum) = (-a, -EULER_GAMMA * a);
    for k in 2..26 {
        power *= -a;
        sum += power * zeta(f64::from(k), 1.0) / f64::from(k);
    }
    sum
}

/// The expansion that holds uniformly about `x = a`.
///
/// *Source*: N. M. Temme, SIAM J. Math. Anal. 10 (1979), 757; DLMF 8.12.
fn uniform(a: f64, x: f64) -> (f64, f64) {
    let half_square = -log1p_minus(a, x);
    let eta = (2.0 * half_square).sqrt().copysign(x - a);
    let rows = TEMME.map(|row| polynomial(&row, eta));
    let rest = (-a * half_square).exp() / (2.0 * PI * a).sqrt() * polynomial(&rows, 1.0 / a);
    let t = eta * (0.5 * a).sqrt();
    (0.5 * libm::erfc(-t) - rest, 0.5 * libm::erfc(t) + rest)
}
