//! Values and derivatives at kinks, poles, ties, zeros of both signs, infinities and NaN, against PyTorch.
//!
//! `data/kinks.txt` holds what PyTorch computes. Where cotangent says otherwise, [`DIFFERENCES`] says so and why; an
//! entry that no longer differs fails, so that the list stays true.

use cotangent_core::ir::DType;
use cotangent_core::ops::{Binary, Op, Primitive as _, Unary};
use cotangent_tests::points::{Point, points};

const TABLE: &str = include_str!("../../data/kinks.txt");

/// Where cotangent differs: the reason and the points, as the table writes them; `op(*` means all points of an op.
const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "at the infinities a function has its limit, not the NaN of an algorithm that does not reach there",
        &["special_log_ndtr(-inf)"],
    ),
    (
        "odd functions keep the sign of zero",
        &["special_i1(-0.0)", "special_i1e(-0.0)", "special_modified_bessel_i1(-0.0)"],
    ),
    (
        "PyTorch is accurate to 1e-9 or 1e-13 here; `special.rs` compares with exact values",
        &[
            "special_log_ndtr(-200.0)",
            "igammac(1e-10, 0.5)",
            "igamma(100.0, 90.0)",
            "igamma(100.0, 120.0)",
            "igamma(100000.0, 100000.0)",
            "igamma(100000.0, 99000.0)",
            "igammac(100.0, 90.0)",
            "igammac(100.0, 120.0)",
            "igammac(100000.0, 100000.0)",
            "digamma(1.0)",
            "digamma(0.5)",
            "digamma(-0.5)",
            "digamma(2.0)",
            "digamma(-2.5)",
            "digamma(1.4616321449683622)",
            "digamma(-1.5)",
            "polygamma<0>(1.0)",
            "polygamma<0>(0.5)",
            "polygamma<0>(-0.5)",
            "polygamma<0>(2.0)",
            "polygamma<0>(-2.5)",
            "polygamma<1>(1.0)",
            "polygamma<1>(0.5)",
            "polygamma<1>(-0.5)",
            "polygamma<1>(2.0)",
            "polygamma<1>(-2.5)",
        ],
    ),
    (
        "a derivative where PyTorch lets none through",
        &[
            "special_scaled_modified_bessel_k0(*",
            "special_scaled_modified_bessel_k1(*",
            "special_spherical_bessel_j0(*",
        ],
    ),
    ("the derivative of `detach` is 0, not absent", &["detach(*"]),
];

/// Equal, both NaN, or within rounding; zeros have the same sign.
fn agree(a: f64, b: f64, tol: f64) -> bool {
    if a == 0.0 && b == 0.0 {
        return a.is_sign_negative() == b.is_sign_negative();
    }
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tol * b.abs()
}

/// What differs at a point.
fn difference(p: &Point) -> Option<String> {
    let y = p.value();
    if !agree(y, p.y, 1e-13) {
        return Some(format!("{}: {y:?}, PyTorch {:?}", p.call, p.y));
    }
    p.x_bar.iter().enumerate().find_map(|(i, expected)| {
        let found = p.derivative(i);
        let equal = match (found, expected) {
            // The sign of a derivative's zero depends on the order of its factors.
            (Some(a), Some(b)) => (a == 0.0 && *b == 0.0) || agree(a, *b, 1e-12),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        (!equal).then(|| format!("{}: derivative in operand {i} is {found:?}, PyTorch {expected:?}", p.call))
    })
}

#[test]
fn kinks_are_those_of_pytorch() {
    let covers = |entry: &str, call: &str| entry.strip_suffix('*').map_or(entry == call, |op| call.starts_with(op));
    let mut entries: Vec<&str> = DIFFERENCES.iter().flat_map(|(_, calls)| calls.iter().copied()).collect();
    let differences: Vec<(&str, String)> =
        points(TABLE).iter().filter_map(|p| difference(p).map(|d| (p.call, d))).collect();
    let unexplained: Vec<&String> =
        differences.iter().filter(|(call, _)| !entries.iter().any(|e| covers(e, call))).map(|(_, d)| d).collect();
    entries.retain(|e| !differences.iter().any(|(call, _)| covers(e, call)));
    assert!(unexplained.is_empty() && entries.is_empty(), "new: {unexplained:#?}\nno longer: {entries:#?}");
}

#[test]
fn every_row_is_in_the_table() {
    let table = points(TABLE);
    let is_there = |op: Op| table.iter().any(|p| p.op == op);
    for op in Unary::ALL.iter().filter(|op| op.domain().has(DType::F64)) {
        assert!(is_there((*op).into()), "{}", op.name());
    }
    for op in Binary::ALL.iter().filter(|op| op.domain().has(DType::F64)) {
        assert!(is_there((*op).into()), "{}", op.name());
    }
}
