//! Pointwise kernels: any strides against the same elements copied out, derivatives, transforms, and refusals.

use cotangent::prelude::*;
use cotangent_core::ir::Aval;
use cotangent_loops::pointwise::{Layout, pointwise as program};
use cotangent_loops::verify::verify;

fn f(x: Tensor, y: Tensor) -> Tensor {
    (&x * y).tanh() + x.exp()
}

/// `(offset, strides)` over a memory of 60 elements for shape `[3, 4]`: dense, transposed, sliced, reversed, broadcast, overlapping.
const LAYOUTS: [(usize, [isize; 2]); 7] =
    [(0, [4, 1]), (0, [1, 3]), (1, [14, 3]), (59, [-20, -2]), (7, [0, 1]), (7, [1, 0]), (5, [1, 1])];

fn copied(memory: &[f32], (offset, strides): (usize, [isize; 2])) -> Tensor {
    let at =
        |i: usize, j: usize| memory[(offset as isize + i as isize * strides[0] + j as isize * strides[1]) as usize];
    Tensor::from_vec((0..12).map(|k| at(k / 4, k % 4)).collect::<Vec<f32>>(), [3, 4])
}

#[test]
fn any_strides_give_what_the_copied_elements_give() {
    let memory: Vec<f32> = (0..60).map(|i| (i as f32 * 0.37).sin()).collect();
    let (kernel, dx) = (pointwise(f), pointwise(grad(f)));
    for a in LAYOUTS {
        for b in LAYOUTS {
            let strided = [a, b].map(|(o, s)| Strided::new(&memory, o, &[3, 4], &s).unwrap());
            let (x, y) = (copied(&memory, a), copied(&memory, b));
            let close = |got: Tensor, expected: Tensor| {
                assert_eq!(got.shape(), expected.shape());
                let pairs = got.to_vec::<f32>().unwrap().into_iter().zip(expected.to_vec::<f32>().unwrap());
                for (g, e) in pairs {
                    assert!((g - e).abs() < 1e-6, "{a:?} and {b:?}: {g} and {e}");
                }
            };
            close(kernel.at(&strided).unwrap(), f(x.clone(), y.clone()));
            let sum = |x: Tensor, y: Tensor| f(x, y).sum();
            close(dx.at(&strided).unwrap(), grad(sum).call((x, y)).unwrap());
        }
    }
}

#[test]
fn programs_for_all_layouts_are_well_formed() {
    let scalars = [Aval::new(DType::F32, ()), Aval::new(DType::F32, ())].map(|a| Tensor::abstract_(a.dtype, &a.shape));
    let graph = make_fx(f, (scalars[0].clone(), scalars[1].clone())).unwrap();
    for (a, b) in LAYOUTS.into_iter().zip(LAYOUTS.into_iter().rev()) {
        let layouts = [a, b].map(|(offset, s)| Layout { offset, strides: s.map(|s| s as i64).to_vec(), len: 60 });
        verify(&program(&graph, &[3, 4], &layouts).unwrap()).unwrap();
    }
    for shape in [vec![], vec![0], vec![2, 0, 3], vec![1, 1]] {
        let dense = Layout { offset: 0, strides: vec![1; shape.len()], len: 60 };
        verify(&program(&graph, &shape, &[dense.clone(), dense]).unwrap()).unwrap();
    }
}

#[test]
fn tensors_broadcast_promote_and_nest_with_transforms() {
    let kernel = pointwise(f);
    let (x, y) = (Tensor::from([[0.1f32], [0.2]]), Tensor::from([1i64, 2, 3]));
    let got = kernel.call((x.clone(), y.clone())).unwrap();
    let expected = f(x.clone(), y.clone());
    assert_eq!(got.aval(), expected.aval());
    for (g, e) in got.to_vec::<f32>().unwrap().iter().zip(expected.to_vec::<f32>().unwrap()) {
        assert!((g - e).abs() < 1e-6);
    }
    let loss = |x: Tensor, y: Tensor| Ok::<_, Error>(pointwise(f).call((x, y))?.sum());
    let plain = |x: Tensor, y: Tensor| f(x, y).sum();
    let y = y * 1.0f32;
    let (a, b) = (hessian(loss).call((x.clone(), y.clone())).unwrap(), hessian(plain).call((x, y)).unwrap());
    for (g, e) in a.to_vec::<f32>().unwrap().iter().zip(b.to_vec::<f32>().unwrap()) {
        assert!((g - e).abs() < 1e-5, "{g} and {e}");
    }
    let none = Tensor::from_vec(Vec::<f32>::new(), [0, 3]);
    assert_eq!(pointwise(|x: Tensor| x.exp()).call((none,)).unwrap().shape().sizes()[..], [0, 3]);
}

#[test]
fn what_is_no_function_of_single_elements_is_refused() {
    let memory = [1.0f32, 2.0, 3.0];
    let message = |e: Error| e.to_string();
    let outside = Strided::new(&memory, 1, &[3], &[1]).unwrap_err();
    assert!(message(outside).contains("inside 3 elements"));
    assert!(Strided::new(&memory, 0, &[3], &[1, 1]).is_err());
    assert!(Strided::new(&memory, 0, &[usize::MAX], &[isize::MAX]).is_err());
    let huge = Strided::new(&memory, 0, &[1 << 40, 1 << 20], &[0, 0]).unwrap();
    assert!(message(pointwise(|x: Tensor| x.exp()).at(&[huge]).unwrap_err()).contains("2^47"));
    let (a, b) = (Strided::new(&memory, 0, &[3], &[1]).unwrap(), Strided::new(&memory, 0, &[2], &[1]).unwrap());
    assert!(message(pointwise(f).at(&[a.clone(), b]).unwrap_err()).contains("broadcasts with"));
    assert!(message(pointwise(f).at(std::slice::from_ref(&a)).unwrap_err()).contains("number of operands"));
    let wide = pointwise(|x: Tensor| x.reshape([1]).mm(&Tensor::from([[1.0f32]])).sum());
    assert!(wide.at(std::slice::from_ref(&a)).is_err());
}
