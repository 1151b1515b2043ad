//! Bodies of a few nodes that are operators.

use std::collections::BTreeMap;

use cotangent_core::ir::Graph;
use cotangent_core::simplify::{Class, raise};
use cotangent_core::transform::eval::eval;
use cotangent_tests::random_graph::random_args;
use cotangent_torch::{Program, write_program};

use crate::{graph, same_bits, targets};

/// A body with its parameters, and the operators that it is.
const PATTERNS: &[(&str, &str, &[&str])] = &[
    ("%0: f64[3]", "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = mul(%1, %0)", &["mul.Scalar"]),
    ("%0: f64[3]", "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = sub(%1, %0)", &["rsub.Scalar"]),
    ("%0: f64[3]", "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: bool[3] = lt(%1, %0)", &["gt.Scalar"]),
    // No operator divides a number by a tensor.
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = div(%1, %0)",
        &["full.default", "div.Tensor"],
    ),
    // PyTorch's power with 0.5 is a root, of which -inf has none.
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=0.5, dtype=f64) %2: f64[3] = pow(%0, %1)",
        &["full.default", "pow.Tensor_Tensor"],
    ),
    ("%0: f64[3], %1: f64[2,3]", "%2: f64[2,3] = expand(%0, size=[2, 3]) %3: f64[2,3] = mul(%1, %2)", &["mul.Tensor"]),
    // Nothing else has the rows of the result.
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[2,3] = expand(%0, size=[2, 3]) %3: f64[2,3] = expand(%1, size=[2, 3]) %4: f64[2,3] = mul(%2, %3)",
        &["expand.default", "mul.Tensor"],
    ),
    (
        "%0: f64[2,3]",
        "%1: f64[2] = sum(%0, dim=[1]) %2: f64[2] = full(size=[2], fill_value=3.0, dtype=f64) %3: f64[2] = div(%1, %2) \
         %4: f64[2,1] = reshape(%3, shape=[2, 1])",
        &["mean.dim"],
    ),
    // Divided by another number.
    (
        "%0: f64[2,3]",
        "%1: f64[2] = sum(%0, dim=[1]) %2: f64[2] = full(size=[2], fill_value=4.0, dtype=f64) %3: f64[2] = div(%1, %2)",
        &["sum.dim_IntList", "div.Scalar"],
    ),
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = tanh(%0) %3: f64[3] = full(size=[3], fill_value=1.0, dtype=f64) %4: f64[3] = mul(%2, %2) \
         %5: f64[3] = sub(%3, %4) %6: f64[3] = mul(%1, %5)",
        &["tanh.default", "tanh_backward.default"],
    ),
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = sigmoid(%0) %3: f64[3] = full(size=[3], fill_value=1.0, dtype=f64) %4: f64[3] = sub(%3, %2) \
         %5: f64[3] = mul(%4, %2) %6: f64[3] = mul(%1, %5)",
        &["sigmoid.default", "sigmoid_backward.default"],
    ),
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = full(size=[3], fill_value=0.0, dtype=f64) %3: bool[3] = le(%0, %2) %4: f64[3] = where(%3, %2, %1)",
        &["threshold_backward.default"],
    ),
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=0.0, dtype=f64) %2: bool[3] = le(%0, %1) %3: f64[3] = where(%2, %1, %0)",
        &["relu.default"],
    ),
    (
        "%0: f64[2,3]",
        "%1: f64[2] = amax(%0, dim=[1]) %2: f64[2,1] = reshape(%1, shape=[2, 1]) %3: f64[2,3] = expand(%2, size=[2, 3]) \
         %4: f64[2,3] = sub(%0, %3) %5: f64[2,3] = exp(%4) %6: f64[2] = sum(%5, dim=[1]) \
         %7: f64[2,1] = reshape(%6, shape=[2, 1]) %8: f64[2,3] = expand(%7, size=[2, 3]) %9: f64[2,3] = div(%5, %8)",
        &["_softmax.default"],
    ),
    // The maximum of columns, the sum of rows.
    (
        "%0: f64[3,3]",
        "%1: f64[3] = amax(%0, dim=[0]) %3: f64[3,3] = expand(%1, size=[3, 3]) %4: f64[3,3] = sub(%0, %3) \
         %5: f64[3,3] = exp(%4) %6: f64[3] = sum(%5, dim=[1]) %7: f64[3,1] = reshape(%6, shape=[3, 1]) \
         %8: f64[3,3] = expand(%7, size=[3, 3]) %9: f64[3,3] = div(%5, %8)",
        &["amax.default", "sub.Tensor", "exp.default", "sum.dim_IntList", "div.Tensor"],
    ),
    (
        "%0: f64[5,2], %1: i64[3]",
        "%2: i64[3] = full(size=[3], fill_value=0, dtype=i64) %3: i64[3] = full(size=[3], fill_value=5, dtype=i64) \
         %4: bool[3] = lt(%1, %2) %5: i64[3] = add(%1, %3) %6: i64[3] = where(%4, %5, %1) \
         %7: f64[3,2] = index_select(%0, %6, dim=0)",
        &["index.Tensor"],
    ),
    (
        "%0: f64[5]",
        "%1: i64[5] = arange(end=5, dtype=i64) %2: i64[5] = full(size=[5], fill_value=3, dtype=i64) \
         %3: i64[5] = add(%1, %2) %4: i64[5] = full(size=[5], fill_value=5, dtype=i64) %5: i64[5] = fmod(%3, %4) \
         %6: f64[5] = index_select(%0, %5, dim=0)",
        &["roll.default"],
    ),
    (
        "%0: f64[2,3], %1: f64[3]",
        "%2: f64[3,1] = reshape(%1, shape=[3, 1]) %3: f64[2,1] = mm(%0, %2) %4: f64[2] = reshape(%3, shape=[2])",
        &["mv.default"],
    ),
    (
        "",
        "%1: i64[3] = arange(end=3, dtype=i64) %2: i64[3,1] = reshape(%1, shape=[3, 1]) \
         %3: i64[3,3] = expand(%2, size=[3, 3]) %4: i64[3,3] = expand(%1, size=[3, 3]) %5: bool[3,3] = eq(%3, %4) \
         %6: f64[3,3] = convert_element_type(%5, dtype=f64)",
        &["eye.m"],
    ),
    // Elements of a vector, and of the rows of a batch.
    (
        "%0: f64[5], %1: i64[3]",
        "%2: i64[3] = full(size=[3], fill_value=0, dtype=i64) %3: i64[3] = full(size=[3], fill_value=5, dtype=i64) \
         %4: bool[3] = lt(%1, %2) %5: i64[3] = add(%1, %3) %6: i64[3] = where(%4, %5, %1) \
         %7: f64[3] = gather(%0, %6, dim=0)",
        &["index.Tensor"],
    ),
    (
        "%0: f64[2,5,4], %1: i64[2,3]",
        "%2: i64[2,3] = full(size=[2, 3], fill_value=0, dtype=i64) %3: i64[2,3] = full(size=[2, 3], fill_value=5, dtype=i64) \
         %4: bool[2,3] = lt(%1, %2) %5: i64[2,3] = add(%1, %3) %6: i64[2,3] = where(%4, %5, %1) \
         %7: i64[2,3,1] = reshape(%6, shape=[2, 3, 1]) %8: i64[2,3,4] = expand(%7, size=[2, 3, 4]) \
         %9: f64[2,3,4] = gather(%0, %8, dim=1)",
        &["arange.default", "reshape.default", "index.Tensor"],
    ),
    (
        "%0: f64[2,5], %1: i64[2,1], %2: f64[2,1]",
        "%3: i64[2,1] = full(size=[2, 1], fill_value=0, dtype=i64) %4: i64[2,1] = full(size=[2, 1], fill_value=5, dtype=i64) \
         %5: bool[2,1] = lt(%1, %3) %6: i64[2,1] = add(%1, %4) %7: i64[2,1] = where(%5, %6, %1) \
         %8: f64[2,5] = scatter(%0, %7, %2, dim=1)",
        &["arange.default", "reshape.default", "index_put.default"],
    ),
    // Wrapped by another size.
    (
        "%0: f64[5], %1: i64[3]",
        "%2: i64[3] = full(size=[3], fill_value=0, dtype=i64) %3: i64[3] = full(size=[3], fill_value=4, dtype=i64) \
         %4: bool[3] = lt(%1, %2) %5: i64[3] = add(%1, %3) %6: i64[3] = where(%4, %5, %1) \
         %7: f64[3] = gather(%0, %6, dim=0)",
        &["lt.Scalar", "add.Scalar", "where.self", "gather.default"],
    ),
    // Not all columns are indexed: an index would read them all.
    (
        "%0: f64[5,4], %1: i64[3,1]",
        "%2: i64[3,1] = full(size=[3, 1], fill_value=0, dtype=i64) %3: i64[3,1] = full(size=[3, 1], fill_value=5, dtype=i64) \
         %4: bool[3,1] = lt(%1, %2) %5: i64[3,1] = add(%1, %3) %6: i64[3,1] = where(%4, %5, %1) \
         %7: f64[3,1] = gather(%0, %6, dim=0)",
        &["lt.Scalar", "add.Scalar", "where.self", "gather.default"],
    ),
    (
        "",
        "%0: f64[4] = arange(end=4, dtype=f64) %1: f64[4] = full(size=[4], fill_value=2.0, dtype=f64) %2: f64[4] = add(%0, %1)",
        &["arange.start_step"],
    ),
    (
        "",
        "%0: f64[4] = arange(end=4, dtype=f64) %1: f64[4] = full(size=[4], fill_value=0.1, dtype=f64) %2: f64[4] = add(%0, %1)",
        &["arange.default", "add.Scalar"],
    ),
    // Numbers beside integers, and rounded quotients.
    (
        "%0: i64[3]",
        "%1: i64[3] = full(size=[3], fill_value=2, dtype=i64) %2: i64[3] = bitwise_left_shift(%0, %1)",
        &["bitwise_left_shift.Tensor_Scalar"],
    ),
    (
        "%0: i64[3]",
        "%1: i64[3] = full(size=[3], fill_value=6, dtype=i64) %2: i64[3] = bitwise_and(%1, %0)",
        &["bitwise_and.Scalar"],
    ),
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=2.5, dtype=f64) %2: f64[3] = special_zeta(%1, %0)",
        &["special_zeta.self_scalar"],
    ),
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = div(%0, %1, rounding_mode=\"floor\")",
        &["div.Scalar_mode"],
    ),
    // Elements by their numbers, and additions to these.
    (
        "%0: f64[2,3], %1: i64[4]",
        "%2: i64[4] = full(size=[4], fill_value=0, dtype=i64) %3: i64[4] = full(size=[4], fill_value=6, dtype=i64) \
         %4: bool[4] = lt(%1, %2) %5: i64[4] = add(%1, %3) %6: i64[4] = where(%4, %5, %1) \
         %7: f64[6] = reshape(%0, shape=[6]) %8: f64[4] = index_select(%7, %6, dim=0)",
        &["take.default"],
    ),
    (
        "%0: f64[4], %1: i64[4]",
        "%2: i64[4] = full(size=[4], fill_value=0, dtype=i64) %3: i64[4] = full(size=[4], fill_value=6, dtype=i64) \
         %4: bool[4] = lt(%1, %2) %5: i64[4] = add(%1, %3) %6: i64[4] = where(%4, %5, %1) \
         %7: f64[6] = full(size=[6], fill_value=0.0, dtype=f64) %8: f64[6] = index_add(%7, %6, %0, dim=0) \
         %9: f64[2,3] = reshape(%8, shape=[2, 3])",
        &["full.default", "put.default"],
    ),
    ("%0: f64[2,3]", "%1: f64[2,3] = flip(%0, dims=[0]) %2: f64[3,2] = permute(%1, dims=[1, 0])", &["rot90.default"]),
    (
        "%0: f64[1,4,2]",
        "%1: f64[1,2,2,2] = reshape(%0, shape=[1, 2, 2, 2]) %2: f64[1,2,2,2] = permute(%1, dims=[0, 2, 1, 3]) \
         %3: f64[1,4,2] = reshape(%2, shape=[1, 4, 2])",
        &["channel_shuffle.default"],
    ),
    // A choice at zero as people write it.
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = full(size=[3], fill_value=0.0, dtype=f64) %3: bool[3] = le(%0, %2) %4: f64[3] = where(%3, %0, %2) \
         %5: f64[3] = exp(%4) %6: f64[3] = full(size=[3], fill_value=0.5, dtype=f64) %7: f64[3] = mul(%5, %6) \
         %8: f64[3] = full(size=[3], fill_value=1.0, dtype=f64) %9: f64[3] = where(%3, %7, %8) %10: f64[3] = mul(%1, %9)",
        &["elu_backward.default"],
    ),
    // Pixels that are repeated, images that are, and pixels that PyTorch does not find, for 41 times its inverse is less than 1.
    (
        "%0: f64[1,2,2,3]",
        "%1: f64[1,2,2,1,3,1] = reshape(%0, shape=[1, 2, 2, 1, 3, 1]) %2: f64[1,2,2,2,3,3] = expand(%1, size=[1, 2, 2, 2, 3, 3]) \
         %3: f64[1,2,4,9] = reshape(%2, shape=[1, 2, 4, 9])",
        &["upsample_nearest2d.default"],
    ),
    (
        "%0: f64[1,2,2,3]",
        "%1: f64[1,2,1,2,1,3] = reshape(%0, shape=[1, 2, 1, 2, 1, 3]) %2: f64[1,2,2,2,3,3] = expand(%1, size=[1, 2, 2, 2, 3, 3]) \
         %3: f64[1,2,4,9] = reshape(%2, shape=[1, 2, 4, 9])",
        &["repeat.default"],
    ),
    (
        "%0: f64[1,1,2,1]",
        "%1: f64[1,1,2,1,1,1] = reshape(%0, shape=[1, 1, 2, 1, 1, 1]) %2: f64[1,1,2,41,1,1] = expand(%1, size=[1, 1, 2, 41, 1, 1]) \
         %3: f64[1,1,82,1] = reshape(%2, shape=[1, 1, 82, 1])",
        &["reshape.default", "expand.default", "reshape.default"],
    ),
];

/// The body as a graph: its last value is the result.
fn pattern(params: &str, body: &str) -> Graph {
    let mut lines: Vec<String> = Vec::new();
    for word in body.split_inclusive(' ') {
        if word.starts_with('%') && word.trim_end().ends_with(':') {
            lines.push("  ".to_owned());
        }
        lines.last_mut().unwrap().push_str(word);
    }
    let last = lines.last().unwrap().trim().split(':').next().unwrap().to_owned();
    graph(&format!("graph f({params}) {{\n{}\n  return {last}\n}}\n", lines.join("\n")))
}

#[test]
fn compound_operators_are_found() {
    for (params, body, expected) in PATTERNS {
        let g = pattern(params, body);
        let raised = g.raised();
        assert_eq!(targets(&raised), *expected, "{g}");
        let args = random_args(1, &g);
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
        let read = graph(&raised.to_string());
        assert_eq!(read.to_string(), raised.to_string());
    }
}

/// Exported programs that name the operators are read by this project with the same values.
#[test]
fn compound_operators_read_back() {
    let path = std::env::temp_dir().join(format!("cotangent-{}-raised.pt2", std::process::id()));
    for (params, body, _) in PATTERNS {
        let g = pattern(params, body);
        write_program(&path, &g.raised(), &BTreeMap::new()).unwrap();
        let program = Program::read(&path).unwrap();
        let avals = program.avals(&BTreeMap::new()).unwrap();
        let again = program.graph(&avals).unwrap_or_else(|e| panic!("{e}: {}", g.raised().code()));
        let args = random_args(1, &g);
        let (a, b) = (eval(&g, &args).unwrap(), eval(&again, &args).unwrap());
        assert_eq!(a[0].aval(), b[0].aval());
        for (x, y) in a[0].to_f64_vec().into_iter().zip(b[0].to_f64_vec()) {
            assert!((x - y).abs() <= 1e-12 * x.abs().max(1.0) || (x.is_nan() && y.is_nan()), "{x}, {y}: {g}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

/// Sums in another order are no operator where every bit is kept.
#[test]
fn rules_keep_to_their_class() {
    let (params, body, _) = PATTERNS.iter().find(|p| p.2 == ["_softmax.default"]).unwrap();
    let exact = targets(&raise(&pattern(params, body), Class::Exact));
    assert!(exact.iter().any(|t| t == "exp.default"), "{exact:?}");
}
