//! Elements of constant arrays in text, exact in every dtype down to the bits of a NaN.

use half::{bf16, f16};

use crate::array::{Array, Data, Elements};
use crate::ir::{Aval, DType};

/// A float type as its digits and its bits.
trait Float: Copy + PartialEq {
    /// Hexadecimal digits of the bits.
    const WIDTH: usize;
    fn bits(self) -> u64;
    fn of_bits(bits: u64) -> Option<Self>;
    /// The NaN that is written without its bits.
    fn quiet_nan() -> Self;
    fn digits(self) -> String;
    fn of_digits(text: &str) -> Option<Self>;
}

macro_rules! float {
    ($t:ty, $bits:ty, $width:literal, $nan:literal, |$x:ident| $digits:expr, |$y:ident| $parse:expr) => {
        impl Float for $t {
            const WIDTH: usize = $width;
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
            fn of_bits(bits: u64) -> Option<Self> {
                <$bits>::try_from(bits).ok().map(<$t>::from_bits).filter(|x| x.is_nan())
            }
            fn quiet_nan() -> Self {
                <$t>::from_bits($nan)
            }
            fn digits(self) -> String {
                let $x = self;
                format!("{:?}", $digits)
            }
            fn of_digits($y: &str) -> Option<Self> {
                $parse
            }
        }
    };
}

float!(f64, u64, 16, 0x7ff8_0000_0000_0000, |x| x, |t| t.parse().ok());
float!(f32, u32, 8, 0x7fc0_0000, |x| x, |t| t.parse().ok());
float!(f16, u16, 4, 0x7e00, |x| x.to_f32(), |t| t.parse().ok().map(f16::from_f64));
float!(bf16, u16, 4, 0x7fc0, |x| x.to_f32(), |t| t.parse().ok().map(bf16::from_f64));

fn write_float<T: Float>(x: T) -> String {
    // `==` fails exactly for NaN.
    #[allow(clippy::eq_op)]
    let is_nan = x != x;
    match is_nan {
        false => x.digits(),
        true if x.bits() == T::quiet_nan().bits() => "nan".to_owned(),
        true => format!("nan(0x{:0width$x})", x.bits(), width = T::WIDTH),
    }
}

fn read_float<T: Float>(text: &str) -> Option<T> {
    if text == "nan" {
        return Some(T::quiet_nan());
    }
    if let Some(hex) = text.strip_prefix("nan(0x").and_then(|t| t.strip_suffix(')')) {
        return u64::from_str_radix(hex, 16).ok().and_then(T::of_bits);
    }
    // Rust also reads `infinity` and `+1`, which are not in the grammar.
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits == "inf" || digits.starts_with(|c: char| c.is_ascii_digit()) { T::of_digits(text) } else { None }
}

/// The elements, each as text.
pub(crate) fn elements(array: &Array) -> Vec<String> {
    fn ints<T: ToString>(v: &[T]) -> Vec<String> {
        v.iter().map(T::to_string).collect()
    }
    fn floats<T: Float>(v: &[T]) -> Vec<String> {
        v.iter().map(|x| write_float(*x)).collect()
    }
    match array.data() {
        Data::F32(v) => floats(v),
        Data::F64(v) => floats(v),
        Data::BF16(v) => floats(v),
        Data::F16(v) => floats(v),
        Data::I64(v) => ints(v),
        Data::I32(v) => ints(v),
        Data::I16(v) => ints(v),
        Data::I8(v) => ints(v),
        Data::U8(v) => ints(v),
        Data::Bool(v) => ints(v),
    }
}

/// The array of `aval` with these elements, or the index of the first text that is no element of the dtype.
///
/// The caller has checked their number against the shape.
pub(crate) fn read_elements(aval: &Aval, texts: &[&str]) -> Result<Data, usize> {
    fn all<T>(texts: &[&str], read: impl Fn(&str) -> Option<T>) -> Result<Elements<T>, usize> {
        texts.iter().enumerate().map(|(i, t)| read(t).ok_or(i)).collect()
    }
    Ok(match aval.dtype {
        DType::F32 => Data::F32(all(texts, read_float)?),
        DType::F64 => Data::F64(all(texts, read_float)?),
        DType::BF16 => Data::BF16(all(texts, read_float)?),
        DType::F16 => Data::F16(all(texts, read_float)?),
        DType::I64 => Data::I64(all(texts, |t| t.parse().ok())?),
        DType::I32 => Data::I32(all(texts, |t| t.parse().ok())?),
        DType::I16 => Data::I16(all(texts, |t| t.parse().ok())?),
        DType::I8 => Data::I8(all(texts, |t| t.parse().ok())?),
        DType::U8 => Data::U8(all(texts, |t| t.parse().ok())?),
        DType::Bool => Data::Bool(all(texts, |t| t.parse().ok())?),
    })
}
