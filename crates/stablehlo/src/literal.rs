//! Types and constants in MLIR's syntax.

use std::fmt::Write;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar};

/// Constants of more elements are written as bytes.
const MAX_ELEMENTS: usize = 64;

/// `f32`, `i64`, `ui8`, `i1`.
pub(crate) fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "ui8",
        DType::Bool => "i1",
        DType::F32 | DType::F64 | DType::BF16 | DType::F16 | DType::I64 | DType::I32 | DType::I16 | DType::I8 => {
            dtype.name()
        }
    }
}

/// `tensor<2x3xf32>`.
pub(crate) fn ty(aval: &Aval) -> String {
    let mut out = "tensor<".to_owned();
    for d in aval.shape.sizes() {
        let _ = write!(out, "{d}x");
    }
    out + element(aval.dtype) + ">"
}

/// The constant of `aval` in which every element is `value`.
pub(crate) fn splat(aval: &Aval, value: Scalar) -> String {
    let one = Array::full(&Aval::new(aval.dtype, ()), value);
    format!("stablehlo.constant dense<{}> : {}", number(&one, 0), ty(aval))
}

/// A constant, exact to the bit.
pub(crate) fn constant(a: &Array) -> String {
    let values = match a.numel() {
        0 => String::new(),
        n if n > MAX_ELEMENTS && a.dtype() != DType::Bool => {
            let hex: String = a.to_le_bytes().iter().map(|b| format!("{b:02X}")).collect();
            format!("\"0x{hex}\"")
        }
        _ => nested(a, a.shape().sizes().as_slice(), 0),
    };
    format!("stablehlo.constant dense<{values}> : {}", ty(&a.aval()))
}

/// The elements from `at` on, in brackets for each of `sizes`.
fn nested(a: &Array, sizes: &[usize], at: usize) -> String {
    let Some((n, rest)) = sizes.split_first() else { return number(a, at) };
    let step: usize = rest.iter().product();
    let items: Vec<String> = (0..*n).map(|i| nested(a, rest, at + i * step)).collect();
    format!("[{}]", items.join(", "))
}

/// Element `i`. Floats that are no numbers are their bits.
fn number(a: &Array, i: usize) -> String {
    match a.get(i) {
        Scalar::Bool(b) => b.to_string(),
        Scalar::Int(n) => n.to_string(),
        Scalar::Float(x) if x.is_finite() => {
            let text = format!("{x:e}");
            let (digits, exponent) = text.split_once('e').expect("the `e` format has an exponent");
            format!("{digits}{}e{exponent}", if digits.contains('.') { "" } else { ".0" })
        }
        Scalar::Float(_) => {
            let width = a.dtype().size_bytes();
            let bytes = &a.to_le_bytes()[i * width..(i + 1) * width];
            format!("0x{}", bytes.iter().rev().map(|b| format!("{b:02X}")).collect::<String>())
        }
    }
}
