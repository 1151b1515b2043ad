//! Values as Python prints them.

use cotangent_aten::nn::conv::{Padding, PerDim};

/// `True` or `False`.
pub(crate) fn truth(b: bool) -> &'static str {
    if b { "True" } else { "False" }
}

/// `0.1`, `1e-05`: the shortest text, with an exponent below 1e-4.
pub(crate) fn float(x: f64) -> String {
    let small = x != 0.0 && (x.abs() < 1e-4 || x.abs() >= 1e16);
    if !small {
        return if x.fract() == 0.0 && x.is_finite() { format!("{x:.1}") } else { x.to_string() };
    }
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e').expect("written with an exponent");
    let n: i32 = exponent.parse().expect("a number");
    format!("{digits}e{}{:02}", if n < 0 { '-' } else { '+' }, n.abs())
}

/// `(5, 5)`, `(5,)`.
pub(crate) fn tuple(items: &[usize]) -> String {
    let text: Vec<String> = items.iter().map(usize::to_string).collect();
    format!("({}{})", text.join(", "), if items.len() == 1 { "," } else { "" })
}

/// One number for each of `n` dims.
pub(crate) fn per_dim(given: &PerDim, n: usize) -> Vec<usize> {
    match given.0.as_slice() {
        [all] => vec![*all; n],
        each => each.to_vec(),
    }
}

/// A number, or a tuple if the numbers were given for each dim.
pub(crate) fn as_given(given: &PerDim) -> String {
    match given.0.as_slice() {
        [all] => all.to_string(),
        each => tuple(each),
    }
}

/// The padding of a convolution; `None` for zeros.
pub(crate) fn padding(given: &Padding, n: usize) -> Option<String> {
    match given {
        Padding::Valid => None,
        Padding::Same => Some("same".to_owned()),
        Padding::Explicit(p) => Some(per_dim(p, n)).filter(|p| p.iter().any(|x| *x > 0)).map(|p| tuple(&p)),
    }
}
