//! Elementwise operators by their terms, and what is almost so.

use cotangent_aten::prelude::*;

use cotangent_core::Tensor;

use crate::neighbours;
use crate::whole::log_sigmoid;

/// From `x` to `y` by a weight for each row, and from the nearer of both.
fn by_rows(x: &Tensor, y: &Tensor, w: &Tensor, whole: f64) -> Tensor {
    (x + (y - x) * w).where_(&w.abs().lt(0.5), y - (y - x) * (whole - w))
}

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
            "lerp",
            |x, y| {
                let (w, far) = (x.sigmoid(), x.sigmoid().abs().ge(0.5));
                y.where_(&far, x) + (&w - 1.0).where_(&far, &w) * (y - x)
            },
            |x, y| {
                let (w, far) = (x.sigmoid(), x.sigmoid().abs().ge(0.5));
                y.where_(&far, x) + (&w - 1.0).where_(&far, &w) * (x - y)
            },
        ),
        // A weight for each row, and no weight.
        (
            "lerp",
            |x, y| by_rows(x, y, &x.sum_over(&[1]).sigmoid().view_to(&[2, 1].into()), 1.0),
            |x, y| by_rows(x, y, &x.sum_over(&[1]).sigmoid().view_to(&[2, 1].into()), 2.0),
        ),
        (
            "logit",
            |x, _| {
                let w = x.full_like(-1.0).where_(&x.lt(-1.0), x.full_like(2.0).where_(&x.gt(2.0), x));
                (&w / (1.0 - &w)).log()
            },
            |x, _| {
                let w = x.full_like(-1.0).where_(&x.lt(-1.0), x.full_like(2.0).where_(&x.gt(2.0), x));
                (&w / (2.0 - &w)).log()
            },
        ),
        (
            "logit",
            |x, _| {
                let w = x.full_like(0.1).where_(&x.lt(0.1), x.full_like(0.9).where_(&x.gt(0.9), x));
                (&w / (1.0 - &w)).log()
            },
            |x, _| {
                let w = x.full_like(0.1).where_(&x.lt(0.1), x.full_like(0.8).where_(&x.gt(0.8), x));
                (&w / (1.0 - &w)).log()
            },
        ),
        (
            "special_log_ndtr",
            |x, _| {
                let t = x * std::f64::consts::FRAC_1_SQRT_2;
                (((-&t).erfcx() / 2.0).log() - &t * &t).where_(&x.lt(1.0), (t.erfc() / -2.0).log1p())
            },
            |x, _| {
                let t = x * std::f64::consts::FRAC_1_SQRT_2;
                (((-&t).erfcx() / 2.0).log() - &t * &t).where_(&x.lt(1.0), (t.erfc() / -3.0).log1p())
            },
        ),
        (
            "nan_to_num",
            |x, _| {
                let low = x.full_like(-9.0).where_(&x.eq(f64::NEG_INFINITY), x.zeros_like().where_(&x.isnan(), x));
                x.full_like(9.0).where_(&x.eq(f64::INFINITY), low)
            },
            |x, _| {
                let low = x.full_like(-9.0).where_(&x.eq(f64::INFINITY), x.zeros_like().where_(&x.isnan(), x));
                x.full_like(9.0).where_(&x.eq(f64::INFINITY), low)
            },
        ),
        (
            "special_entr",
            |x, _| {
                let below = x.zeros_like().where_(&x.eq(0.0), f64::NEG_INFINITY);
                x.where_(&x.isnan(), (-(x * x.log())).where_(&x.gt(0.0), below))
            },
            |x, _| {
                let below = x.zeros_like().where_(&x.eq(1.0), f64::NEG_INFINITY);
                x.where_(&x.isnan(), (-(x * x.log())).where_(&x.gt(0.0), below))
            },
        ),
        (
            "hardtanh",
            |x, _| x.full_like(-1.0).where_(&x.le(-1.0), x.ones_like().where_(&x.ge(1.0), x)),
            |x, _| x.full_like(-1.0).where_(&x.le(-2.0), x.ones_like().where_(&x.ge(1.0), x)),
        ),
    ]);
}
