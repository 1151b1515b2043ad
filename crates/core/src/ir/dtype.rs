//! Element types and PyTorch's lattice of promotion.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The element type of an array.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// bfloat16: the upper half of an `f32`; computed in `f32`.
    BF16,
    /// IEEE 754 binary16; computed in `f32`.
    F16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// Truth value.
    Bool,
}

/// The category of a dtype, in the order in which PyTorch promotes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Category {
    /// `bool`.
    Bool,
    /// Integers.
    Int,
    /// Floating-point numbers.
    Float,
}

impl DType {
    /// All dtypes.
    pub const ALL: [DType; 10] = [
        DType::F32,
        DType::F64,
        DType::BF16,
        DType::F16,
        DType::I64,
        DType::I32,
        DType::I16,
        DType::I8,
        DType::U8,
        DType::Bool,
    ];

    /// The short name, as in IR text: `f32`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::I16 => "i16",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// PyTorch's name: `torch.float32` without the prefix.
    pub const fn torch_name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            DType::I64 => "int64",
            DType::I32 => "int32",
            DType::I16 => "int16",
            DType::I8 => "int8",
            DType::U8 => "uint8",
            DType::Bool => "bool",
        }
    }

    /// Size of one element in bytes.
    pub const fn size_bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::BF16 | DType::F16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// The category that decides promotion.
    pub const fn category(self) -> Category {
        match self {
            DType::F32 | DType::F64 | DType::BF16 | DType::F16 => Category::Float,
            DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 => Category::Int,
            DType::Bool => Category::Bool,
        }
    }

    /// Whether values are floating-point numbers, the only ones with tangents.
    pub const fn is_float(self) -> bool {
        matches!(self.category(), Category::Float)
    }

    /// Whether values are integers (`bool` is not).
    pub const fn is_int(self) -> bool {
        matches!(self.category(), Category::Int)
    }

    /// The largest finite number of floats; that of `f64` for what is none.
    pub const fn largest_finite(self) -> f64 {
        match self {
            DType::F32 => f32::MAX as f64,
            DType::F16 => 65504.0,
            DType::BF16 => 3.389_531_389_251_535_5e38,
            DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => f64::MAX,
        }
    }

    /// The dtype in which the machine computes: `f32` for the half formats, the dtype itself otherwise.
    pub const fn compute(self) -> DType {
        match self {
            DType::BF16 | DType::F16 => DType::F32,
            DType::F32 | DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
                self
            }
        }
    }

    /// The smallest dtype that holds both, by PyTorch's table.
    ///
    /// *Source*: `torch.promote_types`.
    pub fn promote(self, other: DType) -> DType {
        use DType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8};
        let rank = |d: DType| match d {
            Bool => 0,
            U8 | I8 => 1,
            I16 => 2,
            I32 => 3,
            I64 => 4,
            F16 | BF16 => 5,
            F32 => 6,
            F64 => 7,
        };
        match (self, other) {
            (a, b) if a == b => a,
            (U8, I8) | (I8, U8) => I16,
            (F16, BF16) | (BF16, F16) => F32,
            (a, b) => {
                if rank(a) >= rank(b) {
                    a
                } else {
                    b
                }
            }
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no dtype.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected a dtype (f32, f64, bf16, f16, i64, i32, i16, i8, u8, bool), found `{0}`")]
pub struct UnknownDType(pub String);

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DType::ALL.into_iter().find(|d| d.name() == text).ok_or_else(|| UnknownDType(text.to_owned()))
    }
}
