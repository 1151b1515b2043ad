//! Scalar functions that lane code calls lane by lane: what is rare, and what is exact only in other arithmetic.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, Unary};

use super::Ty;

/// A function of one or two scalars, called lane by lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScalarCall {
    /// A float function of the first operand, computed in `f64`.
    Unary(Unary, Ty),
    /// A function of two operands of a dtype.
    Binary(Binary, DType),
    /// An `I64` rounded once to `F32`.
    I64ToF32,
}

impl ScalarCall {
    /// The type of the result.
    pub fn result(self) -> Ty {
        match self {
            ScalarCall::Unary(_, ty) => ty,
            ScalarCall::Binary(_, dtype) => Ty::of(dtype),
            ScalarCall::I64ToF32 => Ty::F32,
        }
    }

    /// Whether some operands give an error: integer division by zero.
    pub fn can_fail(self) -> bool {
        match self {
            ScalarCall::Binary(op, dtype) => {
                !dtype.is_float() && matches!(op, Binary::Fmod | Binary::Remainder | Binary::Div)
            }
            ScalarCall::Unary(..) | ScalarCall::I64ToF32 => false,
        }
    }

    /// The bits of the result for the bits of the operands; `None` is a division by zero.
    pub fn apply(self, a: u64, b: u64) -> Option<u64> {
        Some(match self {
            ScalarCall::Unary(f, Ty::F32) => f32_bits(f.eval_f64(f64::from(f32::from_bits(a as u32))) as f32),
            ScalarCall::Unary(f, _) => f.eval_f64(f64::from_bits(a)).to_bits(),
            ScalarCall::Binary(f, dtype) => match Ty::of(dtype) {
                Ty::F32 => {
                    let (x, y) = (f64::from(f32::from_bits(a as u32)), f64::from(f32::from_bits(b as u32)));
                    f32_bits(f.eval_f64(x, y) as f32)
                }
                Ty::F64 => f.eval_f64(f64::from_bits(a), f64::from_bits(b)).to_bits(),
                Ty::I64 => integer(f, a.cast_signed(), b.cast_signed())?.cast_unsigned(),
                Ty::I32 | Ty::Mask => {
                    u64::from(integer(f, i64::from(a as u32 as i32), i64::from(b as u32 as i32))? as u32)
                }
            },
            ScalarCall::I64ToF32 => f32_bits(a.cast_signed() as f32),
        })
    }
}

fn f32_bits(x: f32) -> u64 {
    u64::from(x.to_bits())
}

/// Integer functions beyond vector instructions; results are wrapped to the dtype by the caller.
fn integer(f: Binary, a: i64, b: i64) -> Option<i64> {
    match f {
        Binary::Fmod if b == 0 => None,
        Binary::Fmod => Some(a.wrapping_rem(b)),
        Binary::Remainder if b == 0 => None,
        Binary::Remainder => {
            let r = a.wrapping_rem(b);
            Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
        }
        Binary::Pow if b < 0 => Some(match a {
            1 => 1,
            -1 if b % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        }),
        Binary::Pow => {
            let (mut base, mut e, mut out) = (a, b, 1i64);
            while e > 0 {
                if e & 1 == 1 {
                    out = out.wrapping_mul(base);
                }
                base = base.wrapping_mul(base);
                e >>= 1;
            }
            Some(out)
        }
        // The other functions of integers are vector instructions.
        _ => None,
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
