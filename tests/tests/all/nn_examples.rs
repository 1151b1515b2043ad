//! The examples with modules, at small size: what they compute is right.

// The examples are programs: what their `main` functions use is not all used here, and each brings its data with it.
#![allow(dead_code, clippy::duplicate_mod)]

#[path = "../../../examples/digits.rs"]
mod digits;
#[path = "../../../examples/ensemble.rs"]
mod ensemble;
#[path = "../../../examples/lennard_jones.rs"]
mod lennard_jones;
#[path = "../../../examples/make_functional.rs"]
mod make_functional;
#[path = "../../../examples/maml.rs"]
mod maml;
#[path = "../../../examples/network_derivatives.rs"]
mod network_derivatives;
#[path = "../../../examples/neural_tangent_kernel.rs"]
mod neural_tangent_kernel;
#[path = "../../../examples/private_training.rs"]
mod private_training;

use cotangent::nn::{Forward, Module};
use cotangent::prelude::*;
use cotangent::random::Keys;

fn largest(x: &Tensor) -> f64 {
    x.convert(DType::F64).abs().max().item::<f64>().expect("a number")
}

#[test]
fn digits_are_learned() {
    let [data, (images, labels)] = digits::split().expect("the data");
    assert_eq!((data.0.size(0), images.size(0)), (1438, 359));
    let dropout = digits::choose_dropout(&data, &[0.9, 0.25], 64, 3).expect("a choice");
    assert_eq!(dropout, 0.25, "most of the numbers are needed");
    let (net, curve) = digits::train(&digits::Net::new(64, dropout, 0), data, 10).expect("a training");
    let accuracy = digits::accuracy(&net.evaluate(&images), &labels).item::<f32>().expect("a number");
    assert!(accuracy > 0.92, "{accuracy}");
    let losses = curve.losses();
    assert!(losses[losses.len() - 1] < 0.2 * losses[0], "{losses:?}");
}

#[test]
fn per_sample_gradients_equal_single_ones() {
    let (together, singles) = make_functional::both_ways().expect("gradients");
    for (i, single) in singles.iter().enumerate() {
        for (name, x) in single.iter() {
            assert!(largest(&(together[name].select(0, i as i64) - x)) <= 1e-6, "{name} of example {i}");
        }
    }
}

#[test]
fn models_of_an_ensemble_are_trained_at_once() {
    let trained = ensemble::train(3, 150).expect("a training");
    let last = trained.losses.last().expect("at least one step");
    assert!(trained.losses[0].iter().zip(last).all(|(a, b)| *b < 0.5 * a), "{last:?}");
    assert!(trained.accuracies.iter().all(|a| *a > 0.8), "{:?}", trained.accuracies);
}

#[test]
fn meta_training_lowers_the_error_after_adaptation() {
    let [before, after] = maml::train(60).expect("a training");
    assert!(after < before, "{before} {after}");
}

#[test]
fn private_gradients_are_clipped_sums_with_noise() {
    let net = cotangent::nn::Linear::new(64, 10, &mut Keys::new(0));
    let [(images, labels), _] = private_training::split().expect("the data");
    let batch = (images.slice_dim(0, 0, 8, 1), labels.slice_dim(0, 0, 8, 1));
    let privacy = |noise| private_training::Privacy { clip: 0.1, noise, epochs: 1 };
    let gradient = |noise| {
        let (g, _) =
            private_training::private_gradient(&net, privacy(noise), net.parameters(), Key::new(3), batch.clone())
                .expect("a gradient");
        g
    };
    let quiet = gradient(0.0);
    let norm = cotangent::optim::global_norm(&quiet).expect("tensors").item::<f32>().expect("a number");
    assert!(norm <= 0.1 + 1e-6, "a mean of gradients with norms of at most 0.1: {norm}");
    let noise = &gradient(50.0)["weight"] - &quiet["weight"];
    let deviation = noise.square().mean().sqrt().item::<f32>().expect("a number");
    assert!((deviation - 50.0 * 0.1 / 8.0).abs() < 0.1, "{deviation}");
    // ρ = 1/2 and ln(1/δ) = 2: ε = 1/2 + 2.
    assert!((privacy(1.0).epsilon((-2.0f64).exp()) - 2.5).abs() < 1e-12);
}

#[test]
fn private_training_learns() {
    let [data, (images, labels)] = private_training::split().expect("the data");
    let privacy = private_training::Privacy { clip: 1.0, noise: 2.0, epochs: 4 };
    let net = private_training::train(data, privacy).expect("a training");
    let accuracy = private_training::accuracy(&net.evaluate(&images), &labels).item::<f32>().expect("a number");
    assert!(accuracy > 0.6, "{accuracy}");
}

#[test]
fn forces_are_those_of_the_formula() {
    let r = 1.5f64;
    let (f, e) = lennard_jones::forces(Tensor::from([[0.0, 0.0, 0.0], [r, 0.0, 0.0]])).expect("forces");
    assert!((e.item::<f64>().expect("a number") - 4.0 * (r.powi(-12) - r.powi(-6))).abs() < 1e-12);
    let pull = 4.0 * (12.0 * r.powi(-13) - 6.0 * r.powi(-7));
    let expected = Tensor::from([[-pull, 0.0, 0.0], [pull, 0.0, 0.0]]);
    assert!(largest(&(f - expected)) < 1e-12);
}

#[test]
fn energy_is_conserved() {
    let energies = lennard_jones::simulate(2, 200).expect("a simulation");
    let drift = energies.iter().map(|e| (e - energies[0]).abs()).fold(0.0, f64::max);
    assert!(drift < 1e-4, "{drift}");
}

#[test]
fn both_kernels_are_one() {
    let [(a, _), (b, _)] = neural_tangent_kernel::both_ways([3, 5, 2], 4).expect("kernels");
    assert_eq!(a.shape(), &Shape::from([4, 4, 2, 2]));
    assert!(largest(&(a - b)) < 1e-5);
}

#[test]
fn all_ways_to_a_derivative_agree() {
    let net = network_derivatives::Net::new([4, 6, 3]);
    let x = Key::new(0).randn([4]);
    let jacobians = network_derivatives::jacobians(&net, &x).expect("jacobians");
    let hessians = network_derivatives::hessians(&net, &x).expect("hessians");
    for (ways, shape) in [(jacobians, [3, 4]), (hessians, [4, 4])] {
        assert_eq!(ways[0].1.shape(), &Shape::from(shape));
        assert!(ways.iter().all(|(_, y, _)| largest(&(y - &ways[0].1)) < 1e-5));
    }
}
