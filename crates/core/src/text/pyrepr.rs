//! Python's literals for attributes.

use crate::ir::{Attr, DType, Scalar};

/// What `repr` gives for the value.
pub(crate) fn repr(attr: &Attr) -> String {
    match attr {
        Attr::None => "None".to_owned(),
        Attr::Scalar(s) => scalar(*s),
        Attr::DType(d) => dtype(*d),
        Attr::Str(s) => string(s),
        Attr::List(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        // Neither stands in the schema of an operator.
        Attr::Array(a) => string(&a.aval().to_string()),
        Attr::Graph(g) => string(g.name()),
    }
}

/// `torch.float32`.
pub(crate) fn dtype(d: DType) -> String {
    format!("torch.{}", d.torch_name())
}

/// `True`, `3`, `1e-05`.
pub(crate) fn scalar(s: Scalar) -> String {
    match s {
        Scalar::Bool(true) => "True".to_owned(),
        Scalar::Bool(false) => "False".to_owned(),
        Scalar::Int(i) => i.to_string(),
        Scalar::Float(x) => float(x),
    }
}

/// A float's shortest digits, in scientific notation below 1e-4 and from 1e16 on, as Python chooses.
pub(crate) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the `e` format has an exponent");
    let exponent: i32 = exponent.parse().expect("the `e` format has a small exponent");
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{x}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

/// A string in single quotes, or in double ones if it holds only single ones.
pub(crate) fn string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_writes_them() {
        let cases = [
            (1e-5, "1e-05"),
            (1e20, "1e+20"),
            (0.0001, "0.0001"),
            (1e15, "1000000000000000.0"),
            (1.5e16, "1.5e+16"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (2.0, "2.0"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ];
        for (x, text) in cases {
            assert_eq!(float(x), text);
        }
        assert_eq!(string("it's"), "\"it's\"");
    }
}
