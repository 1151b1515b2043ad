//! Floating-point numbers in text: the shortest digits that read back as the same bits.

/// The text of `x`: `1.5`, `1e-5`, `-0.0`, `inf`, `nan`; other NaNs keep their bits as `nan(0x…)`.
pub fn float_text(x: f64) -> String {
    if x.is_nan() {
        return if x.to_bits() == f64::NAN.to_bits() {
            "nan".to_owned()
        } else {
            format!("nan(0x{:016x})", x.to_bits())
        };
    }
    format!("{x:?}")
}

/// The number that [`float_text`] wrote, or `None`.
pub fn parse_float(text: &str) -> Option<f64> {
    match text {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => match text.strip_prefix("nan(0x").and_then(|t| t.strip_suffix(')')) {
            Some(hex) => u64::from_str_radix(hex, 16).ok().map(f64::from_bits).filter(|x| x.is_nan()),
            None if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
            None => None,
        },
    }
}
