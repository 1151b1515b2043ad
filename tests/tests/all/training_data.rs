//! Batches, progress and the curve of losses.

use cotangent::data::{Batches, Curve, Progress};
use cotangent::prelude::*;

fn data() -> (Tensor, Tensor) {
    let x: Vec<f32> = (0..20).map(|i| i as f32).collect();
    (Tensor::from_vec(x, [10, 2]), Tensor::from((0i64..10).collect::<Vec<_>>()))
}

/// The examples of an epoch in their order; each row of the data goes with its number.
fn order(batches: &Batches<(Tensor, Tensor)>, epoch: usize) -> Vec<i64> {
    let mut out = Vec::new();
    for (x, y) in batches.epoch(epoch) {
        let (x, y) = (x.to_vec::<f32>().expect("values"), y.to_vec::<i64>().expect("values"));
        assert_eq!(x, y.iter().flat_map(|i| [2 * i, 2 * i + 1]).map(|v| v as f32).collect::<Vec<_>>());
        out.extend(y);
    }
    out
}

#[test]
fn an_epoch_has_each_example_once() {
    let batches = Batches::new(data(), 4).expect("data").shuffled(5);
    assert_eq!((batches.len(), batches.examples()), (3, 10));
    let (first, second) = (order(&batches, 0), order(&batches, 1));
    assert_ne!(first, second);
    assert_eq!(first, order(&batches, 0), "an epoch follows from seed and number");
    for mut epoch in [first, second] {
        epoch.sort();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
    }
    assert_eq!(order(&Batches::new(data(), 3).expect("data"), 7), (0..10).collect::<Vec<_>>());
}

#[test]
fn whole_batches_only_if_asked() {
    let batches = Batches::new(data(), 4).expect("data").drop_last();
    let sizes: Vec<usize> = batches.epoch(0).map(|(x, _)| x.size(0)).collect();
    assert_eq!(sizes, [4, 4]);
    assert!(Batches::new(data(), 11).expect("data").drop_last().is_empty());
}

#[test]
fn data_that_cannot_be_batched() {
    let unlike = (Tensor::from([1.0f32, 2.0]), Tensor::from([1i64]));
    assert!(Batches::new(unlike, 1).unwrap_err().to_string().contains("2 examples"));
    assert!(Batches::new(data(), 0).is_err());
    assert!(Batches::new(Tensor::from(1.0f32), 1).unwrap_err().to_string().contains("at least one dim"));
    assert!(Batches::new(Vec::<Tensor>::new(), 1).is_err());
    assert!(Batches::new(Tensor::abstract_(DType::F32, [3]), 1).is_err());
}

#[test]
fn a_curve_is_a_picture() {
    let mut progress = Progress::new(2000);
    (0..2000).for_each(|i| progress.step(1.0 / f64::from(i + 1)));
    let curve = progress.finish();
    let svg = curve.svg();
    assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>\n"));
    let points = svg.split("points=\"").nth(1).and_then(|s| s.split('"').next()).expect("a line");
    let points: Vec<(f64, f64)> = points
        .split(' ')
        .map(|p| p.split_once(',').map(|(x, y)| (x.parse().expect("x"), y.parse().expect("y"))).expect("a point"))
        .collect();
    assert_eq!(points.len(), 500, "neighbours are joined");
    assert!(points.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "losses fall");
}

#[test]
fn losses_that_are_no_numbers_are_left_out() {
    let mut curve = Curve::new();
    assert!(!curve.svg().contains("NaN"));
    for loss in [1.0, f64::NAN, f64::INFINITY, -2.0] {
        curve.push(loss);
    }
    let svg = curve.svg();
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(curve.losses().len(), 4);
}
