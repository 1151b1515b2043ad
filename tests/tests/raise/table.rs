//! Elementwise operators by their terms, and what is almost so.

use cotangent_aten::prelude::*;

use crate::neighbours;
use crate::whole::log_sigmoid;

#[test]
fn terms_and_their_neighbours() {
    neighbours(&[
        ("softplus", |x, _| x.where_(&x.gt(20.0), x.exp().log1p()), |x, y| x.where_(&x.gt(20.0), y.exp().log1p())),
        (
            "softplus",
            |x, _| x.where_(&(x * 2.0).gt(20.0), (x * 2.0).exp().log1p() / 2.0),
            |x, _| x.where_(&(x * 2.0).gt(20.0), (x * 2.0).exp().log1p() / 3.0),
        ),
        ("log_sigmoid", |x, _| log_sigmoid(x, x), log_sigmoid),
        (
            "mish",
            |x, _| x * x.where_(&x.gt(20.0), x.exp().log1p()).tanh(),
            |x, y| y * x.where_(&x.gt(20.0), x.exp().log1p()).tanh(),
        ),
        ("celu", |x, _| x.where_(&x.gt(0.0), (x / 0.7).expm1() * 0.7), |x, _| x.where_(&x.gt(0.0), (x / 0.7).expm1())),
        (
            "hardshrink",
            |x, _| x.zeros_like().where_(&x.abs().le(0.5), x),
            |x, y| x.zeros_like().where_(&y.abs().le(0.5), x),
        ),
        (
            "softshrink",
            |x, _| (x - x.sign() * 0.5).where_(&x.abs().gt(0.5), 0.0),
            |x, _| (x - x.sign() * 0.5).where_(&x.abs().gt(0.25), 0.0),
        ),
        (
            "sinc",
            |x, _| {
                let t = x * std::f64::consts::PI;
                t.ones_like().where_(&t.eq(0.0), t.sin() / &t)
            },
            |x, _| {
                let t = x * 3.0;
                t.ones_like().where_(&t.eq(0.0), t.sin() / &t)
            },
        ),
        (
            "xlogy",
            |x, y| y.full_like(f64::NAN).where_(&y.isnan(), x.zeros_like().where_(&x.eq(0.0), x * y.log())),
            |x, y| y.full_like(f64::NAN).where_(&y.isnan(), x.zeros_like().where_(&y.eq(0.0), x * y.log())),
        ),
        (
            "hardtanh",
            |x, _| x.full_like(-1.0).where_(&x.le(-1.0), x.ones_like().where_(&x.ge(1.0), x)),
            |x, _| x.full_like(-1.0).where_(&x.le(-2.0), x.ones_like().where_(&x.ge(1.0), x)),
        ),
    ]);
}
