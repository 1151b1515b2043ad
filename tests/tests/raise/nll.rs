//! Losses of chosen classes and their derivatives, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::grad_and_value;
use cotangent_core::transform::inline::inline_composites;

use crate::{same_bits, targets};

/// The mean of the losses of the classes as exporters write it; `ignored` does not count.
fn mean(x: &Tensor, t: &Tensor, ignored: i64, dim: usize) -> Tensor {
    let counts = t.ne(ignored);
    let places = t.where_(&counts, 0i64).view_to(&[3, 1].into());
    let chosen = (-x.log_softmax(dim as i64).gather_along(1, &places)).view_to(&[3].into());
    chosen.where_(&counts, 0.0).sum() / counts.long().sum().double()
}

#[test]
fn losses_of_classes_are_found_with_their_derivatives() {
    let (x, t) = (Aval::new(DType::F64, [3, 4]), Aval::new(DType::I64, [3]));
    let args = [
        Array::new([3, 4], (0..12).map(|i| (f64::from(i) * 1.7).sin()).collect()),
        // One does not count.
        Array::new([3], vec![2i64, 1, 3]),
    ];
    // Of rows, in which the losses' derivatives hold one number, and of columns.
    for dim in [1, 0] {
        let g = build("f", |b| Ok(vec![mean(&b.param(&x), &b.param(&t), 1, dim).ok()?])).unwrap();
        let raised = simplify(&g).raised();
        assert_eq!(targets(&raised), ["_log_softmax.default", "nll_loss_forward.default"]);
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()));

        let pulled = grad_and_value(&g, &[0]).unwrap();
        let pulled = simplify(&pulled);
        let raised = pulled.raised();
        let back = ["nll_loss_backward.default", "_log_softmax_backward_data.default"];
        let found = targets(&raised);
        assert!(back.iter().all(|op| found.contains(&(*op).to_owned())), "{}", raised.code());
        assert!(same_bits(&eval(&pulled, &args).unwrap(), &eval(&raised, &args).unwrap()), "{}", raised.code());
    }
    // Another class stands for what does not count.
    let g = build("f", |b| {
        let (x, t) = (b.param(&x), b.param(&t));
        let counts = t.ne(1i64);
        let places = t.where_(&counts, 2i64).view_to(&[3, 1].into());
        let chosen = (-x.gather_along(1, &places)).view_to(&[3].into());
        Ok(vec![chosen.where_(&counts, 0.0).sum()])
    });
    let g = simplify(&inline_composites(&g.unwrap()).unwrap());
    assert!(!targets(&g.raised()).contains(&"nll_loss_forward.default".to_owned()));
}
