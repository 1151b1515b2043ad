//! Activations and their derivatives, and what is almost so.

use crate::neighbours;

#[test]
fn activations_and_their_neighbours() {
    neighbours(&[
        (
            "gelu",
            |x, _| x * 0.5 * ((x * 0.5f64.sqrt()).erf() + 1.0),
            |x, y| y * 0.5 * ((x * 0.5f64.sqrt()).erf() + 1.0),
        ),
        (
            "gelu_backward",
            |x, g| {
                let cumulative = ((x * 0.5f64.sqrt()).erf() + 1.0) * 0.5;
                g * (cumulative + x * (x * x * -0.5).exp() * 0.398_942_280_401_432_7)
            },
            |x, g| {
                let cumulative = ((x * 0.5f64.sqrt()).erf() + 1.0) * 0.5;
                g * (cumulative + x * (x * x * -0.25).exp() * 0.398_942_280_401_432_7)
            },
        ),
        ("elu", |x, _| (x.expm1() * 1.5).where_(&x.le(0.0), x), |x, _| (x.expm1() * 1.5).where_(&x.le(0.5), x)),
        (
            "elu_backward",
            |x, g| g * (x.exp() * 1.5).where_(&x.le(0.0), x.ones_like()),
            |x, g| g * (x.exp() * 1.5).where_(&x.le(0.0), x.full_like(2.0)),
        ),
        ("leaky_relu", |x, _| x.where_(&x.gt(0.0), x * 0.1), |x, y| x.where_(&x.gt(0.0), y * 0.1)),
        (
            "leaky_relu_backward",
            |x, g| g * x.ones_like().where_(&x.gt(0.0), x.full_like(0.1)),
            |x, g| g * x.ones_like().where_(&x.ge(0.0), x.full_like(0.1)),
        ),
        ("clamp", |x, _| x.maximum(-0.5).minimum(0.5), |x, y| x.maximum(-0.5).minimum(y)),
        ("threshold", |x, _| x.full_like(2.0).where_(&x.le(0.5), x), |x, y| x.full_like(2.0).where_(&y.le(0.5), x)),
    ]);
}
