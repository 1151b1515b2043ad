//! Change of dtype.

use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use crate::arg::AsTensor;

macro_rules! conversions {
    ($($(#[$m:meta])* $name:ident = $dtype:ident),* $(,)?) => {
        /// Change of dtype under PyTorch's names.
        pub trait Conversion: AsTensor {
            /// The elements in another dtype.
            ///
            /// *Numerics*: the casts of [`Array::cast`](cotangent_core::array::Array::cast).
            #[track_caller]
            fn to(&self, dtype: DType) -> Tensor {
                self.tensor().convert(dtype)
            }

            /// The elements in the dtype of `other`.
            #[track_caller]
            fn type_as(&self, other: &Tensor) -> Tensor {
                self.tensor().convert(other.dtype())
            }

            $(
                $(#[$m])*
                #[track_caller]
                fn $name(&self) -> Tensor {
                    self.tensor().convert(DType::$dtype)
                }
            )*
        }
    };
}

conversions! {
    /// As `f32`.
    float = F32,
    /// As `f64`.
    double = F64,
    /// As `f16`.
    half = F16,
    /// As `bf16`.
    bfloat16 = BF16,
    /// As `i64`.
    long = I64,
    /// As `i32`.
    int = I32,
    /// As `i16`.
    short = I16,
    /// As `i8`.
    char = I8,
    /// As `u8`.
    byte = U8,
    /// As truth values: everything but 0 is true.
    bool = Bool,
}

impl Conversion for Tensor {}
