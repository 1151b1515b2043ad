//! Elementary functions in lane code, for `F32` and, where noted, `F64`.
//!
//! *Numerics*: `F32` at most 2 ULP on dense samples of all inputs; signs of zeros, denormals, infinities and NaN as IEEE 754 has them.
//! *Source*: reductions and coefficients of Cephes (Moshier) for `F32` and of FreeBSD's msun for `F64`; error functions, their complements
//! and inverses, and the hyperbolic tangent of `F32`, are fits of our own.

mod arc;
mod bessel;
mod error;
mod error_f64;
mod exp;
mod gamma;
mod hyperbolic;
mod log;
mod piecewise;
mod power;
mod tables;
mod trigonometric;
mod two;

use super::Ty;

/// What differs between the formats.
struct Format {
    /// The integer of the same width.
    int: Ty,
    mantissa: u8,
    bias: f64,
    /// `1.5 · 2^mantissa`: added, it brings an integer into the low bits.
    magic: f64,
}

fn format(ty: Ty) -> Format {
    if ty == Ty::F32 {
        Format { int: Ty::I32, mantissa: 23, bias: 127.0, magic: 12_582_912.0 }
    } else {
        Format { int: Ty::I64, mantissa: 52, bias: 1023.0, magic: 6_755_399_441_055_744.0 }
    }
}
