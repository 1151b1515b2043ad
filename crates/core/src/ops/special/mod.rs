//! Special functions on `f64`, for the reference evaluator; `f32` is computed through them.
//!
//! They are accurate to a few units in the last place, except near the zeros of oscillating functions, where the error
//! is relative to the amplitude. The Bessel functions and the Airy function are PyTorch's own approximations
//! (`oscillating`). What `libm` has (`erf`, `erfc`, `lgamma`) is taken from there.

mod airy;
mod bessel;
mod erf;
mod gamma;
mod igamma;
mod orthogonal;
mod oscillating;
// The tables keep their four columns.
#[rustfmt::skip]
mod rational;
// The tables keep their four columns.
#[rustfmt::skip]
mod tables;

/// Chebyshev series of the modified Bessel functions of the first kind, for code that computes them for many numbers at once.
pub mod series {
    pub use super::tables::{I0_LARGE, I0_SMALL, I1_LARGE, I1_SMALL};
}

pub(crate) use airy::airy_ai;
pub(crate) use bessel::{i0, i0e, i1, i1e, k0, k0e, k1, k1e, spherical_j0};
pub(crate) use erf::{erfcx, erfinv, log_ndtr, ndtri};
pub(crate) use gamma::{digamma, polygamma, trigamma_of_single, zeta};
pub(crate) use igamma::{igamma, igammac};
pub(crate) use orthogonal::{
    HERMITE_LIMITS, chebyshev_t, chebyshev_u, chebyshev_v, chebyshev_w, hermite_h, hermite_he, laguerre_l, legendre_p,
    shifted_chebyshev_t, shifted_chebyshev_u, shifted_chebyshev_v, shifted_chebyshev_w,
};
pub(crate) use oscillating::{j0, j1, y0, y1};

/// The Chebyshev series `c` at `t` in [-1, 1], by Clenshaw's recurrence.
fn chebyshev(c: &[f64], t: f64) -> f64 {
    let (mut b1, mut b2) = (0.0, 0.0);
    for c in c[1..].iter().rev() {
        (b1, b2) = (2.0 * t * b1 - b2 + c, b1);
    }
    t * b1 - b2 + c[0]
}

/// The polynomial with ascending coefficients `c`, by Horner's scheme.
fn polynomial(c: &[f64], x: f64) -> f64 {
    c.iter().rev().fold(0.0, |y, c| y * x + c)
}
