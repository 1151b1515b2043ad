//! The special functions against values computed with 60 digits.

use std::collections::BTreeMap;

use cotangent_tests::points::{Point, points};

/// Errors are relative to the value; where a function oscillates or passes through zero, to its amplitude there.
fn scale(p: &Point) -> f64 {
    let x = p.x[0].abs();
    let amplitude = match p.op.name() {
        "special_bessel_j0" | "special_bessel_j1" | "special_bessel_y0" | "special_bessel_y1" if x > 0.5 => {
            0.8 / x.sqrt()
        }
        "special_airy_ai" if p.x[0] < -1.0 => 0.6 / x.sqrt().sqrt(),
        "digamma" | "lgamma" | "polygamma" if p.x[0] < 0.0 => 1.0,
        "special_spherical_bessel_j0" if x > 0.5 => 1.0 / x,
        _ => 0.0,
    };
    p.y.abs().max(amplitude)
}

/// The bounds in units of `f64::EPSILON`; 8 where none is said. The large ones multiply rounding errors of a large
/// exponent.
const BOUNDS: &[(&str, f64)] =
    &[("igamma", 300.0), ("igammac", 300.0), ("special_airy_ai", 500.0), ("special_log_ndtr", 50.0)];

#[test]
fn special_functions_are_accurate() {
    let mut worst: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    for p in points(include_str!("../../data/special.txt")) {
        let error = (p.value() - p.y).abs() / (scale(&p) * f64::EPSILON);
        let entry = worst.entry(p.call.split('(').next().unwrap_or_default()).or_insert((0.0, p.call));
        if error.is_nan() || error > entry.0 {
            *entry = (error, p.call);
        }
    }
    let bound = |op: &str| BOUNDS.iter().find(|(name, _)| *name == op).map_or(8.0, |(_, b)| *b);
    let bad: Vec<_> = worst.iter().filter(|(op, (error, _))| error.is_nan() || *error > bound(op)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
