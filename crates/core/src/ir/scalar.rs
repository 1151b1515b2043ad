//! Scalar attributes: a number of one of PyTorch's three kinds, compared by bits.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::dtype::{Category, DType};

/// A scalar attribute, or a Rust number used beside a tensor.
///
/// Equality and hashing are by bits, so that `-0.0` differs from `0.0` and a NaN equals itself: common
/// subexpression elimination must never merge values that a program can tell apart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(#[serde(with = "crate::text::json::float")] f64),
}

impl Scalar {
    /// The category that takes part in promotion.
    pub const fn category(self) -> Category {
        match self {
            Scalar::Bool(_) => Category::Bool,
            Scalar::Int(_) => Category::Int,
            Scalar::Float(_) => Category::Float,
        }
    }

    /// PyTorch's default dtype for a number of this kind: `bool`, `i64`, `f32`.
    pub const fn default_dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::Float(_) => DType::F32,
        }
    }

    /// The value as `f64`; integers beyond 2^53 round.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => f64::from(u8::from(b)),
            Scalar::Int(i) => i as f64,
            Scalar::Float(x) => x,
        }
    }

    /// The value as `i64`; floats go towards zero as [`crate::array::f64_to_i64`] does.
    #[inline]
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => i64::from(b),
            Scalar::Int(i) => i,
            Scalar::Float(x) => crate::array::f64_to_i64(x),
        }
    }

    /// The value as `i32`, from which narrower integers are wrapped; floats go towards zero, and what does not fit 32
    /// bits (NaN too) gives `i32::MIN`, as x86's `cvttsd2si`; integers wrap.
    #[inline]
    pub fn to_i32(self) -> i32 {
        match self {
            Scalar::Bool(b) => i32::from(b),
            Scalar::Int(i) => i as i32,
            Scalar::Float(x) => i32::try_from(crate::array::f64_to_i64(x)).unwrap_or(i32::MIN),
        }
    }

    /// The value as `f32`, from which halves are rounded once more, as in PyTorch; integers round once.
    #[inline]
    pub fn to_f32(self) -> f32 {
        match self {
            Scalar::Bool(b) => f32::from(u8::from(b)),
            Scalar::Int(i) => i as f32,
            Scalar::Float(x) => x as f32,
        }
    }

    /// Whether the value is not zero (NaN is not zero).
    #[inline]
    pub fn to_bool(self) -> bool {
        match self {
            Scalar::Bool(b) => b,
            Scalar::Int(i) => i != 0,
            Scalar::Float(x) => x != 0.0,
        }
    }

    /// The value as an element of `dtype` holds it: rounded, wrapped, and of the dtype's own category (I6).
    pub fn cast(self, dtype: DType) -> Scalar {
        match dtype {
            DType::F64 => Scalar::Float(self.to_f64()),
            DType::F32 => Scalar::Float(f64::from(self.to_f32())),
            DType::F16 => Scalar::Float(half::f16::from_f32(self.to_f32()).to_f64()),
            DType::BF16 => Scalar::Float(half::bf16::from_f32(self.to_f32()).to_f64()),
            DType::I64 => Scalar::Int(self.to_i64()),
            DType::I32 => Scalar::Int(i64::from(self.to_i32())),
            DType::I16 => Scalar::Int(i64::from(self.to_i32() as i16)),
            DType::I8 => Scalar::Int(i64::from(self.to_i32() as i8)),
            DType::U8 => Scalar::Int(i64::from(self.to_i32() as u8)),
            DType::Bool => Scalar::Bool(self.to_bool()),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Scalar::Bool(a), Scalar::Bool(b)) => a == b,
            (Scalar::Int(a), Scalar::Int(b)) => a == b,
            (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
            (Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_), _) => false,
        }
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Scalar::Bool(b) => (0u8, u64::from(b)).hash(state),
            Scalar::Int(i) => (1u8, i as u64).hash(state),
            Scalar::Float(x) => (2u8, x.to_bits()).hash(state),
        }
    }
}

impl fmt::Display for Scalar {
    /// The spelling of IR text: `true`, `3`, `1.5`, `1e-5`, `inf`, `nan`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Scalar::Bool(b) => write!(f, "{b}"),
            Scalar::Int(i) => write!(f, "{i}"),
            Scalar::Float(x) => f.write_str(&crate::text::number::float_text(x)),
        }
    }
}

impl From<bool> for Scalar {
    fn from(b: bool) -> Self {
        Scalar::Bool(b)
    }
}

macro_rules! scalar_from_int { ($($t:ty),*) => { $(
    impl From<$t> for Scalar {
        fn from(i: $t) -> Self {
            Scalar::Int(i64::from(i))
        }
    }
)* } }
scalar_from_int!(i64, i32, i16, i8, u8, u32);

impl From<f32> for Scalar {
    fn from(x: f32) -> Self {
        Scalar::Float(f64::from(x))
    }
}

impl From<f64> for Scalar {
    fn from(x: f64) -> Self {
        Scalar::Float(x)
    }
}
