//! The elements of a few ranks, which may be data: a median, a quantile, the `k`-th smallest.
//!
//! A sort's order is that of keys and then positions. So the key of a rank is found first, by halves of the range in which it lies, and then
//! the position, which is that of one of the elements with this key: the result is that of the sort, and nothing is moved but keys, as
//! long as they lie in the range.

use std::ops::RangeInclusive;

use cotangent_core::error::EvalError;

use super::axis::{Axis, Shared};
use super::indexed::in_bounds;
use super::sort::Ordered;
use super::vectors::{Loops, Vectors, with};
use crate::memory::Block;
use crate::threads;

/// So many keys are put into order, which is faster than to look for halves.
const FEW: usize = 16;

/// Which elements of a line are looked for.
pub enum Ranks<'a> {
    /// The same of each line.
    Fixed(usize),
    /// `[outer, count, inner]` indices.
    Data { index: &'a [i64], dim: usize },
}

impl Ranks<'_> {
    /// How many there are of each line.
    fn count(&self, lines: usize) -> usize {
        match self {
            Ranks::Fixed(_) => 1,
            Ranks::Data { index, .. } => index.len() / lines,
        }
    }
}

/// `values[o, j, i]` = the element of rank `ranks[o, j, i]` of `x[o, :, i]`, and `positions` where it stood.
///
/// *Errors*: the first index out of bounds.
///
/// # Safety
/// `x` has the elements of `axis`, the others as many as there are ranks for each of its lines; nobody else uses the results.
pub unsafe fn ranked<T: Ordered>(
    axis: Axis,
    descending: bool,
    ranks: &Ranks,
    x: *const T,
    values: *mut T,
    positions: *mut i64,
) -> Result<(), EvalError> {
    let Axis { outer, n, inner } = axis;
    if let Ranks::Data { index, dim } = ranks {
        in_bounds(index, *dim, n)?;
    }
    let lines = outer * inner;
    if lines == 0 || n == 0 {
        return Ok(());
    }
    let (count, pieces, vectors) = (ranks.count(lines), lines.min(256), Vectors::narrow());
    let (x, values, positions) = (Shared(x.cast_mut()), Shared(values), Shared(positions));
    threads::for_each(pieces, (2 * lines * n * (count + 1)) as u64, &|piece| {
        let memory = Block::new(2 * n * size_of::<T::Key>());
        // SAFETY: the block is aligned and has initialised bytes for twice `n` keys, which this piece alone uses.
        let room = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast::<T::Key>(), 2 * n) };
        let (keys, spare) = room.split_at_mut(n);
        for line in piece * lines / pieces..(piece + 1) * lines / pieces {
            let place = |n: usize, k: usize| line / inner * n * inner + k * inner + line % inner;
            let from = x.get().wrapping_add(place(n, 0)).cast_const();
            // SAFETY: the caller's: the line lies inside the array.
            unsafe { with(vectors, Keys { from, step: inner, descending, keys }) };
            for j in 0..count {
                let to = place(count, j);
                let rank = match ranks {
                    Ranks::Fixed(rank) => *rank,
                    Ranks::Data { index, .. } => index[to] as usize,
                };
                let mut position = 0;
                // SAFETY: the CPU has the vectors; places are inside the arrays, and each line belongs to one piece.
                unsafe {
                    with(vectors, Find { keys, spare, rank, position: &mut position });
                    *values.get().add(to) = *from.add(position * inner);
                    *positions.get().add(to) = position as i64;
                }
            }
        }
    });
    Ok(())
}

/// The keys of the elements of a line, `step` apart. Safety: they exist.
struct Keys<'a, T: Ordered> {
    from: *const T,
    step: usize,
    descending: bool,
    keys: &'a mut [T::Key],
}

impl<T: Ordered> Loops for Keys<'_, T> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        let place = |k: usize| unsafe { *self.from.add(k) };
        let (keys, step) = (self.keys.iter_mut().enumerate(), self.step);
        match (self.descending, step) {
            (false, 1) => keys.for_each(|(k, key)| *key = place(k).place(false)),
            (false, _) => keys.for_each(|(k, key)| *key = place(k * step).place(false)),
            (true, _) => keys.for_each(|(k, key)| *key = place(k * step).place(true)),
        }
    }
}

/// A key that can be halved.
pub trait Halved: Copy + Ord + Into<u64> {
    const LEAST: Self;
    const MOST: Self;
    /// The middle of a range, its first half's last key.
    fn middle(range: &RangeInclusive<Self>) -> Self;
    /// The one behind.
    fn next(self) -> Self;
    /// The lowest bits.
    fn cut(bits: u64) -> Self;
}

macro_rules! halved {
    ($($K:ty),*) => { $(
        impl Halved for $K {
            const LEAST: Self = <$K>::MIN;
            const MOST: Self = <$K>::MAX;
            #[inline(always)]
            fn middle(range: &RangeInclusive<Self>) -> Self {
                range.start() + (range.end() - range.start()) / 2
            }
            #[inline(always)]
            fn next(self) -> Self {
                self.saturating_add(1)
            }
            #[inline(always)]
            fn cut(bits: u64) -> Self {
                bits as $K
            }
        }
    )* };
}
halved!(u8, u16, u32, u64);

/// Finds the position of a rank, which is below the number of keys; there is as much room to spare. Safety: none beyond the vectors.
struct Find<'a, K> {
    keys: &'a [K],
    spare: &'a mut [K],
    rank: usize,
    position: &'a mut usize,
}

impl<K: Halved> Loops for Find<'_, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let Find { keys, spare, rank, position } = self;
        let (key, before) = key_of(keys, spare, rank);
        *position = nth(keys, key, rank - before);
    }
}

/// The key of a rank, and how many are below it.
#[inline(always)]
fn key_of<K: Halved>(keys: &[K], spare: &mut [K], rank: usize) -> (K, usize) {
    let most = keys.iter().fold(K::LEAST, |a, b| a.max(*b));
    let mut range = keys.iter().fold(K::MOST, |a, b| a.min(*b))..=most;
    // How many keys are below the range, in it, and among those that are looked at: all, or the first to spare.
    let (mut below, mut inside, mut kept) = (0, keys.len(), None);
    while range.start() < range.end() && inside > FEW {
        let middle = K::middle(&range);
        let low = match kept {
            None => up_to(keys, middle) - below,
            Some((count, first)) => up_to(&spare[..count], middle) + first - below,
        };
        if rank < below + low {
            (range, inside) = (*range.start()..=middle, low);
        } else {
            (range, inside, below) = (middle.next()..=*range.end(), inside - low, below + low);
        }
        match kept {
            None if 4 * inside <= keys.len() => kept = Some((collect(keys, &range, spare), below)),
            Some((count, _)) if 4 * inside <= count => kept = Some((again(&mut spare[..count], &range), below)),
            None | Some(_) => {}
        }
    }
    if range.start() == range.end() {
        return (*range.start(), below);
    }
    let count = match kept {
        None => collect(keys, &range, spare),
        Some((count, _)) => again(&mut spare[..count], &range),
    };
    let found = &mut spare[..count];
    found.sort_unstable();
    let key = found[rank - below];
    (key, below + found.iter().take_while(|k| **k < key).count())
}

/// How many keys are not above a bound.
#[inline(always)]
fn up_to<K: Halved>(keys: &[K], bound: K) -> usize {
    // Sums of 32 bits are those of vectors.
    keys.chunks(1 << 20).map(|part| part.iter().map(|k| u32::from(*k <= bound)).sum::<u32>() as usize).sum()
}

/// Writes the keys of a range to the front of `to`, which has as much room as there are keys; their number.
#[inline(always)]
fn collect<K: Halved>(keys: &[K], range: &RangeInclusive<K>, to: &mut [K]) -> usize {
    let mut count = 0;
    for key in keys {
        // Each key is written, and stays if it is one of the range: no branch is foretold wrongly.
        to[count] = *key;
        count += usize::from(range.start() <= key && key <= range.end());
    }
    count
}

/// As [`collect`], within the same keys.
#[inline(always)]
fn again<K: Halved>(keys: &mut [K], range: &RangeInclusive<K>) -> usize {
    let mut count = 0;
    for i in 0..keys.len() {
        let key = keys[i];
        keys[count] = key;
        count += usize::from(*range.start() <= key && key <= *range.end());
    }
    count
}

/// Keys that are looked at together for a position.
const BLOCK: usize = 64;

/// The position of key `key` that comes after `n` others like it.
#[inline(always)]
fn nth<K: Halved>(keys: &[K], key: K, mut n: usize) -> usize {
    for (b, block) in keys.chunks(BLOCK).enumerate() {
        let count = block.iter().map(|k| u32::from(*k == key)).sum::<u32>() as usize;
        if n < count {
            let mut places = block.iter().enumerate().filter(|(_, k)| **k == key);
            return b * BLOCK + places.nth(n).map_or(0, |(place, _)| place);
        }
        n -= count;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_order() {
        let spread = |n: usize, modulus: u32| (0..n as u32).map(move |i| i.wrapping_mul(2_654_435_761) % modulus);
        for n in [1, 2, FEW, FEW + 1, 33, 100, 1000] {
            for modulus in [1, 2, 7, 1000, u32::MAX] {
                let keys: Vec<u32> = spread(n, modulus).collect();
                let mut order: Vec<(u32, usize)> = keys.iter().copied().zip(0..).collect();
                order.sort_unstable();
                let mut spare = vec![0; n];
                for (rank, (key, place)) in order.iter().enumerate() {
                    let (found, before) = key_of(&keys, &mut spare, rank);
                    assert_eq!((found, nth(&keys, found, rank - before)), (*key, *place), "{n} {modulus} {rank}");
                }
            }
        }
    }
}
