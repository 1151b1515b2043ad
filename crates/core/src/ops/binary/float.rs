//! Functions on floats, each for both widths.

use half::{bf16, f16};

macro_rules! float_functions {
    ($t:ty, $remainder:ident, $div_trunc:ident, $div_floor:ident) => {
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
    };
}
float_functions!(f64, remainder64, div_trunc64, div_floor64);
float_functions!(f32, remainder32, div_trunc32, div_floor32);

macro_rules! nextafter {
    ($name:ident, $t:ty, $bits:ty) => {
        /// The neighbour of `a` towards `b`.
        pub(super) fn $name(a: $t, b: $t) -> $t {
            let zero = <$t>::from_bits(0);
            let sign = !(<$bits>::MAX >> 1);
            if a.is_nan() || b.is_nan() {
                a + b
            } else if a == b {
                b
            } else if a == zero {
                <$t>::from_bits(if b > zero { 1 } else { sign | 1 })
            } else if (b > a) == (a > zero) {
                // Numbers of one sign are ordered as their bits are, by magnitude.
                <$t>::from_bits(a.to_bits() + 1)
            } else {
                <$t>::from_bits(a.to_bits() - 1)
            }
        }
    };
}
nextafter!(nextafter64, f64, u64);
nextafter!(nextafter32, f32, u32);
// Computing in `f32` would not give the neighbours among halves.
nextafter!(nextafter_bf16, bf16, u16);
nextafter!(nextafter_f16, f16, u16);

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
