//! Parts of derivatives that are longer than a line.

use crate::ops::Unary;
use crate::tensor::Tensor;

/// Exponent 0 has derivative 0 even where `x^(e-1)` is infinite or NaN.
pub(super) fn pow_base(a: &Tensor, b: &Tensor, _: &Tensor, t: &Tensor) -> Tensor {
    let d = b * a.pow(&(b - 1.0));
    t * d.where_(&b.ne(0.0), d.zeros_like())
}

/// Base 0 with an exponent that is not negative has derivative 0 in the exponent.
pub(super) fn pow_exponent(a: &Tensor, b: &Tensor, y: &Tensor, t: &Tensor) -> Tensor {
    let d = y * a.log();
    let flat = a.eq(0.0).bitwise_and(b.ge(0.0));
    t * d.zeros_like().where_(&flat, &d)
}

/// `num / (a² + b²)`, and 0 at the origin.
pub(super) fn atan2_part(num: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    let square = a * a + b * b;
    let part = num / &square;
    part.zeros_like().where_(&square.eq(0.0), &part)
}

pub(super) fn extreme_part(t: &Tensor, tie: &Tensor, lost: &Tensor) -> Tensor {
    let half = (t * 0.5).where_(tie, t);
    t.zeros_like().where_(lost, &half)
}

/// `b^(a-1) e^-b / Γ(a)`: the derivative of the incomplete gamma function in its second operand.
pub(super) fn gamma_density(a: &Tensor, b: &Tensor) -> Tensor {
    ((a - 1.0) * b.log() - b - a.unary(Unary::Lgamma)).exp()
}
