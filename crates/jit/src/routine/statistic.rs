//! Order statistics with PyTorch's choice among equal elements.
//!
//! Where no element that counts has an equal, there is nothing to choose, and the [selection](super::select) by keys finds the same. Only
//! lines with ties, and dtypes of which most lines have some, are gone through in the steps of the reference.

use cotangent_core::error::EvalError;
use cotangent_core::ir::DType;
use cotangent_core::ops::Statistic;

use super::axis::{Axis, Shared};
use super::select;
use super::sort::Ordered;
use crate::memory::Block;
use crate::threads;

/// `values[o, :, i]` = what `which` takes of `x[o, :, i]`, and `positions` where it stood.
///
/// # Safety
/// `x` has the elements of `axis`, whose lines have as many as `which` asks for, and the others as many as it takes of each line; nobody
/// else uses the results.
pub unsafe fn run<T: Ordered>(
    axis: Axis,
    which: Statistic,
    x: *const T,
    values: *mut T,
    positions: *mut i64,
) -> Result<(), EvalError> {
    let Axis { outer, n, inner } = axis;
    let (count, descending, read) = match which {
        Statistic::Top { k, largest, sorted } => {
            let read = if which.is_first_extreme(n) { 1 } else { n.min(k + 1) };
            (k, largest, if sorted && !repeats::<T>() { 0..read } else { 0..0 })
        }
        Statistic::Rank(k) => (1, false, if repeats::<T>() { 0..0 } else { k..k + 1 }),
        Statistic::Mode => (1, false, 0..0),
    };
    let lines = outer * inner;
    if lines == 0 || count == 0 {
        return Ok(());
    }
    // What is in order, as many of each line as are read.
    let room = Block::new((lines * read.len()).max(1) * size_of::<T>());
    let places = Block::new((lines * read.len()).max(1) * size_of::<i64>());
    let (found, at) = (Shared(room.as_ptr().cast::<T>()), Shared(places.as_ptr().cast::<i64>()));
    if !read.is_empty() {
        // SAFETY: the caller's; the blocks have an element for each place that is read.
        unsafe { select::places::<T>(axis, descending, read.clone(), x, found.get(), at.get())? };
    }
    let (x, values, positions) = (Shared(x.cast_mut()), Shared(values), Shared(positions));
    let pieces = lines.min(256);
    threads::for_each(pieces, (lines * n) as u64, &|piece| {
        for l in piece * lines / pieces..(piece + 1) * lines / pieces {
            let (o, i) = (l / inner, l % inner);
            let each = |n: usize, k: usize| (o * n + k) * inner + i;
            // SAFETY: the caller's; the lines are disjoint, and each belongs to one piece.
            unsafe {
                let element = |k: usize| *x.get().add(each(n, k));
                let kept = |k: usize| *found.get().add(each(read.len(), k));
                // The line, where its elements are neighbours.
                let dense = || std::slice::from_raw_parts(x.get().add(o * n).cast_const(), n);
                let is_unique = !read.is_empty()
                    && match which {
                        Statistic::Top { .. } => (1..read.len()).all(|k| !equal(kept(k - 1), kept(k))),
                        Statistic::Rank(_) if inner == 1 => dense().iter().filter(|x| **x == kept(0)).count() == 1,
                        Statistic::Rank(_) => (0..n).filter(|k| element(*k) == kept(0)).count() == 1,
                        Statistic::Mode => false,
                    };
                let put = |k: usize, value: T, place: i64| {
                    *values.get().add(each(count, k)) = value;
                    *positions.get().add(each(count, k)) = place;
                };
                if is_unique {
                    (0..count).for_each(|k| put(k, kept(k), *at.get().add(each(read.len(), k))));
                } else {
                    let places = if inner == 1 {
                        which.places(dense())
                    } else {
                        which.places(&(0..n).map(element).collect::<Vec<T>>())
                    };
                    places.into_iter().enumerate().for_each(|(k, place)| put(k, element(place), place as i64));
                }
            }
        }
    });
    Ok(())
}

/// Whether most lines have equal elements: there are few numbers of this dtype, or they count something.
fn repeats<T: Ordered>() -> bool {
    !matches!(T::DTYPE, DType::F32 | DType::F64)
}

/// Whether neither comes before the other.
fn equal<T: Ordered>(a: T, b: T) -> bool {
    a == b || (a.partial_cmp(&a).is_none() && b.partial_cmp(&b).is_none())
}
