//! CTC loss against the sum over all alignments.

use cotangent::prelude::*;
use cotangent_aten::nn::ctc::ctc_loss_forward;
use cotangent_tests::numeric::Rng;

const STEPS: usize = 4;
const CLASSES: usize = 3;

/// The labels that a path reads as: repetitions merged, then blanks (0) removed.
fn read(path: &[usize]) -> Vec<i64> {
    let mut labels = path.to_vec();
    labels.dedup();
    labels.into_iter().filter(|c| *c != 0).map(|c| c as i64).collect()
}

/// The loss of one example by enumeration of its paths.
fn enumerated(log_probs: &[f64], steps: usize, labels: &[i64]) -> f64 {
    let probability = |path: usize| {
        let classes: Vec<usize> = (0..steps).map(|t| path / CLASSES.pow(t as u32) % CLASSES).collect();
        let log: f64 = classes.iter().enumerate().map(|(t, c)| log_probs[t * CLASSES + c]).sum();
        if read(&classes) == labels { log.exp() } else { 0.0 }
    };
    -(0..CLASSES.pow(steps as u32)).map(probability).sum::<f64>().ln()
}

fn loss(log_probs: &Tensor, labels: &[i64], steps: i64) -> Tensor {
    let targets = Tensor::from_vec(labels.to_vec(), [1, labels.len()]);
    let lengths = |n: i64| Tensor::from([n]);
    let [losses, _] =
        ctc_loss_forward(log_probs, &targets, &lengths(steps), &lengths(labels.len() as i64), 0, false).unwrap();
    losses.sum()
}

#[test]
fn the_loss_sums_all_alignments() {
    let mut rng = Rng(3);
    let x: Vec<f64> = (0..STEPS * CLASSES).map(|_| rng.unit()).collect();
    let log_probs = Tensor::from_vec(x, [STEPS, 1, CLASSES]).log_softmax(2);
    let data = log_probs.to_vec::<f64>().unwrap();
    for labels in [&[][..], &[1], &[1, 2], &[2, 2], &[1, 2, 1]] {
        for steps in [3, STEPS] {
            let (got, expected) =
                (loss(&log_probs, labels, steps as i64).item::<f64>().unwrap(), enumerated(&data, steps, labels));
            assert!((got - expected).abs() < 1e-12, "{labels:?} in {steps} steps: {got}, expected {expected}");
        }
    }
    // Equal neighbours need a blank between them: no path of two steps reads so.
    assert_eq!(loss(&log_probs, &[2, 2], 2).item::<f64>().unwrap(), f64::INFINITY);
}

#[test]
fn the_derivative_through_log_softmax_is_that_of_differences() {
    let mut rng = Rng(5);
    let x: Vec<f64> = (0..STEPS * CLASSES).map(|_| rng.unit()).collect();
    let f = |x: Tensor| loss(&x.log_softmax(2), &[1, 2], STEPS as i64);
    let tensor = |x: &[f64]| Tensor::from_vec(x.to_vec(), [STEPS, 1, CLASSES]);
    let gradient = grad(f).call((tensor(&x),)).unwrap().to_vec::<f64>().unwrap();
    for i in 0..x.len() {
        let at = |d: f64| {
            let mut x = x.clone();
            x[i] += d;
            f(tensor(&x)).item::<f64>().unwrap()
        };
        let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((gradient[i] - difference).abs() < 1e-8, "{i}: {} and {difference}", gradient[i]);
    }
}

/// PyTorch's, in the steps of an example; behind them it is 0.
#[test]
fn an_infinite_loss_has_no_derivative() {
    let mut rng = Rng(7);
    let x: Vec<f64> = (0..STEPS * CLASSES).map(|_| rng.unit()).collect();
    let log_probs = Tensor::from_vec(x, [STEPS, 1, CLASSES]).log_softmax(2);
    let found = grad(|x: Tensor| loss(&x, &[2, 2], 2)).call((log_probs.clone(),)).unwrap().to_vec::<f64>().unwrap();
    assert!(found[..2 * CLASSES].iter().all(|g| g.is_nan()), "{found:?}");
    assert!(found[2 * CLASSES..].iter().all(|g| *g == 0.0), "{found:?}");
    let forward = jvp(|x: Tensor| loss(&x, &[2, 2], 2), (log_probs.clone(),), (log_probs.ones_like(),)).unwrap();
    assert_eq!(forward.0.item::<f64>().unwrap(), f64::INFINITY);
    assert!(forward.1.item::<f64>().unwrap().is_nan());
}
