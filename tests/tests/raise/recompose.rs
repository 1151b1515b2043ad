//! What exporters take apart.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::simplify::recompose;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_tests::random_graph::random_args;

use crate::{same_bits, targets};

/// What an exporter takes apart is whole again before it is differentiated.
#[test]
fn decompositions_are_recomposed() {
    type F = fn(&Tensor) -> Tensor;
    /// `log(exp(x) + exp(2 x))` as PyTorch's exporter has it, where equal infinities are left out.
    fn log_of_sum(x: &Tensor, infinity: f64) -> Tensor {
        let y = x * 2.0;
        let finite = x.eq(x) * x.abs().ne(infinity);
        let same = finite.logical_not().logical_and(&x.eq(&y));
        let above = x.ge(&y);
        let (largest, least) = (x.where_(&above, &y), y.where_(&above, x));
        x.where_(&same, &largest + (least - &largest).exp().log1p())
    }
    /// The step from 0 to `one`, with another number at 0.
    fn step(x: &Tensor, one: f64) -> Tensor {
        let steps = x.zeros_like().where_(&x.lt(0.0).logical_or(&x.isnan()), x.full_like(one));
        (x * 2.0).where_(&x.eq(0.0), steps)
    }
    fn log2_of_sum(x: &Tensor, scale: f64) -> Tensor {
        let y = x * 2.0;
        let above = x.ge(&y);
        let (largest, least) = (x.where_(&above, &y), y.where_(&above, x));
        x.where_(&x.isinf().logical_and(&x.eq(&y)), &largest + (least - &largest).exp2().log1p() * scale)
    }
    fn times_log1p(x: &Tensor, at_nan: f64) -> Tensor {
        let y = x * 2.0;
        x.full_like(at_nan).where_(&y.isnan(), x.zeros_like().where_(&x.eq(0.0), x * y.log1p()))
    }
    /// The softmax of rows, or 0 where all are `forbidden`.
    fn safe_softmax(x: &Tensor, forbidden: f64) -> Tensor {
        let all = x.eq(forbidden).logical_not().any(keepdim(1)).logical_not();
        x.zeros_like().where_(&all.expand_to(x.shape()), x.softmax(1))
    }
    /// The point between `x` and its opposite at a number, as PyTorch's exporter has it.
    fn way(x: &Tensor, weight: f64, near: f64) -> Tensor {
        let (y, far) = (-x, x.full_like(near).abs().ge(0.5));
        let w = x.full_like(weight);
        y.where_(&far, x) + (&w - 1.0).where_(&far, &w) * (&y - x)
    }
    let table: &[(&str, F, F)] = &[
        (
            "hardswish",
            |x| x * (x + 3.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
            |x| x * (x + 3.0).clamp_min(0i64).clamp_max(5i64) / 6.0,
        ),
        (
            "hardsigmoid",
            |x| (x + 3.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
            |x| (x + 2.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
        ),
        ("logaddexp", |x| log_of_sum(x, f64::INFINITY), |x| log_of_sum(x, 1.0)),
        ("linalg_vector_norm", |x| x.pow(2.0).sum_over(&[1]).sqrt(), |x| x.pow(3.0).sum_over(&[1]).sqrt()),
        (
            "linalg_vector_norm",
            |x| x.abs().pow(-1.0).sum_over(&[1]).pow(-1.0),
            |x| x.abs().pow(-1.0).sum_over(&[1]).pow(-2.0),
        ),
        ("linalg_vector_norm", |x| x.pow(4.0).sum_over(&[1]).pow(0.25), |x| x.pow(5.0).sum_over(&[1]).pow(0.2)),
        ("lerp", |x| way(x, 0.3, 0.3), |x| way(x, 0.3, 0.4)),
        (
            "dist",
            |x| (x - x.flip_dims(&[0])).abs().pow(3.0).sum_over(&[0, 1]).pow(1.0 / 3.0),
            |x| (x - x.flip_dims(&[0])).abs().pow(3.0).sum_over(&[1]).pow(1.0 / 3.0),
        ),
        ("heaviside", |x| step(x, 1.0), |x| step(x, 2.0)),
        ("logaddexp2", |x| log2_of_sum(x, 2f64.ln().recip()), |x| log2_of_sum(x, 1.5)),
        ("special_xlog1py", |x| times_log1p(x, f64::NAN), |x| times_log1p(x, 1.0)),
        ("_safe_softmax", |x| safe_softmax(x, f64::NEG_INFINITY), |x| safe_softmax(x, 0.0)),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for (name, f, neighbour) in table {
        for (f, expected) in [(f, true), (neighbour, false)] {
            let g = build("f", |t| Ok(vec![f(&t.param(&aval)).ok()?])).unwrap();
            let whole = recompose(&g);
            let found = targets(&whole).iter().any(|t| t.split('.').next() == Some(*name));
            assert_eq!(found, expected, "{}", whole.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&whole, &args).unwrap()), "{name}");
        }
    }
}

/// Attention as exporters have it: over heads that are one dim with the batch, by the root of the scale.
fn attention(q: &Tensor, k: &Tensor, v: &Tensor, diagonal: i64, by: [f64; 2]) -> Tensor {
    let joined = |x: &Tensor, last: [usize; 2]| x.view_to(&[4, last[0], last[1]].into());
    let scores = joined(&(q * by[0]), [3, 4]).bmm(&joined(&(k.permute_to(&[0, 1, 3, 2]) * by[1]), [4, 3]));
    let places = q.arange_like(3.into(), DType::I64);
    let column = places.view_to(&[1, 3].into()).expand_to(&[3, 3].into());
    let row = places.view_to(&[3, 1].into()).expand_to(&[3, 3].into());
    let all = q.full_of(&Aval::new(DType::Bool, [3, 3]), true);
    let allowed = (column - row).le(diagonal).logical_and(&all);
    let number = |x: f64| q.full_of(&Aval::new(DType::F64, ()), x).expand_to(&[3, 3].into());
    let mask = number(0.0).where_(&allowed, number(f64::NEG_INFINITY)).expand_to(&[2, 2, 3, 3].into());
    let weights = (scores.view_to(&[2, 2, 3, 3].into()) + mask).softmax_or_zero(-1);
    joined(&weights, [3, 3]).bmm(&joined(v, [3, 4])).view_to(&[2, 2, 3, 4].into())
}

/// A mask below the diagonal is a flag; another one an operand; of unequal factors no product is scaled as attention is.
#[test]
fn attention_is_recomposed() {
    let half = 0.5f64.sqrt();
    let table: [(i64, [f64; 2], Option<&str>); 4] = [
        (0, [half, half], Some("(x_1, y_1, z_1, None, 0.0, True)")),
        (0, [0.5, 0.5], Some("(x_1, y_1, z_1, None, 0.0, True, scale = 0.25)")),
        (1, [half, half], Some("(x_1, y_1, z_1, where)")),
        (0, [0.5, 0.7], None),
    ];
    for (diagonal, by, expected) in table {
        let aval = Aval::new(DType::F64, [2, 2, 3, 4]);
        let g = build("f", |t| {
            let [q, k, v] = std::array::from_fn(|_| t.param(&aval));
            Ok(vec![attention(&q, &k, &v, diagonal, by).ok()?])
        });
        let g = g.unwrap();
        let whole = recompose(&g);
        let code = whole.code();
        let called = code.lines().find_map(|l| l.split("scaled_dot_product_attention.default").nth(1));
        let called = called.map(|l| l.split(';').next().unwrap_or_default());
        assert_eq!(called, expected, "{code}");
        let args = random_args(1, &g);
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&whole, &args).unwrap()), "{code}");
    }
}
