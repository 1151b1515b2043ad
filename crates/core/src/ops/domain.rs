//! The dtypes that elementwise functions take.

use crate::ir::DType;

/// Which dtypes a function takes; the result has the operand's dtype.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Floats.
    Float,
    /// Floats and integers.
    Number,
    /// Integers and `bool`.
    Bits,
    /// Integers without `bool`.
    Int,
    /// `i64` alone.
    I64,
    /// Everything.
    Any,
}

impl Domain {
    /// Whether the domain has the dtype.
    pub fn has(self, d: DType) -> bool {
        match self {
            Domain::Float => d.is_float(),
            Domain::Number => d != DType::Bool,
            Domain::Bits => !d.is_float(),
            Domain::Int => !d.is_float() && d != DType::Bool,
            Domain::I64 => d == DType::I64,
            Domain::Any => true,
        }
    }

    /// The dtype in which the tests look first.
    pub(crate) fn main(self) -> DType {
        if self.has(DType::F64) { DType::F64 } else { DType::I64 }
    }

    /// For messages.
    pub fn words(self) -> &'static str {
        match self {
            Domain::Float => "a float tensor",
            Domain::Number => "a tensor of floats or integers",
            Domain::Bits => "a tensor of integers or bool",
            Domain::Int => "a tensor of integers",
            Domain::I64 => "a tensor of i64",
            Domain::Any => "a tensor",
        }
    }
}
