//! Functions on integers as `i64`; the results wrap to the narrower dtypes afterwards. `None` is a division by zero.

/// The quotient towards zero; the least integer by -1 wraps.
pub(super) fn div_trunc(a: i64, b: i64) -> Option<i64> {
    (b != 0).then(|| a.wrapping_div(b))
}

/// The quotient rounded down; the least integer by -1 wraps.
pub(super) fn div_floor(a: i64, b: i64) -> Option<i64> {
    let q = div_trunc(a, b)?;
    let inexact = a.wrapping_rem(b) != 0;
    Some(if inexact && (a < 0) != (b < 0) { q - 1 } else { q })
}

/// The remainder with the sign of `b`, which is not 0.
pub(super) fn remainder(a: i64, b: i64) -> i64 {
    let r = a.wrapping_rem(b);
    if r != 0 && (r < 0) != (b < 0) { r + b } else { r }
}

/// Integer power by squaring with wrapping; a negative exponent gives 0 except for bases 1 and -1.
pub(super) fn pow(a: i64, b: i64) -> Option<i64> {
    if b < 0 {
        return Some(match a {
            1 => 1,
            -1 => {
                if b % 2 == 0 {
                    1
                } else {
                    -1
                }
            }
            _ => 0,
        });
    }
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

/// Euclid's algorithm on absolute values.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.wrapping_abs(), b.wrapping_abs());
    while a != 0 {
        (a, b) = (b.wrapping_rem(a), a);
    }
    b
}

/// The least common multiple.
pub(super) fn lcm(a: i64, b: i64) -> i64 {
    match gcd(a, b) {
        0 => 0,
        g => a.wrapping_div(g).wrapping_mul(b).wrapping_abs(),
    }
}

/// Bits that leave a narrower dtype at the top are cut off when the result wraps.
pub(super) fn left_shift(a: i64, b: i64) -> i64 {
    if (0..64).contains(&b) { a << b } else { 0 }
}

/// A distance outside the width leaves the sign, of which the widened operand has enough copies.
pub(super) fn right_shift(a: i64, b: i64) -> i64 {
    a >> if (0..64).contains(&b) { b } else { 63 }
}
