//! `vjp`, `jvp`, `linearize` (field.md F7, F8, F12).

use cotangent::prelude::*;
use cotangent_tests::expect::message;

fn at(t: &Tensor) -> f64 {
    t.item().unwrap()
}

fn x() -> Tensor {
    Tensor::from([1.0f64, 2.0, 3.0])
}

#[test]
fn the_pullback_always_returns_a_tuple() {
    let (y, pullback) = vjp(|x: Tensor| x.sin(), (x(),)).unwrap();
    assert_eq!(y.to_vec::<f64>().unwrap(), x().sin().to_vec::<f64>().unwrap());
    let (dx,) = pullback.call((y.ones_like(),)).unwrap();
    assert_eq!(dx.to_vec::<f64>().unwrap(), x().cos().to_vec::<f64>().unwrap());
    // Many times.
    let (twice,) = pullback.call((y.ones_like() * 2.0,)).unwrap();
    assert_eq!(twice.to_vec::<f64>().unwrap(), (x().cos() * 2.0).to_vec::<f64>().unwrap());
}

#[test]
fn trees_in_and_out() {
    type In = (Tensor, [Tensor; 2]);
    let f = |(a, [b, _]): In, c: Tensor| (&a * &b, vec![c * a]);
    let s = |v: f64| Tensor::from(v);
    let ((y, z), pullback) = vjp(f, ((s(2.0), [s(3.0), s(9.0)]), s(5.0))).unwrap();
    assert_eq!((at(&y), at(&z[0])), (6.0, 10.0));
    let ((a, [b, unused]), c) = pullback.call(((s(1.0), vec![s(10.0)]),)).unwrap();
    assert_eq!((at(&a), at(&b), at(&unused), at(&c)), (3.0 + 50.0, 2.0, 0.0, 20.0));
}

#[test]
fn the_pullback_is_differentiable_and_traceable() {
    // d/dy_bar of x_bar · x_bar, with x_bar = y_bar cos(x).
    let (_, pullback) = vjp(|x: Tensor| x.sin(), (Tensor::from(0.5f64),)).unwrap();
    let g = grad(|y_bar: Tensor| {
        let (x_bar,) = pullback.call((y_bar,))?;
        Ok::<_, Error>(&x_bar * &x_bar)
    });
    let c = 0.5f64.cos();
    assert!((at(&g.call((Tensor::from(3.0f64),)).unwrap()) - 2.0 * 3.0 * c * c).abs() < 1e-12);
    // With respect to the point: vjp inside grad.
    let g = grad(|x: Tensor| {
        let (_, pullback) = vjp(|x: Tensor| x.sin(), (x,))?;
        Ok::<_, Error>(pullback.call((Tensor::from(2.0f64),))?.0)
    });
    assert!((at(&g.call((Tensor::from(0.5f64),)).unwrap()) + 2.0 * 0.5f64.sin()).abs() < 1e-12);
    // Mapped over cotangents.
    let (_, pullback) = vjp(|x: Tensor| x.sin(), (x(),)).unwrap();
    let (rows,) = vmap(&pullback).call((Tensor::from([[1.0f64, 0.0, 0.0], [0.0, 1.0, 0.0]]),)).unwrap();
    assert_eq!(rows.shape(), &Shape::from([2, 3]));
    // As a graph.
    let g = make_fx(&pullback, (Tensor::abstract_(DType::F64, [3]),));
    assert_eq!(g.unwrap().results().len(), 1);
}

#[test]
fn auxiliary_values() {
    let (y, pullback, aux) = vjp_has_aux(|x: Tensor| (x.sin(), x.gt(1.5)), (x(),)).unwrap();
    assert_eq!(aux.to_vec::<bool>().unwrap(), [false, true, true]);
    assert_eq!(pullback.call((y.ones_like(),)).unwrap().0.to_vec::<f64>().unwrap(), x().cos().to_vec::<f64>().unwrap());
    let (_, y_dot, aux) = jvp_has_aux(|x: Tensor| (&x * &x, x.cos()), (x(),), (x(),)).unwrap();
    assert_eq!(y_dot.to_vec::<f64>().unwrap(), [2.0, 8.0, 18.0]);
    assert_eq!(aux.to_vec::<f64>().unwrap(), x().cos().to_vec::<f64>().unwrap());
}

#[test]
fn outputs_unrelated_to_the_inputs() {
    let (_, pullback) = vjp(|_: Tensor| Tensor::from(1.0f64), (x(),)).unwrap();
    assert_eq!(pullback.call((Tensor::from(1.0f64),)).unwrap().0.to_vec::<f64>().unwrap(), [0.0; 3]);
    let (_, y_dot) = jvp(|_: Tensor| Tensor::from(1.0f64), (x(),), (x(),)).unwrap();
    assert_eq!(at(&y_dot), 0.0);
    let e = message(jvp_strict(|x: Tensor| (x, Tensor::from(1.0f64)), (x(),), (x(),)));
    assert_eq!(e, "jvp: the output of f is independent of the inputs (result 1). This is not allowed with strict");
    let (_, derivative) = linearize(|x: Tensor| (x, Tensor::from(1.0f64)), (x(),)).unwrap();
    assert_eq!(at(&derivative.call((x(),)).unwrap().1), 0.0);
}

#[test]
fn tangents_of_results_that_are_not_floats_are_zero() {
    let (y, y_dot) = jvp(|x: Tensor| (x.gt(1.5), x), (x(),), (x(),)).unwrap();
    assert_eq!(y.0.to_vec::<bool>().unwrap(), [false, true, true]);
    assert_eq!(y_dot.0.to_vec::<bool>().unwrap(), [false; 3]);
}

#[test]
fn jvp_nests() {
    let d = |x: Tensor| {
        let (_, y_dot) = jvp(|x: Tensor| &x * &x * &x, (x,), (Tensor::from(1.0f64),))?;
        Ok::<_, Error>(y_dot)
    };
    let (y, y_dot) = jvp(d, (Tensor::from(2.0f64),), (Tensor::from(1.0f64),)).unwrap();
    assert_eq!((at(&y), at(&y_dot)), (12.0, 12.0));
}

#[test]
fn linearize_is_jvp_at_one_point() {
    let f = |x: Tensor, y: Tensor| (x.sin() * &y, vec![y]);
    let (a, b) = (Tensor::from(0.5f64), Tensor::from(2.0f64));
    let ((y, _), derivative) = linearize(f, (a.clone(), b.clone())).unwrap();
    let ((y2, _), (y_dot, z_dot)) = jvp(f, (a.clone(), b.clone()), (b.clone(), a.clone())).unwrap();
    let (d, z) = derivative.call((b, a)).unwrap();
    assert_eq!((at(&y), at(&d), at(&z[0])), (at(&y2), at(&y_dot), at(&z_dot[0])));
}

#[test]
fn errors() {
    let e = message(vjp(|x: Tensor| x, (x(),)).unwrap().1.call((Tensor::from([1.0f64]),)));
    assert_eq!(e, "vjp: expected cotangent 0 to be f64[3], found f64[1]");
    let e = message(vjp(|x: Tensor| x, (x(),)).unwrap().1.call((Tensor::from([1.0f32, 1.0, 1.0]),)));
    assert_eq!(e, "vjp: expected cotangent 0 to be f64[3], found f32[3]");
    let (_, pullback) = vjp(|x: Tensor| vec![x], (x(),)).unwrap();
    let e = message(pullback.call((vec![x(), x()],)));
    assert_eq!(
        e,
        "vjp: expected cotangents to have the same structure as outputs to the function, got cotangents with structure [*, *] and outputs to the function with structure [*]"
    );
    let e = message(vjp(|x: Tensor| x.gt(0.0), (x(),)));
    assert_eq!(
        e,
        "vjp: only tensors of floating point dtype can be differentiated, leaf 0 of the result of f is bool[3]"
    );
    let e = message(vjp(|x: Tensor| x, (Tensor::from([1i64]),)));
    assert_eq!(e, "vjp: only tensors of floating point dtype can be differentiated, leaf 0 of primals is i64[1]");
    let e = message(vjp(|_: Tensor| (), (x(),)));
    assert_eq!(e, "vjp: expected the result of f to contain at least one tensor");
    let e = message(jvp(|| Tensor::from(1.0f32), (), ()));
    assert_eq!(e, "jvp: expected primals to contain at least one tensor");
    let e = message(jvp(|x: Tensor| x, (x(),), (Tensor::from([1.0f64]),)));
    assert_eq!(e, "jvp: expected tangent 0 to be f64[3], found f64[1]");
    let e = message(jvp(|x: Vec<Tensor>| x, (vec![x()],), (vec![],)));
    assert_eq!(
        e,
        "jvp: expected tangents to have the same structure as primals, got tangents with structure ([],) and primals with structure ([*],)"
    );
    let e = message(jvp(|x: Tensor| x, (Tensor::from([1i64]),), (Tensor::from([1i64]),)));
    assert_eq!(e, "jvp: only tensors of floating point dtype can be differentiated, leaf 0 of primals is i64[1]");
    let (_, derivative) = linearize(|x: Tensor| x, (x(),)).unwrap();
    let e = message(derivative.call((Tensor::from([1.0f64]),)));
    assert_eq!(e, "linearize: expected tangent 0 to be f64[3], found f64[1]");
}
