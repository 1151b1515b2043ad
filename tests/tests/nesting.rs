//! Transforms in any order and depth.

use cotangent::prelude::*;

fn cube(x: Tensor) -> Tensor {
    &x * &x * &x
}

#[test]
fn third_derivative_by_three_grads() {
    let d = grad(grad(grad(cube))).call((Tensor::from(2.0f64),)).unwrap();
    assert_eq!(d.item::<f64>().unwrap(), 6.0);
}

#[test]
fn per_example_gradients() {
    let loss = |w: Tensor, x: Tensor| (w * x).sin().sum_over(&[0]);
    let w = Tensor::from([1.0f64, 2.0]);
    let xs = Tensor::from([[1.0f64, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let g = vmap(grad(loss)).in_dims((None, Some(0))).call((w, xs)).unwrap();
    let expected: Vec<f64> = [[1.0f64, 2.0], [3.0, 4.0], [5.0, 6.0]]
        .iter()
        .flat_map(|x| [x[0] * x[0].cos(), x[1] * (2.0 * x[1]).cos()])
        .collect();
    assert_eq!(g.to_vec::<f64>().unwrap(), expected);
}

#[test]
fn a_closure_captures_what_an_enclosing_trace_holds() {
    // d/dx of (x · d/dy (x y²) at y = 3) = d/dx (x · 6 x) = 12 x
    let f = |x: Tensor| {
        let inner = grad(|y: Tensor| &x * &y * &y).call((Tensor::from(3.0f64),))?;
        Ok::<_, Error>(&x * inner)
    };
    assert_eq!(grad(f).call((Tensor::from(2.0f64),)).unwrap().item::<f64>().unwrap(), 24.0);
}

#[test]
fn hessians_in_both_orders() {
    let f = |x: Tensor| (&x * &x * &x).sum_over(&[0]);
    let x = Tensor::from([1.0f64, 2.0]);
    let a = hessian(f).call((x.clone(),)).unwrap();
    let b = jacrev(jacfwd(f)).call((x.clone(),)).unwrap();
    let (c, ()) = hessian(|x: Tensor| (f(x), ())).has_aux().call((x,)).unwrap();
    for h in [a, b, c] {
        assert_eq!(h.to_vec::<f64>().unwrap(), [6.0, 0.0, 0.0, 12.0]);
    }
}
