//! Losses of chosen classes and their derivatives, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::{grad_and_value, vjp};
use cotangent_core::transform::inline::inline_composites;
use cotangent_core::transform::replay::replay;

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

/// The classes of images, one for each pixel, whose losses count by a weight for each class if there is one.
struct Images {
    counts: Tensor,
    places: Tensor,
}

impl Images {
    fn new(t: &Tensor) -> Self {
        let counts = t.ne(1i64);
        let shape = t.shape().inserted(1, cotangent_core::ir::Dim::new(1));
        Images { places: t.where_(&counts, 0i64).view_to(&shape), counts }
    }

    /// The numbers of `x` at the classes, where these count.
    fn chosen(&self, x: &Tensor) -> Tensor {
        x.gather_along(1, &self.places).view_to(self.counts.shape()).where_(&self.counts, 0.0)
    }

    fn losses(&self, x: &Tensor) -> Tensor {
        (-x.gather_along(1, &self.places)).view_to(self.counts.shape()).where_(&self.counts, 0.0)
    }
}

#[test]
fn losses_of_images_weighted_losses_and_sums_are_found_with_their_derivatives() {
    type F = fn(&Tensor, &Tensor, &Tensor) -> Tensor;
    const MEAN: F = |x, t, _| {
        let images = Images::new(t);
        images.losses(x).sum() / images.counts.long().sum().double()
    };
    const WEIGHTED: F = |x, t, w| {
        let (images, w) = (Images::new(t), w.view_to(&[1, 3].into()).expand_to(x.shape()));
        images.losses(&(x * &w)).sum() / images.chosen(&w).sum()
    };
    // By another weight than that of the losses.
    const OTHERWISE: F = |x, t, w| {
        let (images, w) = (Images::new(t), w.view_to(&[1, 3].into()).expand_to(x.shape()));
        images.losses(&(x * &w)).sum() / images.chosen(&(&w * 2.0)).sum()
    };
    const SUM: F = |x, t, _| Images::new(t).losses(x).sum();
    const EACH: F = |x, t, _| Images::new(t).losses(x);
    let rows: (&[usize], &[usize]) = (&[2, 3], &[2]);
    let images: (&[usize], &[usize]) = (&[2, 3, 2, 1], &[2, 2, 1]);
    let table: [(F, _, &[&str], &[&str]); 5] = [
        (MEAN, images, &["nll_loss2d_forward.default"], &["nll_loss2d_forward.default", "nll_loss2d_backward.default"]),
        (WEIGHTED, rows, &["nll_loss_forward.default"], &[]),
        (OTHERWISE, rows, &["nll_loss_forward.default", "div.Tensor"], &[]),
        (SUM, rows, &["nll_loss_forward.default"], &["nll_loss_backward.default"]),
        (EACH, images, &["nll_loss2d_forward.default"], &["nll_loss2d_backward.default"]),
    ];
    for (f, (x, t), forward, backward) in table {
        let avals = [Aval::new(DType::F64, x), Aval::new(DType::I64, t), Aval::new(DType::F64, [3])];
        let g = build("f", |b| {
            let [x, t, w] = std::array::from_fn(|i| b.param(&avals[i]));
            Ok(vec![f(&x.log_softmax(1), &t, &w).ok()?])
        });
        let g = simplify(&g.unwrap());
        let floats = |aval: &Aval| Array::from_f64_fn(aval, |i| (i as f64 * 1.7).sin() + 1.5);
        // One does not count.
        let classes = Array::from_f64_fn(&avals[1], |i| [2.0, 1.0, 0.0][i % 3]);
        let mut args = vec![floats(&avals[0]), classes, floats(&avals[2])];
        let raised = g.raised();
        let found = targets(&raised);
        assert!(forward.iter().all(|op| found.contains(&(*op).to_owned())), "{}", raised.code());
        assert_eq!(found.contains(&"div.Tensor".to_owned()), forward.contains(&"div.Tensor"), "{}", raised.code());
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()));

        let pulled = vjp(&g, &[0]).unwrap();
        let cotangents = build("pullback", |b| {
            let args: Vec<Tensor> = pulled.param_avals().iter().map(|a| b.param(a)).collect();
            Ok(replay(&pulled, &args).split_off(1))
        });
        let pulled = simplify(&cotangents.unwrap());
        let raised = pulled.raised();
        let found = targets(&raised);
        assert!(backward.iter().all(|op| found.contains(&(*op).to_owned())), "{}", raised.code());
        args.push(floats(&g.result_avals()[0]));
        assert!(same_bits(&eval(&pulled, &args).unwrap(), &eval(&raised, &args).unwrap()), "{}", raised.code());
    }
}
