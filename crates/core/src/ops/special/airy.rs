//! The Airy function.

use std::f64::consts::{FRAC_PI_4, PI};

use super::chebyshev;
use super::tables::{AI_COS, AI_DECAY, AI_SIN};

/// `Ai(0)`.
const AT_ZERO: f64 = 0.355_028_053_887_817_2;
/// `-Ai'(0)`.
const SLOPE: f64 = 0.258_819_403_792_806_8;

/// The Airy function of the first kind.
pub(crate) fn airy_ai(x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let a = x.abs();
    let zeta = 2.0 / 3.0 * a * a.sqrt();
    if x > 1.0 {
        (-zeta).exp() * chebyshev(&AI_DECAY, 4.0 / (3.0 * zeta) - 1.0) / a.sqrt().sqrt()
    } else if x < 0.0 && zeta >= 4.0 {
        let (t, angle) = (32.0 / (zeta * zeta) - 1.0, zeta - FRAC_PI_4);
        let wave = angle.cos() * chebyshev(&AI_COS, t) + angle.sin() * chebyshev(&AI_SIN, t) / zeta;
        wave / (PI.sqrt() * a.sqrt().sqrt())
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
