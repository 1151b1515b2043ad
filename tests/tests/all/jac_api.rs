//! `jacrev`, `jacfwd`, `hessian` (field.md F9–F11): the same tests for both modes.

use std::collections::BTreeMap;

use cotangent::prelude::*;
use cotangent_tests::expect::message;

fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.aval(), b.aval());
    for (a, b) in a.to_vec::<f64>().unwrap().iter().zip(b.to_vec::<f64>().unwrap()) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

fn diag(x: &Tensor) -> Tensor {
    x.diag_embed_at(0, 0, 1)
}

macro_rules! both_modes {
    ($jac:ident, $name:ident) => {
        mod $name {
            use super::*;

            fn x() -> Tensor {
                Tensor::from([0.5f64, 1.0, 2.0])
            }

            #[test]
            fn simple() {
                close(&$jac(|x: Tensor| x.sin()).call((x(),)).unwrap(), &diag(&x().cos()));
            }

            #[test]
            fn shapes_are_out_then_in() {
                let x = Tensor::from([[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]]);
                let j = $jac(|x: Tensor| x.sum_over(&[0])).call((x.clone(),)).unwrap();
                assert_eq!(j.shape(), &Shape::from([3, 2, 3]));
                let j = $jac(|x: Tensor| x.sum_over(&[0, 1])).call((x,)).unwrap();
                assert_eq!(j.shape(), &Shape::from([2, 3]));
            }

            #[test]
            fn outer_structure_is_the_outputs_and_inner_the_argnums() {
                let f = |a: Tensor, b: (Tensor, Tensor)| {
                    BTreeMap::from([("p".to_owned(), (&a * &b.0, &b.1 * 3.0)), ("q".to_owned(), (a, b.1))])
                };
                let args = || (x(), (x().sin(), Tensor::from(2.0f64)));
                let j = $jac(f).call(args()).unwrap();
                close(&j["p"].0, &diag(&x().sin()));
                assert_eq!(j["p"].1.to_vec::<f64>().unwrap(), [0.0; 3]);
                let j = $jac(f).argnums::<(At<1>, At<0>)>().call(args()).unwrap();
                let ((by_b0, by_b1), by_a) = &j["p"].1;
                assert_eq!(by_b0.shape(), &Shape::from([3]));
                assert_eq!(by_b1.item::<f64>().unwrap(), 3.0);
                assert_eq!(by_a.shape(), &Shape::from([3]));
                let j = $jac(f).argnums::<(At<-1>,)>().call(args()).unwrap();
                close(&j["p"].0.0.0, &diag(&x()));
            }

            #[test]
            fn structs_map_to_their_companion() {
                #[derive(Tree, Clone)]
                struct Out {
                    y: Tensor,
                    z: Tensor,
                }
                let j = $jac(|x: Tensor| Out { y: x.sin(), z: x.sum_over(&[0]) }).call((x(),)).unwrap();
                let OutOf { y, z } = j;
                close(&y, &diag(&x().cos()));
                assert_eq!(z.to_vec::<f64>().unwrap(), [1.0; 3]);
            }

            #[test]
            fn auxiliary_values() {
                let (j, aux) = $jac(|x: Tensor| (x.sin(), (x.gt(0.7), vec![x]))).has_aux().call((x(),)).unwrap();
                close(&j, &diag(&x().cos()));
                assert_eq!(aux.0.to_vec::<bool>().unwrap(), [false, true, true]);
                close(&aux.1[0], &x());
            }

            #[test]
            fn unrelated_inputs_and_outputs() {
                let j = $jac(|_: Tensor| Tensor::from([1.0f64, 2.0])).call((x(),)).unwrap();
                assert_eq!(j.shape(), &Shape::from([2, 3]));
                assert_eq!(j.to_vec::<f64>().unwrap(), [0.0; 6]);
            }

            #[test]
            fn empty() {
                let e = Tensor::from_vec(Vec::<f64>::new(), [0]);
                let j = $jac(|x: Tensor| x.sin()).call((e.clone(),)).unwrap();
                assert_eq!(j.shape(), &Shape::from([0, 0]));
                let j = $jac(|x: Tensor| x.sum_over(&[0])).call((e,)).unwrap();
                assert_eq!(j.shape(), &Shape::from([0]));
            }

            #[test]
            fn nests_under_vmap_and_captures() {
                let xs = Tensor::from([[1.0f64, 2.0], [3.0, 4.0]]);
                let js = vmap($jac(|x: Tensor| &x * &x)).call((xs.clone(),)).unwrap();
                assert_eq!(js.to_vec::<f64>().unwrap(), [2.0, 0.0, 0.0, 4.0, 6.0, 0.0, 0.0, 8.0]);
                let f = |w: Tensor| {
                    let j = $jac(|x: Tensor| &x * &w).call((Tensor::from([1.0f64, 1.0]),))?;
                    Ok::<_, Error>(j.sum_over(&[0, 1]))
                };
                assert_eq!(grad(f).call((Tensor::from([1.0f64, 2.0]),)).unwrap().to_vec::<f64>().unwrap(), [1.0, 1.0]);
            }

            #[test]
            fn errors() {
                let e = message($jac(|x: Tensor| x.convert(DType::F32)).call((Tensor::from([1i64]),)));
                let name = stringify!($jac);
                assert_eq!(
                    e,
                    format!("{name}: only tensors of floating point dtype can be differentiated, leaf 0 of the arguments is i64[1]")
                );
                let e = message($jac(|x: Tensor| x).argnums::<(At<0>, At<0>)>().call((x(),)));
                assert_eq!(e, format!("{name}: argnums elements must be unique, got [0, 0]"));
            }
        }
    };
}
both_modes!(jacrev, reverse);
both_modes!(jacfwd, forward);

#[test]
fn results_that_are_not_floats() {
    let x = Tensor::from([1.0f64, -1.0]);
    let e = message(jacrev(|x: Tensor| x.gt(0.0)).call((x.clone(),)));
    assert_eq!(
        e,
        "jacrev: only tensors of floating point dtype can be differentiated, leaf 0 of the result of f is bool[2]"
    );
    let (flag, y) = jacfwd(|x: Tensor| (x.gt(0.0).convert(DType::I64), x)).call((x,)).unwrap();
    assert_eq!(flag.to_vec::<i64>().unwrap(), [0; 4]);
    assert_eq!(y.to_vec::<f64>().unwrap(), [1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn chunks() {
    let x = Tensor::from([[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let f = |x: Tensor| (x.sin() * &x, x.sum_over(&[0]));
    let whole = jacrev(f).call((x.clone(),)).unwrap();
    for k in [1, 2, 4, 6, 50] {
        let parts = jacrev(f).chunk_size(k).call((x.clone(),)).unwrap();
        close(&parts.0, &whole.0);
        close(&parts.1, &whole.1);
    }
    let h = hessian(|x: Tensor| x.sin().sum_over(&[0, 1])).chunk_size(2).call((x.clone(),)).unwrap();
    close(&h, &hessian(|x: Tensor| x.sin().sum_over(&[0, 1])).call((x.clone(),)).unwrap());
    assert_eq!(message(jacrev(f).chunk_size(0).call((x,))), "jacrev: `chunk_size` should be greater than 0");
}

#[test]
fn hessian_blocks() {
    let (x, y) = (Tensor::from([1.0f64, 2.0]), Tensor::from([3.0f64, 4.0, 5.0]));
    let f = |x: Tensor, y: Tensor| (&x * &x).sum_over(&[0]) * (&y * &y).sum_over(&[0]);
    let ((xx, xy), (yx, yy)) = hessian(f).argnums::<(At<0>, At<1>)>().call((x.clone(), y.clone())).unwrap();
    close(&xx, &diag(&Tensor::from([100.0f64, 100.0])));
    close(&yy, &diag(&Tensor::from([10.0f64; 3])));
    assert_eq!(xy.shape(), &Shape::from([2, 3]));
    assert_eq!(yx.shape(), &Shape::from([3, 2]));
    close(&xy, &yx.permute_to(&[1, 0]));
    let h = hessian(f).argnums::<At<1>>().call((x.clone(), y.clone())).unwrap();
    close(&h, &yy);
    let (h, aux) = hessian(|x: Tensor| (x.sin().sum_over(&[0]), x)).has_aux().call((x.clone(),)).unwrap();
    close(&h, &diag(&-x.sin()));
    close(&aux, &x);
}

#[test]
fn both_modes_agree_when_nested() {
    let x = Tensor::from([0.3f64, 0.7]);
    let f = |x: Tensor| x.sin() * x.cos();
    let a = jacrev(jacfwd(f)).call((x.clone(),)).unwrap();
    let b = jacfwd(jacrev(f)).call((x.clone(),)).unwrap();
    let c = jacfwd(jacfwd(f)).call((x.clone(),)).unwrap();
    let d = jacrev(jacrev(f)).call((x,)).unwrap();
    close(&a, &b);
    close(&a, &c);
    close(&a, &d);
}

/// As the exporter's `where(x == 0, values, …)` has it: PyTorch's own operator has no derivative.
#[test]
fn steps_have_the_derivative_of_their_values_at_zero() {
    let f = |(x, v): (Tensor, Tensor)| (x.heaviside(&v) * &x).sum();
    let at = || (Tensor::from([-1.0f64, 0.0, 2.0]), Tensor::from([0.5f64, 0.25, 0.5]));
    let (by_x, by_v) = grad(f).call((at(),)).unwrap();
    close(&by_x, &Tensor::from([0.0f64, 0.25, 1.0]));
    close(&by_v, &Tensor::from([0.0f64, 0.0, 0.0]));
    let ((_, mixed), (_, twice)) = hessian(f).call((at(),)).unwrap();
    close(&mixed, &Tensor::from([[0.0f64, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]));
    close(&twice, &Tensor::from([[0.0f64; 3]; 3]));
}

/// As PyTorch's `elu_double_backward` has it: the curve below 0 does not reach 0.
#[test]
fn exponential_units_have_no_curvature_at_zero() {
    let units: [fn(Tensor) -> Tensor; 3] = [|x| x.elu(0.7), |x| x.selu(), |x| x.celu(1.3)];
    for unit in units {
        let h = hessian(move |x: Tensor| unit(x).sum()).call((Tensor::from([0.0f64, -0.0, 2.0]),)).unwrap();
        close(&h, &Tensor::from([[0.0f64; 3]; 3]));
    }
}

/// As PyTorch's `smooth_l1_loss_double_backward` has it: the parabola does not reach where the lines begin.
#[test]
fn smooth_losses_have_no_curvature_where_their_lines_begin() {
    let t = Tensor::from([0.0f64; 3]);
    let loss = move |x: Tensor| x.smooth_l1_loss(&t, Reduction::Sum, 1.0);
    let h = hessian(loss).call((Tensor::from([1.0f64, -1.0, 0.5]),)).unwrap();
    close(&h, &Tensor::from([[0.0f64, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]));
}

/// PyTorch's slopes have poles where a choice leaves them out of the first derivative: a tangent passes the choice, the cotangent of one does not.
#[test]
fn slopes_that_a_choice_leaves_out_have_no_second_derivative_in_reverse() {
    let functions: [fn(&Tensor) -> Tensor; 3] = [
        |x| x.sinc(),
        |x| x.copysign(x.full_like(2.0)),
        // The exponential of 900 overflows.
        |x| x.logaddexp(x.full_like(900.0)),
    ];
    for f in functions {
        let slope = move |x: Tensor| grad(move |x: Tensor| f(&x).sum()).call((x,)).unwrap();
        let x = Tensor::from([0.0f64]);
        assert!(slope(x.clone()).to_vec::<f64>().unwrap()[0] == 0.0);
        let twice = grad(move |x: Tensor| slope(x).sum()).call((x,)).unwrap();
        assert!(twice.to_vec::<f64>().unwrap()[0].is_nan());
    }
}
