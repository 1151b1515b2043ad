//! Stable sorts of integers by their digits, the last one first.
//!
//! Threads share a line in parts, which are counted each for itself: how many of a digit are in the parts before says where those of a part go, so the
//! order is the same for any number of parts.

use super::axis::Shared;
use super::sort::Packed;
use crate::threads;

/// Lines from this length on are sorted by digits of at most 8 bits, …
pub const LONG: usize = 256;
/// … and from this length on by digits of at most 11 bits, whose counts take longer to begin with.
pub const LONGER: usize = 1 << 14;

/// Calls `f` with each part; the one part of a line that nobody shares in place, where the compiler sees what its loops are of.
#[inline(always)]
pub fn in_parts(parts: usize, cost: u64, f: impl Fn(usize) + Sync) {
    if parts == 1 {
        f(0);
    } else {
        threads::for_each(parts, cost, &f);
    }
}

/// Sorts `keys`, whose keys have `bits` bits and whose positions ascend: the result, which stands in one of the two, and the other one.
pub(super) fn by_digits<'a, P: Packed>(
    keys: &'a mut [P],
    spare: &'a mut [P],
    bits: u32,
    parts: usize,
) -> (&'a mut [P], &'a mut [P]) {
    let n = keys.len();
    let digits = bits.div_ceil(if n >= LONGER { 11 } else { 8 });
    // Equally long ones, the shortest that are as few.
    let width = bits.div_ceil(digits.max(1));
    let (size, mask) = (1 << width, (1u64 << width) - 1);
    let part = |p: usize| p * n / parts..(p + 1) * n / parts;
    let mut counts = vec![0usize; parts * size];
    let (mut from, mut to) = (keys, spare);
    for digit in (0..digits).map(|d| d * width) {
        counts.fill(0);
        let (next, source, target) = (Shared(counts.as_mut_ptr()), &*from, Shared(to.as_mut_ptr()));
        // SAFETY: each part has counts of its own.
        let next = |p: usize| unsafe { std::slice::from_raw_parts_mut(next.get().add(p * size), size) };
        in_parts(parts, n as u64, |p| {
            let (counts, digit, mask) = (next(p), digit, mask);
            source[part(p)].iter().for_each(|key| counts[(key.key() >> digit & mask) as usize] += 1);
        });
        // Where the first one of each digit and part goes, unless all have the same.
        let (mut begin, mut is_same) = (0, false);
        for digit in 0..size {
            let before = begin;
            for count in counts[digit..].iter_mut().step_by(size) {
                begin += std::mem::replace(count, begin);
            }
            is_same |= begin - before == n;
        }
        if is_same {
            continue;
        }
        in_parts(parts, 2 * n as u64, |p| {
            let (places, target, digit, mask) = (next(p), target, digit, mask);
            for key in &source[part(p)] {
                let place = &mut places[(key.key() >> digit & mask) as usize];
                // SAFETY: each key has a place of its own, below their number.
                unsafe { *target.get().add(*place) = *key };
                *place += 1;
            }
        });
        std::mem::swap(&mut from, &mut to);
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_comparisons_agree() {
        for (modulus, shift, bits) in [(3000, 9, 32), (1, 0, 0), (7, 3, 6), (u64::MAX, 40, 24)] {
            let key = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % modulus;
            let key = |i: u64| if bits == 24 { key(i) >> shift } else { key(i) << shift };
            let keys: Vec<u64> = (0..20_000).map(|i| u64::new(key(i as u64), i)).collect();
            for (n, parts) in [(0, 1), (1, 3), (LONG - 1, 1), (LONG, 5), (LONGER, 1), (keys.len(), 4)] {
                let (mut found, mut spare) = (keys[..n].to_vec(), keys[..n].to_vec());
                let mut expected = keys[..n].to_vec();
                expected.sort_unstable();
                assert_eq!(by_digits(&mut found, &mut spare, bits, parts).0, expected, "{modulus} {n} {parts}");
            }
        }
    }
}
