//! Scalar functions that lane code calls lane by lane: what is rare, and what is exact only in other arithmetic.

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, Primitive, Unary};

use super::Ty;
use crate::failure::Failure;

/// A function of one or two scalars, called lane by lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScalarCall {
    /// A float function of the first operand, computed in `f64`.
    Unary(Unary, Ty),
    /// A function of two operands of a dtype.
    Binary(Binary, DType),
    /// An `I64` rounded once to `F32`.
    I64ToF32,
    /// An `I64` that is an index of a lookup of the nest, of a dim of this size.
    Place(u32, usize),
}

impl ScalarCall {
    /// The type of the result.
    pub fn result(self) -> Ty {
        match self {
            ScalarCall::Unary(_, ty) => ty,
            ScalarCall::Binary(_, dtype) => Ty::of(dtype),
            ScalarCall::I64ToF32 => Ty::F32,
            ScalarCall::Place(..) => Ty::I64,
        }
    }

    /// Whether some operands give an error: integer division by zero, indices that a dim does not have.
    pub fn can_fail(self) -> bool {
        match self {
            ScalarCall::Binary(op, dtype) => {
                !dtype.is_float()
                    && matches!(op, Binary::Fmod | Binary::Remainder | Binary::DivTrunc | Binary::DivFloor)
            }
            ScalarCall::Place(..) => true,
            ScalarCall::Unary(..) | ScalarCall::I64ToF32 => false,
        }
    }

    /// The bits of the result for the bits of the operands.
    ///
    /// *Errors*: what they are refused for.
    pub fn apply(self, a: u64, b: u64) -> Result<u64, Failure> {
        let divided = |y: Option<i64>| y.ok_or(Failure::ZeroDivision);
        Ok(match self {
            ScalarCall::Unary(f, Ty::F32) => f32_bits(f.eval_f64(f64::from(f32::from_bits(a as u32))) as f32),
            ScalarCall::Unary(f, _) => f.eval_f64(f64::from_bits(a)).to_bits(),
            ScalarCall::Binary(f, dtype) => match Ty::of(dtype) {
                Ty::F32 => f32_bits(single(f, dtype, f32::from_bits(a as u32), f32::from_bits(b as u32))),
                Ty::F64 => f.eval_f64(f64::from_bits(a), f64::from_bits(b)).to_bits(),
                Ty::I64 => divided(f.eval_i64(a.cast_signed(), b.cast_signed()))?.cast_unsigned(),
                Ty::I32 | Ty::Mask => {
                    u64::from(divided(f.eval_i64(i64::from(a as u32 as i32), i64::from(b as u32 as i32)))? as u32)
                }
            },
            ScalarCall::I64ToF32 => f32_bits(a.cast_signed() as f32),
            ScalarCall::Place(of, size) if a >= size as u64 => {
                return Err(Failure::Index { of, index: a.cast_signed() });
            }
            ScalarCall::Place(..) => a,
        })
    }
}

fn f32_bits(x: f32) -> u64 {
    u64::from(x.to_bits())
}

/// A function of two numbers that `dtype` holds.
fn single(f: Binary, dtype: DType, x: f32, y: f32) -> f32 {
    match f {
        // Neighbours are those of the dtype.
        Binary::Nextafter if dtype != DType::F32 => {
            let array = |x: f32| Array::full(&Aval::new(dtype, ()), f64::from(x).into());
            f.eval(&[&array(x), &array(y)]).map_or(f32::NAN, |z| z[0].get(0).to_f32())
        }
        Binary::Nextafter | Binary::DivTrunc | Binary::DivFloor | Binary::Fmod | Binary::Remainder => f.eval_f32(x, y),
        // What is rounded from `f64` is right to the last bit, nearly always.
        _ => f.eval_f64(f64::from(x), f64::from(y)) as f32,
    }
}

/// The bits of a scalar as a value of `ty`.
pub fn bits(x: Scalar, ty: Ty) -> u64 {
    match ty {
        Ty::F32 => f32_bits(x.to_f32()),
        Ty::F64 => x.to_f64().to_bits(),
        Ty::I32 => u64::from(x.to_i32().cast_unsigned()),
        Ty::I64 => x.to_i64().cast_unsigned(),
        Ty::Mask => {
            if x.to_bool() {
                u64::MAX
            } else {
                0
            }
        }
    }
}

/// The combination of two accumulated values of a dtype, as bits of its type.
pub fn combine(m: Monoid, dtype: DType, a: u64, b: u64) -> u64 {
    match Ty::of(dtype) {
        Ty::F32 => {
            let (x, y) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
            f32_bits(match m {
                Monoid::Sum => x + y,
                Monoid::Prod => x * y,
                Monoid::Max if x.is_nan() || x > y => x,
                Monoid::Min if x.is_nan() || x < y => x,
                Monoid::Max | Monoid::Min => y,
                Monoid::LogAddExp => log_add_exp(f64::from(x), f64::from(y)) as f32,
            })
        }
        Ty::F64 => {
            let (x, y) = (f64::from_bits(a), f64::from_bits(b));
            match m {
                Monoid::Sum => x + y,
                Monoid::Prod => x * y,
                Monoid::Max if x.is_nan() || x > y => x,
                Monoid::Min if x.is_nan() || x < y => x,
                Monoid::Max | Monoid::Min => y,
                Monoid::LogAddExp => log_add_exp(x, y),
            }
            .to_bits()
        }
        Ty::I32 => u64::from(whole(m, i64::from(a as u32 as i32), i64::from(b as u32 as i32)) as u32),
        Ty::I64 => whole(m, a.cast_signed(), b.cast_signed()).cast_unsigned(),
        Ty::Mask => match m {
            Monoid::Sum | Monoid::Max | Monoid::LogAddExp => a | b,
            Monoid::Prod | Monoid::Min => a & b,
        },
    }
}

fn whole(m: Monoid, x: i64, y: i64) -> i64 {
    match m {
        Monoid::Sum => x.wrapping_add(y),
        Monoid::Prod => x.wrapping_mul(y),
        Monoid::Max => x.max(y),
        Monoid::Min => x.min(y),
        Monoid::LogAddExp => log_add_exp(x as f64, y as f64) as i64,
    }
}

fn log_add_exp(x: f64, y: f64) -> f64 {
    let max = x.max(y);
    if max.is_infinite() { max } else { max + ((x - max).exp() + (y - max).exp()).ln() }
}
