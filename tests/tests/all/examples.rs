//! The examples: their values are right, and their code is what the README shows.

// The examples are programs; what their `main` functions use is not all used here.
#![allow(dead_code)]

#[path = "../../../examples/hessians.rs"]
mod hessians;
#[path = "../../../examples/jacobians.rs"]
mod jacobians;
#[path = "../../../examples/jvp.rs"]
mod jvp;
#[path = "../../../examples/make_fx.rs"]
mod make_fx;
#[path = "../../../examples/per_sample_gradients.rs"]
mod per_sample_gradients;
#[path = "../../../examples/sin_gradient.rs"]
mod sin_gradient;
#[path = "../../../examples/vjp.rs"]
mod vjp;
#[path = "../../../examples/vmap_linear_model.rs"]
mod vmap_linear_model;

use cotangent::prelude::*;
use cotangent_tests::snapshot::snapshot;

fn values(t: &Tensor) -> Vec<f32> {
    t.to_vec::<f32>().expect("f32 values")
}

fn assert_close(got: &Tensor, expected: &[f32]) {
    let got = values(got);
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() <= 1e-6, "{got:?} {expected:?}");
    }
}

fn code(name: &str, graph: Graph) {
    snapshot("examples", name, &graph.code());
}

#[test]
fn sin_gradient_is_cos() {
    let (first, second) = sin_gradient::derivatives(Tensor::scalar(1.25f32)).expect("a gradient");
    assert_close(&first, &[1.25f32.cos()]);
    assert_close(&second, &[-1.25f32.sin()]);
    let graph = sin_gradient::graph().expect("a graph");
    assert_eq!(graph.len(), 2);
    code("sin_gradient", graph);
}

#[test]
fn vmap_of_the_linear_model_equals_a_loop() {
    let w = Tensor::from([0.5f32, -1.0, 0.25, 2.0, 0.0]);
    let x = Tensor::from([[1.0f32, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 3.0, 0.0, 0.0, 1.0]]);
    assert_close(&vmap_linear_model::predict(w, x).expect("a batch"), &[0.5, 1.0, 0.0]);
    code("vmap_linear_model", vmap_linear_model::graph().expect("a graph"));
}

#[test]
fn per_sample_gradients_equal_single_ones() {
    let (w, x, y) = per_sample_gradients::data();
    let all = values(&per_sample_gradients::gradients(w.clone(), x.clone(), y.clone()).expect("gradients"));
    let (x, y) = (values(&x), values(&y));
    for i in 0..4 {
        let one = (w.clone(), Tensor::from_slice(&x[3 * i..3 * i + 3]), Tensor::scalar(y[i]));
        let single = grad(per_sample_gradients::compute_loss).call(one).expect("a gradient");
        assert_close(&single, &all[3 * i..3 * i + 3]);
    }
    code("per_sample_gradients", per_sample_gradients::graph().expect("a graph"));
}

#[test]
fn vjp_gives_value_and_cotangent() {
    let x = Tensor::from([0.0f32, 0.5, 1.0, 1.5, 2.0]);
    let (y, x_bar) = vjp::value_and_cotangent(x.clone(), x.ones_like()).expect("a pullback");
    assert_close(&y, &values(&x.sin()));
    assert_close(&x_bar, &values(&x.cos()));
    code("vjp", vjp::graph().expect("a graph"));
}

#[test]
fn jvp_gives_value_and_tangent() {
    let x = Tensor::from([1.0f32, 2.0, 3.0, 4.0, 5.0]);
    let one = x.ones_like();
    let (y, y_dot) = jvp::value_and_tangent(x.clone(), one.clone(), one.clone(), one).expect("a tangent");
    assert_close(&y, &values(&x));
    assert_close(&y_dot, &[2.0, 3.0, 4.0, 5.0, 6.0]);
    code("jvp", jvp::graph().expect("a graph"));
}

#[test]
fn jacobians_are_diagonals_of_cosines() {
    let x = [0.0f32, 0.5, 1.0];
    let expected: Vec<f32> = (0..9).map(|i| if i / 3 == i % 3 { x[i / 3].cos() } else { 0.0 }).collect();
    assert_close(&jacobians::by_rows(Tensor::from(x)).expect("a jacobian"), &expected);
    assert_close(&jacobians::by_columns(Tensor::from(x)).expect("a jacobian"), &expected);
    let batch = jacobians::batch(Tensor::from([x, x])).expect("jacobians");
    assert_close(&batch, &[expected.clone(), expected].concat());
    let [rows, columns, batch] = jacobians::graphs().expect("graphs");
    assert!(rows.len() <= 3 && columns.len() <= 3 && batch.len() <= 4, "{rows}\n{columns}\n{batch}");
    code("jacrev", rows);
    code("jacfwd", columns);
    code("vmap_jacrev", batch);
}

#[test]
fn hessians_agree_three_ways() {
    let x = [0.0f32, 0.5, 1.0];
    let expected: Vec<f32> = (0..9).map(|i| if i / 3 == i % 3 { -x[i / 3].sin() } else { 0.0 }).collect();
    for h in hessians::three_ways(Tensor::from(x)).expect("hessians") {
        assert_close(&h, &expected);
    }
    let graph = hessians::graph().expect("a graph");
    assert!(graph.len() <= 4, "{graph}");
    code("hessian", graph);
}

#[test]
fn make_fx_prints_the_gradient() {
    let graph = make_fx::simplified().expect("a graph");
    assert_eq!(graph.len(), 1);
    code("make_fx.simplified", graph);
    let raw = make_fx::raw().expect("a graph");
    snapshot("examples", "make_fx.raw_2021", &raw.code_in(CodeStyle::Functorch2021));
    code("make_fx.raw", raw);
}
