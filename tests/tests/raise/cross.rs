//! Cross products, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_tests::random_graph::random_args;

use crate::{same_bits, targets};

/// How many cross products stand in the raised graph, which has the values of `g`.
fn products(g: &Graph) -> usize {
    let raised = simplify(g).raised();
    let args = random_args(1, g);
    assert!(same_bits(&eval(&simplify(g), &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}\n{raised}");
    targets(&raised).iter().filter(|t| *t == "linalg_cross.default").count()
}

fn function(shape: [usize; 2], f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Graph {
    let aval = Aval::new(DType::F64, shape);
    build("f", |t| Ok(vec![f(&t.param(&aval), &t.param(&aval)).ok()?])).unwrap()
}

/// The elements that are so many places further along `dim`, as exporters select them.
fn turned(x: &Tensor, by: i64, dim: usize) -> Tensor {
    let n = x.shape()[dim].get() as i64;
    x.index_select_along(dim, &Tensor::from_array(Array::new([n as usize], (0..n).map(|i| (i + by) % n).collect())))
}

/// `a[i+1] b[i+2] - a[i+2] b[i+1]`.
fn cross(a: &Tensor, b: &Tensor, dim: usize) -> Tensor {
    turned(a, 1, dim) * turned(b, 2, dim) - turned(a, 2, dim) * turned(b, 1, dim)
}

#[test]
fn cross_products_and_their_derivatives_are_found() {
    for (shape, dim) in [([4, 3], 1), ([3, 2], 0)] {
        let f = function(shape, |a, b| cross(a, b, dim));
        assert_eq!(products(&f), 1, "{}", simplify(&f).raised().code());
        // Not in the difference of squares that the sum would be.
        let squares = function(shape, |a, b| cross(a, b, dim).square().sum());
        assert_eq!(products(&squares), 1);
        for (wrt, n) in [(vec![0], 1), (vec![1], 1), (vec![0, 1], 2)] {
            let g = vjp(&f, &wrt).unwrap();
            assert_eq!(products(&g), n + 1, "{}", simplify(&g).raised().code());
        }
    }
}

/// Rotations that are calls.
#[test]
fn products_of_rolls_are_found() {
    let f = function([2, 3], |a, b| {
        let [a, b] = [a, b].map(|x| [1, 2].map(|by| x.roll(&[-by], &[1])));
        &a[0] * &b[1] - &a[1] * &b[0]
    });
    assert_eq!(products(&f), 1, "{}", simplify(&f).raised().code());
}

#[test]
fn neighbours_of_cross_products_stay() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let near: [([usize; 2], F); 5] = [
        ([2, 3], |a, b| turned(a, 1, 1) * turned(b, 2, 1) + turned(a, 2, 1) * turned(b, 1, 1)),
        ([2, 3], |a, b| turned(a, 1, 1) * turned(b, 1, 1) - turned(a, 2, 1) * turned(b, 2, 1)),
        ([2, 3], |a, b| turned(a, 1, 1) * turned(b, 2, 1) - turned(a, 2, 1) * turned(a, 1, 1)),
        ([3, 3], |a, b| turned(a, 1, 1) * turned(b, 2, 1) - turned(a, 2, 0) * turned(b, 1, 1)),
        ([2, 4], |a, b| cross(a, b, 1)),
    ];
    for (shape, f) in near {
        let g = function(shape, f);
        assert_eq!(products(&g), 0, "{}", simplify(&g).raised().code());
    }
}
