//! Derivatives of normalisations.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Dim, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::random_graph::random_args;

use crate::pullback::{found, function};
use crate::{graph, same_bits, targets};

/// The derivatives of a normalisation are one operator, with those of weight and bias where they are wanted.
#[test]
fn derivatives_of_normalizations_are_one_operator() {
    type F = fn(&[Tensor]) -> Tensor;
    let table: [(&str, F); 6] = [
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], &a[1], &a[2], 1e-5)),
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], &a[1], None, 1e-5)),
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], None, None, 1e-5)),
        // Along an opposite, which is nowhere in the graph.
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], None, None, 1e-5).cos()),
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], &a[1], &a[2], 1e-5).cos()),
        ("native_batch_norm_backward.default", |a| {
            let [y, _, _] =
                cotangent_aten::nn::native_norm::native_batch_norm(&a[0], Some(&a[1]), Some(&a[2]), 0.1, 1e-5).unwrap();
            y
        }),
    ];
    for (expected, f) in table {
        let f = build("f", |t| {
            let x = t.param(&Aval::new(DType::F64, [3, 4]));
            let [w, b] = std::array::from_fn(|_| t.param(&Aval::new(DType::F64, [4])));
            Ok(vec![f(&[x, w, b]).ok()?])
        });
        for wrt in [vec![0], vec![0, 1, 2]] {
            let g = simplify(&vjp(f.as_ref().unwrap(), &wrt).unwrap());
            let raised = g.raised();
            let found = targets(&raised);
            assert!(found.contains(&expected.to_owned()), "{}", raised.code());
            assert!(!found.iter().any(|t| t.starts_with("sum") || t.starts_with("mean")), "{}", raised.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
        }
    }
}

/// Also where it is added to another cotangent, as of layers beside which their operand goes on.
#[test]
fn derivatives_beside_a_residual_are_one_operator_too() {
    let f = build("f", |t| {
        let x = t.param(&Aval::new(DType::F64, [3, 4]));
        let [w, b] = std::array::from_fn(|_| t.param(&Aval::new(DType::F64, [4])));
        Ok(vec![(&x + x.layer_norm([4], &w, &b, 1e-5).tanh()).ok()?])
    });
    let g = simplify(&vjp(&f.unwrap(), &[0, 1, 2]).unwrap());
    let raised = g.raised();
    let found = targets(&raised);
    assert!(found.contains(&"native_layer_norm_backward.default".to_owned()), "{}", raised.code());
    assert!(!found.iter().any(|t| t.starts_with("sum") || t.starts_with("mean")), "{}", raised.code());
    let args = random_args(1, &g);
    let values = |g: &Graph| eval(g, &args).unwrap().iter().flat_map(|a| a.to_f64_vec()).collect::<Vec<f64>>();
    let pairs = values(&g).into_iter().zip(values(&raised));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs())), "{}", raised.code());
}

/// Also where a batch has looked inside of the normalisation.
#[test]
fn derivatives_of_batches_are_one_operator_too() {
    let f = build("f", |t| {
        Ok(vec![t.param(&Aval::new(DType::F64, [3, 4])).layer_norm([4], None, None, 1e-5).tanh().ok()?])
    });
    let g = vjp(&f.unwrap(), &[0]).unwrap();
    let outs = vec![0; g.results().len()];
    let g = vmap(&g, &[Some(0), Some(0)], &outs, Dim::new(2)).unwrap();
    let raised = simplify(&g).raised();
    for expected in ["native_layer_norm.default", "native_layer_norm_backward.default"] {
        assert!(targets(&raised).contains(&expected.to_owned()), "{}", raised.code());
    }
    let args = random_args(1, &g);
    assert!(same_bits(&eval(&simplify(&g), &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
}

/// The same with the means over another number of elements, and with another deviation.
#[test]
fn neighbours_of_normalizations_stay() {
    let f = build("f", |t| Ok(vec![t.param(&Aval::new(DType::F64, [3, 4])).layer_norm([4], None, None, 1e-5).ok()?]));
    let g = simplify(&vjp(&f.unwrap(), &[0]).unwrap());
    let backward = |g: &Graph| targets(&g.raised()).contains(&"native_layer_norm_backward.default".to_owned());
    assert!(backward(&g), "{g}");
    let text = g.to_string();
    // What stands behind the call is the derivative.
    let at = text.rfind("}").and_then(|_| text.find("\n  }")).expect("a call with a body");
    for (from, to) in [("fill_value=4.0", "fill_value=5.0"), ("fill_value=0.25", "fill_value=0.2")] {
        let derivative = &text[at..];
        if !derivative.contains(from) {
            continue;
        }
        let near = graph(&format!("{}{}", &text[..at], derivative.replace(from, to)));
        assert!(!backward(&near), "{near}");
    }
}

/// A weight that is repeated for each image is one view for the operator and another one for the derivative.
#[test]
fn norms_of_instances_have_one_derivative() {
    let f = function(&[&[2, 3, 4], &[3], &[3]], |a| {
        let [w, b] = [1, 2].map(|i| a[i].expand_to(&[2, 3].into()).view_to(&[6].into()));
        let x = a[0].view_to(&[1, 6, 4].into());
        let [y, _, _] = cotangent_aten::nn::native_norm::native_batch_norm(&x, Some(&w), Some(&b), 0.1, 1e-5).unwrap();
        y.view_to(&[2, 3, 4].into())
    });
    let g = simplify(&vjp(&f, &[0, 1, 2]).unwrap());
    assert_eq!(found(&g, "native_batch_norm_backward.default"), 1, "{}", g.raised().code());
    let sums = targets(&g.raised()).iter().filter(|t| t.starts_with("sum")).count();
    assert_eq!(sums, 2, "{}", g.raised().code());
}
