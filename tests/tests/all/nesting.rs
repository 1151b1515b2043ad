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

/// Every transform that keeps `scalar → scalar`, as a function of a closure.
#[test]
fn all_orders_of_three_transforms_give_the_third_derivative() {
    type Boxed = Box<dyn Fn(Tensor) -> Result<Tensor, Error>>;
    fn by_grad(f: Boxed) -> Boxed {
        Box::new(move |x| grad(&f).call((x,)))
    }
    fn by_jvp(f: Boxed) -> Boxed {
        Box::new(move |x| Ok(jvp(&f, (x.clone(),), (x.ones_like(),))?.1))
    }
    fn by_vjp(f: Boxed) -> Boxed {
        Box::new(move |x| {
            let (y, pullback) = vjp(&f, (x,))?;
            Ok(pullback.call((y.ones_like(),))?.0)
        })
    }
    fn by_linearize(f: Boxed) -> Boxed {
        Box::new(move |x| linearize(&f, (x.clone(),))?.1.call((x.ones_like(),)))
    }
    fn by_jacrev(f: Boxed) -> Boxed {
        Box::new(move |x| jacrev(&f).call((x,)))
    }
    fn by_jacfwd(f: Boxed) -> Boxed {
        Box::new(move |x| jacfwd(&f).call((x,)))
    }
    fn mapped(f: Boxed) -> Boxed {
        // Over a batch of one, which is a detour.
        Box::new(move |x| Ok(vmap(&f).call((x.unsqueeze(0),))?.squeeze(0)))
    }
    let derivatives: [fn(Boxed) -> Boxed; 6] = [by_grad, by_jvp, by_vjp, by_linearize, by_jacrev, by_jacfwd];
    // (sin x · x)''' = -cos(x) x - 3 sin(x)
    let at = 0.7f64;
    let expected = -at.cos() * at - 3.0 * at.sin();
    for a in derivatives {
        for b in derivatives {
            for c in derivatives {
                let f: Boxed = Box::new(|x| Ok(x.sin() * &x));
                let d = a(mapped(b(c(mapped(f)))));
                let y = d(Tensor::from(at)).unwrap().item::<f64>().unwrap();
                assert!((y - expected).abs() < 1e-12, "{y} {expected}");
            }
        }
    }
}

#[test]
fn vmap_of_vjp_of_vmap() {
    let x = Tensor::from([[0.1f64, 0.2], [0.3, 0.4], [0.5, 0.6]]);
    let f = |x: Tensor| {
        let (y, pullback) = vjp(vmap(|x: Tensor| x.sin()), (x,))?;
        Ok::<_, Error>(pullback.call((y,))?.0)
    };
    let y = vmap(f).call((x.clone(),)).unwrap();
    let expected = x.sin() * x.cos();
    assert_eq!(y.to_vec::<f64>().unwrap(), expected.to_vec::<f64>().unwrap());
}

#[test]
fn hessian_vector_products_in_both_ways() {
    let x = Tensor::from([0.3f64, 0.7]);
    let v = Tensor::from([2.0f64, -1.0]);
    let f = |x: Tensor| (x.sin() * x.cos()).sum();
    let (_, forward) = jvp(grad(f), (x.clone(),), (v.clone(),)).unwrap();
    let (_, pullback) = vjp(grad(f), (x.clone(),)).unwrap();
    let (reverse,) = pullback.call((v.clone(),)).unwrap();
    let dense = hessian(f).call((x,)).unwrap().mv(&v);
    for (a, b) in forward.to_vec::<f64>().unwrap().iter().zip(dense.to_vec::<f64>().unwrap()) {
        assert!((a - b).abs() < 1e-12);
    }
    for (a, b) in reverse.to_vec::<f64>().unwrap().iter().zip(dense.to_vec::<f64>().unwrap()) {
        assert!((a - b).abs() < 1e-12);
    }
}
