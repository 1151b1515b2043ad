//! Stable sorts along a dim, by keys that are unsigned integers in the order of the elements.
//!
//! A key and the position in the line are one integer, so equal elements keep their order whatever the algorithm: short lines are sorted
//! by comparisons, long ones by their digits, of which those that are the same for all are left out.

use std::ops::Not;

use cotangent_core::array::Element;
use half::{bf16, f16};

use super::axis::{Axis, Shared};
use super::rank::Halved;
use crate::memory::Block;
use crate::threads;

/// An element with the place in the order of its type: NaN above everything, −0.0 equal to 0.0.
pub trait Ordered: Element {
    /// Integers of as many bits as an element.
    type Key: Halved + Not<Output = Self::Key>;
    /// The bits of a key.
    const BITS: u32 = 8 * size_of::<Self::Key>() as u32;
    /// The place in ascending order.
    fn key(self) -> Self::Key;
    /// The place in ascending or descending order.
    fn place(self, descending: bool) -> Self::Key {
        if descending { !self.key() } else { self.key() }
    }
}

macro_rules! ordered_floats {
    ($($T:ty, $bits:ty);*) => { $(
        impl Ordered for $T {
            type Key = $bits;
            fn key(self) -> $bits {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                let bits = self.to_bits();
                match bits & !SIGN {
                    _ if self.is_nan() => <$bits>::MAX,
                    // Both zeros.
                    0 => SIGN,
                    _ if bits & SIGN != 0 => !bits,
                    _ => bits | SIGN,
                }
            }
        }
    )* };
}
ordered_floats!(f32, u32; f64, u64; bf16, u16; f16, u16);

macro_rules! ordered_integers {
    ($($T:ty as $U:ty, $flip:expr);*) => { $(
        impl Ordered for $T {
            type Key = $U;
            fn key(self) -> $U {
                self as $U ^ $flip
            }
        }
    )* };
}
ordered_integers!(i64 as u64, 1 << 63; i32 as u32, 1 << 31; i16 as u16, 1 << 15; i8 as u8, 1 << 7; u8 as u8, 0; bool as u8, 0);

/// A key and a position in one integer, whose order is that of keys and then positions.
pub(super) trait Packed: Copy + Ord + Send + Sync {
    /// The bits of the position, below those of the key.
    const SHIFT: u32;
    fn new(key: impl Into<u64>, position: usize) -> Self;
    fn position(self) -> usize;
    /// Digit `d` of the key, of `BITS` bits.
    fn digit<const BITS: u32>(self, d: usize) -> usize;
}

impl Packed for u64 {
    const SHIFT: u32 = 32;
    fn new(key: impl Into<u64>, position: usize) -> Self {
        key.into() << Self::SHIFT | position as u64
    }
    fn position(self) -> usize {
        self as u32 as usize
    }
    fn digit<const BITS: u32>(self, d: usize) -> usize {
        (self >> (Self::SHIFT + d as u32 * BITS)) as usize & ((1 << BITS) - 1)
    }
}

impl Packed for u128 {
    const SHIFT: u32 = 64;
    fn new(key: impl Into<u64>, position: usize) -> Self {
        u128::from(key.into()) << Self::SHIFT | position as u128
    }
    fn position(self) -> usize {
        self as u64 as usize
    }
    fn digit<const BITS: u32>(self, d: usize) -> usize {
        (self >> (Self::SHIFT + d as u32 * BITS)) as usize & ((1 << BITS) - 1)
    }
}

/// Lines from this length on are sorted by digits of 8 bits, …
const LONG: usize = 256;
/// … and from this length on by digits of 11 bits, whose counts take longer to begin with.
const LONGER: usize = 1 << 14;

/// `values[o, :, i]` = `x[o, :, i]` in order, and `positions` where they stood.
///
/// # Safety
/// All three have the elements of `axis`; nobody else uses the results.
pub unsafe fn sort<T: Ordered>(axis: Axis, descending: bool, x: *const T, values: *mut T, positions: *mut i64) {
    // SAFETY: the caller's.
    unsafe {
        if T::BITS <= 32 && axis.n <= u32::MAX as usize {
            sort_by::<T, u64>(axis, descending, x, values, positions);
        } else {
            sort_by::<T, u128>(axis, descending, x, values, positions);
        }
    }
}

/// # Safety
/// As [`sort`].
unsafe fn sort_by<T: Ordered, P: Packed>(
    axis: Axis,
    descending: bool,
    x: *const T,
    values: *mut T,
    positions: *mut i64,
) {
    let Axis { outer, n, inner } = axis;
    let lines = outer * inner;
    if n == 0 || lines == 0 {
        return;
    }
    let pieces = lines.min(256);
    let (x, values, positions) = (Shared(x.cast_mut()), Shared(values), Shared(positions));
    threads::for_each(pieces, (lines * n) as u64 * u64::from(n.ilog2() + 1), &|piece| {
        let memory = Block::new(2 * n * size_of::<P>());
        let room: *mut P = memory.as_ptr().cast();
        for line in piece * lines / pieces..(piece + 1) * lines / pieces {
            let place = |k: usize| line / inner * n * inner + k * inner + line % inner;
            // SAFETY: the block is aligned and has initialised bytes for twice `n` integers, which this piece alone uses; places are inside
            // the arrays, and each line belongs to one piece.
            unsafe {
                let keys = std::slice::from_raw_parts_mut(room, n);
                let spare = std::slice::from_raw_parts_mut(room.add(n), n);
                for (k, key) in keys.iter_mut().enumerate() {
                    *key = P::new((*x.get().add(place(k))).place(descending), k);
                }
                for (k, key) in ordered(keys, spare, T::BITS).iter().enumerate() {
                    *values.get().add(place(k)) = *x.get().add(place(key.position()));
                    *positions.get().add(place(k)) = key.position() as i64;
                }
            }
        }
    });
}

/// Sorts `keys`, whose keys have `bits` bits and whose positions ascend; the result stands in one of the two.
pub(super) fn ordered<'a, P: Packed>(keys: &'a mut [P], spare: &'a mut [P], bits: u32) -> &'a [P] {
    match keys.len() {
        n if n >= LONGER => by_digits::<P, 11>(keys, spare, bits),
        n if n >= LONG => by_digits::<P, 8>(keys, spare, bits),
        _ => {
            keys.sort_unstable();
            keys
        }
    }
}

/// As [`ordered`], one digit of `BITS` bits after the other, the last one first.
fn by_digits<'a, P: Packed, const BITS: u32>(keys: &'a mut [P], spare: &'a mut [P], bits: u32) -> &'a [P] {
    let size = 1 << BITS;
    let mut counts = vec![0usize; bits.div_ceil(BITS) as usize * size];
    for key in keys.iter() {
        for (d, counts) in counts.chunks_exact_mut(size).enumerate() {
            counts[key.digit::<BITS>(d)] += 1;
        }
    }
    let (mut from, mut to) = (keys, spare);
    for (d, counts) in counts.chunks_exact_mut(size).enumerate() {
        if counts.contains(&from.len()) {
            continue;
        }
        let mut begin = 0;
        for count in counts.iter_mut() {
            begin += std::mem::replace(count, begin);
        }
        for key in from.iter() {
            let place = &mut counts[key.digit::<BITS>(d)];
            to[*place] = *key;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_elements() {
        let xs = [f64::NEG_INFINITY, -2.5, -1e-40, -0.0, 0.0, 1e-40, 2.5, f64::INFINITY];
        for pair in xs.windows(2) {
            let equal = pair[0] == pair[1];
            assert!(if equal { pair[0].key() == pair[1].key() } else { pair[0].key() < pair[1].key() }, "{pair:?}");
        }
        assert!(f64::INFINITY.key() < f64::NAN.key() && f64::NAN.key() == (-f64::NAN).key());
        assert!(i8::MIN.key() < (-1i8).key() && (-1i8).key() < 0i8.key() && false.key() < true.key());
    }

    #[test]
    fn digits_and_comparisons_agree() {
        let keys: Vec<u64> = (0..20_000usize).map(|i| u64::new(((i as u64 * 2_654_435_761) % 3000) << 9, i)).collect();
        for n in [LONG - 1, LONG, LONGER, keys.len()] {
            let (mut found, mut spare) = (keys[..n].to_vec(), keys[..n].to_vec());
            let mut expected = keys[..n].to_vec();
            expected.sort_unstable();
            assert_eq!(ordered(&mut found, &mut spare, 32), expected);
        }
    }
}
