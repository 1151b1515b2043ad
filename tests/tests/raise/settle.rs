//! Values without operands that are stored, and conversions that PyTorch makes by itself.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::random_graph::random_args;

use crate::{same_bits, targets};

/// The simplified graph of `f` of a matrix, and its targets; raised, it means the same.
fn raised(f: fn(&Tensor) -> Tensor) -> (Graph, Vec<String>) {
    let aval = Aval::new(DType::F64, [3, 4]);
    let g = simplify(&build("f", |t| Ok(vec![f(&t.param(&aval)).ok()?])).unwrap());
    let raised = g.raised();
    let args = random_args(3, &g);
    assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{}", raised.code());
    let found = targets(&raised);
    (raised, found)
}

/// Places of many steps are one constant; a short range says what it is.
#[test]
fn long_computations_of_nothing_are_stored() {
    let steps = |x: &Tensor| {
        let i = x.arange_like(x.shape()[1], DType::F64);
        x * ((i + 0.5).sin() * 2.0).exp()
    };
    let (graph, found) = raised(steps);
    assert_eq!(found, ["mul.Tensor"], "{}", graph.code());
    assert_eq!(graph.code().matches("self._tensor_constant0").count(), 1, "{}", graph.code());
    let (graph, found) = raised(|x| x * x.arange_like(x.shape()[1], DType::F64));
    assert!(found.iter().any(|t| t.starts_with("arange")), "{}", graph.code());
}

/// A constant is read where it is used first.
#[test]
fn constants_are_read_once() {
    let (graph, _) = raised(|x| {
        let c = Tensor::from([1.5f64, -2.0, 0.25, 8.0]);
        (x * &c).sin() + x.cos() * c
    });
    assert_eq!(graph.code().matches("self._tensor_constant0").count(), 1, "{}", graph.code());
}

/// Truth values and integers beside floats, and sums of truth values, need no conversion; differences of truth values do.
#[test]
fn conversions_are_left_to_pytorch() {
    type F = fn(&Tensor) -> Tensor;
    let cases: [(F, bool); 5] = [
        (|x| x * x.gt(0.5).convert(DType::F64), false),
        (|x| x / x.sort_along(1, false).1.convert(DType::F64), false),
        (|x| x.gt(0.5).convert(DType::I64).sum_over(&[1]), false),
        (|x| x - x.gt(0.5).convert(DType::F64), true),
        (|x| x.gt(0.5).convert(DType::F64).exp(), true),
    ];
    for (f, converts) in cases {
        let (graph, found) = raised(f);
        let conversions = found.iter().filter(|t| t.contains("convert_element_type")).count();
        assert_eq!(conversions > 0, converts, "{}", graph.code());
    }
}

/// What treats each line along a dim stays one operator of a batch.
#[test]
fn operators_along_a_dim_are_themselves_of_a_batch() {
    let aval = Aval::new(DType::F64, [3, 4]);
    for dim in [-1, 0] {
        let g = build("f", |t| Ok(vec![t.param(&aval).median_dim(dim).0.ok()?])).unwrap();
        let batched = vmap(&g, &[Some(1)], &[0], 2usize.into()).unwrap();
        assert!(targets(&batched).contains(&"median.dim".to_owned()), "{}", batched.code());
        let args = random_args(5, &batched);
        let rows = args[0].clone();
        let each = build("each", |t| {
            let x = t.param(&batched.param_avals()[0]);
            let one = |i: usize| x.slice_dim(1, i, i + 1, 1).view_to(&[3, 4].into()).median_dim(dim).0;
            Ok(vec![stack(&[one(0), one(1)], 0).ok()?])
        });
        let expected = eval(&each.unwrap(), &[rows]).unwrap();
        assert!(same_bits(&eval(&batched, &args).unwrap(), &expected), "{}", batched.code());
    }
}
