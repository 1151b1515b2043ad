//! The operations of lane code on slices, for the interpreter of tiles.

use crate::lane::{Bin, Part, Pred};

pub fn map<A: Copy, B>(to: &mut [B], a: &[A], f: impl Fn(A) -> B) {
    for (y, a) in to.iter_mut().zip(a) {
        *y = f(*a);
    }
}

/// One loop for each operation: `op` is the same in all lanes, and inlining makes each arm a loop of its own.
#[inline(always)]
pub fn zip<T: Copy>(to: &mut [T], a: &[T], b: &[T], op: Bin, f: impl Fn(Bin, T, T) -> T) {
    macro_rules! arms {
        ($($op:ident),*) => { match op { $(Bin::$op => for ((y, a), b) in to.iter_mut().zip(a).zip(b) { *y = f(Bin::$op, *a, *b); }),* } };
    }
    arms!(Add, Sub, Mul, Div, Min, Max, And, AndNot, Or, Xor, MulLow, ShlBy, ShrBy, Scale, LogEdges);
}

macro_rules! float_bin {
    ($name:ident, $t:ty, $bits:ident, $scale:ident) => {
        #[inline(always)]
        pub fn $name(op: Bin, a: $t, b: $t) -> $t {
            let bits = |f: fn(_, _) -> _| <$t>::from_bits(f(a.to_bits(), b.to_bits()));
            match op {
                Bin::Add => a + b,
                Bin::Sub => a - b,
                Bin::Mul => a * b,
                Bin::Div => a / b,
                Bin::Min => {
                    if a < b {
                        a
                    } else {
                        b
                    }
                }
                Bin::Max => {
                    if a > b {
                        a
                    } else {
                        b
                    }
                }
                Bin::And => bits(|x, y| x & y),
                Bin::AndNot => bits(|x, y| !x & y),
                Bin::Or => bits(|x, y| x | y),
                Bin::Xor => bits(|x, y| x ^ y),
                Bin::Scale => $scale(a, b),
                Bin::LogEdges if a > 0.0 && a < <$t>::INFINITY => b,
                // The NaN of invalid operations has the sign bit set.
                Bin::LogEdges if a.is_nan() || a < 0.0 => -<$t>::NAN,
                Bin::LogEdges if a == 0.0 => <$t>::NEG_INFINITY,
                Bin::LogEdges => a,
                Bin::MulLow | Bin::ShlBy | Bin::ShrBy => unreachable!("lane code: {op:?} of floats"),
            }
        }
    };
}
float_bin!(float_bin32, f32, u32, scale32);
float_bin!(float_bin64, f64, u64, scale64);

/// `2^n` for an integral `n` whose power is a normal number.
pub fn power(n: f64) -> f64 {
    f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

/// `x · 2^n`: the product in `f64` is exact.
pub fn scale32(x: f32, n: f32) -> f32 {
    (f64::from(x) * power(f64::from(n))) as f32
}

/// `x · 2^n` in two steps, of which the first is exact.
pub fn scale64(x: f64, n: f64) -> f64 {
    let half = (n * 0.5).floor();
    x * power(half) * power(n - half)
}

/// A part of a positive finite number.
pub fn part_of(x: f64, part: Part) -> f64 {
    let (normal, shift) = if x < f64::MIN_POSITIVE { (x * power(54.0), 54.0) } else { (x, 0.0) };
    let bits = normal.to_bits();
    match part {
        Part::Exponent => ((bits >> 52) as f64) - 1023.0 - shift,
        Part::Mantissa => f64::from_bits(bits & 0xf_ffff_ffff_ffff | 1023 << 52),
    }
}

#[inline(always)]
pub fn int_bin32(op: Bin, a: u32, b: u32) -> u32 {
    let (s, t) = (a.cast_signed(), b.cast_signed());
    match op {
        Bin::Add => a.wrapping_add(b),
        Bin::Sub => a.wrapping_sub(b),
        Bin::Mul => a.wrapping_mul(b),
        Bin::Min => s.min(t).cast_unsigned(),
        Bin::Max => s.max(t).cast_unsigned(),
        Bin::And => a & b,
        Bin::AndNot => !a & b,
        Bin::Or => a | b,
        Bin::Xor => a ^ b,
        Bin::ShlBy => a.checked_shl(b).unwrap_or(0),
        Bin::ShrBy => a.checked_shr(b).unwrap_or(0),
        Bin::Div | Bin::MulLow | Bin::Scale | Bin::LogEdges => unreachable!("lane code: {op:?} of 32-bit integers"),
    }
}

#[inline(always)]
pub fn int_bin64(op: Bin, a: u64, b: u64) -> u64 {
    match op {
        Bin::Add => a.wrapping_add(b),
        Bin::Sub => a.wrapping_sub(b),
        Bin::And => a & b,
        Bin::AndNot => !a & b,
        Bin::Or => a | b,
        Bin::Xor => a ^ b,
        Bin::MulLow => (a & 0xffff_ffff) * (b & 0xffff_ffff),
        Bin::ShlBy => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)).unwrap_or(0),
        Bin::ShrBy => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)).unwrap_or(0),
        Bin::Mul => a.wrapping_mul(b),
        Bin::Min => a.cast_signed().min(b.cast_signed()).cast_unsigned(),
        Bin::Max => a.cast_signed().max(b.cast_signed()).cast_unsigned(),
        Bin::Div | Bin::Scale | Bin::LogEdges => unreachable!("lane code: {op:?} of 64-bit integers"),
    }
}

pub fn compare<T: Copy + PartialOrd>(to: &mut [u32], a: &[T], b: &[T], p: Pred) {
    let mask = |b: bool| if b { u32::MAX } else { 0 };
    let pairs = to.iter_mut().zip(a.iter().zip(b));
    match p {
        Pred::Eq => pairs.for_each(|(y, (a, b))| *y = mask(a == b)),
        Pred::Ne => pairs.for_each(|(y, (a, b))| *y = mask(a != b)),
        Pred::Lt => pairs.for_each(|(y, (a, b))| *y = mask(a < b)),
        Pred::Le => pairs.for_each(|(y, (a, b))| *y = mask(a <= b)),
        Pred::Unordered => pairs.for_each(|(y, (a, b))| *y = mask(a.partial_cmp(b).is_none())),
    }
}

pub fn select<T: Copy>(to: &mut [T], m: &[u32], a: &[T], b: &[T]) {
    for (((y, m), a), b) in to.iter_mut().zip(m).zip(a).zip(b) {
        *y = if *m != 0 { *a } else { *b };
    }
}

macro_rules! fused {
    ($name:ident, $t:ty) => {
        pub fn $name(to: &mut [$t], a: &[$t], b: &[$t], c: &[$t], p: $t, q: $t) {
            #[inline(always)]
            fn each(to: &mut [$t], a: &[$t], b: &[$t], c: &[$t], p: $t, q: $t) {
                for (((y, a), b), c) in to.iter_mut().zip(a).zip(b).zip(c) {
                    *y = (p * *a).mul_add(*b, q * *c);
                }
            }
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn vector(to: &mut [$t], a: &[$t], b: &[$t], c: &[$t], p: $t, q: $t) {
                    each(to, a, b, c, p, q);
                }
                if std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the CPU has both features.
                    return unsafe { vector(to, a, b, c, p, q) };
                }
            }
            each(to, a, b, c, p, q);
        }
    };
}
fused!(fused32, f32);
fused!(fused64, f64);
