//! StableHLO: every primitive prints, or is refused by name; the text of some programs.
//!
//! That XLA reads the text and computes the same values is checked by hand: `tests/interop/`.

use std::collections::BTreeSet;

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::ops::{Op, Sample};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::grad::vjp;
use cotangent_stablehlo::{StableHloError, module};
use cotangent_tests::numeric::sample_graph;
use cotangent_tests::random_graph::{Config, random_graph};
use cotangent_tests::snapshot::snapshot;

/// Operations that StableHLO has no form of.
const REFUSED: &[&str] = &[
    "_functional_assert_async",
    "igamma",
    "igammac",
    "i0",
    "linalg_ldl_factor_ex",
    "linalg_ldl_solve",
    "special_airy_ai",
    "special_bessel_j0",
    "special_bessel_j1",
    "special_bessel_y0",
    "special_bessel_y1",
    "special_chebyshev_polynomial_t",
    "special_chebyshev_polynomial_u",
    "special_chebyshev_polynomial_v",
    "special_chebyshev_polynomial_w",
    "special_erfcx",
    "special_hermite_polynomial_h",
    "special_hermite_polynomial_he",
    "special_i0e",
    "special_laguerre_polynomial_l",
    "special_legendre_polynomial_p",
    "special_log_ndtr",
    "special_modified_bessel_i0",
    "special_modified_bessel_k0",
    "special_modified_bessel_k1",
    "special_ndtri",
    "special_scaled_modified_bessel_k0",
    "special_scaled_modified_bessel_k1",
    "special_shifted_chebyshev_polynomial_t",
    "special_shifted_chebyshev_polynomial_u",
    "special_shifted_chebyshev_polynomial_v",
    "special_shifted_chebyshev_polynomial_w",
];

#[test]
fn every_primitive_prints_or_is_refused_by_name() {
    let mut refused = BTreeSet::new();
    for s in Op::all_samples() {
        match module(&sample_graph(&s)) {
            Ok(text) => assert!(text.starts_with("module @") && text.ends_with("}\n"), "{text}"),
            Err(StableHloError::Refused { op, reason }) => {
                assert!(!reason.is_empty());
                assert_eq!(op, s.op.name());
                refused.insert(op);
            }
            Err(e) => panic!("{} ({}): {e}", s.op.name(), s.note),
        }
    }
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    let mut expected = REFUSED.to_vec();
    expected.sort_unstable();
    assert_eq!(refused, expected);
}

/// LAPACK is not called on a matrix without elements: XLA's calls divide by its size, and end the process.
#[test]
fn factors_of_nothing_are_constants() {
    let empty = |s: &&Sample| s.args.iter().any(|a| a.shape().numel() == 0);
    let samples = Op::all_samples();
    let factored = samples.iter().filter(empty).filter(|s| s.op.name().starts_with("linalg_"));
    let mut seen = 0;
    for text in factored.filter_map(|s| module(&sample_graph(s)).ok()) {
        assert!(!text.contains("custom_call"), "{text}");
        seen += 1;
    }
    assert!(seen >= 4, "{seen} samples");
}

#[test]
fn random_graphs_print() {
    for seed in 0..100 {
        let g = random_graph(seed, Config::ALL);
        match module(&g) {
            Ok(text) => assert_eq!(text, module(&g).expect("again"), "the same text each time"),
            Err(StableHloError::Refused { op, .. }) => assert!(REFUSED.contains(&op.as_str()), "random {seed}: {op}"),
            Err(e) => panic!("random {seed}: {e}"),
        }
    }
}

fn graph(name: &str, shapes: &[&[usize]], f: impl FnOnce(&[Tensor]) -> Tensor) -> Graph {
    let g = build(name, |t| {
        let args: Vec<Tensor> = shapes.iter().map(|s| t.param(&Aval::new(DType::F32, *s))).collect();
        Ok(vec![f(&args)])
    });
    g.expect("a graph")
}

#[test]
fn programs() {
    let loss = graph("loss", &[&[3], &[4, 3], &[4]], |x| {
        let y = x[1].mm(&x[0].view_to(&[3, 1].into())).view_to(&[4].into());
        (y.tanh() - &x[2]).mul(y).sum_over(&[0])
    });
    let sorted = graph("sorted", &[&[2, 5]], |x| {
        let (values, at) = x[0].sort_along(1, true);
        values.gather_along(1, &at).cumsum_along(1)
    });
    let special = graph("special", &[&[3]], |x| x[0].erf() * x[0].lgamma() + f64::INFINITY);
    let gradient = simplify(&vjp(&loss, &[0]).expect("a pullback"));
    for g in [loss, gradient.with_name("loss_vjp"), sorted, special] {
        snapshot("stablehlo", g.name(), &module(&g).expect("a module"));
    }
}

#[test]
fn what_is_refused_is_named_with_the_reason() {
    let g = graph("checked", &[&[3]], |x| x[0].assert_that(&x[0].sum_over(&[0]).gt(0.0), "expected a positive sum"));
    let error = module(&g).expect_err("no assertions").to_string();
    assert_eq!(
        error,
        "`_functional_assert_async` has no form in StableHLO: it has no assertions; leave the check out of the exported function"
    );
}
