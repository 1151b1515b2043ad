//! Functions on floats, each for both widths.

use half::{bf16, f16};

macro_rules! float_functions {
    ($t:ty, $remainder:ident, $div_trunc:ident, $div_floor:ident, $nextafter:ident) => {
        /// The remainder with the sign of `b`.
        pub(super) fn $remainder(a: $t, b: $t) -> $t {
            let r = a % b;
            if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
        }

        /// The quotient towards zero.
        pub(super) fn $div_trunc(a: $t, b: $t) -> $t {
            (a / b).trunc()
        }

        /// The quotient rounded down, computed from the remainder as Python does: `1 // 0.1` is 9, though `1 / 0.1`
        /// rounds to 10.
        pub(super) fn $div_floor(a: $t, b: $t) -> $t {
            if b == 0.0 {
                return a / b;
            }
            let r = a % b;
            let mut q = (a - r) / b;
            if r != 0.0 && (r < 0.0) != (b < 0.0) {
                q -= 1.0;
            }
            if q == 0.0 {
                return (0.0 as $t).copysign(a / b);
            }
            // The quotient is a rounded integer already.
            let floor = q.floor();
            if q - floor > 0.5 { floor + 1.0 } else { floor }
        }

        /// The neighbour of `a` towards `b`.
        pub(super) fn $nextafter(a: $t, b: $t) -> $t {
            if a.is_nan() || b.is_nan() {
                a + b
            } else if a == b {
                b
            } else if a < b {
                a.next_up()
            } else {
                a.next_down()
            }
        }
    };
}
float_functions!(f64, remainder64, div_trunc64, div_floor64, nextafter64);
float_functions!(f32, remainder32, div_trunc32, div_floor32, nextafter32);

/// The neighbour among halves, which computing in `f32` would not give.
pub(super) fn nextafter_bf16(a: bf16, b: bf16) -> bf16 {
    match half_step(a.to_f32(), b.to_f32(), a.to_bits()) {
        Ok(bits) => bf16::from_bits(bits),
        Err(y) => bf16::from_f32(y),
    }
}

/// The neighbour among halves, which computing in `f32` would not give.
pub(super) fn nextafter_f16(a: f16, b: f16) -> f16 {
    match half_step(a.to_f32(), b.to_f32(), a.to_bits()) {
        Ok(bits) => f16::from_bits(bits),
        Err(y) => f16::from_f32(y),
    }
}

/// The bits one step from `a` towards `b`, or the result where no step is taken.
fn half_step(a: f32, b: f32, bits: u16) -> Result<u16, f32> {
    const SIGN: u16 = 0x8000;
    if a.is_nan() || b.is_nan() {
        return Err(a + b);
    }
    if a == b {
        return Err(b);
    }
    if a == 0.0 {
        return Ok(if b > 0.0 { 1 } else { SIGN | 1 });
    }
    // The bits of a sign are ordered like magnitudes.
    Ok(if (b > a) == (a > 0.0) { bits + 1 } else { bits - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_division_follows_python() {
        assert_eq!(div_floor64(1.0, 0.1), 9.0);
        assert_eq!(div_floor64(-1.0, 2.0), -1.0);
        assert_eq!(div_floor64(1.0, 0.0), f64::INFINITY);
        assert!(div_floor64(0.0, -2.0).is_sign_negative());
    }

    #[test]
    fn halves_have_their_own_neighbours() {
        assert_eq!(nextafter_bf16(bf16::from_f32(1.0), bf16::from_f32(2.0)).to_f32(), 1.007_812_5);
        assert_eq!(nextafter_f16(f16::from_f32(1.0), f16::from_f32(0.0)).to_f32(), 0.999_511_7);
        assert_eq!(nextafter_f16(f16::from_f32(0.0), f16::from_f32(-1.0)).to_bits(), 0x8001);
    }
}
