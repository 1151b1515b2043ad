//! Whether outputs agree with what was expected.

use cotangent_core::array::Array;

/// The largest absolute difference of two arrays that agree, or what disagrees.
///
/// Floats agree if they are equal, both NaN, or both finite and within `atol + rtol · |expected|`; integers and truth values if they
/// are equal.
pub fn difference(got: &Array, expected: &Array, rtol: f64, atol: f64) -> Result<f64, (f64, String)> {
    if got.aval() != expected.aval() {
        return Err((f64::INFINITY, format!("expected {}, found {}", expected.aval(), got.aval())));
    }
    if !expected.dtype().is_float() {
        let wrong = (0..got.numel()).find(|i| got.get(*i) != expected.get(*i));
        return match wrong {
            None => Ok(0.0),
            Some(i) => Err((f64::INFINITY, format!("element {i}: expected {}, found {}", expected.get(i), got.get(i)))),
        };
    }
    let mut worst = 0.0f64;
    let mut first = None;
    for (i, (g, e)) in got.to_f64_vec().into_iter().zip(expected.to_f64_vec()).enumerate() {
        if g == e || (g.is_nan() && e.is_nan()) {
            continue;
        }
        let d = (g - e).abs();
        worst = if d.is_nan() { f64::INFINITY } else { worst.max(d) };
        let agrees = g.is_finite() && e.is_finite() && d <= atol + rtol * e.abs();
        if !agrees && first.is_none() {
            first = Some(format!("element {i}: expected {e:?}, found {g:?}"));
        }
    }
    first.map_or(Ok(worst), |message| Err((worst, message)))
}
