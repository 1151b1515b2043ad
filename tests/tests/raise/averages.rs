//! Derivatives of averages of windows and of padding by what is inside, which stand for themselves beside the function.

use cotangent_aten::nn::pool::Pool;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::replay::replay;

use crate::pullback::{beside, found, function};

#[test]
fn averages_have_their_derivatives() {
    type F = fn(&Tensor) -> Tensor;
    fn pool(stride: usize, padding: usize) -> Pool {
        Pool { padding: padding.into(), ..Pool::stride(stride) }
    }
    let table: [(&str, &[usize], F); 7] = [
        ("avg_pool2d_backward.default", &[1, 2, 4, 4], |x| x.avg_pool2d(2, &Pool::default())),
        ("avg_pool2d_backward.default", &[1, 2, 7, 6], |x| x.avg_pool2d(3, &pool(1, 1))),
        ("avg_pool2d_backward.default", &[2, 1, 7, 7], |x| {
            x.avg_pool2d(3, &Pool { count_include_pad: false, ..pool(2, 1) })
        }),
        ("avg_pool2d_backward.default", &[1, 1, 6, 5], |x| x.avg_pool2d(3, &Pool { ceil_mode: true, ..pool(2, 0) })),
        ("avg_pool2d_backward.default", &[1, 1, 5, 5], |x| {
            x.avg_pool2d(3, &Pool { divisor_override: Some(4), ..pool(1, 1) })
        }),
        ("avg_pool3d_backward.default", &[1, 1, 4, 3, 3], |x| x.avg_pool3d(2, &pool(1, 1))),
        ("_adaptive_avg_pool2d_backward.default", &[1, 2, 5, 4], |x| x.adaptive_avg_pool2d([3, 3])),
    ];
    for (target, shape, f) in table {
        let f = function(&[shape], |x| f(&x[0]));
        assert_eq!(found(&beside(&f), target), 1, "{target}\n{}", beside(&f).raised().code());
    }
    // The number that all are divided by has met that of a square.
    let f = function(&[&[1, 2, 7, 6]], |x| (x[0].avg_pool2d(3, &pool(1, 1)) * 2.0).exp());
    let gradient = simplify(&vjp(&f, &[0]).unwrap());
    let target = "avg_pool2d_backward.default";
    assert_eq!(found(&gradient, target), 1, "{}", gradient.raised().code());
    assert!(gradient.raised().code().contains("False, True, 1)"), "{}", gradient.raised().code());
}

/// The derivative of another function of the same shapes is not that of the one beside it.
#[test]
fn neighbours_of_averages_stay() {
    let shape: &[usize] = &[1, 2, 6, 6];
    let by = |size: usize, padding: usize| {
        function(&[shape], move |x| x[0].avg_pool2d(size, &Pool { padding: padding.into(), ..Pool::stride(1) }))
    };
    let other = vjp(&by(5, 1), &[0]).unwrap();
    let built = build("beside", |t| {
        let args: Vec<Tensor> = other.param_avals().iter().map(|a| t.param(a)).collect();
        let y = replay(&by(3, 0), &args[..1]).remove(0);
        Ok(vec![y, replay(&other, &args).pop().expect("a cotangent")])
    });
    let g = simplify(&built.unwrap());
    assert_eq!(found(&g, "avg_pool2d.default"), 1);
    // It says itself what it is the derivative of.
    assert_eq!(found(&g, "avg_pool2d_backward.default"), 1, "{}", g.raised().code());
    assert!(g.raised().code().contains("[5, 5], [1, 1], [1, 1], False, True, None)"), "{}", g.raised().code());
}
