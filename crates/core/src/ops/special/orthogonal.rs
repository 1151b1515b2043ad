//! Orthogonal polynomials of a degree that is rounded towards zero; 0 for negative degrees, and for those that no `i64` holds.
//!
//! *Source*: `aten/src/ATen/native/Math.h` of PyTorch, whose closed forms and ends are kept, so that values near the ends of
//! [-1, 1] and of large degree agree.

/// The largest degree to which recurrences are followed; beyond, polynomials without a closed form are NaN, because a number in the
/// data must not decide that a call never ends.
const LONGEST: i64 = 1 << 20;

/// The last of the polynomials `p`, `q`, `step(k, p, q)`, … of degrees 0, 1, 2, …; it stays NaN once it is.
fn recurrence(degree: i64, p: f64, q: f64, step: impl Fn(f64, f64, f64) -> f64) -> f64 {
    if degree == 0 {
        return p;
    }
    if degree > LONGEST {
        return f64::NAN;
    }
    let (mut p, mut q) = (p, q);
    for k in 2..=degree {
        if q.is_nan() {
            break;
        }
        (p, q) = (q, step(k as f64, p, q));
    }
    q
}

/// The degree, which is negative where no `i64` holds it: so PyTorch's conversion leaves it on x86.
fn whole(degree: f64) -> i64 {
    let limit = -(i64::MIN as f64);
    if (-limit..limit).contains(&degree) { degree as i64 } else { i64::MIN }
}

/// `a` for even degrees, `b` for odd ones.
fn by_parity(degree: i64, a: f64, b: f64) -> f64 {
    if degree % 2 == 0 { a } else { b }
}

/// The kinds of Chebyshev's polynomials.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    T,
    U,
    V,
    W,
}

/// The polynomial of `degree` at `x`; `closed` is the degree above which the closed form is used inside (-1, 1).
fn chebyshev_of(kind: Kind, x: f64, degree: f64, closed: i64) -> f64 {
    let n = whole(degree);
    if n < 0 {
        return 0.0;
    }
    let (m, odd) = (n as f64, 2.0 * n as f64 + 1.0);
    if x == 1.0 {
        return match kind {
            Kind::T | Kind::V => 1.0,
            Kind::U => m + 1.0,
            Kind::W => odd,
        };
    }
    if x == -1.0 {
        let size = match kind {
            Kind::T | Kind::W => 1.0,
            Kind::U => m + 1.0,
            Kind::V => odd,
        };
        return by_parity(n, size, -size);
    }
    if n > closed && x.abs() < 1.0 {
        let angle = x.acos();
        return match kind {
            Kind::T => (m * angle).cos(),
            Kind::U => ((m + 1.0) * angle).sin() / angle.sin(),
            Kind::V => ((m + 0.5) * angle).cos() / (angle / 2.0).cos(),
            Kind::W => ((m + 0.5) * angle).sin() / (angle / 2.0).sin(),
        };
    }
    let first = match kind {
        Kind::T => x,
        Kind::U => x + x,
        Kind::V => x + x - 1.0,
        Kind::W => x + x + 1.0,
    };
    recurrence(n, 1.0, first, |_, p, q| (x + x) * q - p)
}

/// Chebyshev's polynomial of the first kind.
pub(crate) fn chebyshev_t(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::T, x, degree, 6)
}

/// Chebyshev's polynomial of the second kind.
pub(crate) fn chebyshev_u(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::U, x, degree, 8)
}

/// Chebyshev's polynomial of the third kind.
pub(crate) fn chebyshev_v(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::V, x, degree, 8)
}

/// Chebyshev's polynomial of the fourth kind.
pub(crate) fn chebyshev_w(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::W, x, degree, 8)
}

/// Chebyshev's polynomial of the first kind on [0, 1].
pub(crate) fn shifted_chebyshev_t(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::T, x + x - 1.0, degree, 6)
}

/// Chebyshev's polynomial of the second kind on [0, 1].
pub(crate) fn shifted_chebyshev_u(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::U, x + x - 1.0, degree, 6)
}

/// Chebyshev's polynomial of the third kind on [0, 1].
pub(crate) fn shifted_chebyshev_v(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::V, x + x - 1.0, degree, 6)
}

/// Chebyshev's polynomial of the fourth kind on [0, 1].
pub(crate) fn shifted_chebyshev_w(x: f64, degree: f64) -> f64 {
    chebyshev_of(Kind::W, x + x - 1.0, degree, 4)
}

/// The largest degree of Hermite's polynomials: 512 in `f64`, 128 in `f32`; beyond, they are NaN.
pub(crate) const HERMITE_LIMITS: (i64, i64) = (512, 128);

/// Hermite's polynomial of physicists; NaN beyond the degree `limit`.
pub(crate) fn hermite_h(x: f64, degree: f64, limit: i64) -> f64 {
    hermite(degree, limit, 2.0, x)
}

/// Hermite's polynomial of probabilists; NaN beyond the degree `limit`.
pub(crate) fn hermite_he(x: f64, degree: f64, limit: i64) -> f64 {
    hermite(degree, limit, 1.0, x)
}

fn hermite(degree: f64, limit: i64, scale: f64, x: f64) -> f64 {
    match whole(degree) {
        ..0 => 0.0,
        n if n > limit => f64::NAN,
        n => recurrence(n, 1.0, scale * x, |k, p, q| scale * (x * q - (k - 1.0) * p)),
    }
}

/// Laguerre's polynomial.
pub(crate) fn laguerre_l(x: f64, degree: f64) -> f64 {
    match whole(degree) {
        ..0 => 0.0,
        _ if x == 0.0 => 1.0,
        n => recurrence(n, 1.0, 1.0 - x, |k, p, q| ((2.0 * k - 1.0 - x) * q - (k - 1.0) * p) / k),
    }
}

/// Legendre's polynomial.
pub(crate) fn legendre_p(x: f64, degree: f64) -> f64 {
    match whole(degree) {
        ..0 => 0.0,
        _ if x == 1.0 => 1.0,
        n if x == -1.0 => by_parity(n, 1.0, -1.0),
        n => recurrence(n, 1.0, x, |k, p, q| ((2.0 * k - 1.0) * x * q - (k - 1.0) * p) / k),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_beyond_integers_count_as_negative() {
        for degree in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19] {
            let values = [
                chebyshev_t(0.5, degree),
                hermite_h(0.5, degree, 512),
                laguerre_l(0.5, degree),
                legendre_p(1.0, degree),
            ];
            assert_eq!(values, [0.0; 4]);
        }
    }

    /// Values of PyTorch 2.15 in `f64`.
    #[test]
    fn known_values() {
        let close = |found: f64, expected: f64| {
            assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} {expected}")
        };
        for (found, expected) in KNOWN {
            close(found(), *expected);
        }
        assert_eq!(chebyshev_t(0.3, -1.0), 0.0);
        assert!(hermite_h(0.3, 129.0, HERMITE_LIMITS.1).is_nan());
        for endless in [1e18, 9e18] {
            assert!(legendre_p(0.3, endless).is_nan() && laguerre_l(0.3, endless).is_nan());
        }
    }

    /// A value to compute, and what it is.
    type Known = (fn() -> f64, f64);

    const KNOWN: &[Known] = &[
        (|| chebyshev_t(0.3, 5.0), 0.9988800000000001),
        (|| chebyshev_t(1.7, 4.9), 44.69679999999999),
        (|| chebyshev_t(0.4, 11.0), 0.9828065689600003),
        (|| chebyshev_u(0.3, 5.0), 1.01376),
        (|| chebyshev_u(1.7, 4.9), 99.9536),
        (|| chebyshev_u(0.4, 11.0), 1.0633892659199995),
        (|| chebyshev_v(0.3, 5.0), 0.96416),
        (|| chebyshev_v(1.7, 4.9), 67.44959999999999),
        (|| chebyshev_v(0.4, 11.0), 0.8619325235200007),
        (|| chebyshev_w(0.3, 5.0), 1.06336),
        (|| chebyshev_w(1.7, 4.9), 132.45759999999999),
        (|| chebyshev_w(0.4, 11.0), 1.2648460083199988),
        (|| shifted_chebyshev_t(0.3, 5.0), -0.8838399999999998),
        (|| shifted_chebyshev_t(1.7, 4.9), 220.34079999999997),
        (|| shifted_chebyshev_t(0.4, 11.0), 0.7996160204799998),
        (|| shifted_chebyshev_u(0.3, 5.0), -0.67968),
        (|| shifted_chebyshev_u(1.7, 4.9), 462.7215999999999),
        (|| shifted_chebyshev_u(0.4, 11.0), 0.6770370969599997),
        (|| shifted_chebyshev_v(0.3, 5.0), -0.16927999999999985),
        (|| shifted_chebyshev_v(1.7, 4.9), 361.7295999999999),
        (|| shifted_chebyshev_v(0.4, 11.0), 0.0641424793599995),
        (|| shifted_chebyshev_w(0.3, 5.0), -1.1900799999999998),
        (|| shifted_chebyshev_w(1.7, 4.9), 563.7135999999999),
        (|| shifted_chebyshev_w(0.4, 11.0), 1.28993171456),
        (|| laguerre_l(0.3, 5.0), -0.09333274999999984),
        (|| laguerre_l(1.7, 4.9), -0.057329166666666674),
        (|| laguerre_l(0.4, 11.0), -0.44490036703416536),
        (|| legendre_p(0.3, 5.0), 0.34538625),
        (|| legendre_p(1.7, 4.9), 26.077937499999997),
        (|| legendre_p(0.4, 11.0), 0.2455530673599999),
        (|| hermite_h(0.3, 5.0, HERMITE_LIMITS.0), 31.757759999999998),
        (|| hermite_h(1.7, 4.9, HERMITE_LIMITS.0), 6.9135999999999935),
        (|| hermite_h(0.4, 11.0, HERMITE_LIMITS.0), -141536.38505873404),
        (|| hermite_he(0.3, 5.0, HERMITE_LIMITS.0), 4.23243),
        (|| hermite_he(1.7, 4.9, HERMITE_LIMITS.0), -5.9879),
        (|| hermite_he(0.4, 11.0, HERMITE_LIMITS.0), -3118.55555997696),
    ];
}
