//! The element types of [`super::Array`] and the dispatch from dtype to Rust type.

use half::{bf16, f16};

use super::Elements;
use crate::ir::{DType, Scalar};

/// The elements of an array, by dtype.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Data {
    F32(Elements<f32>),
    F64(Elements<f64>),
    BF16(Elements<bf16>),
    F16(Elements<f16>),
    I64(Elements<i64>),
    I32(Elements<i32>),
    I16(Elements<i16>),
    I8(Elements<i8>),
    U8(Elements<u8>),
    Bool(Elements<bool>),
}

impl Data {
    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::BF16(_) => DType::BF16,
            Data::F16(_) => DType::F16,
            Data::I64(_) => DType::I64,
            Data::I32(_) => DType::I32,
            Data::I16(_) => DType::I16,
            Data::I8(_) => DType::I8,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        dispatch!(self.dtype(), T => T::slice(self).map_or(0, <[T]>::len))
    }

    /// The elements as they lie in memory, in the machine's byte order.
    pub fn bytes(&self) -> &[u8] {
        dispatch!(self.dtype(), T => bytemuck::cast_slice(T::slice(self).unwrap_or_default()))
    }

    /// The elements as they lie in memory, to be overwritten with others of the dtype; `None` for truth values, of which not all bytes
    /// are one.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        Some(match self {
            Data::F32(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::F64(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::BF16(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::F16(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::I64(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::I32(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::I16(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::I8(x) => bytemuck::cast_slice_mut(x.as_mut_slice()),
            Data::U8(x) => x.as_mut_slice(),
            Data::Bool(_) => return None,
        })
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A Rust type that is the element of some dtype.
pub trait Element:
    bytemuck::NoUninit + Copy + PartialEq + PartialOrd + Send + Sync + std::fmt::Debug + 'static
{
    /// The dtype.
    const DTYPE: DType;
    /// The elements as [`Data`].
    fn wrap(elements: Elements<Self>) -> Data;
    /// The user's elements, which programs read many times: in huge pages where they are many.
    fn keep(elements: Vec<Self>) -> Elements<Self>;
    /// So many zeros to be overwritten, in the memory that [`Element::keep`] takes.
    fn zeros(n: usize) -> Elements<Self>;
    /// The elements, if they are of this type.
    fn slice(data: &Data) -> Option<&[Self]>;
    /// From a scalar attribute, by the rules of [`super::Array::cast`].
    fn from_scalar(x: Scalar) -> Self;
    /// As a scalar attribute; exact.
    fn to_scalar(self) -> Scalar;
    /// From `f64`, by the rules of [`super::Array::cast`].
    #[inline]
    fn from_f64(x: f64) -> Self {
        Self::from_scalar(Scalar::Float(x))
    }
    /// As `f64`; integers beyond 2^53 round.
    #[inline]
    fn to_f64(self) -> f64 {
        self.to_scalar().to_f64()
    }
    /// Appends the little-endian bytes.
    fn write_le(self, out: &mut Vec<u8>);
    /// Reads the little-endian bytes of one element.
    fn read_le(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($t:ty, $D:ident, |$x:ident| $from:expr, |$y:ident| $to:expr) => {
        impl Element for $t {
            const DTYPE: DType = DType::$D;
            fn wrap(elements: Elements<Self>) -> Data {
                Data::$D(elements)
            }
            fn keep(elements: Vec<Self>) -> Elements<Self> {
                super::pages::kept(elements)
            }
            fn zeros(n: usize) -> Elements<Self> {
                super::pages::zeros(n)
            }
            fn slice(data: &Data) -> Option<&[Self]> {
                if let Data::$D(v) = data { Some(v) } else { None }
            }
            #[inline]
            fn from_scalar($x: Scalar) -> Self {
                $from
            }
            #[inline]
            fn to_scalar(self) -> Scalar {
                let $y = self;
                $to
            }
            fn write_le(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn read_le(bytes: &[u8]) -> Self {
                <$t>::from_le_bytes(bytes.try_into().expect("one element's bytes"))
            }
        }
    };
}

element!(f32, F32, |x| x.to_f32(), |y| Scalar::Float(f64::from(y)));
element!(f64, F64, |x| x.to_f64(), |y| Scalar::Float(y));
element!(bf16, BF16, |x| bf16::from_f32(x.to_f32()), |y| Scalar::Float(y.to_f64()));
element!(f16, F16, |x| f16::from_f32(x.to_f32()), |y| Scalar::Float(y.to_f64()));
element!(i64, I64, |x| x.to_i64(), |y| Scalar::Int(y));
element!(i32, I32, |x| x.to_i32(), |y| Scalar::Int(i64::from(y)));
element!(i16, I16, |x| x.to_i32() as i16, |y| Scalar::Int(i64::from(y)));
element!(i8, I8, |x| x.to_i32() as i8, |y| Scalar::Int(i64::from(y)));
element!(u8, U8, |x| x.to_i32() as u8, |y| Scalar::Int(i64::from(y)));

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn wrap(elements: Elements<Self>) -> Data {
        Data::Bool(elements)
    }
    fn keep(elements: Vec<Self>) -> Elements<Self> {
        // Not every byte is a `bool`.
        elements.into()
    }
    fn zeros(n: usize) -> Elements<Self> {
        vec![false; n].into()
    }
    fn slice(data: &Data) -> Option<&[Self]> {
        if let Data::Bool(v) = data { Some(v) } else { None }
    }
    #[inline]
    fn from_scalar(x: Scalar) -> Self {
        x.to_bool()
    }
    #[inline]
    fn to_scalar(self) -> Scalar {
        Scalar::Bool(self)
    }
    fn write_le(self, out: &mut Vec<u8>) {
        out.push(u8::from(self));
    }
    fn read_le(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}

/// A float as `i64`: towards zero; NaN, infinities and overflow give `i64::MIN`, as x86's `cvttsd2si`
/// and therefore PyTorch on that machine (Rust's `as` saturates instead).
#[inline]
pub fn f64_to_i64(x: f64) -> i64 {
    let limit = 9_223_372_036_854_775_808.0;
    if x >= -limit && x < limit { x as i64 } else { i64::MIN }
}

/// Runs a block with `T` bound to the Rust type of a dtype.
#[macro_export]
#[doc(hidden)]
macro_rules! __dispatch {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::ir::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::ir::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::ir::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            $crate::ir::DType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::ir::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::ir::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::ir::DType::I16 => {
                type $T = i16;
                $body
            }
            $crate::ir::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::ir::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::ir::DType::Bool => {
                type $T = bool;
                $body
            }
        }
    };
}
pub use crate::__dispatch as dispatch;

/// Runs a block with `T` bound to `f32` or `f64` (the two float types in which the evaluator computes);
/// other dtypes take the block after `else`.
#[macro_export]
#[doc(hidden)]
macro_rules! __dispatch_float {
    ($dtype:expr, $T:ident => $body:expr, else => $other:expr) => {
        match $dtype {
            $crate::ir::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::ir::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::ir::DType::BF16
            | $crate::ir::DType::F16
            | $crate::ir::DType::I64
            | $crate::ir::DType::I32
            | $crate::ir::DType::I16
            | $crate::ir::DType::I8
            | $crate::ir::DType::U8
            | $crate::ir::DType::Bool => $other,
        }
    };
}
pub use crate::__dispatch_float as dispatch_float;
