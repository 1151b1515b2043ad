//! Some places of a sort: lines are put into order only as far as these places need it.
//!
//! As in [`sort`](super::sort), keys and positions are one integer, no two of which are equal: the result is that of the sort, whatever
//! selects it.

use std::ops::Range;

use cotangent_core::error::EvalError;

use super::axis::{Axis, Shared};
use super::rank::{Halved, Ranks, ranked};
use super::sort::{Ordered, Packed, ordered};
use crate::memory::Block;
use crate::threads;

/// The first places of a line are collected while it is read where it has at least so many elements for each of them.
const FEW: usize = 8;
/// One place is found by its rank where it is not as near to the first one.
const FAR_FEWER: usize = 64;
/// Lines from this length on are divided into parts, where there are few lines.
const DIVIDED: usize = 1 << 16;
/// The number of parts, and of lines from which on none is needed.
const PARTS: usize = 16;
/// Elements that are compared with the bound at once.
const LANES: usize = 32;

/// `values[o, :, i]` = the places `places` of `x[o, :, i]` in order, and `positions` where they stood.
///
/// # Safety
/// `x` has the elements of `axis`, the others those of an axis with as many elements as there are places, which are some and inside;
/// nobody else uses the results.
pub unsafe fn places<T: Ordered>(
    axis: Axis,
    descending: bool,
    places: Range<usize>,
    x: *const T,
    values: *mut T,
    positions: *mut i64,
) -> Result<(), EvalError> {
    if places.len() == 1 && (axis.inner > 1 || places.end * FAR_FEWER > axis.n) {
        // SAFETY: the caller's.
        return unsafe { ranked(axis, descending, &Ranks::Fixed(places.start), x, values, positions) };
    }
    let selection = Selection { axis, descending, places, x: Shared(x.cast_mut()), values: Shared(values) };
    let positions = Shared(positions);
    // SAFETY: the caller's.
    unsafe {
        if T::BITS <= 32 && axis.n <= u32::MAX as usize {
            selection.run::<u64>(positions);
        } else {
            selection.run::<u128>(positions);
        }
    }
    Ok(())
}

/// What [`places`] is asked for.
struct Selection<T> {
    axis: Axis,
    descending: bool,
    places: Range<usize>,
    x: Shared<T>,
    values: Shared<T>,
}

impl<T: Ordered> Selection<T> {
    /// # Safety
    /// As [`places`].
    unsafe fn run<P: Packed>(&self, positions: Shared<i64>) {
        let Axis { outer, n, inner } = self.axis;
        let (lines, k) = (outer * inner, self.places.end);
        if lines == 0 {
            return;
        }
        let is_leading = inner == 1 && self.places.start == 0 && k * FEW <= n;
        if is_leading && lines < PARTS && n >= DIVIDED && k * PARTS * FEW <= n {
            let memory = Block::new(PARTS * capacity(k) * size_of::<P>());
            let room = Shared(memory.as_ptr().cast::<P>());
            for line in 0..lines {
                let mut counts = [0; PARTS];
                let found = Shared(counts.as_mut_ptr());
                threads::for_each(PARTS, n as u64, &|part| {
                    let part_of = part * n / PARTS..(part + 1) * n / PARTS;
                    // SAFETY: each part has room and a count of its own.
                    unsafe {
                        let room = std::slice::from_raw_parts_mut(room.get().add(part * capacity(k)), capacity(k));
                        *found.get().add(part) = self.leading(line, part_of, room);
                    }
                });
                // SAFETY: the parts have written so many keys each; they are moved to the front, in order.
                let keys = unsafe {
                    let mut end = 0;
                    for (part, count) in counts.into_iter().enumerate() {
                        std::ptr::copy(room.get().add(part * capacity(k)), room.get().add(end), count);
                        end += count;
                    }
                    std::slice::from_raw_parts_mut(room.get(), end)
                };
                // SAFETY: the caller's.
                unsafe { self.write(line, select(keys, &self.places), positions) };
            }
            return;
        }
        let pieces = lines.min(256);
        let each = if is_leading { capacity(k) } else { 2 * n };
        threads::for_each(pieces, 2 * (lines * n) as u64, &|piece| {
            let memory = Block::new(each * size_of::<P>());
            // SAFETY: the block is aligned and has initialised bytes for so many integers, which this piece alone uses.
            let room = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast::<P>(), each) };
            for line in piece * lines / pieces..(piece + 1) * lines / pieces {
                // SAFETY: the caller's; each line belongs to one piece.
                unsafe {
                    let found = if is_leading {
                        let count = self.leading(line, 0..n, room);
                        select(&mut room[..count], &self.places)
                    } else {
                        self.all(line, room)
                    };
                    self.write(line, found, positions);
                }
            }
        });
    }

    /// Where element `k` of a line of `n` stands.
    fn at(&self, line: usize, n: usize, k: usize) -> usize {
        let inner = self.axis.inner;
        line / inner * n * inner + k * inner + line % inner
    }

    /// The keys at the places of a line; `room` has twice its length.
    ///
    /// # Safety
    /// As [`places`].
    unsafe fn all<'a, P: Packed>(&self, line: usize, room: &'a mut [P]) -> &'a [P] {
        let n = self.axis.n;
        let (keys, spare) = room.split_at_mut(n);
        for (k, key) in keys.iter_mut().enumerate() {
            // SAFETY: the place is inside the array.
            let x = unsafe { *self.x.get().add(self.at(line, n, k)) };
            *key = P::new(x.place(self.descending).into(), k);
        }
        if 2 * self.places.len() > n {
            return &ordered(keys, spare, T::BITS, 1).0[self.places.clone()];
        }
        select(keys, &self.places)
    }

    /// Writes the keys at the places of a line.
    ///
    /// # Safety
    /// As [`places`].
    unsafe fn write<P: Packed>(&self, line: usize, found: &[P], positions: Shared<i64>) {
        for (k, key) in found.iter().enumerate() {
            let to = self.at(line, self.places.len(), k);
            // SAFETY: the places are inside the arrays.
            unsafe {
                *self.values.get().add(to) = *self.x.get().add(self.at(line, self.axis.n, key.position()));
                *positions.get().add(to) = key.position() as i64;
            }
        }
    }

    /// Puts the first keys of a part of a contiguous line to the front of `room`, in any order: as many as the last place needs, or all. Gives
    /// their number.
    ///
    /// # Safety
    /// As [`places`], with `inner` 1.
    unsafe fn leading<P: Packed>(&self, line: usize, part: Range<usize>, room: &mut [P]) -> usize {
        let begin = self.x.get().wrapping_add(line * self.axis.n + part.start).cast_const();
        // SAFETY: the line is inside the array.
        let xs = unsafe { std::slice::from_raw_parts(begin, part.len()) };
        let (descending, k) = (self.descending, self.places.end);
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn vector<T: Ordered, P: Packed>(xs: &[T], d: bool, first: usize, k: usize, room: &mut [P]) -> usize {
                collect(xs, d, first, k, room)
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the CPU has the feature.
                return unsafe { vector(xs, descending, part.start, k, room) };
            }
        }
        collect(xs, descending, part.start, k, room)
    }
}

/// Room for the first `k` keys and others that may be among them.
fn capacity(k: usize) -> usize {
    2 * k + LANES
}

/// The keys at `places` of the order of `keys`.
fn select<'a, P: Packed>(keys: &'a mut [P], places: &Range<usize>) -> &'a [P] {
    if places.end < keys.len() {
        keys.select_nth_unstable(places.end - 1);
    }
    let keys = &mut keys[..places.end];
    if places.start > 0 {
        keys.select_nth_unstable(places.start);
    }
    let keys = &mut keys[places.start..];
    keys.sort_unstable();
    keys
}

/// As [`Selection::leading`]: keys below the `k`-th one of some of the line are kept; there are few, which a look at several elements at once tells
/// from the others.
#[inline(always)]
fn collect<T: Ordered, P: Packed>(line: &[T], descending: bool, first: usize, k: usize, room: &mut [P]) -> usize {
    let (mut count, mut bound) = (0, bound(line, descending, k, room));
    for (block, xs) in line.chunks(LANES).enumerate() {
        if let Some(bound) = bound {
            let is_below = |hit: bool, x: &T| hit | (x.place(descending) < bound);
            // Of a length that is known, of which the compiler makes vectors.
            let hit = match <&[T; LANES]>::try_from(xs) {
                Ok(xs) => xs.iter().fold(false, is_below),
                Err(_) => xs.iter().fold(false, is_below),
            };
            if !hit {
                continue;
            }
        }
        // Each key is written, and stays if it is below: no branch is foretold wrongly.
        let (to, mut new) = (&mut room[count..count + LANES], 0);
        for (j, x) in xs.iter().enumerate() {
            let key = x.place(descending);
            to[new] = P::new(key.into(), first + block * LANES + j);
            new += usize::from(bound.is_none_or(|bound| key < bound));
        }
        count += new;
        if count + LANES > room.len() {
            let (_, last, _) = room[..count].select_nth_unstable(k - 1);
            (count, bound) = (k, Some(line[last.position() - first].place(descending)));
        }
    }
    count
}

/// The elements of a group, of which there are at least so many.
const GROUP: usize = 4;

/// A key that is above those of the first `k` elements: no element of theirs is above the `k`-th one of the least keys of groups, which are other elements
/// each. Half of the groups have their least key below it, so that one and a half times as many elements are below as are looked for, if they
/// stand anywhere. `None` where there is no such key, and where groups would be small; `room` is that of [`collect`].
#[inline(always)]
fn bound<T: Ordered, P: Packed>(line: &[T], descending: bool, k: usize, room: &mut [P]) -> Option<T::Key> {
    let groups = (2 * k).next_multiple_of(LANES);
    if groups * GROUP > line.len() || groups > room.len() {
        return None;
    }
    const { assert!(align_of::<P>() >= align_of::<T::Key>() && size_of::<P>() >= size_of::<T::Key>()) };
    // SAFETY: the room is aligned and initialised for as many integers, of which keys are a part, and any bytes are a key and a packed one.
    let least = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<T::Key>(), groups) };
    least.fill(T::Key::MOST);
    // Neighbours are of different groups.
    for row in line.chunks(groups) {
        for (least, xs) in least.chunks_exact_mut(LANES).zip(row.chunks(LANES)) {
            match (<&mut [T::Key; LANES]>::try_from(&mut *least), <&[T; LANES]>::try_from(xs)) {
                (Ok(least), Ok(xs)) => least.iter_mut().zip(xs).for_each(|(a, x)| *a = x.place(descending).min(*a)),
                (Ok(_) | Err(_), Ok(_) | Err(_)) => {
                    least.iter_mut().zip(xs).for_each(|(a, x)| *a = x.place(descending).min(*a));
                }
            }
        }
    }
    let bound = *least.select_nth_unstable(k - 1).1;
    (bound < T::Key::MOST).then(|| bound.next())
}
