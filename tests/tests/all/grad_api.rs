//! `grad`, `grad_and_value`, `value_and_grad` (field.md F5, F6).

use cotangent::prelude::*;
use cotangent_tests::expect::message;

fn at(t: &Tensor) -> f64 {
    t.item().unwrap()
}

fn scalars(n: usize) -> [Tensor; 3] {
    std::array::from_fn(|i| Tensor::from((n + i) as f64))
}

fn product(x: Tensor, y: Tensor, z: Tensor) -> Tensor {
    x * &y * &y * &z * &z * z
}

#[test]
fn gradient_of_the_first_argument() {
    let [x, y, z] = scalars(2);
    assert_eq!(at(&grad(product).call((x, y, z)).unwrap()), 9.0 * 64.0);
}

#[test]
fn argnums_give_their_own_types_in_the_given_order() {
    let [x, y, z] = scalars(2);
    let args = || (x.clone(), y.clone(), z.clone());
    let dy = grad(product).argnums::<At<1>>().call(args()).unwrap();
    assert_eq!(at(&dy), 2.0 * 2.0 * 3.0 * 64.0);
    let (dz, dx) = grad(product).argnums::<(At<2>, At<0>)>().call(args()).unwrap();
    assert_eq!((at(&dz), at(&dx)), (2.0 * 9.0 * 3.0 * 16.0, 9.0 * 64.0));
    let (dx,) = grad(product).argnums::<(At<0>,)>().call(args()).unwrap();
    assert_eq!(at(&dx), 9.0 * 64.0);
}

#[test]
fn negative_argnums_wrap() {
    let [x, y, z] = scalars(2);
    let (a, b) = grad(product).argnums::<(At<-1>, At<-3>)>().call((x, y, z)).unwrap();
    assert_eq!((at(&a), at(&b)), (2.0 * 9.0 * 3.0 * 16.0, 9.0 * 64.0));
}

#[test]
fn duplicate_argnums_are_an_error() {
    let [x, y, z] = scalars(2);
    let e = message(grad(product).argnums::<(At<0>, At<-3>)>().call((x, y, z)));
    assert_eq!(e, "grad: argnums elements must be unique, got [0, 0]");
}

#[test]
fn trees_as_arguments() {
    #[derive(Tree, Clone)]
    struct Layer {
        w: Tensor,
        b: Tensor,
    }
    let layer = Layer { w: Tensor::from([1.0f64, 2.0]), b: Tensor::from(3.0f64) };
    let f = |l: Layer, (x, _): (Tensor, Vec<Tensor>)| (l.w * x).sum_over(&[0]) * l.b;
    let x = (Tensor::from([5.0f64, 7.0]), vec![Tensor::from(1.0f64)]);
    let g = grad(f).call((layer.clone(), x.clone())).unwrap();
    assert_eq!(g.w.to_vec::<f64>().unwrap(), [15.0, 21.0]);
    assert_eq!(at(&g.b), 19.0);
    let (dx, unused) = grad(f).argnums::<At<1>>().call((layer, x)).unwrap();
    assert_eq!(dx.to_vec::<f64>().unwrap(), [3.0, 6.0]);
    assert_eq!(at(&unused[0]), 0.0);
}

#[test]
fn unused_and_unrelated_inputs_have_the_gradient_zero() {
    let x = Tensor::from([1.0f64, 2.0]);
    let g = grad(|_: Tensor| Tensor::from(1.0f64)).call((x.clone(),)).unwrap();
    assert_eq!(g.to_vec::<f64>().unwrap(), [0.0, 0.0]);
    let g = grad(|_: Tensor, y: Tensor| y.sum_over(&[0])).call((x.clone(), x.clone())).unwrap();
    assert_eq!(g.to_vec::<f64>().unwrap(), [0.0, 0.0]);
    let g = grad(grad(|x: Tensor| x.sum_over(&[0]) * 0.0 + 1.0)).call((Tensor::from([1.0f64]),));
    assert!(message(g).contains("got f64[1]"));
}

#[test]
fn values_and_auxiliary_parts() {
    let x = Tensor::from(3.0f64);
    let f = |x: Tensor| &x * &x;
    let (g, y) = grad_and_value(f).call((x.clone(),)).unwrap();
    assert_eq!((at(&g), at(&y)), (6.0, 9.0));
    let (y, g) = value_and_grad(f).call((x.clone(),)).unwrap();
    assert_eq!((at(&g), at(&y)), (6.0, 9.0));

    let f = |x: Tensor| (&x * &x, (x.gt(2.0), vec![x.sin()]));
    let (g, (flag, sin)) = grad(f).has_aux().call((x.clone(),)).unwrap();
    assert_eq!((at(&g), flag.is_true().unwrap(), at(&sin[0])), (6.0, true, 3.0f64.sin()));
    let (g, (y, (flag, _))) = grad_and_value(f).has_aux().call((x.clone(),)).unwrap();
    assert_eq!((at(&g), at(&y), flag.is_true().unwrap()), (6.0, 9.0, true));
    let ((y, (flag, _)), g) = value_and_grad(f).has_aux().call((x,)).unwrap();
    assert_eq!((at(&g), at(&y), flag.is_true().unwrap()), (6.0, 9.0, true));
}

#[test]
fn results_of_functions_that_can_fail() {
    #[derive(Debug)]
    struct Mine;
    impl From<Mine> for Error {
        fn from(_: Mine) -> Error {
            Error::user("mine")
        }
    }
    let f = |x: Tensor| if x.rank() == 0 { Ok(x) } else { Err(Mine) };
    assert_eq!(at(&grad(f).call((Tensor::from(3.0f64),)).unwrap()), 1.0);
    assert_eq!(message(grad(f).call((Tensor::from([3.0f64]),))), "mine");
}

#[test]
fn errors() {
    let x = Tensor::from([[1.0f32, 2.0]]);
    let e = message(grad(|x: Tensor| x.sin()).call((x.clone(),)));
    assert_eq!(
        e,
        "grad: expected f(*args) to return a scalar tensor, got f32[1,2]. Maybe you wanted to use the vjp or jacrev APIs instead?"
    );
    let e = message(grad(|x: Tensor| (x.sum_over(&[0, 1]), x)).call((x.clone(),)));
    assert_eq!(e, "grad: expected f(*args) to return a tensor, got a tree of 2 tensors");
    let e = message(grad(|_: Tensor| ()).call((x.clone(),)));
    assert_eq!(e, "grad: the function returns no tensor");
    let e = message(grad(|i: Tensor| i.convert(DType::F32)).call((Tensor::from(3i64),)));
    assert_eq!(e, "grad: only tensors of floating point dtype can be differentiated, leaf 0 of the arguments is i64[]");
    let e = message(grad(|x: Tensor| x.sum_over(&[0, 1]).convert(DType::I64)).call((x.clone(),)));
    assert_eq!(e, "grad: only tensors of floating point dtype can be differentiated, the result is i64[]");
    // Integers beside what is differentiated are fine.
    let g = grad(|x: Tensor, i: Tensor| x.sum_over(&[0, 1]) * i).call((x, Tensor::from(3i64))).unwrap();
    assert_eq!(g.to_vec::<f32>().unwrap(), [3.0, 3.0]);
}

#[test]
fn stop_gradient_is_a_constant() {
    let f = |x: Tensor| &x * stop_gradient(x.clone());
    assert_eq!(at(&grad(f).call((Tensor::from(3.0f64),)).unwrap()), 3.0);
    let (a, b) = stop_gradient((Tensor::from(1.0f64), Tensor::from(2.0f64)));
    assert_eq!((at(&a), at(&b)), (1.0, 2.0));
}

#[test]
fn checkpoints_have_the_same_derivatives() {
    let w = Tensor::from(0.5f64);
    let f = move |x: Tensor| {
        let w = &w;
        (x * w).sin().sin()
    };
    let x = Tensor::from(2.0f64);
    let a = grad(&f).call((x.clone(),)).unwrap();
    let b = grad(checkpoint(&f)).call((x.clone(),)).unwrap();
    assert_eq!(at(&a), at(&b));
    let a = grad(grad(&f)).call((x.clone(),)).unwrap();
    let b = grad(grad(checkpoint(&f))).call((x.clone(),)).unwrap();
    assert_eq!(at(&a), at(&b));
    // A checkpoint that captures what an enclosing trace holds.
    let g = grad(|x: Tensor| {
        let y = x.sin();
        checkpoint(|z: Tensor| z * &y).call((x.clone(),))
    });
    let expected = 2.0f64.sin() + 2.0 * 2.0f64.cos();
    assert!((at(&g.call((x,)).unwrap()) - expected).abs() < 1e-12);
}
